//! From the ledger's rows back to what is committed.

use std::collections::HashMap;

use measure::{MeterId, Seq, StreamId, UnixMillis};

use super::meter::Meter;
use super::{Limits, Partition};

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Everything of a stream up to `through` is committed.
    Through {
        /// Whose stream.
        meter: MeterId,
        /// The stream.
        stream: StreamId,
        /// Last number that is committed.
        through: Seq,
        /// When the row was written.
        time: UnixMillis,
    },
    /// The stream is forgotten.
    Forgotten {
        /// Whose stream.
        meter: MeterId,
        /// The stream.
        stream: StreamId,
    },
    /// The ledger counts as new from here on.
    Incarnation(u64),
}

/// A partition that is being read back: frames are not taken before [`Rebuild::finish`].
#[derive(Debug)]
pub struct Rebuild {
    limits: Limits,
    incarnation: u64,
    meters: HashMap<MeterId, Meter>,
}

impl Rebuild {
    /// The incarnation of a ledger that says nothing about it: it was never put back from a backup.
    pub const FIRST_INCARNATION: u64 = 1;

    /// Nothing is known yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, incarnation: Self::FIRST_INCARNATION, meters: HashMap::new() }
    }

    /// Takes the next row, in the ledger's order.
    pub fn row(&mut self, row: Row) {
        match row {
            Row::Through { meter, stream, through, time } => self.meters.entry(meter).or_default().restore(stream, through, time),
            Row::Forgotten { meter, stream } => {
                if let Some(known) = self.meters.get_mut(&meter) {
                    known.remove(stream);
                    if known.len() == 0 {
                        self.meters.remove(&meter);
                    }
                }
            }
            Row::Incarnation(number) => self.incarnation = self.incarnation.max(number),
        }
    }

    /// The ledger's end is reached.
    pub fn finish(self) -> Partition {
        Partition::new(self.limits, self.incarnation, self.meters)
    }
}
