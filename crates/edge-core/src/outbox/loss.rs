//! Appending rows, and what happens where that is not possible: every loss becomes a gap.

use measure::{Gap, GapReason, Record, RowKind, UnixMillis};

use super::Outbox;
use crate::clock::Now;
use crate::counters::Counters;
use crate::journal::{Append, Journal, Room, Row, RowId, Waiting};

/// Rows that are dropped at most to make room for one.
const VICTIMS_MAX: usize = 64;

/// Kinds of rows, those that are dropped first in front.
const LEAST_FIRST: [RowKind; 4] = [RowKind::Reading, RowKind::Snapshot, RowKind::Event, RowKind::Urgent];

/// Rows that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub from: UnixMillis,
    pub to: UnixMillis,
    pub count: u64,
    /// The times are of this start's monotonic clock.
    pub unclocked: Option<u64>,
}

impl Loss {
    /// Losing this row; losing a gap loses what it counted.
    fn of(record: &Record, unclocked: Option<u64>) -> Self {
        match record {
            // A gap that tells of restored ledgers tells of no loss; it is lost as the one record that it is.
            Record::Gap(gap) if gap.reason != GapReason::LedgerRestored => Self { from: gap.from, to: gap.to, count: gap.count, unclocked },
            other => Self { from: other.time(), to: other.time(), count: 1, unclocked },
        }
    }

    /// Adds another loss. Where the two have no clock in common, the range stays what it was.
    pub fn absorb(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        if self.unclocked == other.unclocked {
            self.from = self.from.min(other.from);
            self.to = self.to.max(other.to);
        }
    }

    /// As it is told to the head-end.
    pub const fn gap(&self, reason: GapReason) -> Gap {
        Gap { from: self.from, to: self.to, count: self.count, reason }
    }
}

/// Rows that a commit still has to make permanent, or that a failed one lost.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Appended in the open transaction.
    open: Option<Loss>,
    /// Lost, and not yet noted in the journal.
    lost: Option<(Loss, GapReason)>,
    /// Lost, noted in the open transaction.
    noted: Option<(Loss, GapReason)>,
}

impl Outbox {
    /// Appends a record made now; a full journal drops what is least worth keeping. `record`'s times are of [`Clock::stamp`].
    ///
    /// [`Clock::stamp`]: crate::clock::Clock::stamp
    pub fn push<J: Journal>(&mut self, now: Now, journal: &mut J, record: &Record, unclocked: Option<u64>) -> Result<(), J::Error> {
        let one = Loss::of(record, unclocked);
        match &mut self.unwritten.open {
            Some(open) => open.absorb(&one),
            None => self.unwritten.open = Some(one),
        }
        self.unclocked |= unclocked == Some(self.clock.start());
        self.note_lost(now, journal)?;
        for _ in 0..VICTIMS_MAX {
            if self.append(now, journal, record, unclocked, Room::Normal)?.is_some() {
                return Ok(());
            }
            let Some(victim) = self.victim(journal, record.kind())? else { break };
            self.count_dropped(victim.kind());
            journal.discard(victim.id)?;
            self.note_dropped(now, journal, victim.record, victim.unclocked)?;
        }
        self.count_dropped(record.kind());
        self.note_dropped(now, journal, record.clone(), unclocked)
    }

    /// The open transaction was committed.
    pub fn handle_committed(&mut self) {
        self.unwritten.open = None;
        self.unwritten.noted = None;
    }

    /// The open transaction failed and was rolled back: reads the state of delivery again. The rows that were lost become a gap with
    /// this reason. Frames handed out since the last commit must not be published.
    pub fn handle_commit_failed<J: Journal>(&mut self, journal: &mut J, reason: GapReason) -> Result<(), J::Error> {
        let Unwritten { open, lost, noted } = core::mem::take(&mut self.unwritten);
        if let Some(open) = &open {
            self.counters.rows_dropped_failed = self.counters.rows_dropped_failed.saturating_add(open.count);
        }
        let all = [noted, lost, open.map(|open| (open, reason))];
        self.unwritten.lost = all.into_iter().flatten().reduce(|mut all, (loss, _)| {
            all.0.absorb(&loss);
            all
        });
        self.reload(journal)
    }

