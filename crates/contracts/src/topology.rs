//! `grid.topology.v1`: what hangs on which feeder.

use measure::{FeederId, MeterId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A feeder with everything on it. The key of the Kafka record is the feeder; the last record of a feeder counts, a tombstone takes it away.
///
/// A file of feeders is checked and written by `ferraris topology publish`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Feeder")]
pub struct FeederRecord {
    /// The feeder: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub id: FeederId,
    /// The meter where the line begins.
    #[schemars(with = "String")]
    pub line_meter: MeterId,
    /// Accuracy class of that meter, in percent.
    #[serde(default = "class_1")]
    pub line_class: f64,
    /// Its poles, from the transformer on.
    pub poles: Vec<String>,
    /// Its houses.
    pub houses: Vec<HouseRecord>,
}

/// A house with its meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "House")]
pub struct HouseRecord {
    /// Its meter.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// The pole that it hangs on.
    pub pole: String,
    /// Accuracy class of the meter, in percent.
    #[serde(default = "class_1")]
    pub class: f64,
    /// A meter at the pole, before the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub line_side: Option<MeterId>,
    /// Resistance of the service's loop, both conductors, in ohm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loop_ohm: Option<f64>,
    /// Power that the contract allows, in W.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_power_w: Option<f64>,
    /// The phase that it is on: `L1`, `L2` or `L3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
}

/// A phase of a feeder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Phase {
    /// The first.
    L1,
    /// The second.
    L2,
    /// The third.
    L3,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::L1, Self::L2, Self::L3];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }
}

const fn class_1() -> f64 {
    1.0
}
