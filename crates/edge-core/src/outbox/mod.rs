//! Rows on their way to the head-end: streams, numbers, windows, going back. Pure over the [`Journal`].
//!
//! A row gets its number when it is first put into a frame, in the journal's open transaction; so what is urgent simply gets the next
//! number. What waits is served in this order:
//!
//! 1. *numbered rows*, of the oldest open stream first. While a stream of an earlier start is open nothing new is numbered, so one
//!    stream is open at a time; the head-end allows for 16. A start opens its own stream when it numbers its first row.
//! 2. *urgent* events, oldest first.
//! 3. *live* rows: appended by this start within the last [`Config::live_ms`]; oldest first. They share frames with urgent events.
//! 4. *backlog*: all others, oldest first, in frames of their own, of which at most [`Config::window_backlog`] are on their way; what
//!    is live never waits for more than those.
//!
//! At most [`Config::window`] frames are on their way. A frame takes what waits now, up to 64 records and 4 KiB, and never waits for
//! more. When no acknowledgement comes in time, and on every new connection, everything numbered is sent again from the first row
//! that was not acknowledged; frames may be cut differently then.

mod ack;
mod flight;
mod loss;
mod number;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use measure::{Seq, StreamId, Text};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use wire::frame::{FrameBuilder, RECORDS_MAX};

use crate::clock::{Clock, Learnt, Now};
use crate::counters::Counters;
use crate::journal::{Head, Journal, RowId};

use flight::Flight;
use loss::Unwritten;

/// How rows travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the first record of each stream says of this meter.
    pub identity: Identity,
    /// Frames on their way at most.
    pub window: usize,
    /// Frames with new numbers for backlog on their way at most.
    pub window_backlog: usize,
    /// Wait for an acknowledgement before everything is sent again, in ms, give or take a quarter; doubles each time.
    pub resend_first_ms: u64,
    /// The longest such wait, in ms.
    pub resend_max_ms: u64,
    /// How long a row is live, in ms.
    pub live_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { identity: Identity::default(), window: 8, window_backlog: 2, resend_first_ms: 2_000, resend_max_ms: 60_000, live_ms: 30_000 }
    }
}

/// Who speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Kind of device, for example `pzem-004t`.
    pub device: Text,
    /// Version of the agent or firmware.
    pub software: Text,
    /// First eight bytes of the hash of the configuration in force.
    pub configuration: u64,
}

/// A frame to publish once the journal's open transaction is committed, and not before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The stream.
    pub stream: StreamId,
    /// Number of its first record.
    pub first_seq: Seq,
    /// How many records.
    pub records: usize,
    /// Whether the numbers were given just now; otherwise the frame is a repetition.
    pub fresh: bool,
    /// `wire::frame`.
    pub bytes: Vec<u8>,
}

/// An open stream and how far it was sent.
#[derive(Clone, Copy, Debug)]
struct Stream {
    id: StreamId,
    given: Seq,
    deleted: Seq,
    next: Seq,
}

impl Stream {
    const fn is_drained(&self) -> bool {
        self.deleted >= self.given
    }
}

/// The meter's side of the delivery contract.
#[derive(Debug)]
pub struct Outbox {
    config: Config,
    rng: ChaCha8Rng,
    clock: Clock,
    head: Head,
    /// Oldest first; `current` is the last.
    streams: Vec<Stream>,
    current: Option<StreamId>,
    flight: Flight,
    /// Last number of each frame that was numbered from the backlog and is not acknowledged.
    backlog_ends: VecDeque<Seq>,
    /// When rows were appended: (monotonic ms, first row), thinned out.
    recent: VecDeque<(u64, RowId)>,
    connected: bool,
    /// Whether this start has measured without UTC.
    unclocked: bool,
    unwritten: Unwritten,
    counters: Counters,
}

impl Outbox {
    /// A new start of the meter's service: counts it in the journal and reads what is open. `seed` must be fresh randomness at every
    /// start: names of streams are drawn from it and must never repeat.
    pub fn start<J: Journal>(config: Config, seed: [u8; 32], now: Now, journal: &mut J) -> Result<Self, J::Error> {
        let start = journal.head()?.starts.saturating_add(1);
        let mut outbox = Self {
            config,
            rng: ChaCha8Rng::from_seed(seed),
            clock: Clock::new(start, now),
            head: Head::default(),
            streams: Vec::new(),
            current: None,
            flight: Flight::default(),
            backlog_ends: VecDeque::new(),
            recent: VecDeque::new(),
            connected: false,
            unclocked: false,
            unwritten: Unwritten::default(),
            counters: Counters::default(),
        };
        outbox.reload(journal)?;
        outbox.observe(now, journal)?;
        Ok(outbox)
    }

