//! Keeping books of numbers: what is there, what should be. Pure.

use std::collections::{BTreeMap, BTreeSet};

use measure::{MeterId, Seq, StreamId};
use serde::Serialize;

use crate::ranges::{Run, Runs};

/// Where numbered records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The readings.
    Readings,
    /// The events, gaps and hellos.
    Events,
}

/// The books of all streams.
#[derive(Debug, Default)]
pub struct Books {
    streams: BTreeMap<(MeterId, StreamId), Stream>,
    /// Topics of which retention has deleted the beginning.
    late: BTreeSet<Topic>,
    other: Vec<Finding>,
}

#[derive(Debug, Default)]
struct Stream {
    through: Option<Seq>,
    held: Runs,
    doubled: Runs,
    passed_over: Runs,
    first: BTreeMap<Topic, Seq>,
}

/// Something worth saying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Committed by the ledger, and not there.
    Missing {
        /// Whose.
        meter: MeterId,
        /// In which stream.
        stream: StreamId,
        /// Which numbers.
        #[serde(flatten)]
        run: Run,
    },
    /// There more than once.
    Doubled {
        /// Whose.
        meter: MeterId,
        /// In which stream.
        stream: StreamId,
        /// Which numbers.
        #[serde(flatten)]
        run: Run,
    },
    /// Unreadable when it came: its bytes are in the dead-letter topic.
    PassedOver {
        /// Whose.
        meter: MeterId,
        /// In which stream.
        stream: StreamId,
        /// Which numbers.
        #[serde(flatten)]
        run: Run,
    },
    /// A meter says itself that it lost records.
    Reported {
        /// Which meter.
        meter: MeterId,
        /// Time of the first, in ms since 1970 UTC.
        from_ms: i64,
        /// Time of the last.
        to_ms: i64,
        /// How many.
        count: u64,
        /// Why.
        reason: String,
    },
    /// A record that is not what its topic promises.
    Unreadable {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// The record's place in it.
        offset: i64,
        /// What is wrong.
        why: String,
    },
}

/// What the books say in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// One by one.
    pub list: Vec<Finding>,
    /// How many meters there are.
    pub meters: usize,
    /// How many streams.
    pub streams: usize,
    /// How many numbered records, repetitions excluded.
    pub records: u64,
    /// How many numbers are missing.
    pub missing: u64,
    /// How many numbers are there more than once.
    pub doubled: u64,
    /// How many records could not be read.
    pub unreadable: u64,
    /// How many numbers went to the dead letters.
    pub passed_over: u64,
    /// How many records meters reported as lost.
    pub reported: u64,
    /// How many numbers retention has deleted.
    pub expired: u64,
}

impl Findings {
    /// Nothing missing, doubled or unreadable.
    pub const fn is_good(&self) -> bool {
        self.missing == 0 && self.doubled == 0 && self.unreadable == 0
    }
}

impl Books {
    /// The ledger says that the stream is committed up to `through`; a later row replaces an earlier one. `None`: the ledger has forgotten it.
    pub fn ledger(&mut self, meter: MeterId, stream: StreamId, through: Option<Seq>) {
        self.streams.entry((meter, stream)).or_default().through = through;
    }

    /// A record was read.
    pub fn record(&mut self, topic: Topic, meter: MeterId, stream: StreamId, seq: Seq) {
        let book = self.streams.entry((meter, stream)).or_default();
        if !book.held.insert(seq) {
            book.doubled.insert(seq);
        }
        book.first.entry(topic).and_modify(|first| *first = seq.min(*first)).or_insert(seq);
    }

    /// A dead letter stands for these numbers.
    pub fn passed_over(&mut self, meter: MeterId, stream: StreamId, run: Run) {
        let book = self.streams.entry((meter, stream)).or_default();
        (run.first..=run.last).for_each(|seq| {
            book.passed_over.insert(seq);
        });
    }

    /// Retention has deleted the topic's beginning.
    pub fn starts_late(&mut self, topic: Topic) {
        self.late.insert(topic);
    }

    /// Something that is known without comparing.
    pub fn note(&mut self, finding: Finding) {
        self.other.push(finding);
    }

    /// Compares.
    pub fn close(self) -> Findings {
        let mut all = Findings { streams: self.streams.len(), ..Findings::default() };
        all.meters = self.streams.keys().map(|(meter, _)| meter).collect::<BTreeSet<_>>().len();
        for ((meter, stream), book) in &self.streams {
            book.compare(meter, *stream, &self.late, &mut all);
        }
        for finding in self.other {
            match &finding {
                Finding::Reported { count, .. } => all.reported = all.reported.saturating_add(*count),
                Finding::Unreadable { .. } => all.unreadable = all.unreadable.saturating_add(1),
                Finding::Missing { .. } | Finding::Doubled { .. } | Finding::PassedOver { .. } => {}
            }
            all.list.push(finding);
        }
        all
    }
}

