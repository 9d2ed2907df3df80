//! The processor's side of the delivery contract, for one Kafka partition, without I/O.
//!
//! A [`Partition`] is a function of frames, commits and time. Nothing here knows MQTT or Kafka: the worker that owns a partition
//! feeds it and carries out what it says, and so does a simulation.
//!
//! # Grammar
//!
//! 1. [`Rebuild::new`], [`Rebuild::row`] for each row of the ledger from its start to its end, [`Rebuild::finish`].
//! 2. [`Partition::handle_frame`] for each frame, in the order received; while [`Partition::is_full`] commit first.
//! 3. [`Partition::batch`] is what the next transaction must hold, all of it and nothing else.
//! 4. Kafka says that the transaction is committed: [`Partition::committed`] gives the acknowledgements to send.
//!    It says anything else, or nothing: [`Partition::aborted_or_unknown`] takes the partition away and leaves a [`Rebuild`], because
//!    only the ledger knows now. Frames that wait are dropped; the meters send them again.
//!
//! # What is kept
//!
//! Per stream `committed` (in Kafka) and `accepted` (in the open batch as well). Only `committed` is ever acknowledged.

mod batch;
mod meter;
mod rebuild;
mod throttle;

use std::collections::HashMap;

use measure::{MeterId, Seq, StreamId, UnixMillis};
use wire::ack::Ack;
use wire::frame::{self, BodyError, FrameError, Header};

pub use batch::{Accepted, Batch, DeadLetter, Reason};
pub use rebuild::{Rebuild, Row};

use meter::{Meter, Opened, Stream};
use throttle::Throttle;

/// Bounds of one partition's memory. Reaching one is counted and never loses anything: the meter keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records in one batch; a batch is full from here on and may exceed it by less than one frame.
    pub batch_records_max: usize,
    /// Bytes of dead letters in one batch; full from here on.
    pub batch_dead_letter_bytes_max: usize,
    /// Streams of all meters. New streams are refused above it.
    pub streams_max: usize,
    /// Least time between two answers to frames of a stream that add nothing, in ms.
    pub answer_interval_ms: i64,
    /// Least time between two dead letters of a meter for frames without a readable header, in ms.
    pub dead_letter_interval_ms: i64,
}

impl Limits {
    /// The usual [`Limits::batch_dead_letter_bytes_max`]: 64 of the longest frames.
    pub const DEAD_LETTER_BYTES_MAX: usize = 256 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_records_max: 4_000,
            batch_dead_letter_bytes_max: Self::DEAD_LETTER_BYTES_MAX,
            streams_max: 1_000_000,
            answer_interval_ms: 1_000,
            dead_letter_interval_ms: 10_000,
        }
    }
}

/// Newer streams of its meter that a stream must have before it may be forgotten. A meter has at most 16 open, so it never misses one.
pub const FORGET_NEWER: usize = 64;
/// Silence that a stream must have kept before it may be forgotten, in ms.
pub const FORGET_SILENT_MS: i64 = 24 * 60 * 60 * 1000;
/// Streams that are kept of one meter, silent or not.
pub const METER_STREAMS_MAX: usize = 1_024;

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Records joined the batch; `accepted` is now `through`. Nothing is acknowledged before the commit.
    Accepted {
        /// Last number accepted.
        through: Seq,
        /// Records that were new.
        records: usize,
    },
    /// The body can't be read: its bytes joined the batch as a dead letter and `accepted` went past it.
    Poisoned {
        /// Last number passed over.
        through: Seq,
        /// What is wrong with the body.
        why: BodyError,
    },
    /// The frame adds nothing; send this answer now.
    Answer(Ack, Useless),
    /// The frame adds nothing, and its stream was answered less than a moment ago.
    Silent(Useless),
    /// Checksum or header is bad: nothing is known of the stream.
    Rejected {
        /// What is wrong with the frame.
        why: FrameError,
        /// Whether the bytes joined the batch as a dead letter; the others of this meter are only counted.
        dead_letter: bool,
    },
    /// A new stream, and [`Limits::streams_max`] is reached.
    Refused,
}

/// Why a frame adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Useless {
    /// All of it was accepted earlier.
    Repeated,
    /// Something before it is missing.
    Hole,
}

/// The streams of the meters of one Kafka partition, and the open batch.
#[derive(Debug)]
pub struct Partition {
    limits: Limits,
    incarnation: u64,
    meters: HashMap<MeterId, Meter>,
    streams: usize,
    batch: Batch,
    unknown_answers: Throttle,
    rejections: Throttle,
}

impl Partition {
    fn new(limits: Limits, incarnation: u64, meters: HashMap<MeterId, Meter>) -> Self {
        let streams = meters.values().map(Meter::len).sum();
        Self {
            limits,
            incarnation,
            meters,
            streams,
            batch: Batch::default(),
            unknown_answers: Throttle::new(limits.answer_interval_ms),
            rejections: Throttle::new(limits.dead_letter_interval_ms),
        }
    }

