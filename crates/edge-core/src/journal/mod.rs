//! What the meter keeps until the head-end has it: the contract between the brain and whatever stores its rows.
//!
//! Everything a method changes belongs to one open transaction, which the *shell* commits (one file may hold the journals of many
//! meters and commit them together). The rules that keep every row exactly once in the head-end:
//!
//! 1. Numbers are given inside the open transaction, and a frame is published only after that transaction was committed.
//! 2. A row that is committed stays until [`Journal::delete_through`] (acknowledged end to end) or [`Journal::discard`]
//!    (the journal is full; only rows without a number).
//! 3. When a method or a commit fails, the shell rolls back, throws away the frames it has not published, and has the brain
//!    read its state from the journal again.
//!
//! A journal may hold a million rows. So each method is served by an index, takes a limit where it returns rows, and touches no more
//! rows than it names.

mod memory;

use alloc::vec::Vec;

use measure::{Channel, Record, RowKind, Seq, StreamId};

pub use memory::MemoryJournal;

/// Rows that a full journal must still take as [`Room::Reserved`]: the first record of each open stream, and gaps enough for a
/// window of frames, each of which may carry one.
pub const RESERVED_ROWS: usize = 192;

/// A row's name within its meter's journal: grows in the order measured; never used again once it was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// The number of a row on its way to the head-end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The stream.
    pub stream: StreamId,
    /// 1, 2, 3 … within it.
    pub seq: Seq,
}

/// One record and what the journal knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub id: RowId,
    /// What will be sent.
    pub record: Record,
    /// The start during which it was measured, if no clock was known then: the times in `record` are milliseconds of that start's
    /// monotonic clock until they are repaired. A row with a number has its time: `None`.
    pub unclocked: Option<u64>,
    /// Its number, once it was put into a frame.
    pub place: Option<Place>,
}

impl Row {
    /// What decides whether it goes first and whether it is given up first.
    pub const fn kind(&self) -> RowKind {
        self.record.kind()
    }
}

/// A stream with rows that may not be in the head-end yet, or the one in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenStream {
    /// Its name.
    pub stream: StreamId,
    /// Highest number given in it; 0 for none.
    pub given: Seq,
    /// All rows up to this number were acknowledged and deleted; 0 for none.
    pub deleted: Seq,
}

/// The few values a journal keeps beside its rows. A new journal has the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// How often this meter's service has started.
    pub starts: u64,
    /// Highest incarnation of the head-end's ledger heard of; 0 for none yet.
    pub incarnation: u64,
    /// The row that counts what a full journal dropped, until it has a number; it may be gone.
    pub gap: Option<RowId>,
}

/// The name of a value that a meter must not forget and that is no row: it is replaced, and not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Note {
    /// The numbers of commands that were answered.
    Commands,
    /// What commands have set.
    Settings,
    /// Top-up codes that were used.
    Codes,
    /// A channel's credit and relay.
    Account(Channel),
    /// A channel's registers, where its device forgets them.
    Registers(Channel),
}

impl Note {
    /// Its number in storage; never reused.
    pub const fn code(self) -> u16 {
        match self {
            Self::Commands => 1,
            Self::Settings => 2,
            Self::Codes => 3,
            Self::Account(channel) => 0x100 | channel as u16,
            Self::Registers(channel) => 0x200 | channel as u16,
        }
    }
}

/// Longest note, in bytes.
pub const NOTE_LEN_MAX: usize = 1024;

/// Which part of the space an appended row may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// What the configuration allows.
    Normal,
    /// Beyond that, [`RESERVED_ROWS`] rows: the notes without which a loss would be invisible or nothing could be numbered.
    Reserved,
}

/// What became of an appended row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Append {
    /// It is in the open transaction under this name.
    Row(RowId),
    /// There is no room; nothing changed. Make room and append again.
    Full,
}

/// Rows without a number, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Those of one kind.
    Kind(RowKind),
    /// All but urgent events, `from <= id < to`.
    Ordinary {
        /// The first.
        from: RowId,
        /// The first that is not meant any more.
        to: RowId,
    },
}

/// The rows of one meter.
///
/// Any error means that the open transaction is in doubt (rule 3 above); having no room is not an error but [`Append::Full`].
/// A row whose bytes were damaged is handed out as a `Gap` of one record with the reason `JournalDamaged` in its place, never left
/// out: a hole in a stream would hold up everything behind it.
pub trait Journal {
    /// The storage failed.
    type Error: core::fmt::Debug;

    /// The values beside the rows.
    fn head(&self) -> Result<Head, Self::Error>;

    /// Replaces them.
    fn set_head(&mut self, head: &Head) -> Result<(), Self::Error>;

    /// Adds a row without a number behind all others.
    ///
    /// Fullness is counted in what rows take, not in file pages, so that discarding a row makes room at once.
    fn append(&mut self, record: &Record, unclocked: Option<u64>, room: Room) -> Result<Append, Self::Error>;

    /// Up to `limit` rows without a number, by ascending id.
    fn waiting(&self, which: Waiting, limit: usize) -> Result<Vec<Row>, Self::Error>;

    /// One row, with or without a number.
    fn row(&self, id: RowId) -> Result<Option<Row>, Self::Error>;

    /// Puts another record into a row without a number: its time was repaired, or a gap grew. Its kind stays.
    fn replace(&mut self, id: RowId, record: &Record, unclocked: Option<u64>) -> Result<(), Self::Error>;

    /// Removes a row without a number.
    fn discard(&mut self, id: RowId) -> Result<(), Self::Error>;

    /// The open streams, in the order in which they were opened.
    fn streams(&self) -> Result<Vec<OpenStream>, Self::Error>;

    /// Opens a stream behind all others, with nothing given and nothing deleted.
    fn open_stream(&mut self, stream: StreamId) -> Result<(), Self::Error>;

    /// Gives a row its number, which is the stream's `given + 1`, and raises `given`.
    fn number(&mut self, id: RowId, place: Place) -> Result<(), Self::Error>;

    /// Up to `limit` rows of an open stream, `seq >= from`, by ascending `seq`.
    fn numbered(&self, stream: StreamId, from: Seq, limit: usize) -> Result<Vec<Row>, Self::Error>;

    /// Deletes an open stream's rows with `seq <= through` and sets `deleted`. The stream stays open.
    fn delete_through(&mut self, stream: StreamId, through: Seq) -> Result<(), Self::Error>;

    /// Takes a row's number away; it waits again, under its id.
    fn unnumber(&mut self, id: RowId) -> Result<(), Self::Error>;

    /// Removes a row with a number: the first record of a stream that is given up.
    fn discard_numbered(&mut self, id: RowId) -> Result<(), Self::Error>;

    /// Forgets a stream that has no rows any more.
    fn close_stream(&mut self, stream: StreamId) -> Result<(), Self::Error>;

    /// UTC minus the monotonic clock of a start, in ms, if that start learnt it. Those of the latest 64 starts are kept.
    fn clock(&self, start: u64) -> Result<Option<i64>, Self::Error>;

    /// Notes it.
    fn set_clock(&mut self, start: u64, offset_ms: i64) -> Result<(), Self::Error>;

    /// A note as it was last set; nothing if it never was, or was damaged.
    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Replaces a note, at most [`NOTE_LEN_MAX`] bytes.
    fn set_note(&mut self, note: Note, value: &[u8]) -> Result<(), Self::Error>;
}
