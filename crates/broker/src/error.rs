//! What can go wrong, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The configuration can't be used: mend it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("line {line}: {what}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A value out of its range.
    #[error("{key} = {value}: must be between {least} and {most}")]
    Range {
        /// Which key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// Smallest possible.
        least: u64,
        /// Largest possible.
        most: u64,
    },
    /// The file isn't there or may not be read.
    #[error("can't read {}: {source}; name another file with --config, or start from `broker --print-config`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds one of the above.
    #[error("{}: {source}", path.display())]
    InFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<ConfigError>,
    },
}

/// The certificates can't be used: mend the file named.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file isn't there or may not be read.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file doesn't hold what it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
}

/// The broker can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mend the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Mend the certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken or not this machine's: choose another, or stop the other program.
    #[error("can't listen on {address} ({key}): {source}; choose another address or stop the program that has it")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Its key in the configuration.
        key: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// No message came through: what the broker would be good for.
    #[error("the broker can't reach itself at {address}: {source}")]
    Canary {
        /// Where it listens for MQTT.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
    /// The system gives no thread for handshakes: raise the limit of the service's tasks.
    #[error("can't start a thread for handshakes: {0}; raise the number of threads that the system allows")]
    Threads(io::Error),
    /// The router did not come up. Nothing in the configuration causes that.
    #[error("the message router did not start")]
    Router,
}
