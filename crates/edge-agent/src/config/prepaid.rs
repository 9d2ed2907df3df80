//! What a channel has: a module of its own, a relay and prepaid credit.

use std::path::PathBuf;

use edge_core::PrepaidConfig;
use edge_core::credit::{self, Unit};
use edge_core::relay::{self, Hours};
use measure::{CHANNELS_MAX, Channel as Number};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::check::{in_range, value_error};

/// A section `[[meter.channel]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Which, from 0.
    pub number: Number,
    /// Address of its module on the meter's bus; channel 0 has the meter's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<u8>,
    /// A file that `ferraris calibrate` wrote for that module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_file: Option<PathBuf>,
    /// Register of the gain of its current, for a channel of an ADE7816, and so the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_gain: Option<i64>,
    /// Register of the gain of its power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_gain: Option<i64>,
    /// Coefficient of its phase filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<i64>,
    /// Energy of a count, where it is not the chip's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wh_per_count: Option<f64>,
    /// Digits by which it is opened at the meter's keypad, 8 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identification: Option<String>,
    /// What its credit is counted in; without it the channel is not prepaid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<Credit>,
    /// Price of a kWh, in the currency; for credit in money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff_per_kwh: Option<f64>,
    /// Credit below this is low: kWh, or the currency.
    #[serde(default)]
    pub low: f64,
    /// From the warning that credit is used up to the cut.
    #[serde(default = "grace_s")]
    pub grace_s: u64,
    /// Hours in which want of credit cuts nobody off: `"22:00-06:00"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
    /// The clock of these hours, in minutes ahead of UTC.
    #[serde(default)]
    pub utc_offset_min: i16,
    /// How long the limit may be exceeded.
    #[serde(default = "limit_delay_s")]
    pub limit_delay_s: u64,
    /// A file that takes 1 for closed and 0 for open, as `/sys/class/gpio/gpio17/value` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_file: Option<PathBuf>,
    /// A file that takes 0 for dark, 1 for lit and 2 for blinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light_file: Option<PathBuf>,
    /// A program that is called with the channel and `on` or `off`, and ends with 0 when the relay has moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relay_command: Vec<String>,
}

/// What credit is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credit {
    /// kWh.
    Energy,
    /// The currency of `tariff_per_kwh`.
    Money,
}

const fn grace_s() -> u64 {
    3_600
}

const fn limit_delay_s() -> u64 {
    10
}

impl Channel {
    /// A channel with nothing but defaults.
    pub const fn new(number: Number) -> Self {
        Self {
            number,
            address: None,
            calibration_file: None,
            current_gain: None,
            power_gain: None,
            phase: None,
            wh_per_count: None,
            identification: None,
            credit: None,
            tariff_per_kwh: None,
            low: 0.0,
            grace_s: grace_s(),
            protected: Vec::new(),
            utc_offset_min: 0,
            limit_delay_s: limit_delay_s(),
            relay_file: None,
            light_file: None,
            relay_command: Vec::new(),
        }
    }

