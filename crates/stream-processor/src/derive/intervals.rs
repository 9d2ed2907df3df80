//! Intervals as a function of a partition's log.

use contracts::{MeterStateRecord, ReadingRecord};
use measure::MeterId;

use super::{Mark, Place, Transform};
use crate::interval::{Aggregator, LowWater, Output};

impl From<Mark> for LowWater {
    fn from(mark: Mark) -> Self {
        Self { offset: mark.offset.unsigned_abs(), now: mark.now }
    }
}

impl Transform for Aggregator {
    type Output = Output;

    /// When a reading was received is the time that has passed by then: the log itself is the clock.
    fn take(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<Output>) {
        self.tick(reading.received_ms, out);
        Self::take(self, offset.unsigned_abs(), reading, out);
    }

    fn restore(&mut self, meter: MeterId, state: Option<&MeterStateRecord>) {
        Self::restore(self, meter, state);
    }

    fn low_water(&self) -> Mark {
        let LowWater { offset, now } = Self::low_water(self);
        Mark { offset: i64::try_from(offset).unwrap_or(i64::MAX), now }
    }

    fn meter(output: &Output) -> &MeterId {
        match output {
            Output::Interval(it) => &it.meter,
            Output::State(it) => &it.meter,
            Output::Gone(meter) => meter,
        }
    }

    fn place(output: &Output) -> Place {
        match output {
            Output::Interval(_) => Place::Target,
            Output::State(_) => Place::State,
            Output::Gone(_) => Place::StateGone,
        }
    }
}
