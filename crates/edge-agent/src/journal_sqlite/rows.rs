//! One meter's journal: `edge_core`'s contract over the tables.

use edge_core::journal::{Append, Head, Journal, Note, OpenStream, Place, RESERVED_ROWS, Room, Row, RowId, Waiting};
use measure::{Gap, GapReason, Record, Seq, StreamId, UnixMillis};
use rusqlite::{OptionalExtension, Params, params};

use super::row::{Stored, checksum, encode, kind, note_checksum};
use super::{Accepted, Meter, RESERVE_BYTES, ROW_OVERHEAD_BYTES, Store, StoreError, Usage, schema, signed, unsigned};

/// The rows of one meter within the store's open transaction.
#[derive(Debug)]
pub struct MeterJournal<'a> {
    store: &'a Store,
    meter: &'a Meter,
}

impl<'a> MeterJournal<'a> {
    pub(super) const fn new(store: &'a Store, meter: &'a Meter) -> Self {
        Self { store, meter }
    }

    fn name(&self) -> &str {
        self.meter.id.as_str()
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.store.connection.prepare_cached(sql)?.execute(params)?;
        Ok(())
    }

    fn select(&self, sql: &str, params: impl Params) -> Result<Vec<Row>, StoreError> {
        let stored = {
            let mut statement = self.store.connection.prepare_cached(sql)?;
            statement.query_map(params, Stored::read)?.collect::<Result<Vec<_>, _>>()?
        };
        stored.into_iter().map(|stored| self.sound(stored)).collect()
    }

    /// The row, or the gap that takes its place from now on.
    fn sound(&self, stored: Stored) -> Result<Row, StoreError> {
        if let Some(row) = stored.check(self.name()) {
            return Ok(row);
        }
        self.store.damaged_rows.set(self.store.damaged_rows.get().saturating_add(1));
        let gap = Gap { count: 1, reason: GapReason::JournalDamaged, ..self.between_neighbours(stored.id)? };
        let row = Row { id: RowId(stored.id), record: Record::Gap(gap), unclocked: None, place: stored.place };
        // The two records differ in length by a few bytes, which the next open counts anew.
        self.write(schema::UPDATE_ROW, &row)?;
        Ok(row)
    }

    /// When a row was measured whose own word cannot be trusted: rows lie in the order measured.
    fn between_neighbours(&self, id: u64) -> Result<Gap, StoreError> {
        let time = |sql| -> Result<Option<UnixMillis>, StoreError> {
            let mut statement = self.store.connection.prepare_cached(sql)?;
            let stored = statement.query_row(params![self.name(), signed(id)], Stored::read).optional()?;
            let row = stored.and_then(|stored| stored.check(self.name()));
            Ok(row.filter(|row| row.unclocked.is_none()).map(|row| row.record.time()))
        };
        let (before, after) = (time(schema::SELECT_BEFORE)?, time(schema::SELECT_AFTER)?);
        let from = before.or(after).unwrap_or_default();
        Ok(Gap { from, to: after.unwrap_or(from).max(from), count: 1, reason: GapReason::JournalDamaged })
    }

    fn write(&self, sql: &str, row: &Row) -> Result<u64, StoreError> {
        let record = encode(&row.record);
        let (stream, seq) = (row.place.map(|place| place.stream.0.cast_signed()), row.place.map(|place| signed(place.seq)));
        let crc = checksum(self.name(), row.id.0, row.unclocked, row.place, &record);
        let unclocked = row.unclocked.map(signed);
        self.execute(sql, params![self.name(), signed(row.id.0), kind(row.kind()), unclocked, stream, seq, record, crc])?;
        Ok(cost(length(&record)))
    }

    fn rewrite(&self, id: RowId, change: impl FnOnce(&mut Row)) -> Result<(), StoreError> {
        if let Some(mut row) = self.row(id)? {
            let before = cost(length(&encode(&row.record)));
            change(&mut row);
            let after = self.write(schema::UPDATE_ROW, &row)?;
            self.count(|usage| usage.bytes = usage.bytes.saturating_sub(before).saturating_add(after));
        }
        Ok(())
    }

    fn remove(&self, id: RowId) -> Result<(), StoreError> {
        if let Some(row) = self.row(id)? {
            self.execute(schema::DELETE_ROW, params![self.name(), signed(id.0)])?;
            self.count_removed(length(&encode(&row.record)));
        }
        Ok(())
    }

