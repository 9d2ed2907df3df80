//! Where the meter's own condition is read, and what is worth telling of it.

use std::path::PathBuf;

use edge_core::condition;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::check::{in_range, value_error};

/// Section `[condition]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// Thousandths of a degree Celsius, as `/sys/class/thermal/thermal_zone0/temp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_file: Option<PathBuf>,
    /// Percent, as `/sys/class/power_supply/BAT0/capacity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub battery_file: Option<PathBuf>,
    /// 1 while the mains are there, as `/sys/class/power_supply/AC/online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supply_file: Option<PathBuf>,
    /// How often.
    pub every_ms: u64,
    /// Too hot from here on.
    pub hot_c: u8,
    /// No longer too hot from here down.
    pub cool_c: u8,
    /// The battery is low from here down.
    pub battery_low_percent: u8,
    /// No longer low from here on.
    pub battery_good_percent: u8,
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            temperature_file: None,
            battery_file: None,
            supply_file: None,
            every_ms: 1_000,
            hot_c: 85,
            cool_c: 75,
            battery_low_percent: 20,
            battery_good_percent: 30,
        }
    }
}

impl Condition {
    /// Whether anything is read.
    pub const fn enabled(&self) -> bool {
        self.temperature_file.is_some() || self.battery_file.is_some() || self.supply_file.is_some()
    }

    /// In the brain's units.
    ///
    /// # Errors
    /// Bounds that cross.
    pub fn to_core(&self) -> Result<condition::Config, ConfigError> {
        in_range("condition.every_ms", self.every_ms, 100, 3_600_000)?;
        if self.cool_c >= self.hot_c {
            return Err(value_error("condition.cool_c", "must be below condition.hot_c"));
        }
        if self.battery_low_percent >= self.battery_good_percent {
            return Err(value_error("condition.battery_low_percent", "must be below condition.battery_good_percent"));
        }
        let decidegrees = |degrees: u8| i32::from(degrees).saturating_mul(10);
        Ok(condition::Config {
            hot: decidegrees(self.hot_c),
            cool: decidegrees(self.cool_c),
            battery_low: self.battery_low_percent,
            battery_good: self.battery_good_percent,
        })
    }
}
