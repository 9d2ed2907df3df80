//! What becomes of a journal that SQLite finds damaged.
//!
//! The file is set aside under the name `….damaged-N` for people to look at, and every row that can still be read and has a good
//! checksum is taken over into a new one. Rows keep their numbers: some of them may be in the head-end already. A number whose row is
//! gone gets a gap of one record in its place, for a hole would hold up its stream for ever. What else is missing is told in one gap.
//!
//! ```text
//! journal --1--> journal.damaged --2--> journal.salvaged --3--> journal          journal.damaged --4--> journal.damaged-N
//! ```
//! Each arrow is a rename or ends in one, so that an interruption at any point is finished by the next start.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use edge_core::journal::{Head, Journal, OpenStream, Place, Row, RowId};
use measure::{Gap, GapReason, MeterId, Record, Seq, StreamId, UnixMillis};
use rusqlite::{Connection, OpenFlags, params};

use super::row::{Stored, note_checksum};
use super::{MeterJournal, OpenError, Store, StoreError, schema, unsigned};

/// In the order of the table itself, so that no index is needed: from either end towards what is damaged.
const ALL_ROWS: &str = "SELECT id, unclocked, stream, seq, record, crc, meter FROM row NOT INDEXED ORDER BY meter, id";
const ALL_ROWS_BACKWARDS: &str = "SELECT id, unclocked, stream, seq, record, crc, meter FROM row NOT INDEXED ORDER BY meter DESC, id DESC";

/// What was done for one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Whose rows.
    pub meter: MeterId,
    /// Rows taken over.
    pub kept: u64,
    /// Rows that are gone, as far as that can be told: at least so many. Each is counted in a gap.
    pub lost: u64,
}

/// What the damaged file says of a meter besides its rows.
#[derive(Default)]
struct Remains {
    head: Option<Head>,
    rows: u64,
    last_id: u64,
    streams: Vec<OpenStream>,
    clocks: Vec<(u64, i64)>,
    notes: Vec<(u16, Vec<u8>, i64)>,
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn damaged(path: &Path) -> PathBuf {
    with_suffix(path, ".damaged")
}

/// Renames a database and what belongs to it: the file first, so that no write-ahead log is ever left out unseen.
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.exists() {
        std::fs::rename(from, to)?;
    }
    let log = with_suffix(from, "-wal");
    if log.exists() { std::fs::rename(log, with_suffix(to, "-wal")) } else { Ok(()) }
}

/// Whether an earlier salvage was interrupted before the new file was in place. One that was interrupted later is tidied up.
pub fn is_interrupted(path: &Path) -> Result<bool, OpenError> {
    let aside = damaged(path);
    if !aside.exists() {
        return Ok(false);
    }
    if path.exists() {
        put_away(path)?;
        return Ok(false);
    }
    Ok(true)
}

/// The damaged file gets a name that nothing will look for again.
fn put_away(path: &Path) -> Result<PathBuf, OpenError> {
    let free = (1..u32::MAX).map(|n| with_suffix(path, &format!(".damaged-{n}"))).find(|name| !name.exists());
    let name = free.unwrap_or_else(|| with_suffix(path, ".damaged-0"));
    rename(&damaged(path), &name).map_err(|source| OpenError::SetAside { path: path.into(), source })?;
    Ok(name)
}

/// Takes over what can be read of the damaged file at `path` (or already set aside), and opens the new one.
pub fn salvage(path: &Path, meters: &[MeterId], bytes_max: u64, now: Option<UnixMillis>) -> Result<(Connection, Vec<Salvaged>), OpenError> {
    let set_aside = |source| OpenError::SetAside { path: path.into(), source };
    let failed = |source| OpenError::Open { path: path.into(), source };
    rename(path, &damaged(path)).map_err(set_aside)?;
    let new_path = with_suffix(path, ".salvaged");
    for stale in [new_path.clone(), with_suffix(&new_path, "-wal")] {
        if stale.exists() {
            std::fs::remove_file(stale).map_err(set_aside)?;
        }
    }
    let schema::Opened::Sound(connection) = schema::open(&new_path, bytes_max)? else {
        return Err(set_aside(std::io::Error::other("a new file is damaged at once")));
    };
    let salvaged = copy(&damaged(path), connection, &new_path, meters, now).map_err(|StoreError(source)| failed(source))?;
    std::fs::rename(&new_path, path).map_err(set_aside)?;
    let aside = put_away(path)?;
    let (kept, lost) =
        salvaged.iter().fold((0u64, 0u64), |(kept, lost), one| (kept.saturating_add(one.kept), lost.saturating_add(one.lost)));
    tracing::error!(journal = %path.display(), aside = %aside.display(), kept, lost, "journal was damaged: it was set aside and salvaged");
    match schema::open(path, bytes_max)? {
        schema::Opened::Sound(connection) => Ok((connection, salvaged)),
        schema::Opened::Damaged => Err(set_aside(std::io::Error::other("the disk damages what is written to it"))),
    }
}