    fn count(&self, change: impl FnOnce(&mut Usage)) {
        let mut usage = self.meter.usage.get();
        change(&mut usage);
        self.meter.usage.set(usage);
        self.meter.changed.set(true);
    }

    fn count_removed(&self, record_len: u64) {
        self.count(|usage| {
            usage.rows = usage.rows.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(cost(record_len));
        });
    }

    /// Inserts a row under an id of its own, as [`Journal::append`] does, but numbered or not and without asking for room.
    pub(super) fn insert(&self, row: &Row) -> Result<(), StoreError> {
        let cost = self.write(schema::INSERT_ROW, row)?;
        self.count(|usage| {
            usage.last_id = usage.last_id.max(row.id.0);
            usage.rows = usage.rows.saturating_add(1);
            usage.bytes = usage.bytes.saturating_add(cost);
        });
        Ok(())
    }

    /// Puts a gap under a new id, in a stream's place or without a number.
    pub(super) fn insert_gap(&self, gap: Gap, place: Option<Place>) -> Result<(), StoreError> {
        let id = RowId(self.meter.usage.get().last_id.saturating_add(1));
        self.insert(&Row { id, record: Record::Gap(gap), unclocked: None, place })
    }

    /// Whether another row has this number already.
    pub(super) fn has_place(&self, place: Option<Place>) -> Result<bool, StoreError> {
        let Some(place) = place else { return Ok(false) };
        Ok(self.numbered(place.stream, place.seq, 1)?.iter().any(|row| row.place == Some(place)))
    }

    /// Rows held.
    pub(super) fn rows(&self) -> u64 {
        self.meter.usage.get().rows
    }

    /// Ids up to this one were used.
    pub(super) fn raise_last_id(&self, last_id: u64) {
        self.count(|usage| usage.last_id = usage.last_id.max(last_id));
    }

    fn has_room(&self, record: &Record, room: Room) -> bool {
        let bytes = self.meter.usage.get().bytes.saturating_add(cost(length(&encode(record))));
        bytes
            <= match room {
                Room::Normal => self.store.limit_bytes,
                Room::Reserved => self.store.limit_bytes.saturating_add(RESERVE_BYTES),
            }
    }
}

/// What a row takes whose record has so many bytes.
const fn cost(record_len: u64) -> u64 {
    ROW_OVERHEAD_BYTES.saturating_add(record_len)
}

