//! Power quality as a function of a partition's log, and of time.

use contracts::{MeterStateRecord, ReadingRecord};
use measure::{MeterId, UnixMillis};

use super::{Mark, Place, Transform};
use crate::quality::{Output, Watch};

impl Transform for Watch {
    type Output = Output;

    fn take(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<Output>) {
        Self::take(self, offset, reading, out);
    }

    fn replay(&mut self, offset: i64, reading: &ReadingRecord, _: &mut Vec<Output>) {
        Self::replay(self, offset, reading);
    }

    fn restore(&mut self, meter: MeterId, state: Option<&MeterStateRecord>) {
        Self::restore(self, meter, state);
    }

    fn tick(&mut self, now: UnixMillis, is_idle: bool, out: &mut Vec<Output>) {
        Self::tick(self, now, is_idle, out);
    }

    fn low_water(&self) -> Mark {
        Mark { offset: Self::low_water(self), now: UnixMillis(0) }
    }

    fn meter(output: &Output) -> &MeterId {
        match output {
            Output::Event(contracts::EventRecord::PowerQuality(it)) => &it.meter,
            Output::Event(contracts::EventRecord::VoltageWeek(it)) => &it.meter,
            Output::Event(contracts::EventRecord::Event(it)) => &it.meter,
            Output::Event(contracts::EventRecord::Gap(it)) => &it.meter,
            Output::Event(contracts::EventRecord::Hello(it)) => &it.meter,
            Output::Event(contracts::EventRecord::Outcome(it)) => &it.meter,
            Output::Sign(it) => &it.meter,
            Output::State(it) => &it.meter,
            Output::Gone(meter) => meter,
        }
    }

    fn place(output: &Output) -> Place {
        match output {
            Output::Event(_) => Place::Target,
            Output::Sign(_) => Place::CopyOnly,
            Output::State(_) => Place::State,
            Output::Gone(_) => Place::StateGone,
        }
    }
}
