//! Acknowledgements to many meters of a shard: what travels on `f1/{shard}/acks`, from a processor to a gate.
//!
//! ```text
//!   offset  0        1         2             2+n
//!          +--------+---------+-------------+---------+---- … ----+---------+----------------+
//!          | magic  | version | incarnation | entry 1 |           | entry k | CRC-32C        |
//!          | 0xFC   | 0x01    | varint (n)  |         |           |         | u32, low byte  |
//!          |        |         |             |         |           |         | first          |
//!          +--------+---------+-------------+---------+---- … ----+---------+----------------+
//!          |<----------------- the checksum covers all of this ------------>|
//!
//!   entry, offset  0           1           1+m                9+m
//!                 +-----------+-----------+------------------+---------------+
//!                 | length    | meter     | stream           | through       |
//!                 | u8: m,    | m bytes,  | u64, low byte    | varint        |
//!                 | 1 to 32   | ASCII     | first            |               |
//!                 +-----------+-----------+------------------+---------------+
//! ```
//!
//! At most 8 KiB, which is at least 160 meters and some 350 usual ones; more go into another batch. An entry with the batch's
//! incarnation is the [`Ack`] that the gate hands to the meter: nothing else is in it, so a meter cannot tell which way it came.

use measure::{InvalidId, MeterId, StreamId};
use postcard::experimental::max_size::MaxSize;

use crate::ack::Ack;
use crate::{CRC32C, without_checksum};

/// First byte of every batch.
pub const MAGIC: u8 = 0xFC;
/// The version that this code writes and reads.
pub const VERSION: u8 = 1;
/// Longest batch, in bytes.
pub const BATCH_LEN_MAX: usize = 8192;

const CRC_LEN: usize = 4;

/// Why bytes are no batch. Nothing in it may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Longer than [`BATCH_LEN_MAX`], or too short for a single entry.
    #[error("batch of acknowledgements of {0} bytes has no possible length")]
    Length(usize),
    /// The first byte is not [`MAGIC`].
    #[error("first byte is {0:#04x}, not the batch magic 0xfc")]
    Magic(u8),
    /// The checksum does not match the bytes.
    #[error("checksum mismatch: the batch was damaged")]
    Checksum,
    /// A version that this code does not know.
    #[error("batch version {0} is unknown here")]
    UnknownVersion(u8),
    /// A meter's name is none.
    #[error("meter in the batch: {0}")]
    Meter(#[from] InvalidId),
    /// The bytes end within an entry.
    #[error("batch ends within an entry")]
    Truncated,
    /// A number is not in its shortest form.
    #[error("batch is not in its canonical form")]
    NonCanonical,
}

/// The acknowledgement does not fit, or has another incarnation: finish this batch and start another. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch is full")]
pub struct Full;

/// Builds a batch entry by entry in a buffer of its own.
pub struct AckBatch {
    bytes: heapless::Vec<u8, BATCH_LEN_MAX>,
    incarnation: u64,
    entries: usize,
}

impl AckBatch {
    /// An empty batch.
    pub fn new(incarnation: u64) -> Self {
        let mut bytes = heapless::Vec::new();
        // Fits: the capacity is far above the longest header.
        let _ = bytes.extend_from_slice(&[MAGIC, VERSION]);
        let _ = bytes.extend_from_slice(varint(incarnation, &mut [0; u64::POSTCARD_MAX_SIZE]));
        Self { bytes, incarnation, entries: 0 }
    }

    /// Appends an acknowledgement.
    pub fn push(&mut self, meter: &MeterId, ack: &Ack) -> Result<(), Full> {
        let (name, mut buffer) = (meter.as_str().as_bytes(), [0; u64::POSTCARD_MAX_SIZE]);
        let through = varint(ack.through, &mut buffer);
        let len = u8::try_from(name.len()).map_err(|_| Full)?;
        let parts = [&[len][..], name, &ack.stream.0.to_le_bytes(), through];
        let needed = parts.iter().fold(self.bytes.len().saturating_add(CRC_LEN), |sum, part| sum.saturating_add(part.len()));
        if ack.incarnation != self.incarnation || needed > BATCH_LEN_MAX {
            return Err(Full);
        }
        for part in parts {
            self.bytes.extend_from_slice(part).map_err(|_| Full)?;
        }
        self.entries = self.entries.saturating_add(1);
        Ok(())
    }

