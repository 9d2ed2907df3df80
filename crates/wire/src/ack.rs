//! An acknowledgement: what travels on `f1/{shard}/{meter}/dn`.
//!
//! ```text
//!   offset  0        1         2                 10             10+n           10+n+m
//!          +--------+---------+-----------------+--------------+--------------+----------------+
//!          | magic  | version | stream          | through      | incarnation  | CRC-32C        |
//!          | 0xFD   | 0x01    | u64, low byte   | varint (n)   | varint (m)   | u32, low byte  |
//!          |        |         | first           |              |              | first          |
//!          +--------+---------+-----------------+--------------+--------------+----------------+
//!          |<------------------ the checksum covers all of this ------------->|
//! ```
//!
//! A meter deletes records on the word of these bytes, so they carry a checksum although TLS protects them on the way: what damages them
//! may sit in a broker's memory.

use measure::{Seq, StreamId};
use postcard::experimental::max_size::MaxSize;

use crate::{CRC32C, without_checksum};

/// First byte of every acknowledgement.
pub const MAGIC: u8 = 0xFD;
/// The version that this code writes and reads.
pub const VERSION: u8 = 1;
/// Longest acknowledgement, in bytes.
pub const ACK_LEN_MAX: usize = 2 + 8 + u64::POSTCARD_MAX_SIZE + u64::POSTCARD_MAX_SIZE + 4;

/// All records of `stream` up to and including `through` are committed in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The stream.
    pub stream: StreamId,
    /// Number of the last committed record; 0 if there is none.
    pub through: Seq,
    /// Grows whenever the head-end's ledger was put back to an earlier state.
    pub incarnation: u64,
}

/// Why bytes are no acknowledgement. Nothing may be deleted on their account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Shorter or longer than an acknowledgement can be, or not the length that its numbers take.
    #[error("acknowledgement of {0} bytes has no possible length")]
    Length(usize),
    /// The first byte is not [`MAGIC`].
    #[error("first byte is {0:#04x}, not the acknowledgement magic 0xfd")]
    Magic(u8),
    /// The checksum does not match the bytes.
    #[error("checksum mismatch: the acknowledgement was damaged")]
    Checksum,
    /// A version that this code does not know.
    #[error("acknowledgement version {0} is unknown here")]
    UnknownVersion(u8),
    /// A number is not in its shortest form.
    #[error("acknowledgement is not in its canonical form")]
    NonCanonical,
}

impl Ack {
    /// The bytes.
    pub fn encode(&self) -> heapless::Vec<u8, ACK_LEN_MAX> {
        let mut bytes = heapless::Vec::new();
        let mut numbers = [0; ACK_LEN_MAX];
        let numbers: &[u8] = postcard::to_slice(&(self.through, self.incarnation), &mut numbers).map_or(&[], |written| written);
        // Each part fits: ACK_LEN_MAX is the sum of their longest forms.
        for part in [&[MAGIC, VERSION][..], &self.stream.0.to_le_bytes(), numbers] {
            let _ = bytes.extend_from_slice(part);
        }
        let checksum = CRC32C.checksum(&bytes);
        let _ = bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// From the bytes; accepts exactly what [`Ack::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, AckError> {
        let length = AckError::Length(bytes.len());
        match bytes.first() {
            Some(&MAGIC) if bytes.len() <= ACK_LEN_MAX => {}
            Some(&other) if other != MAGIC => return Err(AckError::Magic(other)),
            _ => return Err(length),
        }
        let message = without_checksum(bytes).ok_or(AckError::Checksum)?;
        let ([_, version], rest) = message.split_first_chunk::<2>().ok_or(length)?;
        if *version != VERSION {
            return Err(AckError::UnknownVersion(*version));
        }
        let (stream, numbers) = rest.split_first_chunk::<8>().ok_or(length)?;
        let ((through, incarnation), rest) = postcard::take_from_bytes(numbers).map_err(|error| match error {
            postcard::Error::DeserializeUnexpectedEnd => length,
            _ => AckError::NonCanonical,
        })?;
        if !rest.is_empty() {
            return Err(length);
        }
        let ack = Self { stream: StreamId(u64::from_le_bytes(*stream)), through, incarnation };
        if ack.encode() == bytes { Ok(ack) } else { Err(AckError::NonCanonical) }
    }
}
