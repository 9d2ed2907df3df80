//! Tables and statements, and how the file is opened.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags};

use super::OpenError;

/// The format's number, in `user_version`.
pub const VERSION: i32 = 2;

/// The format before it, which had no notes.
const WITHOUT_NOTES: i32 = 1;

const PAGE_BYTES: u64 = 4096;
/// A page in the write-ahead log, with its header.
pub const LOG_PAGE_BYTES: u64 = PAGE_BYTES + 24;
/// Pages beyond the rows' own: tables of a few rows, and pages that deletions left half empty.
const SPARE_PAGES: u64 = 256;
/// The file grows in steps of so many bytes, and the log is copied into it at half of that: so a disk that others have filled leaves room
/// to empty the log into.
const CHUNK_BYTES: i32 = 2 << 20;
const LOG_PAGES: i64 = CHUNK_BYTES as i64 / 2 / PAGE_BYTES as i64;
/// Statements that stay compiled; there are fewer.
const STATEMENTS_MAX: usize = 48;

/// Rows of all meters. `stream` is the bits of a u64. A row without `stream` waits for its number.
const TABLES: &str = "
    CREATE TABLE meter (
        name TEXT NOT NULL PRIMARY KEY,
        starts INTEGER NOT NULL DEFAULT 0,
        incarnation INTEGER NOT NULL DEFAULT 0,
        gap INTEGER,
        last_id INTEGER NOT NULL DEFAULT 0,
        rows INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE row (
        meter TEXT NOT NULL,
        id INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        unclocked INTEGER,
        stream INTEGER,
        seq INTEGER,
        record BLOB NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (meter, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX row_waiting ON row (meter, kind, id) WHERE stream IS NULL;
    CREATE INDEX row_ordinary ON row (meter, id) WHERE stream IS NULL AND kind < 3;
    CREATE UNIQUE INDEX row_numbered ON row (meter, stream, seq) WHERE stream IS NOT NULL;
    CREATE TABLE stream (
        meter TEXT NOT NULL,
        opened INTEGER NOT NULL,
        stream INTEGER NOT NULL,
        given INTEGER NOT NULL DEFAULT 0,
        deleted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (meter, opened)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE clock (
        meter TEXT NOT NULL,
        start INTEGER NOT NULL,
        offset_ms INTEGER NOT NULL,
        PRIMARY KEY (meter, start)
    ) STRICT, WITHOUT ROWID;
";

/// Values that are no rows.
const NOTES: &str = "
    CREATE TABLE note (
        meter TEXT NOT NULL,
        name INTEGER NOT NULL,
        value BLOB NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (meter, name)
    ) STRICT, WITHOUT ROWID;
";

pub const COUNT_ROWS: &str = "SELECT count(*), coalesce(sum(length(record)), 0), coalesce(max(id), 0) FROM row WHERE meter = ?1";
pub const GET_LAST_ID: &str = "SELECT last_id FROM meter WHERE name = ?1";
pub const SET_USAGE: &str = "INSERT INTO meter (name, last_id, rows) VALUES (?1, ?2, ?3)
    ON CONFLICT (name) DO UPDATE SET last_id = excluded.last_id, rows = excluded.rows";

pub const GET_HEAD: &str = "SELECT starts, incarnation, gap FROM meter WHERE name = ?1";
pub const SET_HEAD: &str = "INSERT INTO meter (name, starts, incarnation, gap) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (name) DO UPDATE SET starts = excluded.starts, incarnation = excluded.incarnation, gap = excluded.gap";

pub const INSERT_ROW: &str =
    "INSERT INTO row (meter, id, kind, unclocked, stream, seq, record, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub const UPDATE_ROW: &str =
    "UPDATE row SET kind = ?3, unclocked = ?4, stream = ?5, seq = ?6, record = ?7, crc = ?8 WHERE meter = ?1 AND id = ?2";
pub const DELETE_ROW: &str = "DELETE FROM row WHERE meter = ?1 AND id = ?2";
pub const DELETE_THROUGH: &str = "DELETE FROM row WHERE meter = ?1 AND stream = ?2 AND seq <= ?3 RETURNING length(record)";
pub const SELECT_ROW: &str = "SELECT id, unclocked, stream, seq, record, crc FROM row WHERE meter = ?1 AND id = ?2";
pub const SELECT_KIND: &str = "SELECT id, unclocked, stream, seq, record, crc FROM row
    WHERE meter = ?1 AND stream IS NULL AND kind = ?2 ORDER BY id LIMIT ?3";
pub const SELECT_ORDINARY: &str = "SELECT id, unclocked, stream, seq, record, crc FROM row
    WHERE meter = ?1 AND stream IS NULL AND kind < 3 AND id >= ?2 AND id < ?3 ORDER BY id LIMIT ?4";
pub const SELECT_NUMBERED: &str = "SELECT id, unclocked, stream, seq, record, crc FROM row
    WHERE meter = ?1 AND stream = ?2 AND seq >= ?3 ORDER BY seq LIMIT ?4";
pub const SELECT_BEFORE: &str =
    "SELECT id, unclocked, stream, seq, record, crc FROM row WHERE meter = ?1 AND id < ?2 ORDER BY id DESC LIMIT 1";
pub const SELECT_AFTER: &str = "SELECT id, unclocked, stream, seq, record, crc FROM row WHERE meter = ?1 AND id > ?2 ORDER BY id LIMIT 1";

pub const SELECT_STREAMS: &str = "SELECT stream, given, deleted FROM stream WHERE meter = ?1 ORDER BY opened";
pub const INSERT_STREAM: &str = "INSERT INTO stream (meter, opened, stream)
    VALUES (?1, 1 + (SELECT coalesce(max(opened), 0) FROM stream WHERE meter = ?1), ?2)";
pub const SET_GIVEN: &str = "UPDATE stream SET given = ?3 WHERE meter = ?1 AND stream = ?2";
pub const SET_DELETED: &str = "UPDATE stream SET deleted = ?3 WHERE meter = ?1 AND stream = ?2";
pub const DELETE_STREAM: &str = "DELETE FROM stream WHERE meter = ?1 AND stream = ?2";

pub const GET_CLOCK: &str = "SELECT offset_ms FROM clock WHERE meter = ?1 AND start = ?2";
pub const SET_CLOCK: &str = "INSERT INTO clock (meter, start, offset_ms) VALUES (?1, ?2, ?3)
    ON CONFLICT (meter, start) DO UPDATE SET offset_ms = excluded.offset_ms";
pub const FORGET_CLOCKS: &str = "DELETE FROM clock WHERE meter = ?1
    AND start NOT IN (SELECT start FROM clock WHERE meter = ?1 ORDER BY start DESC LIMIT 64)";

pub const GET_NOTE: &str = "SELECT value, crc FROM note WHERE meter = ?1 AND name = ?2";
pub const SET_NOTE: &str = "INSERT INTO note (meter, name, value, crc) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (meter, name) DO UPDATE SET value = excluded.value, crc = excluded.crc";

/// A file that was opened.
pub enum Opened {
    /// It is ours and sound.
    Sound(Connection),
    /// SQLite finds it damaged.
    Damaged,
}

/// Opens or creates the file, checks it, and lets it grow to so many bytes of rows.
pub fn open(path: &Path, bytes_max: u64) -> Result<Opened, OpenError> {
    match try_open(path, bytes_max) {
        Ok(Ok(connection)) => Ok(Opened::Sound(connection)),
        Ok(Err(found)) => Err(OpenError::Format { path: path.into(), found }),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Ok(Opened::Damaged),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(OpenError::InUse(path.into())),
            _ => Err(OpenError::Open { path: path.into(), source: error }),
        },
    }
}

/// The connection, or the format number that is not ours.
fn try_open(path: &Path, bytes_max: u64) -> rusqlite::Result<Result<Connection, i32>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Exclusive, so that two agents never share a journal, and so that no wal-index file is needed.
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let pages = bytes_max.div_ceil(PAGE_BYTES).saturating_add(SPARE_PAGES);
    connection.pragma_update(None, "max_page_count", super::signed(pages))?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // Takes the lock, too.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let empty: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    match version {
        0 if empty => {
            connection.execute_batch(TABLES)?;
            connection.execute_batch(NOTES)?;
            connection.pragma_update(None, "user_version", VERSION)?;
        }
        WITHOUT_NOTES | VERSION => {
            let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if verdict != "ok" {
                return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(verdict)));
            }
            if version == WITHOUT_NOTES {
                connection.execute_batch(NOTES)?;
                connection.pragma_update(None, "user_version", VERSION)?;
            }
        }
        other => return Ok(Err(other)),
    }
    connection.execute_batch("COMMIT")?;
    let mut chunk = CHUNK_BYTES;
    connection.file_control(None::<&str>, FileControl::ChunkSize(&mut chunk))?;
    connection.file_control(None::<&str>, FileControl::SizeHint(&mut i64::from(chunk)))?;
    Ok(Ok(connection))
}
