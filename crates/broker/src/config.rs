//! The configuration, typed. `broker.toml` at the top of the repository is its reference.

mod limits;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::ConfigError;

pub use limits::{Limits, Rate};

/// The commented default file.
pub const REFERENCE: &str = include_str!("../../../broker.toml");

/// Everything that can be set. Each section but `tls` has defaults: those of [`REFERENCE`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses.
    #[serde(default)]
    pub listen: Listen,
    /// Certificates.
    pub tls: Tls,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
    /// The embedded router.
    #[serde(default)]
    pub router: Router,
    /// The broker's watch over itself.
    #[serde(default)]
    pub vitals: Vitals,
    /// Threads of the program.
    #[serde(default)]
    pub threads: Threads,
    /// The end.
    #[serde(default)]
    pub shutdown: Shutdown,
}

/// Addresses to listen on; port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// MQTT over TLS.
    pub mqtts: SocketAddr,
    /// MQTT over WebSocket and TLS, for operators only; nowhere unless it is set.
    pub websocket: Option<SocketAddr>,
    /// Origins of the pages that may open one, as browsers name them: `https://dashboard.example.org`.
    pub websocket_origins: Vec<String>,
    /// HTTP for metrics and health.
    pub admin: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self { mqtts: ([0, 0, 0, 0], 8883).into(), websocket: None, websocket_origins: Vec::new(), admin: ([127, 0, 0, 1], 9883).into() }
    }
}

/// Certificates and revocation, as PEM files.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Authorities whose clients are let in: a file, or a directory whose files `*.pem` all count.
    pub ca_file: PathBuf,
    /// The broker's certificate chain.
    pub certificate_file: PathBuf,
    /// The broker's private key.
    pub key_file: PathBuf,
    /// Revocation lists, a file or a directory likewise; without them nobody is revoked.
    #[serde(default)]
    pub crl_file: Option<PathBuf>,
    /// How often the files are looked at.
    #[serde(default = "watch_ms")]
    pub watch_ms: u64,
    /// What a revocation list past its end means.
    #[serde(default)]
    pub crl_expired: CrlExpired,
}

const fn watch_ms() -> u64 {
    2000
}

/// What a revocation list past its end means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrlExpired {
    /// Nobody is let in until there is a new one.
    #[default]
    Refuse,
    /// The old one goes on.
    Accept,
}

/// The embedded router.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// Size of a segment, at least 1,024.
    pub segment_bytes: usize,
    /// Segments of a filter's log, at least 1.
    pub segments: usize,
}

impl Default for Router {
    fn default() -> Self {
        Self { segment_bytes: 262_144, segments: 4 }
    }
}

/// The broker's watch over itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vitals {
    /// How often a message goes through the TLS port, the router and back.
    pub canary_ms: u64,
    /// How often that begins with a new connection.
    pub canary_connect_ms: u64,
    /// Without one coming back for so long, the router is dead.
    pub canary_deadline_ms: u64,
}

impl Default for Vitals {
    fn default() -> Self {
        Self { canary_ms: 1000, canary_connect_ms: 30_000, canary_deadline_ms: 10_000 }
    }
}

/// Threads of the program; a broker within another program runs on that one's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Threads {
    /// For all sessions together; 0 for one less than there are processors.
    pub sessions: usize,
}

impl Threads {
    /// Threads for sessions, at least 1.
    ///
    /// The router's thread has a processor to itself. With a second thread for sessions on two processors each message wakes that one,
    /// too, to look for work that is not there: that costs more than the message.
    pub fn sessions(&self) -> usize {
        match self.sessions {
            0 => std::thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1)),
            sessions => sessions,
        }
    }
}

/// The end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long sessions have to end.
    pub drain_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_ms: 5000 }
    }
}

impl Config {
    /// A configuration with these certificates and the defaults otherwise.
    pub fn new(tls: Tls) -> Self {
        Self {
            listen: Listen::default(),
            tls,
            limits: Limits::default(),
            router: Router::default(),
            vitals: Vitals::default(),
            threads: Threads::default(),
            shutdown: Shutdown::default(),
        }
    }

    /// Reads TOML and checks the values.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            line: error.span().and_then(|span| text.get(..span.start)).map_or(0, |before| before.matches('\n').count()).saturating_add(1),
            what: error.message().to_owned(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::from_toml(&text).map_err(|source| ConfigError::InFile { path: path.to_owned(), source: Box::new(source) })
    }

    /// Frames of one shard that its fastest processor may be behind: `limits.shard_lag`, or fewer if so many of the largest packet would
    /// not fit into what the router keeps for sure, which is all segments but the one that is forgotten next.
    pub fn shard_lag(&self) -> u64 {
        let kept = self.router.segment_bytes.saturating_mul(self.router.segments.saturating_sub(1).max(1));
        let fit = kept.checked_div(self.limits.meter_packet_bytes).unwrap_or(0).max(1);
        self.limits.shard_lag.min(count(fit))
    }

    /// Values that would make no sense, or make the router panic.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Self { limits, router, vitals, tls, threads, .. } = self;
        limits.check()?;
        range("router.segment_bytes", count(router.segment_bytes), 1024, 1 << 30)?;
        range("router.segments", count(router.segments), 1, 1024)?;
        range("threads.sessions", count(threads.sessions), 0, 1024)?;
        range("tls.watch_ms", tls.watch_ms, 10, 86_400_000)?;
        range("vitals.canary_ms", vitals.canary_ms, 10, 3_600_000)?;
        range("vitals.canary_connect_ms", vitals.canary_connect_ms, 10, 86_400_000)?;
        range("vitals.canary_deadline_ms", vitals.canary_deadline_ms, vitals.canary_ms.saturating_add(1), 86_400_000)
    }
}

fn range(key: &'static str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(ConfigError::Range { key, value, least, most }) }
}

fn count(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// A number of milliseconds.
pub(crate) const fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_states_the_defaults() {
        let reference = Config::from_toml(REFERENCE).unwrap();
        assert_eq!(reference, Config::new(reference.tls.clone()));
        let least = "[tls]\nca_file='a'\ncertificate_file='b'\nkey_file='c'\n";
        let tls = Tls { crl_file: None, ..Config::from_toml(least).unwrap().tls };
        assert_eq!(Config::from_toml(least).unwrap(), Config::new(tls));
    }

    #[test]
    fn a_shards_lag_fits_what_the_router_keeps() {
        let mut config = Config::from_toml(REFERENCE).unwrap();
        assert_eq!(config.shard_lag(), config.limits.shard_lag, "the default is what holds");
        config.limits.meter_packet_bytes *= 2;
        assert_eq!(config.shard_lag(), config.limits.shard_lag / 2);
        config.router.segment_bytes = 1024;
        assert_eq!(config.shard_lag(), 1);
    }

    #[test]
    fn errors_are_one_clear_statement() {
        let least = "[tls]\nca_file='a'\ncertificate_file='b'\nkey_file='c'\n";
        let error = |extra: &str| Config::from_toml(&format!("{least}{extra}")).unwrap_err().to_string();
        assert!(error("[limits]\nconections = 1").starts_with("line 6: unknown field `conections`, expected one of `connections`"));
        assert_eq!(error("[router]\nsegment_bytes = 5"), "router.segment_bytes = 5: must be between 1024 and 1073741824");
        let missing = Config::load(Path::new("/nowhere/broker.toml")).unwrap_err().to_string();
        assert!(missing.starts_with("can't read /nowhere/broker.toml"), "{missing}");
    }
}
