//! The verdict over a run: what the journals accepted against what Kafka holds. Pure.

pub mod record;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use measure::{MeterId, Seq, StreamId, UnixMillis};

/// One record, told apart from any other by what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Whose.
    pub meter: MeterId,
    /// When it was measured.
    pub time: UnixMillis,
    /// Digest of all it says.
    pub digest: u64,
}

impl Identity {
    /// Of a record whose whole content is `content`.
    pub fn of(meter: &MeterId, time: UnixMillis, content: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        Self { meter: meter.clone(), time, digest: hasher.finish() }
    }
}

/// The number a record has in Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number {
    /// Whose.
    pub meter: MeterId,
    /// In which run of numbers.
    pub stream: StreamId,
    /// Which one.
    pub seq: Seq,
}

/// Records counted by what they say: the same twice is two.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: HashMap<Identity, u64>,
    total: u64,
}

impl Tally {
    /// Counts one record.
    pub fn add(&mut self, identity: Identity) {
        let count = self.counts.entry(identity).or_default();
        *count = count.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// How many records were counted.
    pub const fn total(&self) -> u64 {
        self.total
    }

    fn of(&self, identity: &Identity) -> u64 {
        self.counts.get(identity).copied().unwrap_or(0)
    }
}

/// What Kafka holds.
#[derive(Clone, Debug, Default)]
pub struct Held {
    records: Tally,
    numbers: HashSet<Number>,
    repeated: Vec<Number>,
}

impl Held {
    /// Counts one record that was read back.
    pub fn add(&mut self, number: Number, identity: Identity) {
        self.records.add(identity);
        if !self.numbers.insert(number.clone()) {
            self.repeated.push(number);
        }
    }

    /// How often a record was read back.
    pub fn count(&self, identity: &Identity) -> u64 {
        self.records.of(identity)
    }

    /// How many records were read back.
    pub const fn total(&self) -> u64 {
        self.records.total()
    }
}

/// The comparison's outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that journals accepted.
    pub produced: u64,
    /// Records that Kafka holds.
    pub committed: u64,
    /// Accepted and not in Kafka.
    pub lost: Vec<Identity>,
    /// More often in Kafka than accepted, though accepted.
    pub doubled: Vec<Identity>,
    /// In Kafka, accepted by nobody: altered on its way, or invented.
    pub foreign: Vec<Identity>,
    /// Numbers that Kafka holds twice, whatever the records say.
    pub repeated: Vec<Number>,
}

impl Verdict {
    /// How many records are lost.
    pub const fn lost(&self) -> usize {
        self.lost.len()
    }

    /// How many records are there once too often: the same content, the same number, or out of nowhere.
    pub fn doubled(&self) -> usize {
        self.doubled.len().max(self.repeated.len()).saturating_add(self.foreign.len())
    }

    /// Nothing lost, nothing doubled.
    pub fn is_clean(&self) -> bool {
        self.lost() == 0 && self.doubled() == 0
    }
}

/// Compares what journals accepted with what Kafka holds.
pub fn compare(accepted: &Tally, held: &Held) -> Verdict {
    let mut verdict =
        Verdict { produced: accepted.total(), committed: held.total(), repeated: held.repeated.clone(), ..Verdict::default() };
    for (identity, &count) in &accepted.counts {
        push(&mut verdict.lost, identity, count.saturating_sub(held.records.of(identity)));
    }
    for (identity, &count) in &held.records.counts {
        match accepted.of(identity) {
            0 => push(&mut verdict.foreign, identity, count),
            expected => push(&mut verdict.doubled, identity, count.saturating_sub(expected)),
        }
    }
    // Hash maps have no order; people compare runs.
    verdict.lost.sort();
    verdict.doubled.sort();
    verdict.foreign.sort();
    verdict.repeated.sort();
    verdict
}

fn push(list: &mut Vec<Identity>, identity: &Identity, times: u64) {
    list.extend((0..times).map(|_| identity.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> (Number, Identity) {
        let meter: MeterId = "M1".parse().unwrap();
        let identity = Identity::of(&meter, UnixMillis(n as i64), format!("record {n}").as_bytes());
        (Number { meter, stream: StreamId(7), seq: n }, identity)
    }

    fn both(accepted: &[u64], held: &[u64]) -> Verdict {
        let (mut tally, mut kafka) = (Tally::default(), Held::default());
        accepted.iter().for_each(|&n| tally.add(record(n).1));
        for &n in held {
            let (number, identity) = record(n);
            kafka.add(number, identity);
        }
        compare(&tally, &kafka)
    }

    #[test]
    fn the_same_in_any_order_is_clean() {
        let verdict = both(&[2, 3, 4], &[4, 2, 3]);
        assert!(verdict.is_clean());
        assert_eq!((verdict.produced, verdict.committed), (3, 3));
    }

    #[test]
    fn a_lost_record_is_found() {
        let verdict = both(&[2, 3, 4], &[2, 4]);
        assert_eq!(verdict.lost, [record(3).1]);
        assert_eq!(verdict.doubled(), 0);
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_doubled_record_is_found() {
        let verdict = both(&[2, 3, 4], &[2, 3, 3, 4]);
        assert_eq!(verdict.doubled, [record(3).1]);
        assert_eq!((verdict.lost(), verdict.doubled()), (0, 1));
    }

    #[test]
    fn lost_and_doubled_do_not_cancel_out() {
        let verdict = both(&[2, 3], &[2, 2]);
        assert_eq!((verdict.lost(), verdict.doubled()), (1, 1));
        assert_eq!(verdict.produced, verdict.committed);
    }

    #[test]
    fn a_record_under_two_numbers_is_doubled() {
        let (mut tally, mut kafka) = (Tally::default(), Held::default());
        let (number, identity) = record(2);
        tally.add(identity.clone());
        kafka.add(number.clone(), identity.clone());
        kafka.add(Number { seq: 3, ..number }, identity);
        assert_eq!(compare(&tally, &kafka).doubled(), 1);
    }

    #[test]
    fn two_records_under_one_number_are_doubled() {
        let (mut tally, mut kafka) = (Tally::default(), Held::default());
        let (number, identity) = record(2);
        for identity in [identity, record(3).1] {
            tally.add(identity.clone());
            kafka.add(number.clone(), identity);
        }
        assert_eq!(compare(&tally, &kafka).doubled(), 1);
    }

    #[test]
    fn an_altered_record_is_lost_and_foreign() {
        let (mut tally, mut kafka) = (Tally::default(), Held::default());
        let (number, identity) = record(2);
        tally.add(identity.clone());
        kafka.add(number, Identity { digest: identity.digest ^ 1, ..identity });
        let verdict = compare(&tally, &kafka);
        assert_eq!((verdict.lost(), verdict.foreign.len()), (1, 1));
    }

    #[test]
    fn equal_records_accepted_twice_are_expected_twice() {
        let (mut tally, mut kafka) = (Tally::default(), Held::default());
        let (number, identity) = record(2);
        for seq in [2, 3] {
            tally.add(identity.clone());
            kafka.add(Number { seq, ..number.clone() }, identity.clone());
        }
        assert!(compare(&tally, &kafka).is_clean());
    }
}