    /// Reads the state of delivery from the journal, as after a restart: what is open is drained, new rows get a new stream.
    fn reload<J: Journal>(&mut self, journal: &mut J) -> Result<(), J::Error> {
        self.head = journal.head()?;
        if self.head.starts < self.clock.start() {
            self.head.starts = self.clock.start();
            journal.set_head(&self.head)?;
        }
        let next = |deleted: Seq| deleted.saturating_add(1);
        let streams = journal.streams()?.into_iter();
        self.streams =
            streams.map(|open| Stream { id: open.stream, given: open.given, deleted: open.deleted, next: next(open.deleted) }).collect();
        self.current = None;
        self.flight.reset();
        self.backlog_ends.clear();
        self.recent.clear();
        self.save_clock(journal)?;
        self.close_drained(journal)
    }

    /// Takes note of the time; call first in everything that is handled.
    pub fn observe<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<Learnt, J::Error> {
        let learnt = self.clock.observe(now);
        if learnt != Learnt::Nothing {
            self.save_clock(journal)?;
        }
        Ok(learnt)
    }

    /// A later start must be able to repair what this one measured without UTC.
    fn save_clock<J: Journal>(&self, journal: &mut J) -> Result<(), J::Error> {
        match self.clock.offset_ms() {
            Some(offset) if self.unclocked => journal.set_clock(self.clock.start(), offset),
            _ => Ok(()),
        }
    }

    /// The meter's clock.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What was dropped and ignored.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// There is a connection to the head-end, a new one: everything is sent again from the first row not acknowledged.
    pub fn handle_connected(&mut self) {
        self.connected = true;
        self.go_back();
        self.flight.reset();
    }

    /// There is none any more.
    pub fn handle_disconnected(&mut self) {
        self.connected = false;
        self.flight.reset();
    }

    /// When to call [`Self::handle_timeout`], in ms of the monotonic clock.
    pub const fn poll_timeout(&self) -> Option<u64> {
        self.flight.deadline_ms()
    }

    /// Goes back if no acknowledgement came in time.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.flight.times_out(now.monotonic_ms) {
            Counters::up(&mut self.counters.resend_timeouts);
            self.go_back();
        }
    }

    fn go_back(&mut self) {
        for stream in &mut self.streams {
            stream.next = stream.deleted.saturating_add(1);
        }
    }

    /// The next frame, if there is a connection, something waits and the window has room.
    ///
    /// New numbers are given only once UTC is known: rows get their time before they get a number.
    pub fn poll_transmit<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<Option<Transmit>, J::Error> {
        self.observe(now, journal)?;
        if !self.connected || self.flight.len() >= self.config.window {
            return Ok(None);
        }
        let transmit = match self.streams.first().copied() {
            Some(stream) if stream.next <= stream.given => self.repeat(&stream, journal)?,
            Some(stream) if self.current != Some(stream.id) => None,
            _ => self.number_frame(now, journal)?,
        };
        if let Some(transmit) = &transmit {
            let count = if transmit.fresh { &mut self.counters.frames_sent } else { &mut self.counters.frames_repeated };
            Counters::up(count);
            let last = self.sent(transmit);
            self.flight.sent(transmit.stream, last, now.monotonic_ms, &self.config, &mut self.rng);
        }
        Ok(transmit)
    }

    /// Whether nothing is left to be sent or acknowledged.
    pub fn is_drained<J: Journal>(&self, journal: &J) -> Result<bool, J::Error> {
        Ok(self.streams.iter().all(Stream::is_drained) && self.waiting_rows(journal, 1)?.is_empty())
    }

    /// A frame of numbered rows.
    fn repeat<J: Journal>(&mut self, stream: &Stream, journal: &J) -> Result<Option<Transmit>, J::Error> {
        let mut frame = FrameBuilder::new(stream.id, stream.next);
        let rows = journal.numbered(stream.id, stream.next, RECORDS_MAX)?;
        for (row, seq) in rows.iter().zip(stream.next..) {
            if row.place.is_none_or(|place| place.seq != seq) || frame.push(&row.record).is_err() {
                break;
            }
        }
        if frame.is_empty() {
            Counters::up(&mut self.counters.rows_missing);
            return Ok(None);
        }
        Ok(Some(transmit(frame, stream.id, stream.next, false)))
    }

    /// Notes how far the stream was sent; returns the frame's last number.
    fn sent(&mut self, transmit: &Transmit) -> Seq {
        let next = transmit.first_seq.saturating_add(u64::try_from(transmit.records).unwrap_or(u64::MAX));
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == transmit.stream) {
            stream.next = next;
        }
        next.saturating_sub(1)
    }

    /// Forgets streams of which everything is acknowledged, except the one in use.
    fn close_drained<J: Journal>(&mut self, journal: &mut J) -> Result<(), J::Error> {
        for stream in self.streams.iter().filter(|stream| stream.is_drained() && self.current != Some(stream.id)) {
            journal.close_stream(stream.id)?;
        }
        let current = self.current;
        self.streams.retain(|stream| !stream.is_drained() || current == Some(stream.id));
        Ok(())
    }
}

fn transmit(frame: FrameBuilder, stream: StreamId, first_seq: Seq, fresh: bool) -> Transmit {
    Transmit { stream, first_seq, records: frame.len_records(), fresh, bytes: frame.finish().to_vec() }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests;