    /// In the brain's units.
    ///
    /// # Errors
    /// A value that makes no sense; `key` says where it stands.
    pub fn to_core(&self, key: impl Fn(&str) -> String) -> Result<PrepaidConfig, ConfigError> {
        in_range(&key("number"), self.number.into(), 0, u64::from(CHANNELS_MAX).saturating_sub(1))?;
        in_range(&key("grace_s"), self.grace_s, 0, 31 * 86_400)?;
        in_range(&key("limit_delay_s"), self.limit_delay_s, 0, 3_600)?;
        let hours = |text: &String| {
            hours(text, self.utc_offset_min)
                .ok_or_else(|| value_error(key("protected"), format!("has {text:?}: write hours as \"22:00-06:00\", offsets up to 1440")))
        };
        let protected = self.protected.iter().map(hours).collect::<Result<_, _>>()?;
        let relay = relay::Config {
            grace_ms: self.grace_s.saturating_mul(1_000),
            protected,
            limit_delay_ms: self.limit_delay_s.saturating_mul(1_000),
        };
        let scaled = |name: &str, value: f64, scale: f64| match (value * scale).round() {
            it if (0.0..=1e12).contains(&it) => Ok(it as i64),
            _ => Err(value_error(key(name), format!("is {value}: use a number from 0 to a million"))),
        };
        let credit = match (self.credit, self.tariff_per_kwh) {
            (None, None) => None,
            (None, Some(_)) | (Some(Credit::Energy), Some(_)) => {
                return Err(value_error(key("tariff_per_kwh"), "needs credit = \"money\""));
            }
            (Some(Credit::Energy), None) => Some(credit::Config { unit: Unit::Energy, low: scaled("low", self.low, 1e6)? }),
            (Some(Credit::Money), Some(price)) => {
                let per_kwh = u32::try_from(scaled("tariff_per_kwh", price, 1e3)?).ok().filter(|it| *it > 0);
                let per_kwh = per_kwh.ok_or_else(|| value_error(key("tariff_per_kwh"), format!("is {price}: use 0.001 to 4000000")))?;
                Some(credit::Config { unit: Unit::Money { per_kwh }, low: scaled("low", self.low, 1e3)? })
            }
            (Some(Credit::Money), None) => return Err(value_error(key("tariff_per_kwh"), "is missing: credit is money")),
        };
        if self.relay_file.is_some() && !self.relay_command.is_empty() {
            return Err(value_error(key("relay_command"), "and relay_file are both there: a channel has one relay"));
        }
        Ok(PrepaidConfig { credit, relay })
    }
}

/// `22:00-06:00`.
fn hours(text: &str, utc_offset_min: i16) -> Option<Hours> {
    let minute = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok())?;
        let (hours, minutes) = (two(hours)?, two(minutes).filter(|it| *it < 60)?);
        hours.checked_mul(60)?.checked_add(minutes)
    };
    let (from, to) = text.split_once('-')?;
    Hours::new(minute(from)?, minute(to)?, utc_offset_min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(text: &str) -> Result<PrepaidConfig, String> {
        let channel: Channel = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        channel.to_core(str::to_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn units_are_those_of_the_brain() {
        let money =
            core("number = 2\ncredit = 'money'\ntariff_per_kwh = 0.305\nlow = 2.5\nprotected = ['22:00-06:00']\nutc_offset_min = 60");
        let money = money.expect("sound");
        assert_eq!(money.credit, Some(credit::Config { unit: Unit::Money { per_kwh: 305 }, low: 2_500 }));
        assert_eq!(money.relay.protected, [Hours::new(22 * 60, 6 * 60, 60).expect("hours")]);
        assert_eq!((money.relay.grace_ms, money.relay.limit_delay_ms), (3_600_000, 10_000));
        let energy = core("number = 0\ncredit = 'energy'\nlow = 1.5").expect("sound");
        assert_eq!(energy.credit, Some(credit::Config { unit: Unit::Energy, low: 1_500_000 }));
        assert_eq!(core("number = 5").expect("a relay only").credit, None);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, expected) in [
            ("number = 16", "configuration: number is 16: use 0 to 15"),
            ("number = 0\ncredit = 'money'", "configuration: tariff_per_kwh is missing: credit is money"),
            ("number = 0\ntariff_per_kwh = 1.0", "configuration: tariff_per_kwh needs credit = \"money\""),
            ("number = 0\ncredit = 'money'\ntariff_per_kwh = 0.0", "configuration: tariff_per_kwh is 0: use 0.001 to 4000000"),
            ("number = 0\ncredit = 'energy'\nlow = -1.0", "configuration: low is -1: use a number from 0 to a million"),
            (
                "number = 0\nprotected = ['22-6']",
                "configuration: protected has \"22-6\": write hours as \"22:00-06:00\", offsets up to 1440",
            ),
            (
                "number = 0\nrelay_file = 'a'\nrelay_command = ['b']",
                "configuration: relay_command and relay_file are both there: a channel has one relay",
            ),
        ] {
            assert_eq!(core(text).expect_err(text), expected);
        }
        assert!(core("number = 0\ncolour = 1").is_err());
    }
}
