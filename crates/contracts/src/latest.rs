//! `meter.latest.v1`: the last reading of each channel by event time, compacted.

use measure::Account;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ReadingRecord;

/// The last reading of a channel by `time_ms`. The key of the Kafka record is the meter for channel 0, and the account for any other; its
/// partition is the meter's. Derived from `meter.readings.v1` outside the transaction that wrote the reading there: it may be behind, it
/// may repeat, it never goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Latest", transparent)]
pub struct LatestRecord(pub ReadingRecord);

impl LatestRecord {
    /// The key of the Kafka record: each channel has one of its own, and a meter with one channel goes by its own name, as everywhere.
    pub fn key(&self) -> String {
        match self.0.channel {
            0 => self.0.meter.to_string(),
            channel => Account::new(&self.0.meter, channel).to_string(),
        }
    }
}
