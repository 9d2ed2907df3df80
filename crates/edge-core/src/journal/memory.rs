//! A journal in memory with transactions: what is not committed is lost in a crash.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::convert::Infallible;

use measure::{Record, RowKind, Seq, StreamId};

use super::{Append, Head, Journal, Note, OpenStream, Place, RESERVED_ROWS, Room, Row, RowId, Waiting};

/// Clocks of this many starts are kept.
const CLOCKS_KEPT: usize = 64;

/// For tests, simulations and devices that have nothing better: [`commit`](Self::commit) and [`roll_back`](Self::roll_back) do what
/// their names say, and a clone taken after a commit is what a power cut leaves.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    capacity_rows: usize,
    last_id: u64,
    head: Head,
    rows: BTreeMap<RowId, Row>,
    kinds: BTreeSet<(RowKind, RowId)>,
    ordinary: BTreeSet<RowId>,
    places: BTreeMap<Place, RowId>,
    streams: Vec<OpenStream>,
    clocks: BTreeMap<u64, i64>,
    notes: BTreeMap<Note, Vec<u8>>,
    undo: Vec<Undo>,
}

/// How to take a change back.
#[derive(Clone, Debug)]
enum Undo {
    Row(RowId, Option<Row>),
    Streams(Vec<OpenStream>),
    Head(Head),
    Clocks(BTreeMap<u64, i64>),
    Note(Note, Option<Vec<u8>>),
}

impl MemoryJournal {
    /// Empty, for `capacity_rows` rows and the reserve.
    pub fn new(capacity_rows: usize) -> Self {
        Self { capacity_rows, ..Self::default() }
    }

    /// Rows held.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is held.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows in the order measured.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// Changes the capacity; rows above it stay.
    pub fn set_capacity(&mut self, capacity_rows: usize) {
        self.capacity_rows = capacity_rows;
    }

    /// Makes everything since the last commit permanent.
    pub fn commit(&mut self) {
        self.undo.clear();
    }

    /// Takes back everything since the last commit. Ids of rows taken back are not used again.
    pub fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Row(id, row) => {
                    self.place(id, row);
                }
                Undo::Streams(streams) => self.streams = streams,
                Undo::Head(head) => self.head = head,
                Undo::Clocks(clocks) => self.clocks = clocks,
                Undo::Note(note, Some(value)) => drop(self.notes.insert(note, value)),
                Undo::Note(note, None) => drop(self.notes.remove(&note)),
            }
        }
    }

    /// Puts a row (or none) under `id` and keeps the indexes; returns what was there.
    fn place(&mut self, id: RowId, row: Option<Row>) -> Option<Row> {
        let before = self.rows.remove(&id);
        if let Some(before) = &before {
            self.kinds.remove(&(before.kind(), id));
            self.ordinary.remove(&id);
            before.place.map(|place| self.places.remove(&place));
        }
        if let Some(row) = row {
            match row.place {
                Some(place) => {
                    self.places.insert(place, id);
                }
                None => {
                    self.kinds.insert((row.kind(), id));
                    if row.kind() != RowKind::Urgent {
                        self.ordinary.insert(id);
                    }
                }
            }
            self.rows.insert(id, row);
        }
        before
    }

    /// The same, and remembers how to take it back.
    fn put(&mut self, id: RowId, row: Option<Row>) {
        let before = self.place(id, row);
        self.undo.push(Undo::Row(id, before));
    }

    fn change(&mut self, id: RowId, change: impl FnOnce(&mut Row)) {
        if let Some(mut row) = self.rows.get(&id).cloned() {
            change(&mut row);
            self.put(id, Some(row));
        }
    }

    fn change_stream(&mut self, stream: StreamId, change: impl FnOnce(&mut OpenStream)) {
        self.undo.push(Undo::Streams(self.streams.clone()));
        if let Some(open) = self.streams.iter_mut().find(|open| open.stream == stream) {
            change(open);
        }
    }

    fn collect<'a>(&self, ids: impl Iterator<Item = &'a RowId>, limit: usize) -> Vec<Row> {
        ids.take(limit).filter_map(|id| self.rows.get(id)).cloned().collect()
    }
}

