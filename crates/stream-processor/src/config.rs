//! Configuration: the commented default file, laid under the user's file, laid under the environment.

mod analytics;
mod commands;
mod intervals;
mod mqtt;
mod quality;
mod sinks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use crate::interval::{Calendar, Rules};
pub use analytics::Analytics;
pub use commands::Commands;
pub use intervals::Intervals;
pub use mqtt::{Mqtt, Scheme, Server};
pub use quality::Quality;
pub use sinks::{Avro, Postgres, Webhook};

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
    pub quality: Quality,
    pub analytics: Analytics,
    pub postgres: Postgres,
    pub avro: Avro,
    pub webhook: Webhook,
    pub commands: Commands,
    pub http: Http,
    pub log: Log,
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
        if self.commands.resend_first_ms < 100 || self.commands.resend_max_ms < self.commands.resend_first_ms {
            return problem("commands.resend_first_ms", "must be between 100 and commands.resend_max_ms");
        }
        if !analytics::SETTLE_MS.contains(&self.analytics.settle_ms) {
            return problem("analytics.settle_ms", "must be between 900000 (a quarter of an hour) and 86400000 (a day)");
        }
        if !analytics::STORM_MS.contains(&self.analytics.storm_ms) {
            return problem("analytics.storm_ms", "must be between 1000 and 3600000");
        }
        self.postgres.check()?;
        self.avro.check()?;
        self.webhook.check()?;
        Rules::new(self.intervals.rules.clone(), Calendar::default())
            .map_err(|error| ConfigError::Value { key: "intervals.rules", problem: error.to_string() })?;
        self.quality_rules()?;
        Ok(())
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
            ("[quality.rules]\nnominal_voltage_v = 23", "quality.rules nominal_voltage_v is 23: 100 to 500 are possible"),
            ("[analytics]\nsettle_ms = 5", "analytics.settle_ms must be between 900000"),
            ("[postgres]\nenabled = true\nschema = 'a\"b'", "postgres.schema must be"),
            ("[postgres]\nbatch_rows_max = 0", "postgres.batch_rows_max must be"),
            (
                "[postgres]\nenabled = true\nreadings = false\nintervals = false\nalerts = false\ntopology = false",
                "postgres makes rows of nothing",
            ),
            ("[avro]\nregistry_url = 'localhost'", "avro.registry_url must begin with http:// or https://"),
            ("[webhook]\nenabled = true\nurl = 'localhost:9093'", "webhook.url must begin with http:// or https://"),
            ("[webhook]\nrepeat_ms = 0", "webhook.repeat_ms must be"),
            ("[log]\nformat = 'xml'", "unknown variant `xml`"),
            ("[kafka", "test.toml"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
