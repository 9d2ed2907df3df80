//! `feeder.intervals.v1`, `feeder.events.v1`, `feeder.state.v1`, `meter.state.v1` and `meter.profiles.v1`: what is known of a feeder's meters in one place, and how
//! far it and they have been thought through. Internal.

use measure::{FeederId, MeterId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::IntervalRecord;

/// A quarter of an hour of a meter on a feeder: the record of `meter.intervals.v1` and the feeder, which is the key.
///
/// A feeder's meters lie on many partitions; here they lie on one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "FeederInterval")]
pub struct FeederIntervalRecord {
    /// The feeder: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub feeder: FeederId,
    /// What the meter registered.
    #[serde(flatten)]
    pub interval: IntervalRecord,
}

/// What the analytics know of a feeder, up to an offset of its partition of `feeder.intervals.v1`. The key is the feeder. Internal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "FeederState")]
pub struct FeederStateRecord {
    /// The feeder: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub feeder: FeederId,
    /// The first interval that is not in it.
    pub next_offset: i64,
    /// CBOR in base64: numbers must come back to the last bit.
    pub state: String,
}

/// What happened at a meter on a feeder, for those who watch the feeder. The key is the feeder. Internal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "FeederEvent")]
pub struct FeederEventRecord {
    /// The feeder: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub feeder: FeederId,
    /// The meter.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// What.
    pub kind: FeederEventKind,
    /// Since when: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub since_ms: UnixMillis,
    /// When the head-end knew: milliseconds since 1970-01-01 UTC, by its clock.
    #[schemars(with = "i64")]
    pub at_ms: UnixMillis,
}

/// What happened at a meter on a feeder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum FeederEventKind {
    /// It sends nothing.
    Silent,
    /// It sends again.
    Heard,
    /// It says that its supply is failing.
    LastGasp,
    /// It measures no voltage.
    Interrupted,
    /// It measures one again.
    Supplied,
    /// Its filter finds the currents too small for their voltage drops.
    LoopResistance,
    /// Its filter finds the power factor in contradiction to P / (V I).
    PowerFactorMismatch,
    /// Its registers have not moved for a long time.
    Stuck,
    /// It sends what was measured before.
    Replay,
    /// Its sensor is noisier than it used to be.
    Noise,
    /// Its energy register fell, and not by beginning again at zero.
    RegisterDecreased,
    /// Power flows out of the house, 20 W or more for 10 s.
    ReversePower,
    /// Current flows and there is no voltage: a phase or neutral is missing at the meter, 10 s or longer.
    NeutralMissing,
}

/// What the head-end knows of a meter, up to an offset of its partition of `meter.readings.v1`: of its power quality (`meter.state.v1`), or of
/// the days that its gaps are estimated by (`meter.profiles.v1`). The key is the meter. Internal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "MeterState")]
pub struct MeterStateRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// The first reading that is not in it.
    pub next_offset: i64,
    /// CBOR in base64.
    pub state: String,
}