impl Journal for MemoryJournal {
    type Error = Infallible;

    fn head(&self) -> Result<Head, Infallible> {
        Ok(self.head)
    }

    fn set_head(&mut self, head: &Head) -> Result<(), Infallible> {
        self.undo.push(Undo::Head(self.head));
        self.head = *head;
        Ok(())
    }

    fn append(&mut self, record: &Record, unclocked: Option<u64>, room: Room) -> Result<Append, Infallible> {
        let capacity = match room {
            Room::Normal => self.capacity_rows,
            Room::Reserved => self.capacity_rows.saturating_add(RESERVED_ROWS),
        };
        if self.rows.len() >= capacity {
            return Ok(Append::Full);
        }
        self.last_id = self.last_id.saturating_add(1);
        let id = RowId(self.last_id);
        self.put(id, Some(Row { id, record: record.clone(), unclocked, place: None }));
        Ok(Append::Row(id))
    }

    fn waiting(&self, which: Waiting, limit: usize) -> Result<Vec<Row>, Infallible> {
        Ok(match which {
            Waiting::Kind(kind) => self.collect(self.kinds.range((kind, RowId(0))..=(kind, RowId(u64::MAX))).map(|(_, id)| id), limit),
            Waiting::Ordinary { from, to } if from < to => self.collect(self.ordinary.range(from..to), limit),
            Waiting::Ordinary { .. } => Vec::new(),
        })
    }

    fn row(&self, id: RowId) -> Result<Option<Row>, Infallible> {
        Ok(self.rows.get(&id).cloned())
    }

    fn replace(&mut self, id: RowId, record: &Record, unclocked: Option<u64>) -> Result<(), Infallible> {
        self.change(id, |row| {
            row.record = record.clone();
            row.unclocked = unclocked;
        });
        Ok(())
    }

    fn discard(&mut self, id: RowId) -> Result<(), Infallible> {
        self.put(id, None);
        Ok(())
    }

    fn streams(&self) -> Result<Vec<OpenStream>, Infallible> {
        Ok(self.streams.clone())
    }

    fn open_stream(&mut self, stream: StreamId) -> Result<(), Infallible> {
        self.undo.push(Undo::Streams(self.streams.clone()));
        self.streams.push(OpenStream { stream, given: 0, deleted: 0 });
        Ok(())
    }

    fn number(&mut self, id: RowId, place: Place) -> Result<(), Infallible> {
        self.change(id, |row| row.place = Some(place));
        self.change_stream(place.stream, |open| open.given = place.seq);
        Ok(())
    }

    fn numbered(&self, stream: StreamId, from: Seq, limit: usize) -> Result<Vec<Row>, Infallible> {
        let range = Place { stream, seq: from }..=Place { stream, seq: Seq::MAX };
        Ok(self.collect(self.places.range(range).map(|(_, id)| id), limit))
    }

    fn delete_through(&mut self, stream: StreamId, through: Seq) -> Result<(), Infallible> {
        let range = Place { stream, seq: 0 }..=Place { stream, seq: through };
        let ids: Vec<RowId> = self.places.range(range).map(|(_, id)| *id).collect();
        for id in ids {
            self.put(id, None);
        }
        self.change_stream(stream, |open| open.deleted = through);
        Ok(())
    }

    fn unnumber(&mut self, id: RowId) -> Result<(), Infallible> {
        self.change(id, |row| row.place = None);
        Ok(())
    }

    fn discard_numbered(&mut self, id: RowId) -> Result<(), Infallible> {
        self.put(id, None);
        Ok(())
    }

    fn close_stream(&mut self, stream: StreamId) -> Result<(), Infallible> {
        self.undo.push(Undo::Streams(self.streams.clone()));
        self.streams.retain(|open| open.stream != stream);
        Ok(())
    }

    fn clock(&self, start: u64) -> Result<Option<i64>, Infallible> {
        Ok(self.clocks.get(&start).copied())
    }