    /// How many acknowledgements it holds.
    pub const fn len(&self) -> usize {
        self.entries
    }

    /// Whether it holds none; such a batch is not worth finishing, nobody accepts it.
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The bytes.
    pub fn finish(mut self) -> heapless::Vec<u8, BATCH_LEN_MAX> {
        let checksum = CRC32C.checksum(&self.bytes);
        // Fits: `push` leaves room for it.
        let _ = self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes
    }

    /// From the bytes; accepts exactly what [`AckBatch::finish`] gives. All of them are looked at before anything is returned.
    pub fn decode(bytes: &[u8]) -> Result<Entries<'_>, BatchError> {
        let length = BatchError::Length(bytes.len());
        match bytes.first() {
            Some(&MAGIC) if bytes.len() <= BATCH_LEN_MAX => {}
            Some(&other) if other != MAGIC => return Err(BatchError::Magic(other)),
            _ => return Err(length),
        }
        let message = without_checksum(bytes).ok_or(BatchError::Checksum)?;
        let ([_, version], rest) = message.split_first_chunk::<2>().ok_or(length)?;
        if *version != VERSION {
            return Err(BatchError::UnknownVersion(*version));
        }
        let (incarnation, rest) = take_varint(rest)?;
        let mut unread = rest;
        while !unread.is_empty() {
            unread = take_entry(unread, incarnation)?.1;
        }
        if rest.is_empty() { Err(length) } else { Ok(Entries { incarnation, rest }) }
    }
}

/// The acknowledgements of a batch, in its order.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    incarnation: u64,
    /// Whole entries: they were looked at.
    rest: &'a [u8],
}

impl Entries<'_> {
    /// The incarnation that all of them have.
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// How many bytes are left of the entries.
    pub const fn bytes_left(&self) -> usize {
        self.rest.len()
    }
}

impl Iterator for Entries<'_> {
    type Item = (MeterId, Ack);

    fn next(&mut self) -> Option<(MeterId, Ack)> {
        let (entry, rest) = take_entry(self.rest, self.incarnation).ok()?;
        self.rest = rest;
        Some(entry)
    }
}

/// An acknowledgement of this incarnation, with its meter, and what follows.
fn take_entry(bytes: &[u8], incarnation: u64) -> Result<((MeterId, Ack), &[u8]), BatchError> {
    let (len, rest) = bytes.split_first().ok_or(BatchError::Truncated)?;
    let (name, rest) = rest.split_at_checked((*len).into()).ok_or(BatchError::Truncated)?;
    let meter = core::str::from_utf8(name).map_err(|_| InvalidId::Character)?.parse()?;
    let (stream, rest) = rest.split_first_chunk::<8>().ok_or(BatchError::Truncated)?;
    let (through, rest) = take_varint(rest)?;
    Ok(((meter, Ack { stream: StreamId(u64::from_le_bytes(*stream)), through, incarnation }), rest))
}

fn take_varint(bytes: &[u8]) -> Result<(u64, &[u8]), BatchError> {
    let (number, rest) = postcard::take_from_bytes(bytes).map_err(|error| match error {
        postcard::Error::DeserializeUnexpectedEnd => BatchError::Truncated,
        _ => BatchError::NonCanonical,
    })?;
    let taken = bytes.len().saturating_sub(rest.len());
    let shortest = varint(number, &mut [0; u64::POSTCARD_MAX_SIZE]).len();
    if taken == shortest { Ok((number, rest)) } else { Err(BatchError::NonCanonical) }
}

fn varint(number: u64, buffer: &mut [u8; u64::POSTCARD_MAX_SIZE]) -> &[u8] {
    // The buffer is as long as the longest.
    postcard::to_slice(&number, buffer).map_or(&[], |written| written)
}
