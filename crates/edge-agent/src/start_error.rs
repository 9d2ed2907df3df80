//! Why an agent can't start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use measure::MeterId;

use crate::agent::StartFailed;
use crate::config::ConfigError;
use crate::journal_sqlite::OpenError;
use crate::tls::TlsError;

/// The agent can't start; nothing was changed but the journal, which may have been salvaged.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mend the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Mend the certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Mend the journal's place.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The journal failed at once.
    #[error(transparent)]
    Brains(#[from] StartFailed),
    /// A serial port is not there.
    #[error("can't open serial port {} (bus.{bus}.port): {source}; plug the adapter in, name the right port, and be in its group", port.display())]
    Port {
        /// Name of the bus.
        bus: String,
        /// The terminal.
        port: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The serial port of a keypad is not there.
    #[error("can't open serial port {} (keypad.port of meter {meter}): {source}; plug the adapter in, name the right port, and be in its group", port.display())]
    Keypad {
        /// Whose keypad.
        meter: MeterId,
        /// The terminal.
        port: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The bus of a chip is not there.
    #[error("can't open {} (port of meter {meter}): {source}; switch the bus on, name the right one, and be in its group (i2c or spi)", port.display())]
    Chip {
        /// Whose chip.
        meter: MeterId,
        /// The bus.
        port: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The address is taken or not this machine's.
    #[error("can't listen on {address} (health.listen): {source}; choose another address or stop the program that has it")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A meter whose samples somebody was to hand over, and nobody does.
    #[error("no source of samples was given for meter {0}")]
    NoSource(MeterId),
}
