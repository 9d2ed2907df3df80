//! What sinks of readings take.

use contracts::topics::{self, KafkaTopic};

/// A topic that goes on from Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Log {
    /// `meter.readings.v1`.
    Readings,
    /// `meter.intervals.v1`.
    Intervals,
}

impl Log {
    /// The topic.
    pub const fn topic(self) -> KafkaTopic {
        match self {
            Self::Readings => topics::READINGS,
            Self::Intervals => topics::INTERVALS,
        }
    }
}
