//! Which reading of a channel is shown, and when: the latest by its own time, not too often, never an older one.

mod newest;

pub use newest::Newest;

use std::collections::{BTreeSet, HashMap};

use contracts::ReadingRecord;
use measure::{Account, CHANNELS_MAX, Channel, MeterId, UnixMillis};

/// How far a meter's clock may be ahead of ours.
const AHEAD_MS_MAX: i64 = 5 * 60 * 1000;

/// The live values of one partition's meters.
///
/// [`Live::restore`] what the ledger knows, [`Live::offer`] the [`Newest`] of the readings that are committed together,
/// [`Live::take_due`] when [`Live::next_due`] has come.
#[derive(Debug)]
pub struct Live {
    interval_ms: i64,
    meters: HashMap<MeterId, Meter>,
    /// Channels but 0, of which most meters have none.
    others: HashMap<Account, Shown>,
    waiting: HashMap<Account, ReadingRecord>,
    /// The channels of `waiting`, by when each is to be shown.
    queue: BTreeSet<(UnixMillis, Account)>,
}

#[derive(Debug)]
struct Meter {
    /// Time of its latest reading, whichever channel's: what the ledger keeps.
    latest: UnixMillis,
    /// That time as the ledger gave it back. It knows no channels, so this holds for each until the channel has spoken.
    floor: Option<UnixMillis>,
    /// Channel 0.
    first: Shown,
}

/// What is known of a channel.
#[derive(Debug, Default)]
struct Shown {
    /// Time of its latest reading.
    latest: Option<UnixMillis>,
    /// When it may be shown again.
    due: UnixMillis,
}

impl Live {
    /// Shows each channel at most once in `interval_ms`.
    pub fn new(interval_ms: i64) -> Self {
        Self { interval_ms, meters: HashMap::new(), others: HashMap::new(), waiting: HashMap::new(), queue: BTreeSet::new() }
    }

    /// The latest reading of the meter so far had this time.
    pub fn restore(&mut self, meter: &MeterId, latest: UnixMillis) {
        let known = self.meters.entry(meter.clone()).or_insert_with(|| Meter::beginning(latest));
        known.latest = known.latest.max(latest);
        known.floor = known.floor.max(Some(latest));
    }

    /// Time of the meter's latest reading so far, whichever channel's.
    pub fn latest(&self, meter: &MeterId) -> Option<UnixMillis> {
        self.meters.get(meter).map(|it| it.latest)
    }

    /// A reading is committed. Of two of a channel with the same time the later one offered is shown.
    /// One from the future is not: nothing could follow it.
    pub fn offer(&mut self, reading: ReadingRecord) {
        let (time, channel) = (reading.time_ms, reading.channel);
        if !Self::is_shown(channel, time, reading.received_ms) {
            return;
        }
        let account = Account::new(&reading.meter, channel);
        let meter = self.meters.entry(reading.meter.clone()).or_insert_with(|| Meter::beginning(time));
        let shown = if channel == 0 { &mut meter.first } else { self.others.entry(account.clone()).or_default() };
        if shown.latest.or(meter.floor).is_some_and(|latest| time < latest) {
            return;
        }
        shown.latest = Some(time);
        meter.latest = meter.latest.max(time);
        let due = shown.due;
        if self.waiting.insert(account.clone(), reading).is_none() {
            self.queue.insert((due, account));
        }
    }

    /// Whether a reading is ever shown: its time can be believed, and its channel is one of those that a meter may have, so that no meter
    /// takes more room than that.
    pub const fn is_shown(channel: Channel, time: UnixMillis, received: UnixMillis) -> bool {
        channel < CHANNELS_MAX && time.millis_since(received) <= AHEAD_MS_MAX
    }

    /// When something is to be shown; `None` while nothing waits. May lie in the past.
    pub fn next_due(&self) -> Option<UnixMillis> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// What is to be shown now.
    pub fn take_due(&mut self, now: UnixMillis) -> Vec<ReadingRecord> {
        let (mut taken, next) = (Vec::new(), now.saturating_add(self.interval_ms));
        while let Some((_, account)) = self.pop_due(now) {
            taken.extend(self.waiting.remove(&account));
            if let Some(shown) = self.shown_mut(&account) {
                shown.due = next;
            }
        }
        taken
    }

    fn pop_due(&mut self, now: UnixMillis) -> Option<(UnixMillis, Account)> {
        if self.queue.first().is_some_and(|(due, _)| *due <= now) {
            return self.queue.pop_first();
        }
        // A clock that was set back makes a value due rather than holding it back for as long.
        let out_of_time = |due: UnixMillis| due.millis_since(now) > self.interval_ms;
        if self.queue.last().is_some_and(|(due, _)| out_of_time(*due)) { self.queue.pop_last() } else { None }
    }