    fn set_clock(&mut self, start: u64, offset_ms: i64) -> Result<(), Infallible> {
        self.undo.push(Undo::Clocks(self.clocks.clone()));
        self.clocks.insert(start, offset_ms);
        if self.clocks.len() > CLOCKS_KEPT {
            self.clocks.pop_first();
        }
        Ok(())
    }

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.notes.get(&note).cloned())
    }

    fn set_note(&mut self, note: Note, value: &[u8]) -> Result<(), Infallible> {
        let before = self.notes.insert(note, value.to_vec());
        self.undo.push(Undo::Note(note, before));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use measure::{Channel, ClockQuality, Event, EventKind, Reading, UnixMillis};

    use super::*;

    fn event(kind: EventKind) -> Record {
        Record::Event(Event { time: UnixMillis(1), clock: ClockQuality::Synchronised, channel: Channel::default(), kind, value: 0 })
    }

    fn append(journal: &mut MemoryJournal, record: &Record) -> RowId {
        match journal.append(record, None, Room::Normal) {
            Ok(Append::Row(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_roll_back_restores_rows_numbers_streams_and_values() {
        let mut journal = MemoryJournal::new(10);
        let (one, two) = (append(&mut journal, &Record::Reading(Reading::default())), append(&mut journal, &event(EventKind::Stuck)));
        let stream = StreamId(7);
        journal.open_stream(stream).unwrap();
        journal.number(one, Place { stream, seq: 1 }).unwrap();
        journal.commit();
        let committed = journal.clone();

        journal.number(two, Place { stream, seq: 2 }).unwrap();
        journal.delete_through(stream, 1).unwrap();
        journal.set_head(&Head { starts: 3, incarnation: 2, gap: Some(two) }).unwrap();
        journal.set_clock(3, 99).unwrap();
        journal.set_note(Note::Commands, &[1]).unwrap();
        journal.set_note(Note::Commands, &[2]).unwrap();
        append(&mut journal, &event(EventKind::Started));
        journal.unnumber(two).unwrap();
        journal.close_stream(stream).unwrap();
        journal.roll_back();

        assert!(journal.rows().eq(committed.rows()));
        assert_eq!(journal.streams(), committed.streams());
        assert_eq!(journal.head(), committed.head());
        assert_eq!(journal.clock(3), Ok(None));
        assert_eq!(journal.note(Note::Commands), Ok(None));
        assert_eq!(journal.waiting(Waiting::Kind(RowKind::Urgent), 9), committed.waiting(Waiting::Kind(RowKind::Urgent), 9));
        assert!(append(&mut journal, &event(EventKind::Started)) > RowId(3), "an id that was taken back is not used again");
    }

    #[test]
    fn rows_without_a_number_are_selected_by_kind_and_by_age() {
        let mut journal = MemoryJournal::new(10);
        let reading = Record::Reading(Reading::default());
        let ids = [&reading, &event(EventKind::Stuck), &event(EventKind::Started), &reading].map(|record| append(&mut journal, record));
        let select = |which, limit| -> Vec<RowId> { journal.waiting(which, limit).unwrap().iter().map(|row| row.id).collect() };

        assert_eq!(select(Waiting::Kind(RowKind::Urgent), 9), [ids[1]]);
        assert_eq!(select(Waiting::Kind(RowKind::Reading), 1), [ids[0]]);
        assert_eq!(select(Waiting::Ordinary { from: RowId(0), to: RowId(u64::MAX) }, 9), [ids[0], ids[2], ids[3]]);
        assert_eq!(select(Waiting::Ordinary { from: ids[1], to: ids[3] }, 9), [ids[2]]);
        assert_eq!(select(Waiting::Ordinary { from: ids[3], to: ids[1] }, 9), []);
    }

    #[test]
    fn the_reserve_is_for_notes_only() {
        let mut journal = MemoryJournal::new(1);
        append(&mut journal, &event(EventKind::Started));
        assert_eq!(journal.append(&event(EventKind::Started), None, Room::Normal), Ok(Append::Full));
        for _ in 0..RESERVED_ROWS {
            assert!(matches!(journal.append(&event(EventKind::Started), None, Room::Reserved), Ok(Append::Row(_))));
        }
        assert_eq!(journal.append(&event(EventKind::Started), None, Room::Reserved), Ok(Append::Full));
    }
}
