//! Top-up codes: twenty digits that a consumer buys and types, without a connection. Pure.
//!
//! ```text
//!   66 bits, as a decimal number of 20 digits:   serial, 16 bits | amount, 18 bits | tag, 32 bits
//! ```
//!
//! The amount is in tenths of a kWh or of the currency, as the channel counts. The tag is the first 32 bits of HMAC-SHA-256 (RFC 2104)
//! under the meter's own secret over the meter's name, the channel, serial and amount: a code fits one channel of one meter. Each serial
//! is good once, in any order within the last 64. Guessing is held up by pauses that double after each wrong code: at four thousand million
//! tags and at most one try in ten minutes on the average, nobody lives to see one.

use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use measure::{Channel as Number, MeterId};
use sha2::Sha256;

/// Digits of a code.
pub const DIGITS: usize = 20;
/// Bytes of a meter's secret.
pub const SECRET_LEN: usize = 32;
/// The largest amount, in tenths.
pub const AMOUNT_MAX: u32 = (1 << AMOUNT_BITS) - 1;

const AMOUNT_BITS: u32 = 18;
const TAG_BITS: u32 = 32;
/// Serials behind the greatest one that are still good.
const WINDOW: u16 = 64;
/// First pause after a wrong code, in ms; doubles.
const PAUSE_MS: u64 = 5_000;
/// The longest pause, in ms.
const PAUSE_MAX_MS: u64 = 3_600_000;
/// First byte of the note.
const NOTE_VERSION: u8 = 1;

/// A meter's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; SECRET_LEN]);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret")
    }
}

/// What a code is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The meter.
    pub meter: MeterId,
    /// The channel.
    pub channel: Number,
    /// Its number: never used twice for one meter.
    pub serial: u16,
    /// In tenths of a kWh or of the currency, up to [`AMOUNT_MAX`].
    pub tenths: u32,
}

/// Why digits are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Not twenty digits, or too large a number.
    #[error("a code has 20 digits")]
    Form,
    /// For another meter or channel, or made up.
    #[error("the code is wrong")]
    Wrong,
    /// It was good once.
    #[error("the code is used")]
    Used,
    /// After wrong codes nothing is accepted for a while, in ms.
    #[error("too many wrong codes: wait {0} ms")]
    Wait(u64),
}

impl Code {
    fn tag(&self, secret: &Secret) -> u32 {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret.0) else { return 0 };
        mac.update(b"ferraris top-up code 1");
        mac.update(&[u8::try_from(self.meter.as_str().len()).unwrap_or(u8::MAX)]);
        mac.update(self.meter.as_str().as_bytes());
        mac.update(&[self.channel]);
        mac.update(&self.serial.to_be_bytes());
        mac.update(&self.tenths.to_be_bytes());
        let bytes = mac.finalize().into_bytes();
        bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// The twenty digits; none if the amount is too large.
    pub fn digits(&self, secret: &Secret) -> Option<heapless::String<DIGITS>> {
        if self.tenths > AMOUNT_MAX {
            return None;
        }
        let number = (u128::from(self.serial) << AMOUNT_BITS | u128::from(self.tenths)) << TAG_BITS | u128::from(self.tag(secret));
        let mut digits = heapless::String::new();
        core::fmt::write(&mut digits, format_args!("{number:020}")).ok()?;
        Some(digits)
    }

    fn read(digits: &str, meter: &MeterId, channel: Number) -> Option<(Self, u32)> {
        if digits.len() != DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let number: u128 = digits.parse().ok()?;
        let tag = u32::try_from(number & u128::from(u32::MAX)).ok()?;
        let tenths = u32::try_from(number >> TAG_BITS & u128::from(AMOUNT_MAX)).ok()?;
        let serial = u16::try_from(number >> (TAG_BITS + AMOUNT_BITS)).ok()?;
        Some((Self { meter: meter.clone(), channel, serial, tenths }, tag))
    }
}

/// Which codes were used, and how long nothing is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Codes {
    /// The greatest serial used, and a bit for each of those just below it.
    used: Option<(u16, u64)>,
    wrong: u8,
    /// Of this start's clock: whoever restarts the meter begins with the pause that was due.
    blocked_until_ms: Option<u64>,
}

impl Codes {
    /// Accepts digits once. Remember the note before anything is given for them, in the same transaction; also after a wrong code.
    pub fn accept(&mut self, secret: &Secret, meter: &MeterId, channel: Number, digits: &str, now_ms: u64) -> Result<u32, Rejected> {
        let due = now_ms.saturating_add(self.pause_ms());
        let until = *self.blocked_until_ms.get_or_insert(due);
        if until > now_ms {
            return Err(Rejected::Wait(until.saturating_sub(now_ms)));
        }
        let (code, tag) = Code::read(digits, meter, channel).ok_or(Rejected::Form)?;
        // Not in constant time: a tag that takes longer to refuse tells nothing within a pause of seconds.
        if code.tag(secret) != tag {
            self.wrong = self.wrong.saturating_add(1);
            self.blocked_until_ms = Some(now_ms.saturating_add(self.pause_ms()));
            return Err(Rejected::Wrong);
        }
        self.wrong = 0;
        self.use_up(code.serial).map(|()| code.tenths)
    }

    fn pause_ms(&self) -> u64 {
        match self.wrong {
            0 => 0,
            wrong => PAUSE_MS.checked_shl(u32::from(wrong).saturating_sub(1)).unwrap_or(PAUSE_MAX_MS).min(PAUSE_MAX_MS),
        }
    }

