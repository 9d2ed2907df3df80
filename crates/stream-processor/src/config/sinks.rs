//! Where records go on from Kafka.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;

/// What `batch_rows_max` may be: a row takes about 400 bytes here and half of that on its way.
const BATCH_ROWS: RangeInclusive<usize> = 1..=100_000;
/// What times may be: from 100 ms to an hour.
const MILLIS: RangeInclusive<u64> = 100..=3_600_000;
/// Longest name of PostgreSQL (`NAMEDATALEN` - 1).
const NAME_LEN_MAX: usize = 63;

/// Section `[postgres]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Postgres {
    pub enabled: bool,
    pub url: String,
    pub password_file: PathBuf,
    pub ca_file: PathBuf,
    pub schema: String,
    pub readings: bool,
    pub intervals: bool,
    pub alerts: bool,
    pub topology: bool,
    pub commit_interval_ms: u64,
    pub batch_rows_max: usize,
    pub timeout_ms: u64,
}

/// Section `[avro]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Avro {
    pub enabled: bool,
    pub registry_url: String,
    pub ca_file: PathBuf,
    pub bearer_token_file: PathBuf,
    pub commit_interval_ms: u64,
    pub timeout_ms: u64,
}

/// Section `[webhook]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Webhook {
    pub enabled: bool,
    pub url: String,
    pub ca_file: PathBuf,
    pub bearer_token_file: PathBuf,
    pub repeat_ms: u64,
    pub timeout_ms: u64,
}

impl Postgres {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let mut letters = self.schema.chars();
        let begins = letters.next().is_some_and(|it| it.is_ascii_lowercase() || it == '_');
        if !begins || !letters.all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_') || self.schema.len() > NAME_LEN_MAX {
            return problem("postgres.schema", "must be 1 to 63 lower-case letters, digits and _, and begin with no digit");
        }
        if !BATCH_ROWS.contains(&self.batch_rows_max) {
            return problem("postgres.batch_rows_max", "must be between 1 and 100000");
        }
        if self.enabled && ![self.readings, self.intervals, self.alerts, self.topology].contains(&true) {
            return problem("postgres", "makes rows of nothing; set postgres.readings, intervals, alerts or topology");
        }
        if !MILLIS.contains(&self.timeout_ms) || self.commit_interval_ms > *MILLIS.end() {
            return problem("postgres.timeout_ms", "must be between 100 and 3600000, and postgres.commit_interval_ms up to that");
        }
        Ok(())
    }
}

impl Avro {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_url(("avro.registry_url", &self.registry_url), ("avro.ca_file", &self.ca_file))?;
        if !MILLIS.contains(&self.timeout_ms) || self.commit_interval_ms > *MILLIS.end() {
            return problem("avro.timeout_ms", "must be between 100 and 3600000, and avro.commit_interval_ms up to that");
        }
        Ok(())
    }
}

impl Webhook {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_url(("webhook.url", &self.url), ("webhook.ca_file", &self.ca_file))?;
        if !MILLIS.contains(&self.repeat_ms) {
            return problem("webhook.repeat_ms", "must be between 100 and 3600000");
        }
        if !MILLIS.contains(&self.timeout_ms) {
            return problem("webhook.timeout_ms", "must be between 100 and 3600000");
        }
        Ok(())
    }
}

fn check_url((key, url): (&'static str, &str), (ca_key, ca_file): (&'static str, &Path)) -> Result<(), ConfigError> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return problem(key, "must begin with http:// or https://");
    }
    if url.starts_with("https://") && ca_file.as_os_str().is_empty() {
        return problem(ca_key, "is empty; https:// needs the authority of the server's certificate");
    }
    Ok(())
}

fn problem(key: &'static str, problem: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Value { key, problem: problem.to_owned() })
}