/// Copies everything sound and closes the new file.
fn copy(from: &Path, to: Connection, to_path: &Path, meters: &[MeterId], now: Option<UnixMillis>) -> Result<Vec<Salvaged>, StoreError> {
    let old = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).ok();
    let old = old.filter(|old| old.pragma_update(None, "locking_mode", "exclusive").is_ok());
    let names = old.as_ref().map_or_else(BTreeSet::new, names).into_iter().chain(meters.iter().map(|meter| meter.as_str().to_owned()));
    let meters: BTreeSet<MeterId> = names.filter_map(|name| name.parse().ok()).collect();
    let meters: Vec<_> = meters.into_iter().collect();
    let store = Store::load(to, to_path, &meters, u64::MAX)?;
    store.begin()?;
    let whole = match &old {
        Some(old) => copy_rows(old, ALL_ROWS, &store, &meters)? || copy_rows(old, ALL_ROWS_BACKWARDS, &store, &meters)?,
        None => false,
    };
    let mut salvaged = Vec::new();
    for (index, meter) in meters.into_iter().enumerate() {
        let Some(journal) = store.meter(index) else { continue };
        let remains = old.as_ref().map(|old| remains(old, &meter)).unwrap_or_default();
        salvaged.push(mend(&store, journal, meter, &remains, whole, now)?);
    }
    store.commit()?;
    store.connection.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))?;
    Ok(salvaged)
}

/// Every meter that the file still names.
fn names(old: &Connection) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for sql in ["SELECT name FROM meter", "SELECT DISTINCT meter FROM stream", "SELECT meter FROM row NOT INDEXED"] {
        if let Ok(mut statement) = old.prepare(sql)
            && let Ok(found) = statement.query_map([], |row| row.get::<_, String>(0))
        {
            names.extend(found.map_while(Result::ok));
        }
    }
    names
}

/// Copies rows in the order of `sql` as far as it can be read; whether that was to the end.
fn copy_rows(old: &Connection, sql: &str, store: &Store, meters: &[MeterId]) -> Result<bool, StoreError> {
    let Ok(mut statement) = old.prepare(sql) else { return Ok(false) };
    let Ok(mut rows) = statement.query([]) else { return Ok(false) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let (Ok(stored), Ok(name)) = (Stored::read(row), row.get::<_, String>(6)) else { continue };
        let journal = meters.iter().position(|meter| meter.as_str() == name).and_then(|index| store.meter(index));
        if let (Some(journal), Some(row)) = (journal, stored.check(&name))
            && journal.row(row.id)?.is_none()
            && !journal.has_place(row.place)?
        {
            journal.insert(&row)?;
        }
    }
}

