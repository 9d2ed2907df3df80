//! How intervals are made.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;
use crate::interval::{self, Calendar, CalendarError, Rules};

/// Section `[intervals]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Intervals {
    pub enabled: bool,
    pub commit_interval_ms: u64,
    pub calendar_file: PathBuf,
    pub rules: interval::Settings,
}

impl Intervals {
    /// Reads the calendar and checks the settings.
    pub fn rules(&self) -> Result<Rules, ConfigError> {
        let calendar = if self.calendar_file.as_os_str().is_empty() {
            Calendar::default()
        } else {
            let path = &self.calendar_file;
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            let refused = |error: CalendarError| ConfigError::Parse { from: path.display().to_string(), message: error.to_string() };
            Calendar::parse(&text).map_err(refused)?
        };
        Rules::new(self.rules.clone(), calendar).map_err(|error| ConfigError::Value { key: "intervals.rules", problem: error.to_string() })
    }
}