    fn use_up(&mut self, serial: u16) -> Result<(), Rejected> {
        let Some((greatest, below)) = self.used else {
            self.used = Some((serial, 0));
            return Ok(());
        };
        if let Some(ahead) = serial.checked_sub(greatest).filter(|ahead| *ahead > 0) {
            // The greatest so far becomes a bit, and the bits move on.
            let below = below.checked_shl(ahead.into()).unwrap_or(0);
            let bit = 1_u64.checked_shl(u32::from(ahead).saturating_sub(1)).unwrap_or(0);
            self.used = Some((serial, below | bit));
            return Ok(());
        }
        let behind = greatest.saturating_sub(serial);
        let bit = 1_u64.checked_shl(u32::from(behind).saturating_sub(1)).filter(|_| behind > 0 && behind <= WINDOW);
        match bit {
            Some(bit) if below & bit == 0 => {
                self.used = Some((greatest, below | bit));
                Ok(())
            }
            _ => Err(Rejected::Used),
        }
    }

    pub fn to_note(&self) -> Vec<u8> {
        let (greatest, below) = self.used.unwrap_or_default();
        let mut note = Vec::from([NOTE_VERSION, self.used.is_some().into(), self.wrong]);
        note.extend(greatest.to_le_bytes());
        note.extend(below.to_le_bytes());
        note
    }

    /// What is no such note remembers nothing.
    pub fn from_note(note: &[u8]) -> Self {
        let Ok([NOTE_VERSION, any, wrong, g0, g1, below @ ..]) = <[u8; 13]>::try_from(note) else { return Self::default() };
        let used = (any != 0).then(|| (u16::from_le_bytes([g0, g1]), u64::from_le_bytes(below)));
        Self { used, wrong, blocked_until_ms: None }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn code(serial: u16, tenths: u32) -> Code {
        Code { meter: "M1".parse().unwrap(), channel: 2, serial, tenths }
    }

    const SECRET: Secret = Secret([7; 32]);

    fn accept(codes: &mut Codes, digits: &str, now_ms: u64) -> Result<u32, Rejected> {
        codes.accept(&SECRET, &"M1".parse().unwrap(), 2, digits, now_ms)
    }

    #[test]
    fn a_code_is_good_once_for_one_channel_of_one_meter() {
        let digits = code(5, 55).digits(&SECRET).unwrap();
        assert_eq!(digits.len(), DIGITS);
        let mut codes = Codes::default();
        assert_eq!(accept(&mut codes, &digits, 0), Ok(55));
        let mut codes = Codes::from_note(&codes.to_note());
        assert_eq!(accept(&mut codes, &digits, 0), Err(Rejected::Used));
        for (meter, channel, secret) in [("M2", 2, SECRET), ("M1", 3, SECRET), ("M1", 2, Secret([8; 32]))] {
            let answer = Codes::default().accept(&secret, &meter.parse().unwrap(), channel, &digits, 0);
            assert_eq!(answer, Err(Rejected::Wrong), "{meter} {channel}");
        }
        assert_eq!(code(5, AMOUNT_MAX + 1).digits(&SECRET), None);
        assert!(code(u16::MAX, AMOUNT_MAX).digits(&SECRET).is_some_and(|digits| digits.len() == DIGITS));
    }

    #[test]
    fn guessing_is_held_up_and_a_restart_does_not_help() {
        let mut codes = Codes::default();
        assert_eq!(accept(&mut codes, "123", 0), Err(Rejected::Form));
        assert_eq!(accept(&mut codes, "00000000000000000000", 0), Err(Rejected::Wrong));
        assert_eq!(accept(&mut codes, "00000000000000000000", 4_999), Err(Rejected::Wait(1)));
        assert_eq!(accept(&mut codes, "00000000000000000000", 5_000), Err(Rejected::Wrong));
        let mut codes = Codes::from_note(&codes.to_note());
        assert_eq!(accept(&mut codes, "00000000000000000000", 0), Err(Rejected::Wait(10_000)));
        assert_eq!(accept(&mut codes, &code(1, 1).digits(&SECRET).unwrap(), 10_000), Ok(1), "the right one ends it");
        for _ in 0..40 {
            codes.wrong = codes.wrong.saturating_add(1);
        }
        assert_eq!(codes.pause_ms(), PAUSE_MAX_MS);
    }

    proptest! {
        /// In whatever order codes are typed: each serial is accepted once at most, and one within the window that was not used is accepted.
        #[test]
        fn no_serial_is_good_twice(serials in prop::collection::vec(prop_oneof![0..100_u16, 65_400..=u16::MAX], 1..200)) {
            let (mut codes, mut used) = (Codes::default(), BTreeSet::new());
            for serial in serials {
                let fresh = !used.contains(&serial);
                let near = used.last().is_none_or(|greatest| serial > *greatest || greatest - serial <= WINDOW);
                let accepted = codes.use_up(serial).is_ok();
                prop_assert_eq!(accepted, fresh && near, "{}", serial);
                if accepted {
                    used.insert(serial);
                }
                codes = Codes::from_note(&codes.to_note());
            }
        }

        /// Any text is answered.
        #[test]
        fn any_text_is_answered(digits in "[0-9 é]{0,24}") {
            prop_assert!(accept(&mut Codes::default(), &digits, 0).is_err());
        }
    }
}
