//! What others build on: the values of the Kafka topics and of the JSON topics on MQTT.
//!
//! A file per topic: the Rust type, whose JSON Schema is generated and checked in (`schemas/`), and an example (`golden/`).
//! Schemas that were released are kept (`released/`), and a change that would break a consumer fails the tests.
//! Types may grow by optional fields; anything else is a new topic with the next version in its name.
//!
//! All values are JSON objects, flat, in snake case, with units in the names. Numbers are what the meter journalled, to the last digit.

pub mod alerts;
pub mod avro;
pub mod commands;
pub mod dead_letter;
pub mod events;
pub mod feeders;
pub mod intervals;
pub mod latest;
pub mod ledger;
pub mod live;
pub mod quality;
pub mod readings;
pub mod state;
pub mod topics;
pub mod topology;

mod asyncapi;
mod contract;
mod fast_json;
mod flink;

pub use alerts::{AlertActionRecord, AlertId, AlertRecord};
pub use asyncapi::asyncapi;
pub use commands::CommandRecord;
pub use contract::{Contract, all};
pub use dead_letter::DeadLetter;
pub use events::EventRecord;
pub use feeders::{FeederEventRecord, FeederIntervalRecord, FeederStateRecord, MeterStateRecord};
pub use flink::{flink_table_name, flink_tables};
pub use intervals::IntervalRecord;
pub use latest::LatestRecord;
pub use ledger::{LedgerKey, LedgerRecord};
pub use live::LiveValue;
pub use quality::{QualityRecord, VoltageWeekRecord};
pub use readings::ReadingRecord;
pub use state::StateValue;
pub use topology::{FeederRecord, HouseRecord};
