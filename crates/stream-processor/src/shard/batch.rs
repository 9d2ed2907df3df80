//! What one transaction holds.

use std::collections::BTreeMap;

use measure::{MeterId, Record, Seq, StreamId, UnixMillis};
use wire::frame::{Body, BodyError, FrameError, Header};

/// A record that is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whose.
    pub meter: MeterId,
    /// In which stream.
    pub stream: StreamId,
    /// Under which number.
    pub seq: Seq,
    /// When its frame was taken.
    pub received: UnixMillis,
    /// The record.
    pub record: Record,
}

/// A frame that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose.
    pub meter: MeterId,
    /// When it was taken.
    pub received: UnixMillis,
    /// Its bytes as they came.
    pub payload: Vec<u8>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a frame, and what of it is known nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Header and checksum are good, the body is not: these numbers are passed over.
    Body {
        /// The stream.
        stream: StreamId,
        /// First number that no record will be written for.
        from: Seq,
        /// Last number that no record will be written for.
        through: Seq,
        /// What is wrong.
        why: BodyError,
    },
    /// Header or checksum is bad.
    Frame(FrameError),
}

/// What one transaction holds: all of it or nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// New records, in the order of their numbers within each stream.
    pub records: Vec<Accepted>,
    /// Frames that can't be read.
    pub dead_letters: Vec<DeadLetter>,
    /// The ledger's new rows: `through` of each stream, or nothing for a stream that is forgotten.
    pub ledger: BTreeMap<(MeterId, StreamId), Option<Seq>>,
    dead_letter_bytes: usize,
}

impl Batch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.ledger.is_empty() && self.dead_letters.is_empty()
    }

    /// Bytes of all dead letters.
    pub const fn dead_letter_bytes(&self) -> usize {
        self.dead_letter_bytes
    }

    /// Empties it for the next transaction, which uses its memory again; what the ledger's rows were.
    pub(super) fn clear(&mut self) -> BTreeMap<(MeterId, StreamId), Option<Seq>> {
        self.records.clear();
        self.dead_letters.clear();
        self.dead_letter_bytes = 0;
        core::mem::take(&mut self.ledger)
    }

    /// Takes a frame's records above `accepted`; how many that are. Nothing of it if a part can't be read.
    pub(super) fn accept(
        &mut self,
        meter: &MeterId,
        header: &Header,
        accepted: Seq,
        body: Body<'_>,
        received: UnixMillis,
    ) -> Result<usize, BodyError> {
        let before = self.records.len();
        let mut seq = header.first_seq;
        for record in body {
            match record {
                Ok(record) if seq > accepted => {
                    self.records.push(Accepted { meter: meter.clone(), stream: header.stream, seq, received, record });
                }
                Ok(_) => {}
                Err(why) => {
                    self.records.truncate(before);
                    return Err(why);
                }
            }
            seq = seq.saturating_add(1);
        }
        Ok(self.records.len().saturating_sub(before))
    }

    pub(super) fn poison(&mut self, meter: &MeterId, header: &Header, accepted: Seq, payload: &[u8], why: BodyError, now: UnixMillis) {
        let (from, through) = (accepted.saturating_add(1), header.last_seq());
        self.dead_letter(meter, payload, Reason::Body { stream: header.stream, from, through, why }, now);
    }

    pub(super) fn reject(&mut self, meter: &MeterId, payload: &[u8], why: FrameError, now: UnixMillis) {
        self.dead_letter(meter, payload, Reason::Frame(why), now);
    }

    pub(super) fn advance(&mut self, meter: &MeterId, stream: StreamId, through: Seq) {
        self.ledger.insert((meter.clone(), stream), Some(through));
    }

    pub(super) fn forget(&mut self, meter: &MeterId, stream: StreamId) {
        self.ledger.insert((meter.clone(), stream), None);
    }

    fn dead_letter(&mut self, meter: &MeterId, payload: &[u8], reason: Reason, received: UnixMillis) {
        self.dead_letter_bytes = self.dead_letter_bytes.saturating_add(payload.len());
        self.dead_letters.push(DeadLetter { meter: meter.clone(), received, payload: payload.to_vec(), reason });
    }
}