    pub(super) fn append<J: Journal>(
        &mut self,
        now: Now,
        journal: &mut J,
        record: &Record,
        unclocked: Option<u64>,
        room: Room,
    ) -> Result<Option<RowId>, J::Error> {
        match journal.append(record, unclocked, room)? {
            Append::Row(id) => {
                Counters::up(&mut self.counters.rows_appended);
                self.note_appended(now, id);
                Ok(Some(id))
            }
            Append::Full => Ok(None),
        }
    }

    /// The oldest row without a number that is worth least, and no more than `kind`. The gap that counts the dropped is none.
    fn victim<J: Journal>(&self, journal: &J, kind: RowKind) -> Result<Option<Row>, J::Error> {
        for least in LEAST_FIRST.into_iter().filter(|least| *least <= kind) {
            let mut rows = journal.waiting(Waiting::Kind(least), 2)?.into_iter();
            if let Some(row) = rows.find(|row| self.head.gap != Some(row.id)) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn count_dropped(&mut self, kind: RowKind) {
        Counters::up(match kind {
            RowKind::Reading => &mut self.counters.readings_dropped_full,
            RowKind::Snapshot => &mut self.counters.snapshots_dropped_full,
            RowKind::Event | RowKind::Urgent => &mut self.counters.events_dropped_full,
        });
    }

    /// Counts a dropped row in the gap that still grows, or in a new one.
    fn note_dropped<J: Journal>(&mut self, now: Now, journal: &mut J, mut record: Record, unclocked: Option<u64>) -> Result<(), J::Error> {
        let unclocked = self.clock.settle(journal, &mut record, unclocked)?;
        let loss = Loss::of(&record, unclocked);
        let Some(mut gap) = self.growing_gap(journal)? else { return self.new_gap(now, journal, loss) };
        gap.unclocked = self.clock.settle(journal, &mut gap.record, gap.unclocked)?;
        let mut all = Loss::of(&gap.record, gap.unclocked);
        if all.unclocked != loss.unclocked && self.start_gap(now, journal, loss)? {
            return Ok(());
        }
        all.absorb(&loss);
        journal.replace(gap.id, &Record::Gap(all.gap(GapReason::JournalFull)), all.unclocked)
    }

    /// A gap with a number does not grow any more.
    fn growing_gap<J: Journal>(&self, journal: &J) -> Result<Option<Row>, J::Error> {
        match self.head.gap {
            Some(id) => Ok(journal.row(id)?.filter(|row| row.place.is_none())),
            None => Ok(None),
        }
    }

    /// Starts a gap; if not even the reserve has room for it, the loss is kept in memory until it has.
    fn new_gap<J: Journal>(&mut self, now: Now, journal: &mut J, loss: Loss) -> Result<(), J::Error> {
        if !self.start_gap(now, journal, loss)? {
            match &mut self.unwritten.lost {
                Some((all, _)) => all.absorb(&loss),
                None => self.unwritten.lost = Some((loss, GapReason::JournalFull)),
            }
        }
        Ok(())
    }

    fn start_gap<J: Journal>(&mut self, now: Now, journal: &mut J, loss: Loss) -> Result<bool, J::Error> {
        let gap = Record::Gap(loss.gap(GapReason::JournalFull));
        let id = self.append(now, journal, &gap, loss.unclocked, Room::Reserved)?;
        if id.is_some() {
            self.head.gap = id;
            journal.set_head(&self.head)?;
        }
        Ok(id.is_some())
    }

    /// Writes down what earlier transactions lost.
    fn note_lost<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<(), J::Error> {
        let Some((loss, reason)) = self.unwritten.lost else { return Ok(()) };
        let gap = Record::Gap(loss.gap(reason));
        if self.append(now, journal, &gap, loss.unclocked, Room::Reserved)?.is_some() {
            self.unwritten.lost = None;
            match &mut self.unwritten.noted {
                Some((noted, _)) => noted.absorb(&loss),
                None => self.unwritten.noted = Some((loss, reason)),
            }
        }
        Ok(())
    }
}
