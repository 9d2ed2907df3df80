//! The latest readings of those that are committed together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use contracts::ReadingRecord;
use measure::{MeterId, UnixMillis};

/// Of the readings that are committed together, the latest of each channel. What stands here may be shown: see
/// [`Live::is_shown`](super::Live::is_shown).
#[derive(Debug, Default)]
pub struct Newest {
    by_meter: HashMap<MeterId, OfMeter>,
    never_shown: u64,
}

/// Most meters speak of one channel: then nothing more is allocated.
#[derive(Debug)]
struct OfMeter {
    one: ReadingRecord,
    others: Vec<ReadingRecord>,
}

impl Newest {
    /// Takes a reading. Of two of a channel with the same time the second.
    pub fn offer(&mut self, reading: ReadingRecord) {
        match self.by_meter.entry(reading.meter.clone()) {
            Entry::Vacant(place) => _ = place.insert(OfMeter { one: reading, others: Vec::new() }),
            Entry::Occupied(mut of_meter) => of_meter.get_mut().offer(reading),
        }
    }

    /// Counts a reading that may not be shown.
    pub fn pass_over(&mut self) {
        self.never_shown = self.never_shown.saturating_add(1);
    }

    /// How many readings may not be shown.
    pub fn never_shown(&self) -> u64 {
        self.never_shown
    }

    /// Time of the latest of a meter's readings, whichever channel's.
    pub fn latest(&self, meter: &MeterId) -> Option<UnixMillis> {
        self.by_meter.get(meter).map(|it| it.others.iter().fold(it.one.time_ms, |latest, other| latest.max(other.time_ms)))
    }

    /// One reading of each channel, those of a meter behind each other.
    pub fn into_readings(self) -> impl Iterator<Item = ReadingRecord> {
        self.by_meter.into_values().flat_map(|it| std::iter::once(it.one).chain(it.others))
    }
}

impl OfMeter {
    fn offer(&mut self, reading: ReadingRecord) {
        let mut all = std::iter::once(&mut self.one).chain(&mut self.others);
        match all.find(|known| known.channel == reading.channel) {
            None => self.others.push(reading),
            Some(known) if known.time_ms <= reading.time_ms => *known = reading,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use measure::{Channel, Reading, StreamId};

    use super::*;

    fn reading(meter: &str, channel: Channel, time: i64, seq: u64) -> ReadingRecord {
        let reading = Reading { channel, time: UnixMillis(time), ..Reading::default() };
        ReadingRecord::new(&meter.parse().unwrap(), StreamId(1), seq, UnixMillis(0), &reading)
    }

    #[test]
    fn the_latest_of_each_channel_is_kept() {
        let mut newest = Newest::default();
        for (channel, time) in [(2, 30), (0, 50), (2, 40), (0, 40), (2, 35), (1, 60)] {
            newest.offer(reading("M1", channel, time, 1));
        }
        newest.pass_over();
        newest.offer(reading("M2", 2, 7, 1));
        newest.offer(reading("M2", 2, 7, 2));
        let latest = |meter: &str| newest.latest(&meter.parse().unwrap());
        assert_eq!((latest("M1"), latest("M2"), latest("M3")), (Some(UnixMillis(60)), Some(UnixMillis(7)), None));
        assert_eq!(newest.never_shown(), 1);
        let mut all: Vec<_> = newest.into_readings().map(|it| (it.meter.to_string(), it.channel, it.time_ms.0, it.seq)).collect();
        all.sort_unstable();
        assert_eq!(all, [("M1".into(), 0, 50, 1), ("M1".into(), 1, 60, 1), ("M1".into(), 2, 40, 1), ("M2".into(), 2, 7, 2)]);
    }
}
