//! The streams of one meter, in the order in which they were last added to.

use measure::{Seq, StreamId, UnixMillis};

use super::{FORGET_NEWER, FORGET_SILENT_MS, METER_STREAMS_MAX};

/// How far one stream has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub id: StreamId,
    /// Last number in Kafka.
    pub committed: Seq,
    /// Last number in Kafka or in the open batch.
    pub accepted: Seq,
    /// When it was last added to.
    pub added: UnixMillis,
    /// When a frame of it that added nothing was last answered.
    answered: Option<UnixMillis>,
}

impl Stream {
    pub const fn new(id: StreamId, through: Seq, added: UnixMillis) -> Self {
        Self { id, committed: through, accepted: through, added, answered: None }
    }

    /// Whether an answer may go out now; if so, it counts as sent.
    pub fn answer_is_due(&mut self, now: UnixMillis, interval_ms: i64) -> bool {
        let due = self.answered.is_none_or(|at| is_due(at, now, interval_ms));
        if due {
            self.answered = Some(now);
        }
        due
    }
}

/// Whether the interval since `last` is over. A clock that went back makes everything due rather than nothing.
pub(super) fn is_due(last: UnixMillis, now: UnixMillis, interval_ms: i64) -> bool {
    !(0..interval_ms).contains(&now.millis_since(last))
}

/// Streams of one meter; the one that was added to last is the last.
#[derive(Debug, Default)]
pub(super) struct Meter {
    streams: Vec<Stream>,
}

/// What opening a stream led to.
pub(super) struct Opened {
    /// Streams that are not kept any longer.
    pub forgotten: Vec<StreamId>,
}

impl Meter {
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    pub fn get(&self, id: StreamId) -> Option<&Stream> {
        self.streams.iter().rev().find(|stream| stream.id == id)
    }

    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().rev().find(|stream| stream.id == id)
    }

    /// Adds a stream that must not be there yet, and forgets those that are old enough.
    pub fn open(&mut self, id: StreamId, now: UnixMillis) -> Opened {
        self.streams.push(Stream::new(id, 0, now));
        Opened { forgotten: self.forget(now) }
    }

    /// Marks a stream as the one added to last.
    pub fn touch(&mut self, id: StreamId, now: UnixMillis) -> Option<&mut Stream> {
        let at = self.streams.iter().rposition(|stream| stream.id == id)?;
        if let Some(tail) = self.streams.get_mut(at..) {
            tail.rotate_left(1);
        }
        let stream = self.streams.last_mut()?;
        stream.added = now;
        Some(stream)
    }

    /// Takes a row of the ledger; rows come in the order in which they were written.
    pub fn restore(&mut self, id: StreamId, through: Seq, added: UnixMillis) {
        self.remove(id);
        self.streams.push(Stream::new(id, through, added));
    }

    /// Takes a stream away, if it is there.
    pub fn remove(&mut self, id: StreamId) {
        self.streams.retain(|stream| stream.id != id);
    }

    /// Drops, oldest first, streams with 64 newer ones that were silent for a day, and all that are too many.
    fn forget(&mut self, now: UnixMillis) -> Vec<StreamId> {
        let old = self.streams.len().saturating_sub(FORGET_NEWER);
        let too_many = self.streams.len().saturating_sub(METER_STREAMS_MAX);
        let forgettable = |(at, stream): &(usize, &Stream)| *at < too_many || now.millis_since(stream.added) >= FORGET_SILENT_MS;
        let count = self.streams.iter().take(old).enumerate().take_while(forgettable).count();
        self.streams.drain(..count).map(|stream| stream.id).collect()
    }
}
