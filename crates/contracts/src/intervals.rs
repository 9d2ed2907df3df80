//! `meter.intervals.v1`: what a channel registered in an interval, with a quality and a revision.

use bitflags::bitflags;
use measure::{Account, Amperes, Channel, Hertz, MeterId, PowerFactor, UnixMillis, Volts, WattHours, Watts};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An interval of one channel of a meter, as far as it was known when the record was made.
///
/// The key of the Kafka record is the meter. Of the records with the same (meter, channel, length, start_ms) the one with the highest
/// revision counts. Energies are differences of the meter's cumulative registers, never sums of power.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Interval")]
pub struct IntervalRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel of the meter, from 0.
    pub channel: Channel,
    /// The channel's account: `<meter>.<channel>`. Absent in records that are older than accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// How long: `1min`, `15min`, `30min`, `1h` (all aligned to UTC) or `1d` (a day of the configured time zone: 23 to 25 hours).
    pub length: IntervalLength,
    /// Where it begins: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub start_ms: UnixMillis,
    /// Where it ends, itself excluded: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub end_ms: UnixMillis,
    /// 1 for the first record of the interval, one more for each that replaces it.
    pub revision: u32,
    /// How the registers at its boundaries are known, the worse of the two: A, R, E, S or X.
    pub quality: Quality,
    /// What validation noticed: `GAP`, `ROLLOVER`, `EXCHANGE`, `HIGH`, `ZERO`, `SPIKE`, `SUM`, `LIKE_DAY`, `ABOVE_USUAL`, `BELOW_USUAL`. New names may come.
    #[schemars(with = "Vec<String>")]
    pub checks: Checks,
    /// Imported energy, in Wh; with quality X only the part that is known.
    #[schemars(with = "f64")]
    pub import_wh: WattHours,
    /// Exported energy, in Wh; with quality X only the part that is known.
    #[schemars(with = "f64")]
    pub export_wh: WattHours,
    /// The import register (1.8.0) at the end, interpolated between the readings on either side, in Wh.
    #[schemars(with = "Option<f64>")]
    pub import_register_wh: Option<WattHours>,
    /// The export register (2.8.0) at the end, interpolated between the readings on either side, in Wh.
    #[schemars(with = "Option<f64>")]
    pub export_register_wh: Option<WattHours>,
    /// Imported energy by tariff (what the registers 1.8.1, 1.8.2 … advanced), in Wh; their sum is `import_wh`. Empty without a calendar of tariffs.
    #[schemars(with = "Vec<f64>")]
    pub tariff_import_wh: Vec<WattHours>,
    /// Readings in it.
    pub readings: u32,
    /// How much of it the means stand for, in ms: the rest lies in gaps.
    pub covered_ms: u32,
    /// Mean voltage, in V; a reading stands until the next one. This and all that follow are absent where nothing was measured.
    #[schemars(with = "Option<f64>")]
    pub voltage_mean_v: Option<Volts>,
    /// Least voltage, in V.
    #[schemars(with = "Option<f64>")]
    pub voltage_min_v: Option<Volts>,
    /// Greatest voltage, in V.
    #[schemars(with = "Option<f64>")]
    pub voltage_max_v: Option<Volts>,
    /// Mean current, in A.
    #[schemars(with = "Option<f64>")]
    pub current_mean_a: Option<Amperes>,
    /// Least current, in A.
    #[schemars(with = "Option<f64>")]
    pub current_min_a: Option<Amperes>,
    /// Greatest current, in A.
    #[schemars(with = "Option<f64>")]
    pub current_max_a: Option<Amperes>,
    /// Mean active power, in W; for diagnosis, not for energy.
    #[schemars(with = "Option<f64>")]
    pub active_power_mean_w: Option<Watts>,
    /// Least active power, in W.
    #[schemars(with = "Option<f64>")]
    pub active_power_min_w: Option<Watts>,
    /// Greatest active power, in W.
    #[schemars(with = "Option<f64>")]
    pub active_power_max_w: Option<Watts>,
    /// Mean power factor.
    #[schemars(with = "Option<f64>")]
    pub power_factor_mean: Option<PowerFactor>,
    /// Least power factor.
    #[schemars(with = "Option<f64>")]
    pub power_factor_min: Option<PowerFactor>,
    /// Greatest power factor.
    #[schemars(with = "Option<f64>")]
    pub power_factor_max: Option<PowerFactor>,
    /// Mean frequency, in Hz.
    #[schemars(with = "Option<f64>")]
    pub frequency_mean_hz: Option<Hertz>,
    /// Least frequency, in Hz.
    #[schemars(with = "Option<f64>")]
    pub frequency_min_hz: Option<Hertz>,
    /// Greatest frequency, in Hz.
    #[schemars(with = "Option<f64>")]
    pub frequency_max_hz: Option<Hertz>,
    /// Days only: the maximum demand (1.6.0) of the measured blocks of 15 or 30 minutes, in W.
    #[schemars(with = "Option<f64>")]
    pub block_demand_max_w: Option<Watts>,
    /// End of the block with the maximum demand: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "Option<i64>")]
    pub block_demand_max_ms: Option<UnixMillis>,
    /// Days only: the maximum demand over 15 minutes that slide by one, in W.
    #[schemars(with = "Option<f64>")]
    pub sliding_demand_max_w: Option<Watts>,
    /// End of those 15 minutes: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "Option<i64>")]
    pub sliding_demand_max_ms: Option<UnixMillis>,
}

