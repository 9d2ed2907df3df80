//! How power quality is watched.

use serde::Deserialize;

use super::{Config, ConfigError};
use crate::quality::{Rules, Settings};

/// Section `[quality]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Quality {
    pub enabled: bool,
    pub commit_interval_ms: u64,
    pub rules: Settings,
}

impl Config {
    /// Checks the settings of power quality; where registers begin again is the intervals' to say.
    pub fn quality_rules(&self) -> Result<Rules, ConfigError> {
        let rules = Rules::new(&self.quality.rules, self.intervals.rules.register_modulus_wh);
        rules.map_err(|error| ConfigError::Value { key: "quality.rules", problem: error.to_string() })
    }
}
