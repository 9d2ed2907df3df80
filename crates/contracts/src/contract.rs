//! All contracts in one list, for the checks and the documents.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::{
    AlertActionRecord, AlertRecord, CommandRecord, DeadLetter, EventRecord, FeederEventRecord, FeederIntervalRecord, FeederRecord,
    FeederStateRecord, IntervalRecord, LatestRecord, LedgerRecord, LiveValue, MeterStateRecord, ReadingRecord, StateValue,
};

/// One contract.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The Kafka topic, or the MQTT topic without the meter; also the name of its files.
    pub name: &'static str,
    /// JSON Schema (2020-12) of the values, without references.
    pub schema: Value,
    /// The same in draft 7, which AsyncAPI builds on.
    pub(crate) draft_7: Value,
}

impl Contract {
    fn of<T: JsonSchema>(name: &'static str) -> Self {
        let schema = |settings: SchemaSettings| {
            let inline = settings.with(|it| it.inline_subschemas = true);
            inline.into_generator().into_root_schema_for::<T>().to_value()
        };
        Self { name, schema: schema(SchemaSettings::draft2020_12()), draft_7: schema(SchemaSettings::draft07()) }
    }
}

/// Every contract.
pub fn all() -> [Contract; 17] {
    [
        Contract::of::<ReadingRecord>("meter.readings.v1"),
        Contract::of::<EventRecord>("meter.events.v1"),
        Contract::of::<IntervalRecord>("meter.intervals.v1"),
        Contract::of::<FeederIntervalRecord>("feeder.intervals.v1"),
        Contract::of::<FeederEventRecord>("feeder.events.v1"),
        Contract::of::<FeederStateRecord>("feeder.state.v1"),
        Contract::of::<MeterStateRecord>("meter.state.v1"),
        Contract::of::<MeterStateRecord>("meter.profiles.v1"),
        Contract::of::<AlertRecord>("alerts.v1"),
        Contract::of::<AlertActionRecord>("alerts.actions.v1"),
        Contract::of::<FeederRecord>("grid.topology.v1"),
        Contract::of::<CommandRecord>("meter.commands.v1"),
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
