//! Which rows get the next numbers.

use alloc::vec::Vec;

use measure::{Hello, Record, RowKind, Seq, StreamId};
use rand_chacha::rand_core::Rng;
use wire::frame::{FrameBuilder, RECORDS_MAX};

use super::{Outbox, Stream, Transmit, transmit};
use crate::clock::Now;
use crate::counters::Counters;
use crate::journal::{Append, Journal, Place, Room, Row, RowId, Waiting};

/// The moments of appending are kept in so many steps of the time for which a row is live.
const LIVE_STEPS: u64 = 32;

impl Outbox {
    /// Remembers when a row was appended.
    pub(super) fn note_appended(&mut self, now: Now, id: RowId) {
        let step = self.config.live_ms.saturating_div(LIVE_STEPS);
        let due = self.recent.back().is_none_or(|(at, _)| now.monotonic_ms.saturating_sub(*at) > step);
        if due {
            self.forget_old(now);
            self.recent.push_back((now.monotonic_ms, id));
        }
    }

    fn forget_old(&mut self, now: Now) {
        while self.recent.front().is_some_and(|(at, _)| now.monotonic_ms.saturating_sub(*at) > self.config.live_ms) {
            self.recent.pop_front();
        }
    }

    /// The first live row.
    fn live_from(&self) -> RowId {
        self.recent.front().map_or(RowId(u64::MAX), |(_, id)| *id)
    }

    /// Up to `limit` rows without a number, in the order in which they would be sent.
    pub(super) fn waiting_rows<J: Journal>(&self, journal: &J, limit: usize) -> Result<Vec<Row>, J::Error> {
        let rows = self.live_rows(journal, limit)?;
        if rows.is_empty() { self.backlog_rows(journal, limit) } else { Ok(rows) }
    }

    fn live_rows<J: Journal>(&self, journal: &J, limit: usize) -> Result<Vec<Row>, J::Error> {
        let mut rows = journal.waiting(Waiting::Kind(RowKind::Urgent), limit)?;
        let live = Waiting::Ordinary { from: self.live_from(), to: RowId(u64::MAX) };
        rows.extend(journal.waiting(live, limit.saturating_sub(rows.len()))?);
        Ok(rows)
    }

    fn backlog_rows<J: Journal>(&self, journal: &J, limit: usize) -> Result<Vec<Row>, J::Error> {
        journal.waiting(Waiting::Ordinary { from: RowId(0), to: self.live_from() }, limit)
    }

    /// A frame of rows that get their numbers now, and a stream if there is none in use.
    pub(super) fn number_frame<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<Option<Transmit>, J::Error> {
        if self.clock.offset_ms().is_none() {
            return Ok(None);
        }
        self.forget_old(now);
        let mut rows = self.live_rows(journal, RECORDS_MAX)?;
        let backlog = rows.is_empty();
        if backlog && self.backlog_ends.len() < self.config.window_backlog {
            rows = self.backlog_rows(journal, RECORDS_MAX)?;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let Some((stream, hello)) = self.stream_in_use(now, journal)? else { return Ok(None) };
        let first = if hello.is_some() { 1 } else { stream.next };
        let frame = self.fill(FrameBuilder::new(stream.id, first), &stream, hello.into_iter().chain(rows), journal)?;
        if frame.is_empty() {
            return Ok(None);
        }
        let transmit = transmit(frame, stream.id, first, true);
        if backlog {
            self.backlog_ends.push_back(self.given(stream.id));
        }
        Ok(Some(transmit))
    }

    /// The stream in use; if it was opened just now, with the row that must be its first.
    fn stream_in_use<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<Option<(Stream, Option<Row>)>, J::Error> {
        if let Some(stream) = self.streams.last().filter(|stream| self.current == Some(stream.id)) {
            return Ok(Some((*stream, None)));
        }
        let hello = Record::Hello(self.hello(now));
        let Append::Row(id) = journal.append(&hello, None, Room::Reserved)? else { return Ok(None) };
        let name = StreamId(self.rng.next_u64());
        journal.open_stream(name)?;
        Counters::up(&mut self.counters.streams_opened);
        let stream = Stream { id: name, given: 0, deleted: 0, next: 1 };
        self.streams.push(stream);
        self.current = Some(name);
        Ok(Some((stream, Some(Row { id, record: hello, unclocked: None, place: None }))))
    }

    fn hello(&self, now: Now) -> Hello {
        let stamp = self.clock.stamp(now);
        let identity = self.config.identity.clone();
        Hello {
            time: stamp.time,
            clock: stamp.clock,
            device: identity.device,
            software: identity.software,
            configuration: identity.configuration,
            starts: self.clock.start(),
        }
    }

    /// Puts rows into the frame until it is full, and numbers those that it took.
    fn fill<J: Journal>(
        &mut self,
        mut frame: FrameBuilder,
        stream: &Stream,
        rows: impl Iterator<Item = Row>,
        journal: &mut J,
    ) -> Result<FrameBuilder, J::Error> {
        let mut seq = stream.given;
        for mut row in rows {
            let left = self.clock.settle(journal, &mut row.record, row.unclocked)?;
            if left.is_some() || frame.push(&row.record).is_err() {
                break;
            }
            if row.unclocked.is_some() {
                journal.replace(row.id, &row.record, None)?;
            }
            seq = seq.saturating_add(1);
            journal.number(row.id, Place { stream: stream.id, seq })?;
        }
        if let Some(stream) = self.streams.last_mut() {
            stream.given = seq;
        }
        Ok(frame)
    }

    fn given(&self, stream: StreamId) -> Seq {
        self.streams.iter().find(|open| open.id == stream).map_or(0, |open| open.given)
    }
}
