//! Configuration: the commented default file, laid under the user's file, laid under the environment.

mod analytics;
mod intervals;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use crate::interval::{Calendar, Rules};
pub use analytics::Analytics;
pub use intervals::Intervals;

/// The default file: the reference of all keys.
pub const DEFAULT: &str = include_str!("../stream-processor.toml");

/// Prefix of environment variables that set a key: `FERRARIS_PROCESSOR__SECTION__KEY`.
pub const ENVIRONMENT_PREFIX: &str = "FERRARIS_PROCESSOR__";

/// Why a configuration can't be used; correct the file or variable that it names.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("configuration {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("configuration {from}: {message}")]
    Parse {
        /// Which file or variable.
        from: String,
        /// Where in it, and what.
        message: String,
    },
    /// A value that makes no sense.
    #[error("configuration: {key} {problem}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Config {
    pub mqtt: Mqtt,
    pub kafka: Kafka,
    pub topics: Topics,
    pub commit: Commit,
    pub limits: Limits,
    pub live: Live,
    pub intervals: Intervals,
    pub analytics: Analytics,
    pub http: Http,
    pub log: Log,
}

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

/// Section `[kafka]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Kafka {
    pub bootstrap_servers: String,
    pub topic_prefix: String,
    pub session_timeout_ms: u32,
    pub transaction_timeout_ms: u32,
    pub request_timeout_ms: u32,
    pub options: BTreeMap<String, String>,
}

/// Section `[topics]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Topics {
    pub manage: bool,
    pub partitions: u16,
    pub replication: u16,
    pub min_insync_replicas: u16,
    pub readings_retention_ms: i64,
    pub events_retention_ms: i64,
    pub intervals_retention_ms: i64,
    pub dead_letter_retention_ms: i64,
}

/// Section `[commit]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Commit {
    pub interval_ms: u64,
    pub batch_records_max: usize,
    pub queue_frames_max: usize,
    pub revoke_timeout_ms: u64,
}

/// Section `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Limits {
    pub streams_max: usize,
    pub answer_interval_ms: i64,
    pub dead_letter_interval_ms: i64,
}

/// Section `[live]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Live {
    pub enabled: bool,
    pub interval_ms: i64,
}

/// Section `[http]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Http {
    pub listen: SocketAddr,
}

/// Section `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Log {
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl Config {
    /// The default file, over it the file at `path` if there is one, over it the environment.
    pub fn load(path: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        Self::parse(&text, &path.map_or_else(|| "default".to_owned(), |path| path.display().to_string()), environment)
    }

    /// The same from a text; `from` names it in errors.
    pub fn parse(text: &str, from: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let parse_error =
            |from: &str, message: String| ConfigError::Parse { from: from.to_owned(), message: message.trim_end().to_owned() };
        let mut table: Table = toml::from_str(DEFAULT).map_err(|error| parse_error("default", error.to_string()))?;
        let users: Table = toml::from_str(text).map_err(|error| parse_error(from, error.to_string()))?;
        lay_over(&mut table, users);
        for (name, value) in environment {
            if let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                lay_over(&mut table, from_environment(&path.to_ascii_lowercase(), &value));
            }
        }
        let config: Self = Value::Table(table).try_into().map_err(|error: toml::de::Error| parse_error(from, error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let problem = |key, problem: &str| Err(ConfigError::Value { key, problem: problem.to_owned() });
        if self.mqtt.servers.is_empty() {
            return problem("mqtt.servers", "is empty; give at least one broker");
        }
        let address = |server: &Server| (server.host.clone(), server.port);
        let mut addresses: Vec<_> = self.mqtt.servers.iter().map(address).collect();
        addresses.sort_unstable();
        if let Some([(host, port), _]) = addresses.array_windows().find(|[one, other]| one == other) {
            let twice = format!("names {host}:{port} twice; two connections of one client replace each other without end");
            return problem("mqtt.servers", &twice);
        }
        if self.mqtt.client_id.is_empty() {
            return problem("mqtt.client_id", "is empty; give the common name of the certificate");
        }
        if !(1..=64).contains(&self.topics.partitions) || 64_u16.checked_rem(self.topics.partitions) != Some(0) {
            return problem("topics.partitions", "must divide 64: 1, 2, 4, 8, 16, 32 or 64");
        }
        if self.topics.min_insync_replicas > self.topics.replication {
            return problem("topics.min_insync_replicas", "must not exceed topics.replication");
        }
        if self.commit.batch_records_max == 0 || self.commit.queue_frames_max == 0 {
            return problem("commit", "batch_records_max and queue_frames_max must be 1 or more");
        }
        if !analytics::SETTLE_MS.contains(&self.analytics.settle_ms) {
            return problem("analytics.settle_ms", "must be between 900000 (a quarter of an hour) and 86400000 (a day)");
        }
        Rules::new(self.intervals.rules.clone(), Calendar::default())
            .map_err(|error| ConfigError::Value { key: "intervals.rules", problem: error.to_string() })?;
        Ok(())
    }
}

impl Mqtt {
    /// Longest time without a packet before the broker gives this instance up.
    pub const fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }
}

