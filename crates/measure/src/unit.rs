//! Physical quantities in fixed point.

use core::fmt;

/// Declares a fixed-point quantity: a newtype over an integer count of its resolution.
macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($int:ty), $per_unit:literal per $symbol:literal, $from_count:ident, $count:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($int);

        impl $name {
            /// Counts of the resolution in one unit.
            pub const PER_UNIT: u32 = $per_unit;

            /// From a count of the resolution.
            pub const fn $from_count(count: $int) -> Self {
                Self(count)
            }

            /// The count of the resolution.
            pub const fn $count(self) -> $int {
                self.0
            }

            /// The nearest value to `units`; `None` if that is not finite or out of range.
            pub fn from_f64(units: f64) -> Option<Self> {
                let count = units * f64::from(Self::PER_UNIT);
                let half = if count < 0.0 { -0.5 } else { 0.5 };
                // The bounds as floats may round outwards, so the limit itself is excluded.
                if count.is_finite() && count + half > <$int>::MIN as f64 && count + half < <$int>::MAX as f64 {
                    Some(Self((count + half) as $int))
                } else {
                    None
                }
            }

            /// In units, for computing and for people.
            pub fn as_f64(self) -> f64 {
                self.0 as f64 / f64::from(Self::PER_UNIT)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.as_f64(), f)?;
                f.write_str($symbol)
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_f64(self.as_f64())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let units = <f64 as serde::Deserialize>::deserialize(deserializer)?;
                Self::from_f64(units).ok_or_else(|| <D::Error as serde::de::Error>::custom(concat!("out of range for ", stringify!($name))))
            }
        }
    };
}

quantity!(
    /// Electric potential, 1 mV.
    Volts(i32), 1000 per " V", from_millivolts, millivolts
);
quantity!(
    /// Electric current, 1 mA.
    Amperes(i32), 1000 per " A", from_milliamperes, milliamperes
);
quantity!(
    /// Active power, 0.1 W; positive is import.
    Watts(i32), 10 per " W", from_deciwatts, deciwatts
);
quantity!(
    /// Non-active power, 0.1 var: `sqrt((V I)^2 - P^2)`, signed only where the meter measures the sign.
    Vars(i32), 10 per " var", from_decivars, decivars
);
quantity!(
    /// Frequency, 1 mHz.
    Hertz(i32), 1000 per " Hz", from_millihertz, millihertz
);
quantity!(
    /// Power factor, 0.001; within -1 to 1 where it is sound.
    PowerFactor(i16), 1000 per "", from_thousandths, thousandths
);
quantity!(
    /// Cumulative energy, 0.01 Wh; exact in JSON up to 5 TWh.
    WattHours(i64), 100 per " Wh", from_centiwatthours, centiwatthours
);

/// Declares a positive quantity of coarse relative resolution in one byte.
macro_rules! minifloat {
    ($(#[$doc:meta])* $name:ident, $smallest:literal) => {
        $(#[$doc])*
        ///
        /// One byte, four bits of exponent over four of mantissa as in G.711: exact below 32 steps, within 3.2 % above.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u8);

        impl $name {
            /// The step of the smallest values.
            pub const STEP: f64 = $smallest;

            /// From the byte.
            pub const fn from_code(code: u8) -> Self {
                Self(code)
            }

            /// The byte.
            pub const fn code(self) -> u8 {
                self.0
            }

            /// The nearest value; above the range, and for NaN, the largest.
            pub fn from_f64(value: f64) -> Self {
                Self(minifloat_code(value / Self::STEP))
            }

            /// The value in steps of [`Self::STEP`].
            pub const fn steps(self) -> u32 {
                minifloat_steps(self.0)
            }

            /// The value.
            pub fn as_f64(self) -> f64 {
                f64::from(self.steps()) * Self::STEP
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // Steps are integers, so the product is rounded to the decimals that the step has.
                let decimals = 1.0 / Self::STEP;
                serializer.serialize_f64(((self.as_f64() * decimals + 0.5) as u64) as f64 / decimals)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <f64 as serde::Deserialize>::deserialize(deserializer).map(Self::from_f64)
            }
        }
    };
}

minifloat!(
    /// A standard deviation in the unit of its quantity, 0.0001 to 101.
    Deviation, 0.0001
);
minifloat!(
    /// A normalised innovation squared (NIS), 0.001 to 1015.
    NormalisedInnovation, 0.001
);

#[expect(clippy::arithmetic_side_effects, reason = "the exponent is 1 to 15: no underflow, and 31 << 14 fits")]
const fn minifloat_steps(code: u8) -> u32 {
    let mantissa = (code & 0x0f) as u32;
    match code >> 4 {
        0 => mantissa,
        exponent => (16 | mantissa) << (exponent - 1),
    }
}

#[expect(clippy::arithmetic_side_effects, reason = "low < high <= 255, so neither sum overflows")]
fn minifloat_code(steps: f64) -> u8 {
    // Codes grow with their values, so the nearest is found by bisection; NaN compares false and ends at the largest.
    let (mut low, mut high) = (0u8, u8::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if steps <= f64::from(minifloat_steps(middle) + minifloat_steps(middle + 1)) / 2.0 {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_value_and_range() {
        assert_eq!(Volts::from_f64(229.9996).map(Volts::millivolts), Some(230_000));
        assert_eq!(Watts::from_f64(-12.34).map(Watts::deciwatts), Some(-123));
        assert_eq!(Volts::from_f64(f64::NAN), None);
        assert_eq!(Volts::from_f64(3e6), None);
        assert_eq!(WattHours::from_f64(f64::INFINITY), None);
    }

    #[test]
    fn every_minifloat_is_its_own_nearest() {
        for code in 0..=u8::MAX {
            assert_eq!(minifloat_code(minifloat_steps(code).into()), code);
        }
        assert_eq!(minifloat_code(f64::NAN), u8::MAX);
        assert_eq!(minifloat_code(-1.0), 0);
        assert_eq!(minifloat_code(1e30), u8::MAX);
    }
}
