//! What can be set, checked once.

use contracts::intervals::IntervalLength;
use measure::UnixMillis;
use serde::Deserialize;

use super::calendar::Calendar;

const HOUR_MS: i64 = 3_600_000;
const WEEK_MS: i64 = 7 * 24 * HOUR_MS;
/// The longest day of a time zone.
const LONGEST_DAY_MS: i64 = 25 * HOUR_MS;

/// What can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How much later than measured a reading may come without being late, in ms: intervals close so long after their end. Up to an hour.
    pub lateness_ms: i64,
    /// How far back late readings still change intervals, and the longest gap whose energy is spread over its intervals, in ms. An hour to
    /// a week. State, and what must be replayed after a restart ([`Rules::reach_ms`]), grow with it.
    pub horizon_ms: i64,
    /// How far ahead of the head-end's time a reading may be, in ms. Up to an hour.
    pub ahead_ms: i64,
    /// Readings further apart have a gap between them, in ms. A second to an hour.
    pub gap_ms: i64,
    /// How long a gap must have been left alone before its intervals are estimated, in ms: a backlog has that long to fill it. Up to an hour.
    pub settle_ms: i64,
    /// The longest gap that is estimated (quality E), in ms; a longer one is substituted (S). Up to the horizon.
    pub interpolation_ms: i64,
    /// A boundary so close to a reading is actual (quality A), in ms. Up to a minute.
    pub actual_ms: i64,
    /// Where the energy registers begin again at zero, in Wh: 10,000,000 for a PZEM-004T (9,999.999 kWh). None if they never do.
    pub register_modulus_wh: Option<i64>,
    /// The step of the registers, in Wh: so much is always plausible. 1 to 1,000,000.
    pub register_step_wh: i64,
    /// What a channel can carry, in W: registers that advance faster are not believed. 1 to 10,000,000.
    pub power_max_w: i64,
    /// Blocks of the maximum demand: `15min` or `30min`.
    pub demand_block: IntervalLength,
    /// The lengths that are written.
    pub lengths: Vec<IntervalLength>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lateness_ms: 120_000,
            horizon_ms: 24 * HOUR_MS,
            ahead_ms: 300_000,
            gap_ms: 180_000,
            settle_ms: 300_000,
            interpolation_ms: 2 * HOUR_MS,
            actual_ms: 2_000,
            register_modulus_wh: None,
            register_step_wh: 10,
            power_max_w: 100_000,
            demand_block: IntervalLength::QuarterHour,
            lengths: IntervalLength::ALL.to_vec(),
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct RulesError {
    /// Which.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Settings that make sense, with a calendar.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) settings: Settings,
    pub(super) calendar: Calendar,
}

impl Rules {
    /// Takes the settings if each is in its range.
    ///
    /// # Errors
    ///
    /// Names the first setting that is not.
    pub fn new(settings: Settings, calendar: Calendar) -> Result<Self, RulesError> {
        let it = &settings;
        for (key, value, least, most) in [
            ("lateness_ms", it.lateness_ms, 0, HOUR_MS),
            ("horizon_ms", it.horizon_ms, HOUR_MS, WEEK_MS),
            ("ahead_ms", it.ahead_ms, 0, HOUR_MS),
            ("gap_ms", it.gap_ms, 1_000, HOUR_MS),
            ("settle_ms", it.settle_ms, 0, HOUR_MS),
            ("interpolation_ms", it.interpolation_ms, 0, it.horizon_ms),
            ("actual_ms", it.actual_ms, 0, 60_000),
            ("register_modulus_wh", it.register_modulus_wh.unwrap_or(1_000), 1_000, REGISTER_MAX / 100),
            ("register_step_wh", it.register_step_wh, 1, 1_000_000),
            ("power_max_w", it.power_max_w, 1, 10_000_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(RulesError { key, problem: format!("is {value}: {least} to {most} are possible") });
            }
        }
        if !matches!(it.demand_block, IntervalLength::QuarterHour | IntervalLength::HalfHour) {
            return Err(RulesError { key: "demand_block", problem: "is neither 15min nor 30min".to_owned() });
        }
        Ok(Self { settings, calendar })
    }

    /// The calendar.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// How long before the watermark the readings were taken in, at the earliest, that have left a trace in the state, in ms: an interval
    /// that may still change began a horizon and a day ago at most, and the gap that it begins in a horizon before.
    pub fn reach_ms(&self) -> i64 {
        2 * self.settings.horizon_ms + LONGEST_DAY_MS + self.patience_ms()
    }

    /// How long it takes until everything that was taken in has had its turn, and the gap before it has settled, in ms.
    pub(super) fn patience_ms(&self) -> i64 {
        let Settings { lateness_ms, ahead_ms, settle_ms, .. } = self.settings;
        lateness_ms + ahead_ms + settle_ms + 60_000
    }

    /// Up to where time is complete at `now`: whole minutes.
    pub(super) fn watermark(&self, now: UnixMillis) -> UnixMillis {
        now.saturating_add(-self.settings.lateness_ms).interval_start(60_000)
    }

    /// Where the register begins again, in 0.01 Wh.
    pub(super) fn modulus(&self) -> Option<i64> {
        self.settings.register_modulus_wh.map(|it| it * 100)
    }

    /// The most energy that `millis` can bring, in 0.01 Wh.
    pub(super) fn energy_max(&self, millis: i64) -> i64 {
        // 1 W for 36 s is 0.01 Wh.
        self.settings.power_max_w * millis / 36_000 + self.settings.register_step_wh * 100
    }
}

/// The highest register that is believed, in 0.01 Wh: ten terawatt-hours, so that sums of a few stay far from the ends of an integer.
pub(super) const REGISTER_MAX: i64 = 1_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_settings_make_sense() {
        let rules = Rules::new(Settings::default(), Calendar::default()).unwrap();
        assert_eq!(rules.reach_ms() / HOUR_MS, 73);
        assert_eq!(rules.energy_max(36_000), 100_000 + 1_000);
    }

    #[test]
    fn what_makes_none_is_named() {
        for (text, expected) in [
            ("horizon_ms = 1", "horizon_ms is 1: 3600000 to 604800000"),
            ("lateness_ms = -1", "lateness_ms is -1"),
            ("interpolation_ms = 90000000", "interpolation_ms is 90000000: 0 to 86400000"),
            ("register_modulus_wh = 0", "register_modulus_wh is 0"),
            ("power_max_w = 100000000", "power_max_w"),
            ("demand_block = \"1h\"", "demand_block is neither"),
        ] {
            let error = Rules::new(toml::from_str(text).unwrap(), Calendar::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
