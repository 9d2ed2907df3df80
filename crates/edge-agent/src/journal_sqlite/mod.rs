//! The journals of many meters in one SQLite file, committed together.
//!
//! SQLite runs in WAL mode with `synchronous=FULL`: what was committed survives a power cut. It has no checksums of its own, so each row
//! carries a CRC-32C over its record and all that is known of it; a row that does not match is replaced by a gap that says so. A file
//! that SQLite itself finds damaged is set aside and what can still be read of it is taken over ([`salvage`]).
//!
//! Everything of one turn of the agent's loop, for all meters, is one transaction: [`Store::begin`], any calls on the journals that
//! [`Store::meter`] hands out, [`Store::commit`]. Room is counted per meter, so that a noisy one cannot push out the others' rows.

mod row;
mod rows;
mod salvage;
mod schema;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use edge_core::journal::{RESERVED_ROWS, RowId};
use measure::{MeterId, Record, UnixMillis};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

pub use rows::MeterJournal;
pub use salvage::Salvaged;

/// What a row takes besides its record: its own columns and its index entries, on pages that are two thirds full.
const ROW_OVERHEAD_BYTES: u64 = 160;
/// Room kept beyond the limit for the rows without which a loss would be invisible.
const RESERVE_BYTES: u64 = RESERVED_ROWS as u64 * (ROW_OVERHEAD_BYTES + 128);

/// Why the journal cannot be opened: nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is missing or may not be written.
    #[error("cannot open journal {}: {source}; create the folder {} and let this user write to it", path.display(), parent(path).display())]
    Open {
        /// The journal.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another process has it open.
    #[error("journal {} is in use by another process: stop it or configure another journal", .0.display())]
    InUse(PathBuf),
    /// A file of this name exists and is something else, or was written by a newer version.
    #[error("journal {} has format {found}, this version reads {}: use the version that wrote it", path.display(), schema::VERSION)]
    Format {
        /// The journal.
        path: PathBuf,
        /// Its format number.
        found: i32,
    },
    /// A damaged journal could not be set aside.
    #[error("cannot set the damaged journal {} aside: {source}", path.display())]
    SetAside {
        /// The journal.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The room for each meter is too small to be of use.
    #[error("journal limit of {limit_bytes} bytes is too small for {meters} meters: give it {} bytes at least", meters.saturating_mul(BYTES_PER_METER_MIN))]
    TooSmall {
        /// What is configured.
        limit_bytes: u64,
        /// For so many.
        meters: u64,
    },
}

/// The log is not emptied more often than after so many pages, which one transaction may well take.
const LOG_PAGES_MIN: u64 = 16;
/// Less room than this holds no useful number of rows.
const BYTES_PER_METER_MIN: u64 = 16 * 1024;

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The storage failed. The open transaction is in doubt: roll back and let the meters read their state again.
#[derive(Debug, thiserror::Error)]
#[error("journal failed: {0}")]
pub struct StoreError(#[from] rusqlite::Error);

impl StoreError {
    /// The disk is full, or the file is as large as it may be. Anything else needs [`Store::reopen`].
    pub fn is_full(&self) -> bool {
        self.0.sqlite_error_code() == Some(ErrorCode::DiskFull)
    }
}

/// A row that a commit has just made permanent, with the record as it was first accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whose row.
    pub meter: MeterId,
    /// Its name in that meter's journal.
    pub row: RowId,
    /// The record. Two kinds of rows change later: times that are repaired, and the gap that counts what a full journal drops.
    pub record: Record,
    /// The start during which it was measured without a clock.
    pub unclocked: Option<u64>,
}

/// What one meter's rows take.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    last_id: u64,
    rows: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Meter {
    id: MeterId,
    /// In the open transaction.
    usage: Cell<Usage>,
    /// As committed.
    committed: Cell<Usage>,
    /// Rows came or went in the open transaction.
    changed: Cell<bool>,
}

/// The file.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    limit_bytes: u64,
    meters: Vec<Meter>,
    accepted: RefCell<Vec<Accepted>>,
    damaged_rows: Cell<u64>,
}

