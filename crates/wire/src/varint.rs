//! Reading of varints (LEB128, as postcard writes them), in their shortest form only.
//!
//! Whoever takes nothing but shortest forms needs not encode again to know that bytes are canonical.

use crate::frame::BodyError;

/// Set in every byte but the last.
const CONTINUED: u8 = 0x80;
/// The bits of a byte that are the number's.
const LOW: u8 = 0x7f;

/// Takes a number of at most `BITS` (more than 7) bits off the front.
#[inline]
pub(crate) fn take<const BITS: u32>(bytes: &[u8]) -> Result<(u64, &[u8]), BodyError> {
    let (&first, rest) = bytes.split_first().ok_or(BodyError::Truncated)?;
    // Nearly all have one byte.
    if first < CONTINUED { Ok((first.into(), rest)) } else { take_longer::<BITS>(first, rest) }
}

fn take_longer<const BITS: u32>(first: u8, bytes: &[u8]) -> Result<(u64, &[u8]), BodyError> {
    let (mut number, mut rest, mut shift) = (u64::from(first & LOW), bytes, 7_u32);
    while shift < BITS {
        let (&byte, after) = rest.split_first().ok_or(BodyError::Truncated)?;
        let low = u64::from(byte & LOW);
        if low.wrapping_shr(BITS.wrapping_sub(shift)) != 0 {
            return Err(BodyError::NonCanonical);
        }
        number |= low.wrapping_shl(shift);
        if byte < CONTINUED {
            // A last byte of nothing: a shorter form says the same.
            return if byte == 0 { Err(BodyError::NonCanonical) } else { Ok((number, after)) };
        }
        (rest, shift) = (after, shift.wrapping_add(7));
    }
    Err(BodyError::NonCanonical)
}

/// The signed number that was zigzag-coded.
pub(crate) const fn signed(zigzag: u64) -> i64 {
    (zigzag >> 1).cast_signed() ^ (zigzag & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count a few bytes")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What postcard reads, if it would write it so.
    fn by_postcard<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<(T, usize)> {
        let (number, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
        let mut again = [0; 10];
        let again = postcard::to_slice(&number, &mut again).unwrap();
        let len = bytes.len() - rest.len();
        (bytes[..len] == *again).then_some((number, len))
    }

    fn ours<const BITS: u32>(bytes: &[u8]) -> Option<(u64, usize)> {
        take::<BITS>(bytes).ok().map(|(number, rest)| (number, bytes.len() - rest.len()))
    }

    fn agrees(bytes: &[u8]) {
        let signed_32 = |(number, len)| (i32::try_from(signed(number)).unwrap(), len);
        assert_eq!(ours::<64>(bytes), by_postcard::<u64>(bytes), "{bytes:x?}");
        assert_eq!(ours::<64>(bytes).map(|(number, len)| (signed(number), len)), by_postcard::<i64>(bytes), "{bytes:x?}");
        assert_eq!(ours::<32>(bytes).map(|(number, len)| (number as u32, len)), by_postcard::<u32>(bytes), "{bytes:x?}");
        assert_eq!(ours::<32>(bytes).map(signed_32), by_postcard::<i32>(bytes), "{bytes:x?}");
    }

    proptest! {
        #[test]
        fn exactly_what_postcard_writes_is_read(number: u64, bits in 0..64u32, long in prop::collection::vec(0x80..=0xffu8, 0..12), last: u8) {
            let mut written = [0; 10];
            agrees(postcard::to_slice(&(number >> bits), &mut written).unwrap());
            agrees(&[&long[..], &[last]].concat());
            agrees(&[&long[..], &[last & 1]].concat());
            agrees(&long);
        }
    }
}
