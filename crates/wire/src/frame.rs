//! A frame: consecutive records of one stream, in the bytes that travel on `f1/{shard}/{meter}/up`.
//!
//! ```text
//!   offset  0        1         2                 10             10+n    11+n                 end-4
//!          +--------+---------+-----------------+--------------+-------+--------------------+----------------+
//!          | magic  | version | stream          | first_seq    | count | body               | CRC-32C        |
//!          | 0xFE   | 0x01    | u64, low byte   | varint, 1 to | 1 to  | count records      | u32, low byte  |
//!          |        |         | first           | 10 bytes (n) | 64    |                    | first          |
//!          +--------+---------+-----------------+--------------+-------+--------------------+----------------+
//!          |<------------------------ the checksum covers all of this --------------------->|
//!          |<------------- frozen for all versions ------------------->|                    |<--- frozen --->|
//!
//!   a record of version 1
//!          +-----------------------------+--------------------------------------------------------------------+
//!          | head: varint                | one number per field that the head announces, in the order of `v1` |
//!          +-----------------------------+--------------------------------------------------------------------+
//!            bit 0 = 0: a reading; bits 1 to 26 say which fields differ from what was predicted
//!            bit 0 = 1: bits 1 to 3 are the kind (0 hello, 1 event, 2 gap), the others as above
//! ```
//!
//! All varints and signed numbers are postcard's (LEB128, zigzag) in their shortest form. A frame is 4,096 bytes at most.
//!
//! Whatever a later version does to the body, header and checksum stay as drawn: the head-end can pass over a frame that it cannot read
//! ([`BodyError`]) without losing its place in the stream. If header or checksum are bad, it cannot ([`FrameError`]).

use measure::{Record, Seq, StreamId};

use crate::{CRC32C, v1, varint, without_checksum};

/// Most records in a frame.
pub const RECORDS_MAX: usize = 64;
/// Longest frame, in bytes.
pub const FRAME_LEN_MAX: usize = 4096;
/// First byte of every frame. It is never the start of UTF-8 text, so no JSON on a wrong topic passes for a frame.
pub const MAGIC: u8 = 0xFE;
/// The body's version that this code writes.
pub const VERSION: u8 = 1;
/// Offset of `stream`.
pub const STREAM_OFFSET: usize = 2;
/// Offset of `first_seq`.
pub const FIRST_SEQ_OFFSET: usize = STREAM_OFFSET + 8;

const SEQ_LEN_MAX: usize = 10;
const CRC_LEN: usize = 4;
const HEADER_LEN_MAX: usize = FIRST_SEQ_OFFSET + SEQ_LEN_MAX + 1;
const COUNT_MAX: u8 = 64;

// An empty frame takes any record: the one that does not fit starts a frame of its own, and nothing is ever unsendable.
const _: () = assert!(HEADER_LEN_MAX + v1::RECORD_LEN_MAX + CRC_LEN <= FRAME_LEN_MAX);
const _: () = assert!(COUNT_MAX as usize == RECORDS_MAX);

/// What every frame says of itself, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The stream that the records belong to.
    pub stream: StreamId,
    /// Number of the first record, 1 or more.
    pub first_seq: Seq,
    /// How many records, 1 to 64.
    pub count: u8,
}

impl Header {
    /// Number of the last record.
    pub fn last_seq(&self) -> Seq {
        // A decoded header does not overflow; a made-up one saturates.
        self.first_seq.saturating_add(u64::from(self.count).saturating_sub(1))
    }
}

/// Why bytes are no frame. Nobody can tell which records they held: do not advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the smallest frame.
    #[error("frame of {0} bytes is too short")]
    TooShort(usize),
    /// More than [`FRAME_LEN_MAX`] bytes.
    #[error("frame of {0} bytes is longer than 4096")]
    TooLong(usize),
    /// The first byte is not [`MAGIC`].
    #[error("first byte is {0:#04x}, not the frame magic 0xfe")]
    Magic(u8),
    /// The checksum does not match the bytes.
    #[error("checksum mismatch: the frame was damaged")]
    Checksum,
    /// The first number is not a number from 1 in its shortest form.
    #[error("first number of the frame is not a canonical varint from 1")]
    FirstSeq,
    /// The count is not 1 to 64.
    #[error("frame of {0} records: 1 to 64 are possible")]
    Count(u8),
    /// The last record's number does not fit 64 bits.
    #[error("numbers of the frame's records overflow")]
    SeqOverflow,
}

/// Why a sound frame's body can't be read. The header holds: keep the bytes aside and advance by `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A version that this code does not know.
    #[error("body version {0} is unknown here")]
    UnknownVersion(u8),
    /// A kind of record that the version does not have.
    #[error("record kind {0} is unknown in this version")]
    UnknownKind(u8),
    /// A kind of event, reason of a gap or quality of a clock that the version does not have.
    #[error("code {0} is unknown in this version")]
    UnknownCode(u16),
    /// A text is longer than 32 characters or not printable ASCII.
    #[error("text is longer than 32 characters or not printable ASCII")]
    Text,
    /// The body ends within a record.
    #[error("body ends within a record")]
    Truncated,
    /// The bytes are not what an encoder writes for the record they stand for.
    #[error("record is not in its canonical form")]
    NonCanonical,
    /// Bytes follow the last record.
    #[error("{0} bytes follow the last record")]
    Trailing(usize),
}

