//! The days that are being worked on: the calendar is asked once a day, not once a reading.

use contracts::intervals::IntervalLength;
use measure::UnixMillis;

use super::calendar::{Calendar, Day};

/// More than a horizon and what is open besides.
const KNOWN_MAX: usize = 10;

/// Days by time.
#[derive(Clone, Debug)]
pub(super) struct Days {
    calendar: Calendar,
    current: Day,
    known: Vec<Day>,
}

impl Days {
    /// Of this calendar.
    pub fn new(calendar: Calendar, now: UnixMillis) -> Self {
        Self { current: calendar.day(now), known: Vec::new(), calendar }
    }

    /// The day that `at` lies in.
    pub fn day(&mut self, at: UnixMillis) -> &Day {
        let contains = |day: &Day| day.start <= at && at < day.end;
        if !contains(&self.current) {
            let day = match self.known.iter().position(contains) {
                Some(place) => self.known.remove(place),
                None => self.calendar.day(at),
            };
            self.known.push(std::mem::replace(&mut self.current, day));
            if self.known.len() > KNOWN_MAX {
                self.known.remove(0);
            }
        }
        &self.current
    }

    /// Start and end of the interval of that length that `at` lies in.
    pub fn bounds(&mut self, length: IntervalLength, at: UnixMillis) -> (UnixMillis, UnixMillis) {
        match length.millis() {
            Some(millis) => (at.interval_start(millis), at.interval_start(millis).saturating_add(millis)),
            None => {
                let day = self.day(at);
                (day.start, day.end)
            }
        }
    }
}