impl Kafka {
    /// Longest wait for one answer.
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms as u64)
    }
}

fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// `section__key` and a value, as a table; a value that is no TOML is taken as text.
fn from_environment(path: &str, value: &str) -> Table {
    let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    let mut inner = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let mut keys = path.rsplit("__");
    let last = keys.next().unwrap_or(path);
    let mut table = Table::from_iter([(last.to_owned(), inner)]);
    for key in keys {
        inner = Value::Table(table);
        table = Table::from_iter([(key.to_owned(), inner)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, "test.toml", [])
    }

    #[test]
    fn the_default_file_is_a_configuration() {
        let config = parse("").unwrap();
        assert_eq!(config.topics.partitions, 4);
        assert_eq!(config.mqtt.servers, [Server { scheme: Scheme::Gate, host: "127.0.0.1".into(), port: 8883 }]);
    }

    #[test]
    fn a_users_file_needs_only_what_differs() {
        let config = parse("[kafka]\ntopic_prefix = 'x-'\n[kafka.options]\n'security.protocol' = 'ssl'").unwrap();
        assert_eq!(config.kafka.topic_prefix, "x-");
        assert_eq!(config.kafka.options.len(), 1);
        assert_eq!(config.kafka.bootstrap_servers, "127.0.0.1:9092");
    }

    #[test]
    fn the_environment_wins() {
        let variables =
            [("FERRARIS_PROCESSOR__KAFKA__TOPIC_PREFIX", "e-"), ("FERRARIS_PROCESSOR__TOPICS__PARTITIONS", "8"), ("OTHER", "1")];
        let config = Config::parse("[kafka]\ntopic_prefix = 'x-'", "t", variables.map(|(k, v)| (k.into(), v.into()))).unwrap();
        assert_eq!((config.kafka.topic_prefix.as_str(), config.topics.partitions), ("e-", 8));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("[kafka]\nbootstrap = 'x'", "unknown field `bootstrap`"),
            ("[topics]\npartitions = 3", "topics.partitions must divide 64"),
            ("[topics]\npartitions = 0", "topics.partitions must divide 64"),
            ("[mqtt]\nservers = ['localhost']", "write gate://host:port"),
            ("[mqtt]\nservers = ['http://localhost:1']", "write gate://host:port"),
            ("[mqtt]\nservers = ['gate://a:1', 'gate://b:1', 'mqtts://a:1']", "mqtt.servers names a:1 twice"),
            ("[mqtt]\nservers = []", "give at least one broker"),
            ("[topics]\nmin_insync_replicas = 2", "must not exceed"),
            ("[intervals.rules]\nhorizon_ms = 5", "intervals.rules horizon_ms is 5: 3600000 to 604800000 are possible"),
            ("[intervals.rules]\nhorizon = 5", "unknown field `horizon`"),
            ("[analytics]\nsettle_ms = 5", "analytics.settle_ms must be between 900000"),
            ("[log]\nformat = 'xml'", "unknown variant `xml`"),
            ("[kafka", "test.toml"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
