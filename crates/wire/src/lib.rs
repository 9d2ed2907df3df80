//! The bytes a meter and the head-end exchange, and the topics they travel on.
//!
//! Five rooms. [`frame`]: up to 64 consecutive records of one stream in at most 4 KiB, from a meter to the head-end. [`ack`]: what the
//! head-end answers; [`ack_batch`]: many answers on their way to a gate. [`command`]: what the head-end asks of a meter, signed. [`topic`]: where on MQTT they travel, and which shard a meter
//! belongs to.
//!
//! Nothing here allocates, reads a clock or trusts a byte: every decoder takes arbitrary input, never panics, and accepts exactly the
//! bytes that the encoder would have written for what it returns. So a record has one encoding, and equal bytes mean equal records.
#![no_std]

#[cfg(test)]
#[macro_use]
extern crate std;

pub mod ack;
pub mod ack_batch;
pub mod command;
pub mod frame;
pub mod topic;

mod codec;
mod predict;
mod v1;
mod varint;

pub use ack_batch::AckBatch;

/// CRC-32C (Castagnoli), the checksum at the end of frames, acknowledgements and batches of these.
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// Splits the checksum off the end of a message; `None` if it is too short for one or the checksum is wrong.
fn without_checksum(bytes: &[u8]) -> Option<&[u8]> {
    let (message, checksum) = bytes.split_last_chunk::<4>()?;
    (CRC32C.checksum(message) == u32::from_le_bytes(*checksum)).then_some(message)
}
