//! What rows are made of.

use contracts::topics::{self, KafkaTopic};

/// A topic whose records become rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Log {
    /// `meter.readings.v1`.
    Readings,
    /// `meter.intervals.v1`.
    Intervals,
    /// `alerts.v1`.
    Alerts,
    /// `grid.topology.v1`.
    Topology,
}

impl Log {
    /// The topic.
    pub(super) const fn topic(self) -> KafkaTopic {
        match self {
            Self::Readings => topics::READINGS,
            Self::Intervals => topics::INTERVALS,
            Self::Alerts => topics::ALERTS,
            Self::Topology => topics::TOPOLOGY,
        }
    }
}
