//! `meter.latest.v1`: the last reading of each meter by event time, compacted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ReadingRecord;

/// The last reading of a meter by `time_ms`. The key of the Kafka record is the meter. Derived from `meter.readings.v1` outside the
/// transaction that wrote the reading there: it may be behind, it may repeat, it never goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Latest", transparent)]
pub struct LatestRecord(pub ReadingRecord);
