//! `feeder.intervals.v1` and `feeder.state.v1`: what is known of a feeder's meters in one place, and how far it has been thought through.

use measure::FeederId;
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