/// How long an interval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum IntervalLength {
    /// One minute.
    #[serde(rename = "1min")]
    Minute,
    /// Fifteen minutes.
    #[serde(rename = "15min")]
    QuarterHour,
    /// Thirty minutes.
    #[serde(rename = "30min")]
    HalfHour,
    /// Sixty minutes.
    #[serde(rename = "1h")]
    Hour,
    /// From midnight to midnight in the configured time zone.
    #[serde(rename = "1d")]
    Day,
}

impl IntervalLength {
    /// All, the shortest first.
    pub const ALL: [Self; 5] = [Self::Minute, Self::QuarterHour, Self::HalfHour, Self::Hour, Self::Day];

    /// In ms; `None` for a day, which has 23 to 25 hours.
    pub const fn millis(self) -> Option<i64> {
        match self {
            Self::Minute => Some(60_000),
            Self::QuarterHour => Some(900_000),
            Self::HalfHour => Some(1_800_000),
            Self::Hour => Some(3_600_000),
            Self::Day => None,
        }
    }
}

/// How the energy of an interval is known; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Quality {
    /// Actual: a reading lies at each boundary.
    #[serde(rename = "A")]
    Actual,
    /// A boundary's register is interpolated between readings that follow each other without a gap.
    #[serde(rename = "R")]
    RegisterScaled,
    /// Estimated: a boundary lies in a gap; its register is interpolated linearly across a short one, and by like days across a long one.
    #[serde(rename = "E")]
    Estimated,
    /// Substituted: a boundary lies in a long gap, and no like day says how the energy in it was spread.
    #[serde(rename = "S")]
    Substituted,
    /// Failed: the registers do not tell the energy; what is given is the part that they tell.
    #[serde(rename = "X")]
    Failed,
}

bitflags! {
    /// What validation noticed about an interval.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Checks: u16 {
        /// Readings are missing in it.
        const GAP = 1 << 0;
        /// A register passed its highest value and began again at zero; the energy is right.
        const ROLLOVER = 1 << 1;
        /// A register fell, and not by rolling over: another meter, or one that was reset. What it used in between is unknown.
        const EXCHANGE = 1 << 2;
        /// A register advanced faster than the channel can carry; that advance is left out.
        const HIGH = 1 << 3;
        /// A whole measured day without energy.
        const ZERO = 1 << 4;
        /// The highest block of the day is more than 180 % above the third highest.
        const SPIKE = 1 << 5;
        /// The energies do not add up to the difference of the registers.
        const SUM = 1 << 6;
        /// Energy of a long gap in it lies where like days had it.
        const LIKE_DAY = 1 << 7;
        /// A day that took more than one and a half times as much as like days before it.
        const ABOVE_USUAL = 1 << 8;
        /// A day that took less than half as much as like days before it.
        const BELOW_USUAL = 1 << 9;
    }
}

impl Serialize for Checks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter_names().map(|(name, _)| name))
    }
}

impl<'de> Deserialize<'de> for Checks {
    /// Names that are not known here are passed over: newer writers may have more.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.iter().filter_map(|name| Self::from_name(name)).collect())
    }
}
