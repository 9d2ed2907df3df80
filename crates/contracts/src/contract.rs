//! All contracts in one list, for the checks and the documents.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::{DeadLetter, EventRecord, LatestRecord, LedgerRecord, LiveValue, ReadingRecord, StateValue};

/// One contract.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The Kafka topic, or the MQTT topic without the meter; also the name of its files.
    pub name: &'static str,
    /// JSON Schema (2020-12) of the values.
    pub schema: Value,
}

impl Contract {
    fn of<T: JsonSchema>(name: &'static str) -> Self {
        Self { name, schema: schema_for!(T).to_value() }
    }
}

/// Every contract.
pub fn all() -> [Contract; 7] {
    [
        Contract::of::<ReadingRecord>("meter.readings.v1"),
        Contract::of::<EventRecord>("meter.events.v1"),
        Contract::of::<LatestRecord>("meter.latest.v1"),
        Contract::of::<LedgerRecord>("meter.ledger.v1"),
        Contract::of::<DeadLetter>("dead-letter.v1"),
        Contract::of::<LiveValue>("live"),
        Contract::of::<StateValue>("state"),
    ]
}

/// Stands for `measure::ClockQuality` in schemas.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
#[expect(dead_code, reason = "a shape for the schema; no value is ever made")]
pub(crate) enum Clock {
    Synchronised,
    Holdover,
    Repaired,
    Unknown,
}