fn length(record: &[u8]) -> u64 {
    u64::try_from(record.len()).unwrap_or(u64::MAX)
}

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Journal for MeterJournal<'_> {
    type Error = StoreError;

    fn head(&self) -> Result<Head, StoreError> {
        let head = |row: &rusqlite::Row<'_>| {
            let gap = row.get::<_, Option<i64>>(2)?.map(|id| RowId(unsigned(id)));
            Ok(Head { starts: unsigned(row.get(0)?), incarnation: unsigned(row.get(1)?), gap })
        };
        let mut statement = self.store.connection.prepare_cached(schema::GET_HEAD)?;
        Ok(statement.query_row([self.name()], head).optional()?.unwrap_or_default())
    }

    fn set_head(&mut self, head: &Head) -> Result<(), StoreError> {
        let gap = head.gap.map(|id| signed(id.0));
        self.execute(schema::SET_HEAD, params![self.name(), signed(head.starts), signed(head.incarnation), gap])
    }

    fn append(&mut self, record: &Record, unclocked: Option<u64>, room: Room) -> Result<Append, StoreError> {
        if !self.has_room(record, room) {
            return Ok(Append::Full);
        }
        let id = RowId(self.meter.usage.get().last_id.saturating_add(1));
        self.insert(&Row { id, record: record.clone(), unclocked, place: None })?;
        let accepted = Accepted { meter: self.meter.id.clone(), row: id, record: record.clone(), unclocked };
        self.store.accepted.borrow_mut().push(accepted);
        Ok(Append::Row(id))
    }

    fn waiting(&self, which: Waiting, rows: usize) -> Result<Vec<Row>, StoreError> {
        match which {
            Waiting::Kind(which) => self.select(schema::SELECT_KIND, params![self.name(), kind(which), limit(rows)]),
            Waiting::Ordinary { from, to } => {
                self.select(schema::SELECT_ORDINARY, params![self.name(), signed(from.0), signed(to.0), limit(rows)])
            }
        }
    }

    fn row(&self, id: RowId) -> Result<Option<Row>, StoreError> {
        Ok(self.select(schema::SELECT_ROW, params![self.name(), signed(id.0)])?.pop())
    }

    fn replace(&mut self, id: RowId, record: &Record, unclocked: Option<u64>) -> Result<(), StoreError> {
        self.rewrite(id, |row| {
            row.record = record.clone();
            row.unclocked = unclocked;
        })
    }

    fn discard(&mut self, id: RowId) -> Result<(), StoreError> {
        self.remove(id)
    }

    fn streams(&self) -> Result<Vec<OpenStream>, StoreError> {
        let open = |row: &rusqlite::Row<'_>| {
            let stream = StreamId(row.get::<_, i64>(0)?.cast_unsigned());
            Ok(OpenStream { stream, given: unsigned(row.get(1)?), deleted: unsigned(row.get(2)?) })
        };
        let mut statement = self.store.connection.prepare_cached(schema::SELECT_STREAMS)?;
        Ok(statement.query_map([self.name()], open)?.collect::<Result<_, _>>()?)
    }

    fn open_stream(&mut self, stream: StreamId) -> Result<(), StoreError> {
        self.execute(schema::INSERT_STREAM, params![self.name(), stream.0.cast_signed()])
    }

    fn number(&mut self, id: RowId, place: Place) -> Result<(), StoreError> {
        self.rewrite(id, |row| row.place = Some(place))?;
        self.execute(schema::SET_GIVEN, params![self.name(), place.stream.0.cast_signed(), signed(place.seq)])
    }

    fn numbered(&self, stream: StreamId, from: Seq, rows: usize) -> Result<Vec<Row>, StoreError> {
        self.select(schema::SELECT_NUMBERED, params![self.name(), stream.0.cast_signed(), signed(from), limit(rows)])
    }

    fn delete_through(&mut self, stream: StreamId, through: Seq) -> Result<(), StoreError> {
        let (stream, through) = (stream.0.cast_signed(), signed(through));
        let lengths: Vec<u64> = {
            let mut statement = self.store.connection.prepare_cached(schema::DELETE_THROUGH)?;
            statement.query_map(params![self.name(), stream, through], |row| row.get(0).map(unsigned))?.collect::<Result<_, _>>()?
        };
        lengths.into_iter().for_each(|length| self.count_removed(length));
        self.execute(schema::SET_DELETED, params![self.name(), stream, through])
    }

    fn unnumber(&mut self, id: RowId) -> Result<(), StoreError> {
        self.rewrite(id, |row| row.place = None)
    }

    fn discard_numbered(&mut self, id: RowId) -> Result<(), StoreError> {
        self.remove(id)
    }

    fn close_stream(&mut self, stream: StreamId) -> Result<(), StoreError> {
        self.execute(schema::DELETE_STREAM, params![self.name(), stream.0.cast_signed()])
    }

    fn clock(&self, start: u64) -> Result<Option<i64>, StoreError> {
        let mut statement = self.store.connection.prepare_cached(schema::GET_CLOCK)?;
        Ok(statement.query_row(params![self.name(), signed(start)], |row| row.get(0)).optional()?)
    }

    fn set_clock(&mut self, start: u64, offset_ms: i64) -> Result<(), StoreError> {
        self.execute(schema::SET_CLOCK, params![self.name(), signed(start), offset_ms])?;
        self.execute(schema::FORGET_CLOCKS, params![self.name()])
    }

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self.store.connection.prepare_cached(schema::GET_NOTE)?;
        let stored: Option<(Vec<u8>, i64)> =
            statement.query_row(params![self.name(), note.code()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(stored.and_then(|(value, crc)| {
            let sound = crc == note_checksum(self.name(), note.code(), &value);
            if !sound {
                self.store.damaged_rows.set(self.store.damaged_rows.get().saturating_add(1));
            }
            sound.then_some(value)
        }))
    }

    fn set_note(&mut self, note: Note, value: &[u8]) -> Result<(), StoreError> {
        let crc = note_checksum(self.name(), note.code(), value);
        self.execute(schema::SET_NOTE, params![self.name(), note.code(), value, crc])
    }
}

/// Rows that the reserve holds at least: the contract's promise, checked where the figure is made.
const _: () = assert!(RESERVE_BYTES >= RESERVED_ROWS as u64 * ROW_OVERHEAD_BYTES);
