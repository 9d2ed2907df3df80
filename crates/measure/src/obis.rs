//! OBIS codes: the names of a meter's registers, `A-B:C.D.E*F` (IEC 62056-61; short as in EDIS, DIN 43863-3).

use core::fmt;
use core::str::FromStr;

/// The name of a register.
///
/// Two codes are equal when their letters are; a meter that prints `1-0:1.8.0*255` and one that prints `1.8.0` mean the same register,
/// which [`Obis::names`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obis {
    /// A, the medium: 1 is electricity, 0 what is no medium. Short codes leave it out.
    pub medium: Option<u8>,
    /// B, the channel. Short codes leave it out.
    pub channel: Option<u8>,
    /// C, the quantity: 1 is active import, 2 active export. The letters of short codes are 96 (C), 97 (F), 98 (L) and 99 (P).
    pub quantity: u8,
    /// D, how it was processed: 8 is a register, 6 a maximum, 7 an instantaneous value.
    pub processing: u8,
    /// E, the tariff, 0 for all; 0 where it was left out.
    pub tariff: u8,
    /// F, the billing period; none for the current one (left out, or 255).
    pub period: Option<Period>,
}

/// A billing period of the past, by the meter's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// `*`: closed by the meter.
    Automatic(u8),
    /// `&`: closed by hand.
    Manual(u8),
}

/// The text is no OBIS code: a manufacturer's own name, perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OBIS code: expected A-B:C.D.E*F, or C.D")]
pub struct NotObis;

/// F of values that belong to no past period.
const CURRENT: u8 = 255;

impl Obis {
    /// Whether this is the current value of quantity C, processing D and tariff E of any medium and channel.
    pub const fn names(self, quantity: u8, processing: u8, tariff: u8) -> bool {
        self.quantity == quantity && self.processing == processing && self.tariff == tariff && self.period.is_none()
    }

    /// From the six bytes A to F in which binary protocols carry it.
    pub const fn from_bytes([a, b, quantity, processing, tariff, f]: [u8; 6]) -> Self {
        let period = if f == CURRENT { None } else { Some(Period::Automatic(f)) };
        Self { medium: Some(a), channel: Some(b), quantity, processing, tariff, period }
    }
}

impl FromStr for Obis {
    type Err = NotObis;

    fn from_str(text: &str) -> Result<Self, NotObis> {
        let (place, rest) = text.split_once(':').map_or((None, text), |(place, rest)| (Some(place), rest));
        let (medium, channel) = match place.map(|place| place.split_once('-').map_or((None, place), |(a, b)| (Some(a), b))) {
            Some((medium, channel)) => (medium.map(number).transpose()?, Some(number(channel)?)),
            None => (None, None),
        };
        let (register, period) = match rest.find(['*', '&']).and_then(|at| rest.split_at_checked(at)) {
            Some((register, period)) => (register, period_of(period)?),
            None => (rest, None),
        };
        let mut letters = register.split('.');
        let quantity = group(letters.next().unwrap_or_default())?;
        let processing = group(letters.next().ok_or(NotObis)?)?;
        let tariff = letters.next().map_or(Ok(0), number)?;
        if letters.next().is_some() {
            return Err(NotObis);
        }
        Ok(Self { medium, channel, quantity, processing, tariff, period })
    }
}

/// `*01`, `&01` or, for the current period, `*255`.
fn period_of(text: &str) -> Result<Option<Period>, NotObis> {
    if let Some(automatic) = text.strip_prefix('*') {
        return number(automatic).map(|number| (number != CURRENT).then_some(Period::Automatic(number)));
    }
    number(text.strip_prefix('&').ok_or(NotObis)?).map(|number| Some(Period::Manual(number)))
}

/// A number of at most three digits, or one of the letters that stand for one.
fn group(text: &str) -> Result<u8, NotObis> {
    match text {
        "C" => Ok(96),
        "F" => Ok(97),
        "L" => Ok(98),
        "P" => Ok(99),
        digits => number(digits),
    }
}

fn number(digits: &str) -> Result<u8, NotObis> {
    // `parse` would take a plus sign, and any number of zeros.
    if digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotObis);
    }
    digits.parse().map_err(|_| NotObis)
}

impl fmt::Display for Obis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(medium) = self.medium {
            write!(f, "{medium}-")?;
        }
        if let Some(channel) = self.channel {
            write!(f, "{channel}:")?;
        }
        write!(f, "{}.{}.{}", self.quantity, self.processing, self.tariff)?;
        match self.period {
            None => Ok(()),
            Some(Period::Automatic(number)) => write!(f, "*{number}"),
            Some(Period::Manual(number)) => write!(f, "&{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn full_and_short_codes_name_the_same_register() {
        for (text, shown) in [
            ("1-0:1.8.0*255", "1-0:1.8.0"),
            ("1-0:1.8.1*01", "1-0:1.8.1*1"),
            ("1.8.0", "1.8.0"),
            ("1.8.0&12", "1.8.0&12"),
            ("32.7", "32.7.0"),
            ("F.F", "97.97.0"),
            ("C.1.0", "96.1.0"),
            ("0.0", "0.0.0"),
            ("96.89.1", "96.89.1"),
            ("3:171.0", "3:171.0.0"),
        ] {
            let code: Obis = text.parse().expect(text);
            assert_eq!(code.to_string(), shown);
            assert_eq!(shown.parse(), Ok(code), "leads back");
        }
        for text in ["1-0:1.8.0*255", "1.8.0", "1-0:1.8.0"] {
            assert!(text.parse::<Obis>().expect("a code").names(1, 8, 0), "{text}");
        }
        assert!(!"1.8.0*1".parse::<Obis>().expect("a code").names(1, 8, 0), "a period that is over is another value");
    }

    #[test]
    fn other_names_are_none() {
        for text in [
            "",
            ".",
            "1",
            "3:14",
            "C003",
            "1.8.0.0",
            "1.8.",
            "+1.8.0",
            "256.8.0",
            "0001.8.0",
            "1.8.0*",
            "1.8.0*300",
            "1-:1.8.0",
            "X.8.0",
            "1.8.0*1&2",
        ] {
            assert_eq!(text.parse::<Obis>(), Err(NotObis), "{text}");
        }
    }
}
