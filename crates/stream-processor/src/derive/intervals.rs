//! Intervals as a function of a partition's log.

use contracts::{IntervalRecord, ReadingRecord};
use measure::MeterId;

use super::{Mark, Transform};
use crate::interval::{Aggregator, LowWater};

impl From<Mark> for LowWater {
    fn from(mark: Mark) -> Self {
        Self { offset: mark.offset.unsigned_abs(), now: mark.now }
    }
}

impl Transform for Aggregator {
    type Output = IntervalRecord;

    /// When a reading was received is the time that has passed by then: the log itself is the clock.
    fn take(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<IntervalRecord>) {
        self.tick(reading.received_ms, out);
        Self::take(self, offset.unsigned_abs(), reading, out);
    }

    fn low_water(&self) -> Mark {
        let LowWater { offset, now } = Self::low_water(self);
        Mark { offset: i64::try_from(offset).unwrap_or(i64::MAX), now }
    }

    fn meter(output: &IntervalRecord) -> &MeterId {
        &output.meter
    }
}