impl Store {
    /// Opens or creates the file. What was damaged is set aside, and told.
    ///
    /// `limit_bytes` is shared equally by the meters. `now` dates what is told of a damage, if UTC is known.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, meters: &[MeterId], limit_bytes: u64, now: Option<UnixMillis>) -> Result<(Self, Vec<Salvaged>), OpenError> {
        let count = u64::try_from(meters.len()).unwrap_or(u64::MAX);
        if limit_bytes < count.saturating_mul(BYTES_PER_METER_MIN) {
            return Err(OpenError::TooSmall { limit_bytes, meters: count });
        }
        let bytes_max = limit_bytes.saturating_add(count.saturating_mul(RESERVE_BYTES));
        let opened = if salvage::is_interrupted(path)? { schema::Opened::Damaged } else { schema::open(path, bytes_max)? };
        let (connection, salvaged) = match opened {
            schema::Opened::Sound(connection) => (connection, Vec::new()),
            schema::Opened::Damaged => salvage::salvage(path, meters, bytes_max, now)?,
        };
        let store = Self::load(connection, path, meters, limit_bytes.checked_div(count).unwrap_or(limit_bytes));
        store.map(|store| (store, salvaged)).map_err(|source| OpenError::Open { path: path.into(), source })
    }

    fn load(connection: Connection, path: &Path, meters: &[MeterId], limit_bytes: u64) -> rusqlite::Result<Self> {
        let meters = meters.iter().map(|id| {
            let usage = Cell::new(usage(&connection, id)?);
            Ok(Meter { id: id.clone(), committed: usage.clone(), usage, changed: Cell::new(false) })
        });
        let meters = meters.collect::<rusqlite::Result<_>>()?;
        Ok(Self { connection, path: path.into(), limit_bytes, meters, accepted: RefCell::default(), damaged_rows: Cell::new(0) })
    }

    /// Closes the file and opens it again, as after a failure that leaves it in doubt.
    ///
    /// # Errors
    /// See [`OpenError`]; the file may not be there any more. Try again later.
    pub fn reopen(&mut self, now: Option<UnixMillis>) -> Result<Vec<Salvaged>, OpenError> {
        let meters: Vec<_> = self.meters.iter().map(|meter| meter.id.clone()).collect();
        let limit_bytes = self.limit_bytes.saturating_mul(u64::try_from(meters.len()).unwrap_or(u64::MAX));
        // The file is locked while it is open, so the old connection must go before the new one comes.
        let placeholder = Connection::open_in_memory().map_err(|source| OpenError::Open { path: self.path.clone(), source })?;
        drop(std::mem::replace(&mut self.connection, placeholder));
        let (store, salvaged) = Self::open(&self.path, &meters, limit_bytes, now)?;
        let (ids, damaged_rows) = (self.meters.iter().map(|meter| meter.usage.get().last_id).collect::<Vec<_>>(), self.damaged_rows.get());
        *self = store;
        self.damaged_rows.set(damaged_rows);
        for (meter, last_id) in self.meters.iter().zip(ids) {
            let usage = meter.usage.get();
            meter.usage.set(Usage { last_id: usage.last_id.max(last_id), ..usage });
        }
        Ok(salvaged)
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// The storage failed.
    pub fn begin(&self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Makes everything since [`Self::begin`] permanent; returns the rows that are new. When this returns, the disk has them.
    ///
    /// # Errors
    /// The storage failed; nothing is permanent, or nobody knows.
    pub fn commit(&self) -> Result<Vec<Accepted>, StoreError> {
        // A transaction that changed no row writes nothing: on a full disk that is all that still works.
        for meter in self.meters.iter().filter(|meter| meter.changed.take()) {
            let usage = meter.usage.get();
            let mut statement = self.connection.prepare_cached(schema::SET_USAGE)?;
            statement.execute(params![meter.id.as_str(), signed(usage.last_id), signed(usage.rows)])?;
        }
        self.connection.execute_batch("COMMIT")?;
        for meter in &self.meters {
            meter.committed.set(meter.usage.get());
        }
        Ok(self.accepted.take())
    }

    /// Takes back everything since [`Self::begin`]. Ids of rows are not used again.
    pub fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // A rollback that fails leaves the transaction to the next open, which rolls it back from the log.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.accepted.take();
        for meter in &self.meters {
            meter.changed.set(false);
            meter.usage.set(Usage { last_id: meter.usage.get().last_id, ..meter.committed.get() });
        }
    }

    /// Empties the write-ahead log into the file, so that it is written from its beginning again, and from now on before it has grown
    /// to its present size; for a disk that is full. Not within a transaction.
    pub fn empty_log(&self) {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let pages = std::fs::metadata(log).map_or(0, |log| log.len().checked_div(schema::LOG_PAGE_BYTES).unwrap_or(0));
        // If one of these fails there is no less room than before.
        let _ = self.connection.pragma_update(None, "wal_autocheckpoint", signed((pages / 2).max(LOG_PAGES_MIN)));
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(restart)", [], |_| Ok(()));
    }

    /// The journal of the meter with this index in the list given to [`Self::open`].
    pub fn meter(&self, index: usize) -> Option<MeterJournal<'_>> {
        self.meters.get(index).map(|meter| MeterJournal::new(self, meter))
    }

    /// Where a meter is in the list given to [`Self::open`].
    pub fn index_of(&self, id: &MeterId) -> Option<usize> {
        self.meters.iter().position(|meter| meter.id == *id)
    }

    /// What all rows take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.meters.iter().map(|meter| meter.usage.get().bytes).fold(0, u64::saturating_add)
    }

    /// Rows held.
    pub fn rows(&self) -> u64 {
        self.meters.iter().map(|meter| meter.usage.get().rows).fold(0, u64::saturating_add)
    }

    /// Rows whose checksum was wrong when they were read, each replaced by a gap.
    pub fn damaged_rows(&self) -> u64 {
        self.damaged_rows.get()
    }
}

fn usage(connection: &Connection, meter: &MeterId) -> rusqlite::Result<Usage> {
    let count = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?), unsigned(row.get(2)?)));
    let (rows, bytes, last_row) = connection.query_row(schema::COUNT_ROWS, [meter.as_str()], count)?;
    let last_id = connection.query_row(schema::GET_LAST_ID, [meter.as_str()], |row| row.get(0)).optional()?.map_or(0, unsigned);
    let bytes = bytes.saturating_add(rows.saturating_mul(ROW_OVERHEAD_BYTES));
    Ok(Usage { last_id: last_id.max(last_row), rows, bytes })
}

/// SQLite's integers are signed; ids and counts stay far below the difference.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
