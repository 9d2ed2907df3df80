//! Records of Kafka as rows to be: a transaction's worth, with the offsets that it comes to.

use std::collections::BTreeMap;

use contracts::intervals::IntervalLength;
use contracts::{AlertId, IntervalRecord, ReadingRecord};
use measure::{Channel, FeederId, MeterId, UnixMillis};

use super::columns::{IntervalRow, ReadingRow};
use super::grid::{AlertRow, FeederRow};
use super::log::Log;
use crate::sink::metrics::Skipped;

/// What names an interval.
type IntervalKey = (MeterId, Channel, IntervalLength, UnixMillis);

/// How far a topic's partition is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The topic's name in this installation.
    pub(super) topic: String,
    /// What the database holds.
    pub(super) stored: i64,
    /// What it will hold.
    pub(super) next: i64,
}

/// Rows, and the offsets that they come to.
pub(super) struct Batch {
    progress: BTreeMap<Log, Progress>,
    pub(super) readings: Vec<ReadingRow>,
    intervals: BTreeMap<IntervalKey, IntervalRow>,
    alerts: BTreeMap<AlertId, String>,
    /// What hangs on each feeder; nothing if it is not there any more.
    feeders: BTreeMap<FeederId, Option<String>>,
    taken: usize,
    newest: Option<UnixMillis>,
}

impl Batch {
    /// Empty, after what the database holds.
    pub(super) fn new(starts: &[(Log, String, i64)]) -> Self {
        let progress = starts.iter().map(|(log, topic, next)| (*log, Progress { topic: topic.clone(), stored: *next, next: *next }));
        Self {
            progress: progress.collect(),
            readings: Vec::new(),
            intervals: BTreeMap::new(),
            alerts: BTreeMap::new(),
            feeders: BTreeMap::new(),
            taken: 0,
            newest: None,
        }
    }

    /// Takes a record. One of which no row can be made is passed over: its offset counts, so that it holds nothing up.
    pub(super) fn take(&mut self, log: Log, offset: i64, written: Option<UnixMillis>, key: &[u8], value: &[u8]) -> Result<(), Skipped> {
        if let Some(progress) = self.progress.get_mut(&log) {
            progress.next = offset.saturating_add(1);
        }
        self.taken = self.taken.saturating_add(1);
        self.newest = self.newest.max(written);
        match log {
            Log::Readings => {
                let record: ReadingRecord = serde_json::from_slice(value).map_err(|_| Skipped::Unreadable)?;
                self.readings.push(ReadingRow::of(record).ok_or(Skipped::Unstorable)?);
            }
            Log::Intervals => {
                let record: IntervalRecord = serde_json::from_slice(value).map_err(|_| Skipped::Unreadable)?;
                let key = (record.meter.clone(), record.channel, record.length, record.start_ms);
                let row = IntervalRow::of(record).ok_or(Skipped::Unstorable)?;
                // One statement may touch a row once, so the latest revision is found here.
                let kept = self.intervals.entry(key).or_insert_with(|| row.clone());
                if kept.record.revision < row.record.revision {
                    *kept = row;
                }
            }
            // Of these the last one counts.
            Log::Alerts => {
                let AlertRow { id, json } = AlertRow::of(value)?;
                self.alerts.insert(id, json);
            }
            Log::Topology => {
                let FeederRow { id, json } = FeederRow::of(key, value)?;
                self.feeders.insert(id, json);
            }
        }
        Ok(())
    }

    /// Rows of intervals, each interval once.
    pub(super) fn intervals(&self) -> impl ExactSizeIterator<Item = &IntervalRow> {
        self.intervals.values()
    }

    /// The latest of each alert, as JSON.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &str> {
        self.alerts.values().map(String::as_str)
    }

    /// Feeders as they are now, as JSON.
    pub(super) fn feeders(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.feeders.iter().map(|(id, json)| (id.as_str(), json.as_deref()))
    }

    /// Topics that came further.
    pub(super) fn progress(&self) -> impl Iterator<Item = &Progress> {
        self.progress.values().filter(|it| it.next != it.stored)
    }

    /// Rows.
    pub(super) fn len(&self) -> usize {
        [self.readings.len(), self.intervals.len(), self.alerts.len(), self.feeders.len()].into_iter().fold(0, usize::saturating_add)
    }

    /// Whether nothing was taken.
    pub(super) const fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Records taken.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// When the newest was written to Kafka.
    pub(super) const fn newest(&self) -> Option<UnixMillis> {
        self.newest
    }

    /// Everything is stored.
    pub(super) fn clear(&mut self) {
        for progress in self.progress.values_mut() {
            progress.stored = progress.next;
        }
        self.readings.clear();
        self.intervals.clear();
        self.alerts.clear();
        self.feeders.clear();
        (self.taken, self.newest) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use contracts::intervals::{Checks, Quality};
    use measure::WattHours;

    use super::*;

    fn batch() -> Batch {
        Batch::new(&[(Log::Readings, "r".to_owned(), 5), (Log::Intervals, "i".to_owned(), 0)])
    }

    fn interval(start: i64, revision: u32) -> Vec<u8> {
        let energy = WattHours::from_centiwatthours(i64::from(revision));
        let golden: Vec<IntervalRecord> =
            serde_json::from_str(include_str!("../../../../contracts/golden/meter.intervals.v1.json")).unwrap();
        let record = IntervalRecord {
            start_ms: UnixMillis(start),
            revision,
            import_wh: energy,
            quality: Quality::Actual,
            checks: Checks::empty(),
            ..golden.into_iter().next().unwrap()
        };
        serde_json::to_vec(&record).unwrap()
    }

    #[test]
    fn the_highest_revision_of_an_interval_is_kept_in_whatever_order_they_come() {
        let mut batch = batch();
        for (offset, (start, revision)) in [(0, 2), (0, 3), (0, 1), (900_000, 1)].into_iter().enumerate() {
            batch.take(Log::Intervals, offset as i64, None, b"M0001", &interval(start, revision)).unwrap();
        }
        assert_eq!(batch.intervals().map(|it| it.record.revision).collect::<Vec<_>>(), [3, 1]);
        assert_eq!((batch.len(), batch.taken()), (2, 4));
        let ends: Vec<_> = batch.progress().map(|it| (it.topic.as_str(), it.stored, it.next)).collect();
        assert_eq!(ends, [("i", 0, 4)]);
    }

    #[test]
    fn what_is_no_record_or_has_no_place_in_time_is_passed_over_and_counts_as_taken() {
        let mut batch = batch();
        assert_eq!(batch.take(Log::Readings, 5, None, b"M0001", b"{"), Err(Skipped::Unreadable));
        assert_eq!(batch.take(Log::Intervals, 0, None, b"M0001", &interval(i64::MAX, 1)), Err(Skipped::Unstorable));
        assert_eq!(batch.take(Log::Intervals, 1, None, b"M0001", &interval(i64::MIN, 1)), Err(Skipped::Unstorable));
        assert_eq!((batch.len(), batch.is_empty()), (0, false));
        let ends: Vec<_> = batch.progress().map(|it| it.next).collect();
        assert_eq!(ends, [6, 2]);
        batch.clear();
        assert!(batch.is_empty() && batch.progress().next().is_none());
    }
}
