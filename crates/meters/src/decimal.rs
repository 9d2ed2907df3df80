//! A number as a meter shows it: all its digits, and where the point is.

use core::fmt;

use measure::{Amperes, Hertz, Volts, WattHours, Watts};

/// Digits that fit beside their sign into 64 bits, whatever they are.
const DIGITS_MAX: usize = 18;

/// `mantissa` / 10^`scale`, exactly.
///
/// The scale is the display's: `5.0` and `5.00` are different readings of the same quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits without their point.
    pub mantissa: i64,
    /// Digits behind the point, 18 at most.
    pub scale: u8,
}

/// The text is no number that a register can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDecimal {
    /// Nothing but padding.
    #[error("value is empty")]
    Empty,
    /// Something else than digits, one point and a sign.
    #[error("value is not a number")]
    Text,
    /// No register has so many.
    #[error("value has {0} digits, more than 18")]
    Digits(usize),
}

impl Decimal {
    /// From `-000502.853` or, with a decimal comma, `502,853`. Leading zeros don't count as digits.
    ///
    /// # Errors
    /// [`NotDecimal`] for everything else.
    pub fn parse(text: &str) -> Result<Self, NotDecimal> {
        if text.is_empty() {
            return Err(NotDecimal::Empty);
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mut mantissa, mut scale, mut point, mut any, mut significant) = (0i64, 0usize, false, false, 0usize);
        for byte in digits.bytes() {
            match byte {
                b'0'..=b'9' => {
                    any = true;
                    significant = significant.saturating_add(usize::from(significant > 0 || byte != b'0'));
                    scale = scale.saturating_add(usize::from(point));
                    // Beyond 18 digits it may saturate: the count below refuses it.
                    mantissa = mantissa.saturating_mul(10).saturating_add(i64::from(byte & 0x0f));
                }
                b'.' | b',' if !point => point = true,
                _ => return Err(NotDecimal::Text),
            }
        }
        if !any {
            return Err(NotDecimal::Text);
        }
        let digits = significant.max(scale);
        match u8::try_from(scale) {
            Ok(scale) if digits <= DIGITS_MAX => Ok(Self { mantissa: if negative { mantissa.saturating_neg() } else { mantissa }, scale }),
            _ => Err(NotDecimal::Digits(digits)),
        }
    }

    /// How often `1 / per_unit` is in it, cut off towards zero; `None` where that is beyond 64 bits.
    ///
    /// A register of 0.001 kWh in 0.01 Wh is `counts(100_000)`.
    pub fn counts(self, per_unit: u32) -> Option<i64> {
        let counts = i128::from(self.mantissa).checked_mul(per_unit.into())?.checked_div(10i128.checked_pow(self.scale.into())?)?;
        i64::try_from(counts).ok()
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divisor = 10u64.saturating_pow(self.scale.into());
        let digits = self.mantissa.unsigned_abs();
        let (whole, rest) = (digits.checked_div(divisor).unwrap_or(0), digits.checked_rem(divisor).unwrap_or(0));
        if self.mantissa < 0 {
            f.write_str("-")?;
        }
        write!(f, "{whole}")?;
        if self.scale > 0 { write!(f, ".{rest:0width$}", width = usize::from(self.scale)) } else { Ok(()) }
    }
}

/// A number with its unit, where the house has a type for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Wh, kWh, MWh.
    Energy(WattHours),
    /// W, kW, MW.
    Power(Watts),
    /// V, kV.
    Voltage(Volts),
    /// A, mA.
    Current(Amperes),
    /// Hz.
    Frequency(Hertz),
}

impl Quantity {
    /// The quantity of a number in a unit, whichever case the unit is written in. Finer digits than the type has are cut off; `None` for
    /// other units and for what is beyond the type.
    pub fn new(number: Decimal, unit: &str) -> Option<Self> {
        let is = |name: &str| unit.eq_ignore_ascii_case(name);
        let small = |per_unit| number.counts(per_unit).and_then(|counts| i32::try_from(counts).ok());
        if is("kWh") {
            number.counts(100_000).map(WattHours::from_centiwatthours).map(Self::Energy)
        } else if is("Wh") {
            number.counts(100).map(WattHours::from_centiwatthours).map(Self::Energy)
        } else if is("MWh") {
            number.counts(100_000_000).map(WattHours::from_centiwatthours).map(Self::Energy)
        } else if is("kW") {
            small(10_000).map(Watts::from_deciwatts).map(Self::Power)
        } else if is("W") {
            small(10).map(Watts::from_deciwatts).map(Self::Power)
        } else if is("MW") {
            small(10_000_000).map(Watts::from_deciwatts).map(Self::Power)
        } else if is("V") {
            small(1_000).map(Volts::from_millivolts).map(Self::Voltage)
        } else if is("kV") {
            small(1_000_000).map(Volts::from_millivolts).map(Self::Voltage)
        } else if is("A") {
            small(1_000).map(Amperes::from_milliamperes).map(Self::Current)
        } else if is("mA") {
            small(1).map(Amperes::from_milliamperes).map(Self::Current)
        } else if is("Hz") {
            small(1_000).map(Hertz::from_millihertz).map(Self::Frequency)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn digits_are_kept_as_shown() {
        for (text, shown) in [
            ("0000502.853", "502.853"),
            ("000.35", "0.35"),
            ("0401", "401"),
            ("-0,50", "-0.50"),
            ("+7.", "7"),
            (".5", "0.5"),
            ("0000", "0"),
            ("999999999999999999", "999999999999999999"),
            ("00000000000000000000000001", "1"),
        ] {
            assert_eq!(Decimal::parse(text).expect(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_number_says_why() {
        assert_eq!(Decimal::parse(""), Err(NotDecimal::Empty));
        assert_eq!(Decimal::parse("12345678901234567890"), Err(NotDecimal::Digits(20)));
        assert_eq!(Decimal::parse("0.0000000000000000001"), Err(NotDecimal::Digits(19)));
        for text in ["-", ".", "1.2.3", "M26", "1e5", "--1", "00-00-00,00:00"] {
            assert_eq!(Decimal::parse(text), Err(NotDecimal::Text), "{text}");
        }
    }

    #[test]
    fn energy_is_exact_to_the_last_centiwatthour() {
        let energy = |text, unit| Quantity::new(Decimal::parse(text).expect("a number"), unit);
        assert_eq!(energy("0098697.318", "kWh"), Some(Quantity::Energy(WattHours::from_centiwatthours(9_869_731_800))));
        assert_eq!(energy("98697318", "WH"), energy("0098697.318", "kwh"));
        assert_eq!(energy("241", "V"), Some(Quantity::Voltage(Volts::from_millivolts(241_000))));
        assert_eq!(energy("1", "kvarh"), None);
        assert_eq!(energy("999999999999999999", "MWh"), None, "beyond the type");
    }
}