impl Stream {
    fn compare(&self, meter: &MeterId, stream: StreamId, late: &BTreeSet<Topic>, all: &mut Findings) {
        let meter = || meter.clone();
        // What came after the ledger was read is newer than this look; a forgotten stream is complete as far as it goes.
        let through = self.through.or_else(|| self.held.last()).unwrap_or(0);
        let floor = self.floor(late);
        for run in self.held.missing(1, through) {
            for run in self.passed_over.missing(run.first, run.last) {
                let (expired, missing) = split(run, floor);
                all.expired = all.expired.saturating_add(expired.map_or(0, Run::len));
                if let Some(run) = missing {
                    all.missing = all.missing.saturating_add(run.len());
                    all.list.push(Finding::Missing { meter: meter(), stream, run });
                }
            }
        }
        all.list.extend(self.doubled.iter().map(|run| Finding::Doubled { meter: meter(), stream, run }));
        all.list.extend(self.passed_over.iter().map(|run| Finding::PassedOver { meter: meter(), stream, run }));
        all.doubled = all.doubled.saturating_add(self.doubled.len());
        all.passed_over = all.passed_over.saturating_add(self.passed_over.len());
        all.records = all.records.saturating_add(self.held.len());
    }

    /// The number below which retention may have deleted records: the first one that is left in each topic whose beginning is gone.
    fn floor(&self, late: &BTreeSet<Topic>) -> Seq {
        late.iter().map(|topic| self.first.get(topic).copied().unwrap_or(Seq::MAX)).max().unwrap_or(0)
    }
}

/// The part of `run` below `floor`, and the rest.
fn split(run: Run, floor: Seq) -> (Option<Run>, Option<Run>) {
    if run.last < floor {
        (Some(run), None)
    } else if run.first < floor {
        (Some(Run { last: floor.saturating_sub(1), ..run }), Some(Run { first: floor, ..run }))
    } else {
        (None, Some(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(7);

    fn meter() -> MeterId {
        "M1".parse().unwrap()
    }

    fn books(through: Option<Seq>, readings: &[Seq]) -> Books {
        let mut books = Books::default();
        books.ledger(meter(), STREAM, through);
        books.record(Topic::Events, meter(), STREAM, 1);
        readings.iter().for_each(|&seq| books.record(Topic::Readings, meter(), STREAM, seq));
        books
    }

    #[test]
    fn complete_is_good() {
        let findings = books(Some(4), &[2, 4, 3]).close();
        assert!(findings.is_good() && findings.list.is_empty());
        assert_eq!((findings.meters, findings.streams, findings.records), (1, 1, 4));
    }

    #[test]
    fn holes_and_a_missing_end_are_found() {
        let findings = books(Some(9), &[2, 5, 6]).close();
        let runs = [Run { first: 3, last: 4 }, Run { first: 7, last: 9 }];
        assert_eq!(findings.list, runs.map(|run| Finding::Missing { meter: meter(), stream: STREAM, run }));
        assert_eq!(findings.missing, 5);
        assert!(!findings.is_good());
    }

    #[test]
    fn a_stream_that_the_ledger_names_and_nobody_holds_is_missing() {
        let mut books = Books::default();
        books.ledger(meter(), STREAM, Some(2));
        assert_eq!(books.close().missing, 2);
    }

    #[test]
    fn repetitions_are_found() {
        let findings = books(Some(3), &[2, 3, 3, 3]).close();
        assert_eq!(findings.list, [Finding::Doubled { meter: meter(), stream: STREAM, run: Run { first: 3, last: 3 } }]);
        assert_eq!((findings.doubled, findings.missing), (1, 0));
    }

    #[test]
    fn newer_than_the_ledger_is_no_finding_and_forgotten_streams_end_where_they_end() {
        assert!(books(Some(2), &[2, 3]).close().is_good());
        assert!(books(None, &[2, 3]).close().is_good());
        assert_eq!(books(None, &[3]).close().missing, 1);
    }

    #[test]
    fn dead_letters_account_for_what_they_hold() {
        let mut books = books(Some(5), &[2, 5]);
        books.passed_over(meter(), STREAM, Run { first: 3, last: 4 });
        let findings = books.close();
        assert!(findings.is_good());
        assert_eq!(findings.passed_over, 2);
    }

    #[test]
    fn retention_excuses_only_what_is_older_than_what_is_left() {
        let mut books = books(Some(9), &[5, 6, 8, 9]);
        books.starts_late(Topic::Readings);
        let findings = books.close();
        assert_eq!((findings.expired, findings.missing), (3, 1));
    }
}
