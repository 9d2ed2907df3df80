//! What the head-end derives from a meter's readings and their absence: the records `power_quality` and `voltage_week` of `meter.events.v1`.

use measure::{Account, Channel, MeterId, UnixMillis, Volts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A quantity was beyond a limit, or a meter was silent.
///
/// Of the records with the same (meter, channel, kind, start_ms) the last counts: the one with an end replaces the one without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QualityRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel of the meter, from 0.
    pub channel: Channel,
    /// The channel's account: `<meter>.<channel>`. Absent where it is about the meter as a whole, and in records that are older than
    /// accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// What: `under_voltage`, `over_voltage`, `under_voltage_severe`, `over_voltage_severe`, `dip`, `swell`, `interruption`, `frequency_low`,
    /// `frequency_high`, `overload`, `silent`. New kinds may come.
    #[schemars(with = "String")]
    pub kind: QualityKind,
    /// How it was measured. `slow_rms`: from values a second or more apart, means of about a second each; what is shorter than 3 s appears
    /// diluted or not at all, and nothing here is a measurement by IEC 61000-4-30. `heartbeat`: from readings that did not come.
    #[schemars(with = "String")]
    pub method: QualityMethod,
    /// When it began: milliseconds since 1970-01-01 UTC, by the meter's clock; of a silence, when the head-end last heard it.
    #[schemars(with = "i64")]
    pub start_ms: UnixMillis,
    /// When it ended, by the same clock; absent while it goes on.
    #[schemars(with = "Option<i64>")]
    pub end_ms: Option<UnixMillis>,
    /// From `start_ms` to `end_ms`, in ms.
    pub duration_ms: Option<i64>,
    /// Whether the end was not seen: readings are missing from `end_ms` on.
    pub cut: bool,
    /// The limit, in `unit`.
    pub threshold: f64,
    /// How far back behind the limit it must be to be over, in `unit`.
    pub hysteresis: f64,
    /// The value farthest beyond the limit so far, in `unit`.
    pub extreme: f64,
    /// The mean so far, weighted with time, in `unit`.
    pub mean: f64,
    /// Unit of these four: `V`, `Hz`, `W` or `ms`.
    pub unit: String,
    /// Readings in it so far.
    pub samples: u32,
    /// When the head-end knew: milliseconds since 1970-01-01 UTC, by its clock.
    #[schemars(with = "i64")]
    pub at_ms: UnixMillis,
}

/// What was beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityKind {
    /// Below 90 % of the nominal voltage for 3 s or longer.
    UnderVoltage,
    /// Above 110 % for 3 s or longer.
    OverVoltage,
    /// Below 85 % for 1 s or longer.
    UnderVoltageSevere,
    /// Above 115 % for 1 s or longer.
    OverVoltageSevere,
    /// Below 90 % for less than 3 s.
    Dip,
    /// Above 110 % for less than 3 s.
    Swell,
    /// Below 5 %.
    Interruption,
    /// The mean of 10 s is below the lower limit.
    FrequencyLow,
    /// The mean of 10 s is above the upper limit.
    FrequencyHigh,
    /// More power than the contract allows, for a minute or longer.
    Overload,
    /// The meter sends nothing: no supply, or no way to the head-end.
    Silent,
}

/// How it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityMethod {
    /// Values a second or more apart.
    SlowRms,
    /// Readings that did not come.
    Heartbeat,
}

/// A week of ten-minute means of the voltage, against the limits of EN 50160 for low voltage.
///
/// From Monday 00:00 UTC. Means of ten minutes that were interrupted, or of which less than half is known, do not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoltageWeekRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel of the meter, from 0.
    pub channel: Channel,
    /// The channel's account: `<meter>.<channel>`. Absent in records that are older than accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// Monday 00:00: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub start_ms: UnixMillis,
    /// The next Monday 00:00.
    #[schemars(with = "i64")]
    pub end_ms: UnixMillis,
    /// The nominal voltage, in V.
    #[schemars(with = "f64")]
    pub nominal_v: Volts,
    /// Ten-minute means that count; a whole week has 1008.
    pub means: u32,
    /// Of these: within 10 % of the nominal voltage.
    pub within: u32,
    /// Of these: above 110 % or below 85 %, which must never be.
    pub far_out: u32,
    /// The least mean, in V.
    #[schemars(with = "f64")]
    pub lowest_v: Volts,
    /// The greatest mean, in V.
    #[schemars(with = "f64")]
    pub highest_v: Volts,
    /// Whether 95 % are within 10 %, and none is far out.
    pub complies: bool,
    /// How it was measured, as in `power_quality`.
    #[schemars(with = "String")]
    pub method: QualityMethod,
    /// When the head-end knew: milliseconds since 1970-01-01 UTC, by its clock.
    #[schemars(with = "i64")]
    pub at_ms: UnixMillis,
}
