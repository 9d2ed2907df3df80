//! Numbers to bytes and back, by one description for both directions.
//!
//! A record is described once, as a walk over its fields (`v1`), and a [`Port`] decides what the walk does: the [`Encoder`] writes each
//! field's difference to its prediction, the [`Decoder`] reads it. Both make the same predictions because they run the same code.
//! Differences wrap, which is a bijection, so every value of every field can travel whatever was predicted.

use measure::Text;
use postcard::experimental::max_size::MaxSize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::BodyError;

/// Marks a field that has no bit in the presence mask: it always travels.
pub(crate) const ALWAYS: u32 = 0;

/// Where a walk over a record's fields gets its numbers from or puts them to. `bit` is the field's bit in the presence mask.
pub(crate) trait Port {
    /// A number of 32 bits.
    fn i32(&mut self, bit: u32, actual: i32, predicted: i32) -> Result<i32, BodyError>;
    /// A number of 64 bits.
    fn i64(&mut self, bit: u32, actual: i64, predicted: i64) -> Result<i64, BodyError>;
    /// A number of 32 bits that says more by its bits than by its size.
    fn bits(&mut self, bit: u32, actual: u32, predicted: u32) -> Result<u32, BodyError>;
    /// A code of one byte.
    fn byte(&mut self, bit: u32, actual: u8, predicted: u8) -> Result<u8, BodyError>;
    /// A short text.
    fn text(&mut self, actual: &Text) -> Result<Text, BodyError>;
}

/// Longest varint of the presence mask.
pub(crate) const HEAD_LEN_MAX: usize = u32::POSTCARD_MAX_SIZE;
/// Longest coded number of each width.
pub(crate) const I32_LEN_MAX: usize = i32::POSTCARD_MAX_SIZE;
/// Longest coded number of each width.
pub(crate) const I64_LEN_MAX: usize = i64::POSTCARD_MAX_SIZE;
/// Longest coded number of each width.
pub(crate) const BITS_LEN_MAX: usize = u32::POSTCARD_MAX_SIZE;
/// Longest text: its length (one byte) and its characters.
pub(crate) const TEXT_LEN_MAX: usize = 1 + TEXT_CHARS_MAX as usize;

const TEXT_CHARS_MAX: u8 = 32;

/// Writes a record's fields, at most `N` bytes.
///
/// It fails only if `N` is too small, which `v1` proves it is not when it is compiled; then it says [`BodyError::Truncated`].
#[derive(Default)]
pub(crate) struct Encoder<const N: usize> {
    mask: u32,
    values: heapless::Vec<u8, N>,
}

impl<const N: usize> Encoder<N> {
    /// The record's bytes: the mask over `head`, then the fields that it announces.
    pub(crate) fn finish<const M: usize>(self, head: u32) -> Result<heapless::Vec<u8, M>, BodyError> {
        let mut record = heapless::Vec::new();
        append(&mut record, &(self.mask | head))?;
        record.extend_from_slice(&self.values).map_err(|_| BodyError::Truncated)?;
        Ok(record)
    }

    fn write<T: Serialize + Default + PartialEq>(&mut self, bit: u32, value: T) -> Result<(), BodyError> {
        if bit == ALWAYS || value != T::default() {
            self.mask |= bit;
            append(&mut self.values, &value)?;
        }
        Ok(())
    }
}

/// Appends `value` as postcard writes it.
fn append<T: Serialize, const N: usize>(out: &mut heapless::Vec<u8, N>, value: &T) -> Result<(), BodyError> {
    let mut buffer = [0; I64_LEN_MAX];
    let written = postcard::to_slice(value, &mut buffer).map_err(|_| BodyError::Truncated)?;
    out.extend_from_slice(written).map_err(|_| BodyError::Truncated)
}

impl<const N: usize> Port for Encoder<N> {
    fn i32(&mut self, bit: u32, actual: i32, predicted: i32) -> Result<i32, BodyError> {
        self.write(bit, actual.wrapping_sub(predicted)).map(|()| actual)
    }

    fn i64(&mut self, bit: u32, actual: i64, predicted: i64) -> Result<i64, BodyError> {
        self.write(bit, actual.wrapping_sub(predicted)).map(|()| actual)
    }

    fn bits(&mut self, bit: u32, actual: u32, predicted: u32) -> Result<u32, BodyError> {
        self.write(bit, actual ^ predicted).map(|()| actual)
    }

    fn byte(&mut self, bit: u32, actual: u8, predicted: u8) -> Result<u8, BodyError> {
        self.write(bit, actual.wrapping_sub(predicted)).map(|()| actual)
    }

    fn text(&mut self, actual: &Text) -> Result<Text, BodyError> {
        // A name in another alphabet must not make the record undecodable, so it travels as far as it is printable.
        let printable: Text = actual.chars().map(|c| if is_printable(c) { c } else { '?' }).collect();
        let len = u8::try_from(printable.len()).map_err(|_| BodyError::Text)?;
        self.write(ALWAYS, len)?;
        self.values.extend_from_slice(printable.as_bytes()).map_err(|_| BodyError::Truncated)?;
        Ok(printable)
    }
}

/// Reads a record's fields.
pub(crate) struct Decoder<'a> {
    mask: u32,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads the mask.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, BodyError> {
        let (mask, rest) = take(bytes)?;
        Ok(Self { mask, rest })
    }

    /// The mask with the head in it.
    pub(crate) fn mask(&self) -> u32 {
        self.mask
    }

    /// What follows the record.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn read<T: DeserializeOwned + Default>(&mut self, bit: u32) -> Result<T, BodyError> {
        if bit != ALWAYS && self.mask & bit == 0 {
            return Ok(T::default());
        }
        let (value, rest) = take(self.rest)?;
        self.rest = rest;
        Ok(value)
    }
}

/// Takes one number off the front.
pub(crate) fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), BodyError> {
    postcard::take_from_bytes(bytes).map_err(|error| match error {
        postcard::Error::DeserializeUnexpectedEnd => BodyError::Truncated,
        _ => BodyError::NonCanonical,
    })
}

impl Port for Decoder<'_> {
    fn i32(&mut self, bit: u32, _: i32, predicted: i32) -> Result<i32, BodyError> {
        self.read::<i32>(bit).map(|difference| predicted.wrapping_add(difference))
    }

    fn i64(&mut self, bit: u32, _: i64, predicted: i64) -> Result<i64, BodyError> {
        self.read::<i64>(bit).map(|difference| predicted.wrapping_add(difference))
    }

    fn bits(&mut self, bit: u32, _: u32, predicted: u32) -> Result<u32, BodyError> {
        self.read::<u32>(bit).map(|difference| predicted ^ difference)
    }

    fn byte(&mut self, bit: u32, _: u8, predicted: u8) -> Result<u8, BodyError> {
        self.read::<u8>(bit).map(|difference| predicted.wrapping_add(difference))
    }

    fn text(&mut self, _: &Text) -> Result<Text, BodyError> {
        let len: u8 = self.read(ALWAYS)?;
        if len > TEXT_CHARS_MAX {
            return Err(BodyError::Text);
        }
        let (text, rest) = self.rest.split_at_checked(len.into()).ok_or(BodyError::Truncated)?;
        self.rest = rest;
        let text = core::str::from_utf8(text).map_err(|_| BodyError::Text)?;
        if !text.chars().all(is_printable) {
            return Err(BodyError::Text);
        }
        Text::try_from(text).map_err(|_| BodyError::Text)
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~')
}