    fn shown_mut(&mut self, account: &Account) -> Option<&mut Shown> {
        match account.channel() {
            0 => self.meters.get_mut(account.meter()).map(|it| &mut it.first),
            _ => self.others.get_mut(account),
        }
    }
}

impl Meter {
    /// Of which nothing was known before its latest reading.
    fn beginning(latest: UnixMillis) -> Self {
        Self { latest, floor: None, first: Shown::default() }
    }
}

#[cfg(test)]
mod tests {
    use measure::{Reading, StreamId, Watts};

    use super::*;

    fn reading(meter: &str, time: i64, watts: i32) -> ReadingRecord {
        of_channel(meter, 0, time, watts)
    }

    fn of_channel(meter: &str, channel: Channel, time: i64, watts: i32) -> ReadingRecord {
        let reading = Reading { channel, time: UnixMillis(time), active_power: Watts::from_deciwatts(watts), ..Reading::default() };
        ReadingRecord::new(&meter.parse().unwrap(), StreamId(1), 1, UnixMillis(0), &reading)
    }

    fn shown(live: &mut Live, now: i64) -> Vec<(String, i64)> {
        live.take_due(UnixMillis(now)).into_iter().map(|it| (it.meter.to_string(), it.time_ms.0)).collect()
    }

    /// Channels and times of what is shown now.
    fn channels(live: &mut Live, now: i64) -> Vec<(Channel, i64)> {
        live.take_due(UnixMillis(now)).into_iter().map(|it| (it.channel, it.time_ms.0)).collect()
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

    #[test]
    fn each_channel_is_shown_and_none_waits_for_another() {
        let mut live = Live::new(1_000);
        for channel in 0..6 {
            live.offer(of_channel("M1", channel, 100, 1));
        }
        live.offer(of_channel("M1", 3, 101, 2));
        assert_eq!(channels(&mut live, 5_000), [(0, 100), (1, 100), (2, 100), (3, 101), (4, 100), (5, 100)]);
        live.offer(of_channel("M1", 4, 200, 1));
        assert_eq!(live.next_due(), Some(UnixMillis(6_000)));
        live.offer(of_channel("M1", 6, 90, 1));
        assert_eq!(channels(&mut live, 5_001), [(6, 90)], "a channel that is new waits for nothing, and is compared with itself only");
        assert_eq!(channels(&mut live, 6_000), [(4, 200)]);
        live.offer(of_channel("M1", 4, 199, 1));
        live.offer(of_channel("M1", 5, 199, 1));
        assert_eq!(channels(&mut live, 9_000), [(5, 199)]);
        assert_eq!(live.latest(&"M1".parse().unwrap()), Some(UnixMillis(200)), "the ledger keeps the latest of all");
    }

    #[test]
    fn after_a_restart_no_channel_shows_what_is_older_than_the_ledger() {
        let mut live = Live::new(1_000);
        live.restore(&"M1".parse().unwrap(), UnixMillis(500));
        for channel in 0..6 {
            live.offer(of_channel("M1", channel, 499, 1));
        }
        assert_eq!(channels(&mut live, 10_000), []);
        // What one of them says is no matter of the others'.
        live.offer(of_channel("M1", 2, 900, 1));
        live.offer(of_channel("M1", 0, 500, 1));
        live.offer(of_channel("M1", 5, 501, 1));
        assert_eq!(channels(&mut live, 10_000), [(0, 500), (2, 900), (5, 501)]);
        assert_eq!(live.latest(&"M1".parse().unwrap()), Some(UnixMillis(900)));
    }

    #[test]
    fn a_meter_of_256_channels_takes_no_more_places_than_it_may_have() {
        let mut live = Live::new(1_000);
        for channel in 0..=Channel::MAX {
            live.offer(of_channel("M1", channel, 100, 1));
        }
        let all: Vec<(Channel, i64)> = (0..CHANNELS_MAX).map(|channel| (channel, 100)).collect();
        assert_eq!(channels(&mut live, 1_000), all);
        assert!(live.others.len() < CHANNELS_MAX.into());
    }

    #[test]
    fn what_is_kept_of_a_meter_with_one_channel_is_small() {
        // A hundred thousand of them are 12 MB; each eight bytes more are another megabyte.
        assert!(size_of::<(MeterId, Meter)>() <= 88, "{}", size_of::<(MeterId, Meter)>());
    }
}
