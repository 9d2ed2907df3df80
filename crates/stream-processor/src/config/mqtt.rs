//! Which brokers frames are taken from.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Section `[mqtt]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Mqtt {
    pub servers: Vec<Server>,
    pub client_id: String,
    pub ca_file: PathBuf,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub keep_alive_ms: u64,
    pub reconnect_min_ms: u64,
    pub reconnect_max_ms: u64,
}

/// A broker's address: `gate://host:port`, `mqtts://host:port` or `mqtt://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Server {
    /// What it is, and how it is spoken to.
    pub scheme: Scheme,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What a broker is, and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Our gate, with TLS: it takes batches of acknowledgements.
    Gate,
    /// Any broker, with TLS.
    Mqtts,
    /// Any broker, in the clear.
    Mqtt,
}

impl Scheme {
    const ALL: [Self; 3] = [Self::Gate, Self::Mqtts, Self::Mqtt];

    /// As in an address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Mqtts => "mqtts",
            Self::Mqtt => "mqtt",
        }
    }
}

impl Server {
    /// Whether it is spoken to with TLS.
    pub const fn has_tls(&self) -> bool {
        !matches!(self.scheme, Scheme::Mqtt)
    }
}

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let problem = || {
            format!(
                "{text:?} is no broker address; write gate://host:port for our broker, mqtts://host:port or mqtt://host:port for others"
            )
        };
        let (scheme, address) = text.split_once("://").ok_or_else(problem)?;
        let scheme = Scheme::ALL.into_iter().find(|it| it.name() == scheme).ok_or_else(problem)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(problem)?;
        let port = port.parse().map_err(|_| problem())?;
        if host.is_empty() {
            return Err(problem());
        }
        Ok(Self { scheme, host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.name(), self.host, self.port)
    }
}

impl Mqtt {
    /// Longest time without a packet before the broker gives this instance up.
    pub const fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }
}
