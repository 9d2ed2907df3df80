//! A Kafka with transactions, as far as the contract sees one.

use measure::{Seq, StreamId, UnixMillis};
use stream_processor::shard::{Batch, Limits, Partition, Reason, Rebuild, Row};

/// What was committed, and who may commit.
#[derive(Clone, Default)]
pub struct Kafka {
    /// Numbers of records.
    pub records: Vec<(StreamId, Seq)>,
    /// Numbers that dead letters passed over.
    pub dead: Vec<(StreamId, Seq)>,
    ledger: Vec<Row>,
    /// The producer that owns the partition; all earlier ones are fenced.
    pub epoch: u64,
    pub incarnation: u64,
}

/// What becomes of a transaction, and what its producer hears of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Committed,
    Aborted,
    /// The producer hears nothing.
    Unknown {
        committed: bool,
    },
}

impl Kafka {
    /// Empty, in its first incarnation.
    pub fn new() -> Self {
        Self { incarnation: 1, ..Self::default() }
    }

    pub fn commit(&mut self, batch: &Batch, now: UnixMillis) {
        self.records.extend(batch.records.iter().map(|record| (record.stream, record.seq)));
        for letter in &batch.dead_letters {
            if let Reason::Body { stream, from, through, .. } = letter.reason {
                self.dead.extend((from..=through).map(|seq| (stream, seq)));
            }
        }
        for ((meter, stream), through) in &batch.ledger {
            let (meter, stream) = (meter.clone(), *stream);
            self.ledger.push(match through {
                Some(through) => Row::Through { meter, stream, through: *through, time: now },
                None => Row::Forgotten { meter, stream },
            });
        }
    }

    /// Reads the ledger.
    pub fn rebuild(&self) -> Partition {
        self.fill(Rebuild::new(Limits::default()))
    }

    /// Fills a rebuild that a partition left behind.
    pub fn fill(&self, mut rebuild: Rebuild) -> Partition {
        rebuild.row(Row::Incarnation(self.incarnation));
        self.ledger.iter().cloned().for_each(|row| rebuild.row(row));
        rebuild.finish()
    }

    /// Puts records and ledger back to what a backup holds; the ledger becomes a new incarnation.
    pub fn restore(&mut self, backup: &Self) {
        let (epoch, incarnation) = (self.epoch, self.incarnation + 1);
        *self = Self { epoch, incarnation, ..backup.clone() };
    }
}
