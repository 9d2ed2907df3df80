//! Numbers to bytes and back, by one description for both directions.
//!
//! A record is described once, as a walk over its fields (`v1`), and a [`Port`] decides what the walk does: the [`Encoder`] writes each
//! field's difference to its prediction, the [`Decoder`] reads it. Both make the same predictions because they run the same code.
//! Differences wrap, which is a bijection, so every value of every field can travel whatever was predicted.
//!
//! A record has one encoding, and the [`Decoder`] takes no other. It does not encode again to know: each number must have its shortest
//! form, each bit of the mask must belong to a field and announce a difference, and what travels in two numbers ([`Port::in_steps`]) must
//! be divided as the encoder divides it. A property test holds that against encoding again.

use measure::Text;
use postcard::experimental::max_size::MaxSize;
use serde::Serialize;

use crate::frame::BodyError;
use crate::{predict, varint};

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
    /// A number that tends to keep its distance to multiples of `step` (even): how many steps it is from its prediction, and the rest,
    /// each with its bit.
    fn in_steps(&mut self, bits: [u32; 2], actual: i64, predicted: i64, step: i64) -> Result<i64, BodyError>;
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

    fn in_steps(&mut self, [steps_bit, rest_bit]: [u32; 2], actual: i64, predicted: i64, step: i64) -> Result<i64, BodyError> {
        let (steps, rest) = predict::nearest(actual.wrapping_sub(predicted), step);
        self.write(steps_bit, steps)?;
        self.write(rest_bit, rest).map(|()| actual)
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

/// Reads a record's fields, and refuses those that the [`Encoder`] would not have written.
pub(crate) struct Decoder<'a> {
    mask: u32,
    /// Bits of the mask that belong to a field.
    claimed: u32,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads the mask.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, BodyError> {
        let (mask, rest) = varint::take::<32>(bytes)?;
        // Not cut off: it has 32 bits.
        Ok(Self { mask: mask as u32, claimed: 0, rest })
    }

    /// The mask with the head in it.
    pub(crate) const fn mask(&self) -> u32 {
        self.mask
    }

    /// What follows the record, whose mask is `head` and the bits of its fields.
    pub(crate) const fn finish(self, head: u32) -> Result<&'a [u8], BodyError> {
        if self.mask & !(self.claimed | head) == 0 { Ok(self.rest) } else { Err(BodyError::NonCanonical) }
    }

    #[inline]
    fn is_announced(&mut self, bit: u32) -> bool {
        self.claimed |= bit;
        bit == ALWAYS || self.mask & bit != 0
    }

    /// A number of `BITS` bits as it travels.
    #[inline]
    fn number<const BITS: u32>(&mut self, bit: u32) -> Result<u64, BodyError> {
        if !self.is_announced(bit) {
            return Ok(0);
        }
        let (number, rest) = varint::take::<BITS>(self.rest)?;
        self.rest = rest;
        if bit != ALWAYS && number == 0 { Err(BodyError::NonCanonical) } else { Ok(number) }
    }

    #[inline]
    fn signed_32(&mut self, bit: u32) -> Result<i32, BodyError> {
        // Not cut off: zigzag of 32 bits stays within 32 bits.
        self.number::<32>(bit).map(|number| varint::signed(number) as i32)
    }

    #[inline]
    fn signed_64(&mut self, bit: u32) -> Result<i64, BodyError> {
        self.number::<64>(bit).map(varint::signed)
    }
}

impl Port for Decoder<'_> {
    #[inline]
    fn i32(&mut self, bit: u32, _: i32, predicted: i32) -> Result<i32, BodyError> {
        self.signed_32(bit).map(|difference| predicted.wrapping_add(difference))
    }

    #[inline]
    fn i64(&mut self, bit: u32, _: i64, predicted: i64) -> Result<i64, BodyError> {
        self.signed_64(bit).map(|difference| predicted.wrapping_add(difference))
    }

    #[inline]
    fn bits(&mut self, bit: u32, _: u32, predicted: u32) -> Result<u32, BodyError> {
        // Not cut off, as above.
        self.number::<32>(bit).map(|difference| predicted ^ difference as u32)
    }

    #[inline]
    fn byte(&mut self, bit: u32, _: u8, predicted: u8) -> Result<u8, BodyError> {
        if !self.is_announced(bit) {
            return Ok(predicted);
        }
        let (&difference, rest) = self.rest.split_first().ok_or(BodyError::Truncated)?;
        self.rest = rest;
        if bit != ALWAYS && difference == 0 { Err(BodyError::NonCanonical) } else { Ok(predicted.wrapping_add(difference)) }
    }

    #[inline]
    fn in_steps(&mut self, [steps_bit, rest_bit]: [u32; 2], _: i64, predicted: i64, step: i64) -> Result<i64, BodyError> {
        let steps = self.signed_64(steps_bit)?;
        let rest = self.signed_32(rest_bit)?;
        predict::from_nearest(steps, rest, step).map(|distance| predicted.wrapping_add(distance)).ok_or(BodyError::NonCanonical)
    }

    fn text(&mut self, _: &Text) -> Result<Text, BodyError> {
        let len = self.byte(ALWAYS, 0, 0)?;
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
