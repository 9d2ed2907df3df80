//! Time as the meter knows it: a monotonic clock always, UTC perhaps later.

use measure::{ClockQuality, Record, UnixMillis};

use crate::journal::Journal;

/// A change of UTC against the monotonic clock that counts as set rather than slewed, in ms.
pub const JUMP_MS: i64 = 1_000;

/// UTC, where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    /// The time.
    pub time: UnixMillis,
    /// `Synchronised` or `Holdover`; what is repaired or unknown has no wall clock.
    pub quality: ClockQuality,
}

/// The instant at which something is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some instant of this start; never goes back.
    pub monotonic_ms: u64,
    /// UTC, once it is known.
    pub wall: Option<Wall>,
}

/// The time for a record made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// UTC, or milliseconds of the monotonic clock where `unclocked` is set.
    pub time: UnixMillis,
    /// How far it can be trusted.
    pub clock: ClockQuality,
    /// This start, while it does not know UTC.
    pub unclocked: Option<u64>,
}

/// What an instant taught the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// Nothing worth a word.
    Nothing,
    /// UTC, for the first time in this start.
    Utc,
    /// UTC jumped by so many ms.
    Jump(i64),
}

/// Relates this start's monotonic clock to UTC, and gives rows that were measured without UTC their time.
#[derive(Clone, Debug)]
pub struct Clock {
    start: u64,
    began_ms: i64,
    offset_ms: Option<i64>,
}

impl Clock {
    /// For the start with this number, which begins now.
    pub fn new(start: u64, now: Now) -> Self {
        Self { start, began_ms: saturating(now.monotonic_ms), offset_ms: None }
    }

    /// Which start this is.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// UTC minus the monotonic clock, in ms, once known.
    pub const fn offset_ms(&self) -> Option<i64> {
        self.offset_ms
    }

    /// Takes note of the instant.
    pub fn observe(&mut self, now: Now) -> Learnt {
        let Some(wall) = now.wall else { return Learnt::Nothing };
        let offset = wall.time.0.saturating_sub(saturating(now.monotonic_ms));
        match self.offset_ms.replace(offset).map(|before| offset.saturating_sub(before)) {
            None => Learnt::Utc,
            Some(jump) if jump.saturating_abs() >= JUMP_MS => Learnt::Jump(jump),
            Some(_) => Learnt::Nothing,
        }
    }

    /// The time for a record made now.
    pub fn stamp(&self, now: Now) -> Stamp {
        let monotonic = UnixMillis(saturating(now.monotonic_ms));
        match (now.wall, self.offset_ms) {
            (Some(wall), _) => Stamp { time: wall.time, clock: wall.quality, unclocked: None },
            (None, Some(offset)) => Stamp { time: monotonic.saturating_add(offset), clock: ClockQuality::Holdover, unclocked: None },
            (None, None) => Stamp { time: monotonic, clock: ClockQuality::Unknown, unclocked: Some(self.start) },
        }
    }

    /// Gives a record that was measured without UTC its time if that can be told by now, and says what is left to be told.
    ///
    /// The elapsed time of a start that learnt UTC later gives the time; a start that never did ended before this one began, which
    /// bounds it from above.
    pub fn settle<J: Journal>(&self, journal: &J, record: &mut Record, unclocked: Option<u64>) -> Result<Option<u64>, J::Error> {
        let Some(start) = unclocked else { return Ok(None) };
        let offset = if start == self.start { self.offset_ms } else { journal.clock(start)? };
        match (offset, self.offset_ms) {
            (Some(offset), _) => set_time(record, ClockQuality::Repaired, |time| time.saturating_add(offset)),
            (None, Some(own)) => set_time(record, ClockQuality::Unknown, |_| UnixMillis(self.began_ms.saturating_add(own))),
            (None, None) => return Ok(unclocked),
        }
        Ok(None)
    }
}

fn set_time(record: &mut Record, quality: ClockQuality, time: impl Fn(UnixMillis) -> UnixMillis) {
    match record {
        Record::Hello(hello) => (hello.time, hello.clock) = (time(hello.time), quality),
        Record::Reading(reading) => (reading.time, reading.clock) = (time(reading.time), quality),
        Record::Event(event) => (event.time, event.clock) = (time(event.time), quality),
        Record::Gap(gap) => (gap.from, gap.to) = (time(gap.from), time(gap.to)),
        Record::Outcome(outcome) => (outcome.time, outcome.clock) = (time(outcome.time), quality),
    }
}

fn saturating(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use measure::Reading;

    use super::*;
    use crate::journal::MemoryJournal;

    fn at(monotonic_ms: u64, utc: Option<i64>) -> Now {
        let wall = utc.map(|utc| Wall { time: UnixMillis(utc), quality: ClockQuality::Synchronised });
        Now { monotonic_ms, wall }
    }

    fn reading(time: i64) -> Record {
        Record::Reading(Reading { time: UnixMillis(time), clock: ClockQuality::Unknown, ..Reading::default() })
    }

    fn settled(clock: &Clock, journal: &MemoryJournal, time: i64, start: u64) -> Option<(i64, ClockQuality)> {
        let mut record = reading(time);
        let left = clock.settle(journal, &mut record, Some(start)).unwrap();
        match record {
            Record::Reading(reading) if left.is_none() => Some((reading.time.0, reading.clock)),
            _ => None,
        }
    }

    #[test]
    fn rows_of_this_start_are_repaired_by_its_own_offset() {
        let mut clock = Clock::new(3, at(100, None));
        let stamp = clock.stamp(at(150, None));
        assert_eq!((stamp.time.0, stamp.unclocked), (150, Some(3)));
        assert_eq!(settled(&clock, &MemoryJournal::new(0), 150, 3), None);
        assert_eq!(clock.observe(at(200, Some(1_000_200))), Learnt::Utc);
        assert_eq!(settled(&clock, &MemoryJournal::new(0), 150, 3), Some((1_000_150, ClockQuality::Repaired)));
    }

    #[test]
    fn an_earlier_start_is_repaired_if_it_learnt_utc_and_bounded_if_not() {
        let mut journal = MemoryJournal::new(0);
        journal.set_clock(1, 500_000).unwrap();
        let mut clock = Clock::new(3, at(100, None));
        assert_eq!(settled(&clock, &journal, 50, 1), Some((500_050, ClockQuality::Repaired)));
        assert_eq!(settled(&clock, &journal, 50, 2), None);
        clock.observe(at(200, Some(1_000_200)));
        assert_eq!(settled(&clock, &journal, 50, 2), Some((1_000_100, ClockQuality::Unknown)), "start 2 ended before start 3 began");
    }

    #[test]
    fn a_clock_that_is_lost_again_is_held_over_and_a_jump_is_told() {
        let mut clock = Clock::new(1, at(0, Some(1_000)));
        clock.observe(at(0, Some(1_000)));
        assert_eq!(clock.observe(at(10, Some(1_012))), Learnt::Nothing);
        assert_eq!(clock.stamp(at(20, None)), Stamp { time: UnixMillis(1_022), clock: ClockQuality::Holdover, unclocked: None });
        assert_eq!(clock.observe(at(30, Some(6_032))), Learnt::Jump(5_000));
    }
}
