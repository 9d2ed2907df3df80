//! What a run comes to.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use measure::{ClockQuality, GapReason, Record, Seq, StreamId};

use super::World;
use crate::meter::id_of;

impl World {
    /// Adds what the meter saw.
    pub(super) fn count(&mut self) {
        let meter = &self.meter;
        let counts = [
            ("readings dropped", meter.count(|counters| counters.readings_dropped_full)),
            ("snapshots dropped", meter.count(|counters| counters.snapshots_dropped_full)),
            ("events dropped", meter.count(|counters| counters.events_dropped_full)),
            ("rows of failed commits", meter.count(|counters| counters.rows_dropped_failed)),
            ("stale acknowledgements", meter.count(|counters| counters.acks_stale)),
            ("repeated acknowledgements", meter.count(|counters| counters.acks_repeated)),
            ("acknowledgements of a closed stream", meter.count(|counters| counters.acks_unknown_stream)),
            ("streams given up", meter.count(|counters| counters.ledgers_restored)),
            ("new streams", meter.count(|counters| counters.streams_opened)),
            ("frames sent again", meter.count(|counters| counters.frames_repeated)),
            ("timeouts", meter.count(|counters| counters.resend_timeouts)),
            ("repaired times", meter.given.values().filter(|record| clock(record) == Some(ClockQuality::Repaired)).count() as u64),
            ("unknown times", meter.given.values().filter(|record| clock(record) == Some(ClockQuality::Unknown)).count() as u64),
            ("dead letters", self.kafka.dead.len() as u64),
            ("restores", self.kafka.incarnation - 1),
        ];
        counts.into_iter().for_each(|(what, count)| *self.seen.entry(what).or_default() += count);
    }

    /// Counts what was measured against what came out.
    pub(super) fn reckon(&self) -> Result<(), String> {
        if let Some((stream, seq)) = self.meter.ambiguous {
            return Err(format!("two records under one number: {stream}/{seq}"));
        }
        let mut copies: BTreeMap<i64, usize> = BTreeMap::new();
        let (mut dropped, mut failed) = (0, 0);
        let numbers: Vec<_> = self.kafka.records.iter().chain(&self.kafka.dead).collect();
        for number in &numbers {
            match self.meter.given.get(number).ok_or_else(|| format!("a record that was never sent: {number:?}"))? {
                Record::Gap(gap) if gap.reason == GapReason::JournalFull => dropped += gap.count,
                Record::Gap(gap) if gap.reason == GapReason::JournalDamaged => failed += gap.count,
                record => id_of(record).into_iter().for_each(|id| *copies.entry(id).or_default() += 1),
            }
        }
        let taken: BTreeSet<i64> = self.meter.taken.iter().copied().collect();
        if let Some(id) = copies.keys().find(|id| !taken.contains(id)) {
            return Err(format!("published, and then not committed to the journal: {id}"));
        }
        let missing: Vec<i64> = taken.into_iter().filter(|id| !copies.contains_key(id)).collect();
        if self.kafka.incarnation > 1 {
            return self.reckon_restored(&missing);
        }
        let doubled: Vec<_> = copies.iter().filter(|(_, count)| **count > 1).map(|(id, _)| *id).collect();
        if !doubled.is_empty() || numbers.len() != numbers.iter().collect::<HashSet<_>>().len() {
            return Err(format!("doubled: {doubled:?}"));
        }
        // A gap of rows lost with their transaction may itself be dropped into a gap of a full journal.
        let missing = missing.len() as u64;
        let sound = if self.meter.failed == 0 {
            dropped == missing && failed == 0
        } else {
            dropped + failed >= missing && dropped + failed <= missing + self.meter.failed
        };
        if sound { Ok(()) } else { Err(format!("lost: {missing} are missing; gaps count {dropped} dropped, {failed} of failed commits")) }
    }

    /// What is missing was in Kafka when it was put back, or a gap counts it.
    fn reckon_restored(&self, missing: &[i64]) -> Result<(), String> {
        let given = |number: &(StreamId, Seq)| self.meter.given.get(number);
        let once: HashSet<i64> = self.ever.iter().filter_map(given).filter_map(id_of).collect();
        let counted: u64 = self.ever.iter().filter_map(given).map(|record| if let Record::Gap(gap) = record { gap.count } else { 0 }).sum();
        let lost = missing.iter().filter(|id| !once.contains(id)).count() as u64;
        if lost <= counted { Ok(()) } else { Err(format!("lost: {lost} were never in Kafka, gaps count {counted}")) }
    }
}

fn clock(record: &Record) -> Option<ClockQuality> {
    match record {
        Record::Reading(reading) => Some(reading.clock),
        Record::Event(event) => Some(event.clock),
        Record::Hello(_) | Record::Gap(_) | Record::Outcome(_) => None,
    }
}
