//! The decoder against the definition of what it takes: a record whose encoding is the bytes that it was read from.
#![expect(clippy::arithmetic_side_effects, reason = "test code: the numbers are its own")]

use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::DeserializeOwned;

use super::*;

#[path = "../../tests/common/mod.rs"]
mod common;

/// Reads whatever postcard reads, in any form.
struct Lenient<'a> {
    mask: u32,
    rest: &'a [u8],
}

impl Lenient<'_> {
    fn read<T: DeserializeOwned + Default>(&mut self, bit: u32) -> Result<T, BodyError> {
        if bit != ALWAYS && self.mask & bit == 0 {
            return Ok(T::default());
        }
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|_| BodyError::Truncated)?;
        self.rest = rest;
        Ok(value)
    }
}

impl Port for Lenient<'_> {
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

    fn in_steps(&mut self, [steps_bit, rest_bit]: [u32; 2], _: i64, predicted: i64, step: i64) -> Result<i64, BodyError> {
        let (steps, rest) = (self.read::<i64>(steps_bit)?, self.read::<i32>(rest_bit)?);
        Ok(predicted.wrapping_add(steps.wrapping_mul(step)).wrapping_add(rest.into()))
    }

    fn text(&mut self, _: &Text) -> Result<Text, BodyError> {
        let len = usize::from(self.read::<u8>(ALWAYS)?);
        let (text, rest) = self.rest.split_at_checked(len).ok_or(BodyError::Truncated)?;
        self.rest = rest;
        core::str::from_utf8(text).ok().and_then(|text| Text::try_from(text).ok()).ok_or(BodyError::Text)
    }
}

/// The record, if its encoding is what it was read from.
fn decode_by_encoding_again<'a>(bytes: &'a [u8], state: &State) -> Option<(Record, &'a [u8])> {
    let (mask, rest) = postcard::take_from_bytes(bytes).ok()?;
    let mut port = Lenient { mask, rest };
    let (record, _) = walk(&mut port, mask, state).ok()?;
    let again = encode(&record, state).ok()?;
    let len = bytes.len() - port.rest.len();
    (bytes[..len] == *again).then_some((record, port.rest))
}

/// What a meter and the head-end know after some records.
fn states() -> impl Strategy<Value = State> {
    prop::collection::vec(common::records(), 0..3).prop_map(|records| {
        let mut state = State::default();
        records.iter().for_each(|record| state.learn(record));
        state
    })
}

fn agrees(bytes: &[u8], state: &State) -> Result<(), TestCaseError> {
    prop_assert_eq!(decode(bytes, state).ok(), decode_by_encoding_again(bytes, state), "{:x?}", bytes);
    Ok(())
}

/// Another way to write a number: its varint with a byte of nothing behind it.
fn longer_at(bytes: &[u8], at: usize) -> std::vec::Vec<u8> {
    [&bytes[..at], &[bytes[at] | 0x80, 0], &bytes[at + 1..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_are_taken_if_they_are_an_encoding(bytes in prop::collection::vec(any::<u8>(), 0..60), state in states()) {
        agrees(&bytes, &state)?;
    }

    /// Few bits of the mask and small numbers, so that much of it is nearly right.
    #[test]
    fn likely_bytes_are_taken_if_they_are_an_encoding(
        fields in prop::collection::vec(0..32u32, 0..5), numbers in prop::collection::vec(0..5u8, 2..12), state in states(),
    ) {
        let mask = fields.iter().fold(0_u32, |mask, field| mask | 1 << field);
        let mut head = [0; 5];
        let head: &[u8] = postcard::to_slice(&mask, &mut head).unwrap();
        agrees(&[head, &numbers].concat(), &state)?;
    }

    #[test]
    fn a_changed_encoding_is_taken_if_it_is_one(record in common::records(), state in states(), at: Index, value: u8, bit in 0..8u32) {
        let bytes = encode(&record, &state).unwrap().to_vec();
        let at = at.index(bytes.len());
        agrees(&bytes, &state)?;
        agrees(&bytes[..at], &state)?;
        agrees(&longer_at(&bytes, at), &state)?;
        for changed in [value, bytes[at] ^ 1 << bit, 0] {
            let mut bytes = bytes.clone();
            bytes[at] = changed;
            agrees(&bytes, &state)?;
        }
    }
}