    /// Takes one frame of a meter. `meter` must come from where it can't be forged: the topic, which the broker ties to the certificate.
    pub fn handle_frame(&mut self, meter: &MeterId, payload: &[u8], now: UnixMillis) -> Outcome {
        let (header, body) = match frame::decode(payload) {
            Ok(decoded) => decoded,
            Err(why) => return self.reject(meter, payload, why, now),
        };
        let accepted = self.stream_mut(meter, header.stream).map_or(0, |stream| stream.accepted);
        if let Some(useless) = useless(&header, accepted) {
            return self.answer(meter, header.stream, useless, now);
        }
        if accepted == 0 && !self.open(meter, header.stream, now) {
            return Outcome::Refused;
        }
        let through = header.last_seq();
        let outcome = match self.batch.accept(meter, &header, accepted, body, now) {
            Ok(records) => Outcome::Accepted { through, records },
            Err(why) => {
                self.batch.poison(meter, &header, accepted, payload, why, now);
                Outcome::Poisoned { through, why }
            }
        };
        if let Some(stream) = self.meters.get_mut(meter).and_then(|meter| meter.touch(header.stream, now)) {
            stream.accepted = through;
        }
        self.batch.advance(meter, header.stream, through);
        outcome
    }

    /// What the next transaction must hold.
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Whether the batch must be committed before another frame is taken.
    pub fn is_full(&self) -> bool {
        self.batch.records.len() >= self.limits.batch_records_max
            || self.batch.dead_letter_bytes() >= self.limits.batch_dead_letter_bytes_max
    }

    /// The transaction that held [`Self::batch`] is committed: what to acknowledge, and to whom. The batch is empty afterwards.
    pub fn committed(&mut self) -> Vec<(MeterId, Ack)> {
        let ledger = self.batch.clear();
        let mut acks = Vec::with_capacity(ledger.len());
        for ((meter, id), through) in ledger {
            let Some(through) = through else { continue };
            let Some(stream) = self.stream_mut(&meter, id) else { continue };
            stream.committed = through;
            acks.push((meter, Ack { stream: id, through, incarnation: self.incarnation }));
        }
        acks
    }

    /// The transaction was aborted, or nobody knows: only the ledger, read again, tells what is committed.
    pub fn aborted_or_unknown(self) -> Rebuild {
        Rebuild::new(self.limits)
    }

    /// The ledger's incarnation, as every acknowledgement carries it.
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Streams known, of all meters.
    pub const fn streams(&self) -> usize {
        self.streams
    }

    /// Last number of a stream that is in Kafka; 0 for a stream that is not known.
    pub fn committed_through(&self, meter: &MeterId, stream: StreamId) -> Seq {
        self.meters.get(meter).and_then(|meter| meter.get(stream)).map_or(0, |stream| stream.committed)
    }

    fn stream_mut(&mut self, meter: &MeterId, id: StreamId) -> Option<&mut Stream> {
        self.meters.get_mut(meter).and_then(|meter| meter.get_mut(id))
    }

    /// Makes room for a new stream and puts what had to be forgotten for it into the batch; false if there is no room.
    fn open(&mut self, meter: &MeterId, id: StreamId, now: UnixMillis) -> bool {
        if self.stream_mut(meter, id).is_some() {
            return true;
        }
        if self.streams >= self.limits.streams_max {
            return false;
        }
        let Opened { forgotten } = self.meters.entry(meter.clone()).or_default().open(id, now);
        self.streams = self.streams.saturating_add(1).saturating_sub(forgotten.len());
        for old in forgotten {
            self.batch.forget(meter, old);
        }
        true
    }

    fn answer(&mut self, meter: &MeterId, id: StreamId, useless: Useless, now: UnixMillis) -> Outcome {
        let interval = self.limits.answer_interval_ms;
        let (through, due) = match self.stream_mut(meter, id) {
            Some(stream) => (stream.committed, stream.answer_is_due(now, interval)),
            // Streams that nobody knows share one allowance per meter: their number is the meter's choice.
            None => (0, self.unknown_answers.allows(meter, now)),
        };
        if due { Outcome::Answer(Ack { stream: id, through, incarnation: self.incarnation }, useless) } else { Outcome::Silent(useless) }
    }

    fn reject(&mut self, meter: &MeterId, payload: &[u8], why: FrameError, now: UnixMillis) -> Outcome {
        let dead_letter = self.rejections.allows(meter, now);
        if dead_letter {
            self.batch.reject(meter, payload, why, now);
        }
        Outcome::Rejected { why, dead_letter }
    }
}

/// Whether a frame has nothing to add to a stream accepted up to `accepted`.
fn useless(header: &Header, accepted: Seq) -> Option<Useless> {
    if header.last_seq() <= accepted {
        Some(Useless::Repeated)
    } else if header.first_seq.saturating_sub(1) > accepted {
        Some(Useless::Hole)
    } else {
        None
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests' own making; overflow fails the test")]
mod tests;