/// The record does not fit: finish this frame and start another. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame is full")]
pub struct Full;

/// Builds a frame record by record in a buffer of its own.
pub struct FrameBuilder {
    bytes: heapless::Vec<u8, FRAME_LEN_MAX>,
    first_seq: Seq,
    count_offset: usize,
    count: u8,
    state: v1::State,
}

impl FrameBuilder {
    /// An empty frame that starts with record `first_seq` (1 or more) of `stream`.
    pub fn new(stream: StreamId, first_seq: Seq) -> Self {
        let mut bytes = heapless::Vec::new();
        let mut varint = [0; SEQ_LEN_MAX];
        let varint: &[u8] = postcard::to_slice(&first_seq, &mut varint).map_or(&[], |written| written);
        for part in [&[MAGIC, VERSION][..], &stream.0.to_le_bytes(), varint, &[0]] {
            // Fits: HEADER_LEN_MAX is far below the capacity.
            let _ = bytes.extend_from_slice(part);
        }
        let count_offset = bytes.len().saturating_sub(1);
        Self { bytes, first_seq, count_offset, count: 0, state: v1::State::default() }
    }

    /// Appends a record. In a hello, characters outside printable ASCII become `?`.
    pub fn push(&mut self, record: &Record) -> Result<(), Full> {
        if self.count >= COUNT_MAX || self.first_seq.checked_add(self.count.into()).is_none() {
            return Err(Full);
        }
        let encoded = v1::encode(record, &self.state).map_err(|_| Full)?;
        if self.bytes.len().saturating_add(encoded.len()).saturating_add(CRC_LEN) > FRAME_LEN_MAX {
            return Err(Full);
        }
        self.bytes.extend_from_slice(&encoded).map_err(|_| Full)?;
        self.state.learn(record);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// How many records it holds.
    pub fn len_records(&self) -> usize {
        self.count.into()
    }

    /// Whether it holds no record yet; such a frame is not worth finishing, nobody accepts it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The frame's bytes.
    pub fn finish(mut self) -> heapless::Vec<u8, FRAME_LEN_MAX> {
        if let Some(count) = self.bytes.get_mut(self.count_offset) {
            *count = self.count;
        }
        let checksum = CRC32C.checksum(&self.bytes);
        // Fits: `push` leaves room for it.
        let _ = self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes
    }
}

/// Checks a frame and reads its header; the records follow from the [`Body`].
pub fn decode(bytes: &[u8]) -> Result<(Header, Body<'_>), FrameError> {
    if bytes.len() > FRAME_LEN_MAX {
        return Err(FrameError::TooLong(bytes.len()));
    }
    let too_short = FrameError::TooShort(bytes.len());
    match bytes.first() {
        None => return Err(too_short),
        Some(&MAGIC) => {}
        Some(&other) => return Err(FrameError::Magic(other)),
    }
    if bytes.len() < FIRST_SEQ_OFFSET + 2 + CRC_LEN {
        return Err(too_short);
    }
    let message = without_checksum(bytes).ok_or(FrameError::Checksum)?;
    let ([_, version], rest) = message.split_first_chunk::<2>().ok_or(too_short)?;
    let (stream, rest) = rest.split_first_chunk::<8>().ok_or(too_short)?;
    let (first_seq, rest) = decode_first_seq(rest)?;
    let (&count, rest) = rest.split_first().ok_or(too_short)?;
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(FrameError::Count(count));
    }
    let header = Header { stream: StreamId(u64::from_le_bytes(*stream)), first_seq, count };
    first_seq.checked_add(u64::from(count).saturating_sub(1)).ok_or(FrameError::SeqOverflow)?;
    Ok((header, Body { version: *version, rest, records_left: count, state: v1::State::default(), done: false }))
}

fn decode_first_seq(bytes: &[u8]) -> Result<(Seq, &[u8]), FrameError> {
    match varint::take::<64>(bytes) {
        Ok((first_seq @ 1.., rest)) => Ok((first_seq, rest)),
        _ => Err(FrameError::FirstSeq),
    }
}

/// The records of a frame, in order. After an error there is nothing more; all records count only if no error came.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    version: u8,
    rest: &'a [u8],
    records_left: u8,
    state: v1::State,
    done: bool,
}

impl Body<'_> {
    /// The version byte of the frame.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// How many bytes of the body are not read yet: where in the frame the next record starts, counted from the checksum backwards.
    pub fn bytes_left(&self) -> usize {
        self.rest.len()
    }

    fn next_record(&mut self) -> Result<Option<Record>, BodyError> {
        if self.version != VERSION {
            return Err(BodyError::UnknownVersion(self.version));
        }
        if self.records_left == 0 {
            return if self.rest.is_empty() { Ok(None) } else { Err(BodyError::Trailing(self.rest.len())) };
        }
        let (record, rest) = v1::decode(self.rest, &self.state)?;
        self.state.learn(&record);
        self.rest = rest;
        self.records_left = self.records_left.saturating_sub(1);
        Ok(Some(record))
    }
}

impl Iterator for Body<'_> {
    type Item = Result<Record, BodyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_record().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}
