//! Which reading of a meter is shown, and when: the latest by its own time, not too often, never an older one.

use std::collections::{BTreeSet, HashMap};

use contracts::ReadingRecord;
use measure::{MeterId, UnixMillis};

/// How far a meter's clock may be ahead of ours.
const AHEAD_MS_MAX: i64 = 5 * 60 * 1000;

/// The live values of one partition's meters.
///
/// [`Live::restore`] what the ledger knows, [`Live::offer`] the latest of the readings that are committed together, [`Live::take_due`] when [`Live::next_due`] has come.
#[derive(Debug)]
pub struct Live {
    interval_ms: i64,
    latest: HashMap<MeterId, UnixMillis>,
    shown: HashMap<MeterId, UnixMillis>,
    waiting: HashMap<MeterId, ReadingRecord>,
    /// The meters of `waiting`, by when each is to be shown.
    queue: BTreeSet<(UnixMillis, MeterId)>,
}

impl Live {
    /// Shows each meter at most once in `interval_ms`.
    pub fn new(interval_ms: i64) -> Self {
        Self { interval_ms, latest: HashMap::new(), shown: HashMap::new(), waiting: HashMap::new(), queue: BTreeSet::new() }
    }

    /// The latest reading of the meter so far had this time.
    pub fn restore(&mut self, meter: &MeterId, latest: UnixMillis) {
        let known = self.latest.entry(meter.clone()).or_insert(latest);
        *known = (*known).max(latest);
    }

    /// Time of the meter's latest reading so far.
    pub fn latest(&self, meter: &MeterId) -> Option<UnixMillis> {
        self.latest.get(meter).copied()
    }

    /// A reading is committed. Of two with the same time (channels of one meter) the later one offered is shown.
    /// One from the future is not: nothing could follow it.
    pub fn offer(&mut self, reading: ReadingRecord) {
        if !Self::is_shown(reading.time_ms, reading.received_ms)
            || self.latest(&reading.meter).is_some_and(|latest| reading.time_ms < latest)
        {
            return;
        }
        self.latest.insert(reading.meter.clone(), reading.time_ms);
        let meter = reading.meter.clone();
        if self.waiting.insert(meter.clone(), reading).is_none() {
            self.queue.insert((self.due(&meter), meter));
        }
    }

    /// Whether the time of a reading can be believed.
    pub const fn is_shown(time: UnixMillis, received: UnixMillis) -> bool {
        time.millis_since(received) <= AHEAD_MS_MAX
    }

    /// When something is to be shown; `None` while nothing waits. May lie in the past.
    pub fn next_due(&self) -> Option<UnixMillis> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// What is to be shown now.
    pub fn take_due(&mut self, now: UnixMillis) -> Vec<ReadingRecord> {
        let mut shown = Vec::new();
        while let Some((_, meter)) = self.pop_due(now) {
            shown.extend(self.waiting.remove(&meter));
            self.shown.insert(meter, now);
        }
        shown
    }

    fn pop_due(&mut self, now: UnixMillis) -> Option<(UnixMillis, MeterId)> {
        if self.queue.first().is_some_and(|(due, _)| *due <= now) {
            return self.queue.pop_first();
        }
        // A clock that was set back makes a value due rather than holding it back for as long.
        let out_of_time = |due: UnixMillis| due.millis_since(now) > self.interval_ms;
        if self.queue.last().is_some_and(|(due, _)| out_of_time(*due)) { self.queue.pop_last() } else { None }
    }

    fn due(&self, meter: &MeterId) -> UnixMillis {
        self.shown.get(meter).map_or(UnixMillis::default(), |shown| shown.saturating_add(self.interval_ms))
    }
}

#[cfg(test)]
mod tests {
    use measure::{Reading, StreamId, Watts};

    use super::*;

    fn reading(meter: &str, time: i64, watts: i32) -> ReadingRecord {
        let reading = Reading { time: UnixMillis(time), active_power: Watts::from_deciwatts(watts), ..Reading::default() };
        ReadingRecord::new(&meter.parse().unwrap(), StreamId(1), 1, UnixMillis(0), &reading)
    }

    fn shown(live: &mut Live, now: i64) -> Vec<(String, i64)> {
        live.take_due(UnixMillis(now)).into_iter().map(|it| (it.meter.to_string(), it.time_ms.0)).collect()
    }

    #[test]
    fn a_meter_is_shown_once_a_second_and_its_last_value_is_not_lost() {
        let mut live = Live::new(1_000);
        live.offer(reading("M1", 100, 1));
        assert_eq!(shown(&mut live, 5_000), [("M1".into(), 100)]);
        live.offer(reading("M1", 200, 2));
        live.offer(reading("M1", 300, 3));
        assert_eq!(shown(&mut live, 5_999), []);
        assert_eq!(live.next_due(), Some(UnixMillis(6_000)));
        assert_eq!(shown(&mut live, 6_000), [("M1".into(), 300)]);
        assert_eq!(live.next_due(), None);
    }

    #[test]
    fn an_older_reading_is_never_shown() {
        let mut live = Live::new(1_000);
        live.restore(&"M1".parse().unwrap(), UnixMillis(500));
        live.restore(&"M1".parse().unwrap(), UnixMillis(400));
        live.offer(reading("M1", 499, 1));
        assert_eq!(shown(&mut live, 10_000), []);
        live.offer(reading("M1", 501, 1));
        live.offer(reading("M1", 500, 2));
        assert_eq!(shown(&mut live, 10_000), [("M1".into(), 501)]);
    }

    #[test]
    fn a_reading_from_the_future_does_not_stop_the_display() {
        let mut live = Live::new(1_000);
        live.offer(reading("M1", AHEAD_MS_MAX + 1, 1));
        live.offer(reading("M1", 7, 1));
        assert_eq!(shown(&mut live, 10), [("M1".into(), 7)]);
    }

    #[test]
    fn a_clock_set_back_does_not_hold_values_back() {
        let mut live = Live::new(1_000);
        live.offer(reading("M1", 1, 1));
        shown(&mut live, 1_000_000);
        live.offer(reading("M1", 2, 1));
        assert_eq!(shown(&mut live, 10), [("M1".into(), 2)]);
    }
}