/// What can be read of a meter's other tables.
fn remains(old: &Connection, meter: &MeterId) -> Remains {
    let mut remains = Remains::default();
    let _ = old.query_row("SELECT starts, incarnation, gap, rows, last_id FROM meter WHERE name = ?1", [meter.as_str()], |row| {
        let gap = row.get::<_, Option<i64>>(2)?.map(|id| RowId(unsigned(id)));
        remains.head = Some(Head { starts: unsigned(row.get(0)?), incarnation: unsigned(row.get(1)?), gap });
        (remains.rows, remains.last_id) = (unsigned(row.get(3)?), unsigned(row.get(4)?));
        Ok(())
    });
    let stream = |row: &rusqlite::Row<'_>| {
        let stream = StreamId(row.get::<_, i64>(0)?.cast_unsigned());
        Ok(OpenStream { stream, given: unsigned(row.get(1)?), deleted: unsigned(row.get(2)?) })
    };
    if let Ok(mut statement) = old.prepare(schema::SELECT_STREAMS)
        && let Ok(streams) = statement.query_map([meter.as_str()], stream)
    {
        remains.streams.extend(streams.map_while(Result::ok));
    }
    if let Ok(mut statement) = old.prepare("SELECT start, offset_ms FROM clock WHERE meter = ?1")
        && let Ok(clocks) = statement.query_map([meter.as_str()], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))
    {
        remains.clocks.extend(clocks.map_while(Result::ok));
    }
    if let Ok(mut statement) = old.prepare("SELECT name, value, crc FROM note WHERE meter = ?1")
        && let Ok(notes) = statement.query_map([meter.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    {
        let notes: Vec<(u16, Vec<u8>, i64)> = notes.map_while(Result::ok).collect();
        remains.notes.extend(notes.into_iter().filter(|(name, value, crc)| note_checksum(meter.as_str(), *name, value) == *crc));
    }
    remains
}

/// Makes one meter's journal whole around the rows that were saved, and tells what is missing.
fn mend(
    store: &Store,
    mut journal: MeterJournal<'_>,
    meter: MeterId,
    remains: &Remains,
    whole: bool,
    now: Option<UnixMillis>,
) -> Result<Salvaged, StoreError> {
    let kept = journal.rows();
    journal.raise_last_id(remains.last_id);
    let span = span(store, &meter, now)?;
    let latest_start =
        store
            .connection
            .query_row("SELECT coalesce(max(unclocked), 0) FROM row WHERE meter = ?1", [meter.as_str()], |row| row.get(0).map(unsigned))?;
    let head = remains.head.unwrap_or_default();
    let gap = match head.gap {
        Some(id) => journal.row(id)?.filter(|row| row.place.is_none() && matches!(row.record, Record::Gap(_))).map(|row| row.id),
        None => None,
    };
    journal.set_head(&Head { starts: head.starts.max(latest_start), gap, ..head })?;
    for (start, offset) in &remains.clocks {
        journal.set_clock(*start, *offset)?;
    }
    for (name, value, crc) in &remains.notes {
        store.connection.execute(schema::SET_NOTE, params![meter.as_str(), name, value, crc])?;
    }
    let holes = mend_streams(store, &mut journal, &meter, remains, span)?;
    // Without the meter's own count, and with rows that could not be reached, something is missing of which nothing more is known.
    let at_least = u64::from(!whole && remains.head.is_none());
    let lost = remains.rows.saturating_sub(kept).max(holes).max(at_least);
    let unnumbered = lost.saturating_sub(holes);
    if unnumbered > 0 {
        journal.insert_gap(Gap { count: unnumbered, ..span }, None)?;
    }
    Ok(Salvaged { meter, kept, lost })
}

/// The time within which the lost rows were measured, as far as it can be told.
fn span(store: &Store, meter: &MeterId, now: Option<UnixMillis>) -> Result<Gap, StoreError> {
    let ends = |sql| -> Result<Option<UnixMillis>, StoreError> {
        let mut statement = store.connection.prepare(sql)?;
        let stored = statement.query_map([meter.as_str()], Stored::read)?.collect::<Result<Vec<_>, _>>()?;
        Ok(stored.first().and_then(|stored| stored.check(meter.as_str())).map(|row| row.record.time()))
    };
    let columns = "SELECT id, unclocked, stream, seq, record, crc FROM row WHERE meter = ?1 AND unclocked IS NULL ORDER BY id";
    let (first, last) = (ends(&format!("{columns} LIMIT 1"))?, ends(&format!("{columns} DESC LIMIT 1"))?);
    let from = first.or(now).unwrap_or_default();
    Ok(Gap { from, to: now.or(last).unwrap_or(from).max(from), count: 1, reason: GapReason::JournalDamaged })
}

/// Opens the streams again and puts a gap where a number has no row; how many.
fn mend_streams(store: &Store, journal: &mut MeterJournal<'_>, meter: &MeterId, remains: &Remains, span: Gap) -> Result<u64, StoreError> {
    let mut streams = remains.streams.clone();
    let mut statement = store
        .connection
        .prepare("SELECT stream, min(seq), max(seq) FROM row WHERE meter = ?1 AND stream IS NOT NULL GROUP BY stream ORDER BY min(id)")?;
    let found = statement.query_map([meter.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)))?;
    for found in found {
        let (stream, first, last) =
            found.map(|(stream, first, last)| (StreamId(stream.cast_unsigned()), unsigned(first), unsigned(last)))?;
        match streams.iter_mut().find(|open| open.stream == stream) {
            Some(open) => open.given = open.given.max(last),
            None => streams.push(OpenStream { stream, given: last, deleted: first.saturating_sub(1) }),
        }
    }
    let mut holes = 0u64;
    for open in streams.into_iter().filter(|open| open.deleted < open.given) {
        journal.open_stream(open.stream)?;
        journal.delete_through(open.stream, open.deleted)?;
        let mut next: Seq = open.deleted.saturating_add(1);
        while next <= open.given {
            let rows: Vec<Row> = journal.numbered(open.stream, next, 1)?;
            let until = rows.first().and_then(|row| row.place).map_or(open.given.saturating_add(1), |place| place.seq);
            for seq in next..until {
                journal.insert_gap(span, Some(Place { stream: open.stream, seq }))?;
                holes = holes.saturating_add(1);
            }
            next = until.saturating_add(1);
        }
        store.connection.execute(schema::SET_GIVEN, params![meter.as_str(), open.stream.0.cast_signed(), super::signed(open.given)])?;
    }
    Ok(holes)
}
