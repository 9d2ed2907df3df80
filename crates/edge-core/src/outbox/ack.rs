//! What the head-end's acknowledgements do.

use measure::{Gap, GapReason, Record, UnixMillis};
use wire::ack::Ack;
use wire::frame::RECORDS_MAX;

use super::loss::Loss;
use super::{Outbox, Stream};
use crate::clock::Now;
use crate::counters::Counters;
use crate::journal::{Journal, Room};

impl Outbox {
    /// Deletes what the head-end has committed. Whatever else an acknowledgement says is ignored and counted, unless it comes from a
    /// newer incarnation of the ledger: then nobody knows any more what the head-end has of the open streams, and they are given up.
    pub fn handle_ack<J: Journal>(&mut self, now: Now, journal: &mut J, ack: &Ack) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        let Some(stream) = self.streams.iter().find(|stream| stream.id == ack.stream).copied() else {
            Counters::up(&mut self.counters.acks_unknown_stream);
            return Ok(());
        };
        let Some(through) = self.credible(&stream, ack) else { return Ok(()) };
        let known = self.head.incarnation;
        if ack.incarnation != known {
            self.head.incarnation = ack.incarnation;
            journal.set_head(&self.head)?;
        }
        if known != 0 && ack.incarnation != known {
            return self.give_up(now, journal);
        }
        if through <= stream.deleted {
            let count = if through == stream.deleted { &mut self.counters.acks_repeated } else { &mut self.counters.acks_stale };
            Counters::up(count);
            return Ok(());
        }
        self.delete(now, journal, &stream, through)
    }

    /// How far the acknowledgement reaches, if it can be true.
    ///
    /// In the stream in use nothing can be committed beyond what was given. In an earlier stream it can: the journal lost its last
    /// writes, for example because an older copy of it was put back. No number of that stream was given twice, for each start draws
    /// its own, so all of what the journal has left of it is committed; if it were kept, the stream could never be drained.
    fn credible(&mut self, stream: &Stream, ack: &Ack) -> Option<u64> {
        if ack.through > stream.given {
            Counters::up(&mut self.counters.acks_beyond_given);
            if self.current == Some(stream.id) {
                return None;
            }
        }
        if ack.incarnation < self.head.incarnation {
            Counters::up(&mut self.counters.acks_old_incarnation);
            return None;
        }
        Some(ack.through.min(stream.given))
    }

    fn delete<J: Journal>(&mut self, now: Now, journal: &mut J, stream: &Stream, through: u64) -> Result<(), J::Error> {
        Counters::up(&mut self.counters.acks_applied);
        journal.delete_through(stream.id, through)?;
        if let Some(open) = self.streams.iter_mut().find(|open| open.id == stream.id) {
            open.deleted = through;
            open.next = open.next.max(through.saturating_add(1));
        }
        if self.current == Some(stream.id) {
            self.backlog_ends.retain(|last| *last > through);
        }
        self.flight.progress(stream.id, through, now.monotonic_ms, &self.config, &mut self.rng);
        self.close_drained(journal)
    }

    /// Takes back all numbers, notes that in a gap, and starts over with a new stream.
    fn give_up<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<(), J::Error> {
        Counters::up(&mut self.counters.ledgers_restored);
        let mut doubtful: Option<Loss> = None;
        for stream in core::mem::take(&mut self.streams) {
            self.take_back(journal, &stream, &mut doubtful)?;
            journal.close_stream(stream.id)?;
        }
        self.current = None;
        self.backlog_ends.clear();
        self.flight.reset();
        let time = self.clock.stamp(now).time;
        let gap = doubtful
            .map_or(Gap { from: time, to: time, count: 0, reason: GapReason::LedgerRestored }, |loss| loss.gap(GapReason::LedgerRestored));
        self.append(now, journal, &Record::Gap(gap), None, Room::Reserved).map(|_| ())
    }

    fn take_back<J: Journal>(&mut self, journal: &mut J, stream: &Stream, doubtful: &mut Option<Loss>) -> Result<(), J::Error> {
        loop {
            let rows = journal.numbered(stream.id, 0, RECORDS_MAX)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                if matches!(row.record, Record::Hello(_)) {
                    journal.discard_numbered(row.id)?;
                    continue;
                }
                journal.unnumber(row.id)?;
                let one = Loss::one(row.record.time());
                match doubtful {
                    Some(all) => all.absorb(&one),
                    None => *doubtful = Some(one),
                }
            }
        }
    }
}

impl Loss {
    const fn one(time: UnixMillis) -> Self {
        Self { from: time, to: time, count: 1, unclocked: None }
    }
}
