//! `f32` and `f64` by one trait, and the elementary functions the model needs.
//!
//! `core` has no square root, exponential or logarithm, and a platform's libm differs from the next one's in the last bit. The
//! ones here consist of the four operations and of moving exponents, so they give the same bits on every target.

use core::fmt::Debug;
use core::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use wide::{f32x4, f64x4};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`.
pub trait Real:
    sealed::Sealed
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Upper part of ln 2: a multiple of it by any exponent is exact.
    const LN2_HIGH: Self;
    /// ln 2 less its upper part.
    const LN2_LOW: Self;
    /// Some roundings, relative to one.
    const MARGIN: Self;
    /// Whether eight terms of the exponential's series, and four of the logarithm's, are too few.
    const HAS_LONG_SERIES: bool;
    /// Newton's steps from the guess of a root to one unit in the last place, less Heron's.
    const ROOT_STEPS: usize;
    /// Smallest normal number.
    const NORMAL_MIN: Self;

    /// The nearest value to a constant of the model.
    fn of(value: f64) -> Self;
    /// Exact where the target is `f64`.
    fn to_f64(self) -> f64;
    /// The nearest value to a count.
    fn from_count(count: i64) -> Self;
    /// Towards zero; the limits beyond them, 0 for NaN.
    fn to_count(self) -> i64;
    /// Without its sign.
    fn magnitude(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// For a normal positive number: `m` in `[1, 2)` and `e` with `self = m 2^e`.
    fn split(self) -> (Self, i32);
    /// `self 2^exponent` for normal results; 0 below them.
    fn scale(self, exponent: i32) -> Self;
    /// For a magnitude below 100: the nearest whole number `n`, and `2^n`.
    fn nearest_power(self) -> (Self, Self);
    /// `1/sqrt(self)` within 4 %, by halving the exponent.
    fn reciprocal_root_guess(self) -> Self;

    /// Each of four numbers by a factor. These three are a vector unit's, where there is one: left to itself a compiler groups numbers as it
    /// sees fit, and spends more on moving them about than on computing.
    fn times(four: [Self; 4], factor: Self) -> [Self; 4];
    /// Each of four numbers and so many times one of four others.
    fn plus(four: [Self; 4], factor: Self, others: [Self; 4]) -> [Self; 4];
    /// Each of four numbers less so many times one of four others.
    fn less(four: [Self; 4], factor: Self, others: [Self; 4]) -> [Self; 4];

    /// The smaller one; `other` if `self` is NaN.
    fn lesser(self, other: Self) -> Self {
        if self < other { self } else { other }
    }

    /// The larger one; `other` if `self` is NaN.
    fn greater(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    /// Within `low..=high`; `low` if NaN.
    fn within(self, low: Self, high: Self) -> Self {
        self.greater(low).lesser(high)
    }
}

macro_rules! real {
    ($float:ident, $bits:ident, $four:ident, $ln2_high:literal, $ln2_low:literal, $root_magic:literal, $long_series:literal, $root_steps:literal) => {
        impl Real for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LN2_HIGH: Self = $ln2_high;
            const LN2_LOW: Self = $ln2_low;
            const MARGIN: Self = 8.0 * $float::EPSILON;
            const HAS_LONG_SERIES: bool = $long_series;
            const ROOT_STEPS: usize = $root_steps;
            const NORMAL_MIN: Self = $float::MIN_POSITIVE;

            #[inline(always)]
            fn times(four: [Self; 4], factor: Self) -> [Self; 4] {
                ($four::from(four) * $four::splat(factor)).to_array()
            }

            #[inline(always)]
            fn plus(four: [Self; 4], factor: Self, others: [Self; 4]) -> [Self; 4] {
                ($four::from(four) + $four::splat(factor) * $four::from(others)).to_array()
            }

            #[inline(always)]
            fn less(four: [Self; 4], factor: Self, others: [Self; 4]) -> [Self; 4] {
                ($four::from(four) - $four::splat(factor) * $four::from(others)).to_array()
            }

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $float
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn from_count(count: i64) -> Self {
                count as $float
            }

            #[inline(always)]
            fn to_count(self) -> i64 {
                self as i64
            }

            #[inline(always)]
            fn magnitude(self) -> Self {
                <$float>::abs(self)
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                <$float>::is_finite(self)
            }

            #[inline(always)]
            fn split(self) -> (Self, i32) {
                const SHIFT: u32 = $float::MANTISSA_DIGITS - 1;
                const BIAS: $bits = ($float::MAX_EXP - 1) as $bits;
                let bits = self.to_bits();
                let exponent = (bits >> SHIFT) as i32 - BIAS as i32;
                (<$float>::from_bits((bits & ((1 << SHIFT) - 1)) | (BIAS << SHIFT)), exponent)
            }

            #[inline(always)]
            fn scale(self, exponent: i32) -> Self {
                const SHIFT: u32 = $float::MANTISSA_DIGITS - 1;
                const BIAS: i32 = $float::MAX_EXP - 1;
                let biased = exponent + BIAS;
                if biased < 1 { 0.0 } else { self * <$float>::from_bits((biased.min(2 * BIAS) as $bits) << SHIFT) }
            }

            #[inline(always)]
            fn nearest_power(self) -> (Self, Self) {
                const SHIFT: u32 = $float::MANTISSA_DIGITS - 1;
                // A number of this size has no digits behind the point, so the sum ends with those of the whole number.
                const ROUNDER: $float = 1.5 * (1_u64 << SHIFT) as $float;
                let sum = self + ROUNDER;
                let power = (sum.to_bits() << SHIFT).wrapping_add((1.0 as $float).to_bits());
                (sum - ROUNDER, <$float>::from_bits(power))
            }

            #[inline(always)]
            fn reciprocal_root_guess(self) -> Self {
                <$float>::from_bits($root_magic - (self.to_bits() >> 1))
            }
        }
    };
}

// ln 2 as in fdlibm: the upper parts have 12 and 32 trailing zero bits, enough for every exponent.
// The root's constants: the exponent halves and changes sign, the mantissa is off by at most 3.5 %.
real!(f32, u32, f32x4, 0.693_359_4, -2.121_944_4e-4, 0x5f37_5a86, false, 2);
real!(f64, u64, f64x4, 6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10, 0x5fe6_eb50_c7b5_37a9, true, 4);

/// Square root within one unit in the last place; 0 for anything below the smallest normal number and for NaN.
///
/// Newton's iteration for `1/sqrt(x)` doubles the digits of a 4 % guess each time; Heron's step at the end rounds once more.
pub fn sqrt<F: Real>(x: F) -> F {
    let in_domain = x >= F::NORMAL_MIN;
    if !in_domain {
        return F::ZERO;
    }
    if !x.is_finite() {
        return x;
    }
    let root = x * reciprocal_root(x);
    F::of(0.5) * (root + x / root)
}

/// `1/sqrt(x)` with a relative error below 5e-6 in `f32` and 1e-15 in `f64`, without a division; 0 for anything below the smallest normal
/// number and for NaN.
#[inline(always)]
pub fn reciprocal_sqrt<F: Real>(x: F) -> F {
    if x >= F::NORMAL_MIN { reciprocal_root(x) } else { F::ZERO }
}

#[inline(always)]
fn reciprocal_root<F: Real>(x: F) -> F {
    let half = F::of(0.5) * x;
    let mut r = x.reciprocal_root_guess();
    for _ in 0..F::ROOT_STEPS {
        r = r * (F::of(1.5) - (half * r) * r);
    }
    r
}

/// Coefficients `1/n!` of `(exp(x) - 1)/x`, lowest first.
const EXPONENTIAL: [f64; 14] = [
    1.0,
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
    1.0 / 87_178_291_200.0,
];

/// Up to here an exponential needs no other exponent.
const NEAR_ZERO: f64 = 0.34;

/// `exp(x) - 1` for `|x| <= 0.35`, the remainder of the series below 1e-18 of the value in `f64` and 1e-9 in `f32`.
///
/// By Estrin's scheme, pairs of pairs: a processor waits for three products and not for seven.
#[inline(always)]
fn exp_minus_one_near_zero<F: Real>(x: F) -> F {
    let second = x * x;
    let fourth = second * second;
    let two = |i: usize| F::of(EXPONENTIAL[i]) + F::of(EXPONENTIAL[i + 1]) * x;
    let four = |i: usize| two(i) + two(i + 2) * second;
    let mut series = four(0) + four(4) * fourth;
    if F::HAS_LONG_SERIES {
        series += (four(8) + two(12) * fourth) * (fourth * fourth);
    }
    series * x
}

/// `exp(x)` for `|x| <= 0.35`, without a branch.
#[inline(always)]
pub fn exp_near_zero<F: Real>(x: F) -> F {
    F::ONE + exp_minus_one_near_zero(x)
}

/// `exp(x)` for `x <= 700`, relative error below 1e-15 in `f64`; 0 where it would be subnormal and for NaN.
pub fn exp<F: Real>(x: F) -> F {
    let in_domain = x > F::of(-1e4);
    if !in_domain {
        return F::ZERO;
    }
    if x.magnitude() <= F::of(NEAR_ZERO) {
        return exp_near_zero(x);
    }
    let turns = x.lesser(F::of(1e4)) * F::of(core::f64::consts::LOG2_E);
    let rounding = if turns < F::ZERO { F::of(-0.5) } else { F::of(0.5) };
    let exponent = (turns + rounding).to_count();
    let multiple = F::from_count(exponent);
    let rest = (x - multiple * F::LN2_HIGH) - multiple * F::LN2_LOW;
    exp_near_zero(rest).scale(exponent as i32)
}

/// `exp(-x)` for `x >= 0`, with a relative error of some roundings of `x` or of one: without a branch, for what is asked for every sample with
/// another argument. What is larger than 21, and NaN, counts as 21.
#[inline(always)]
pub fn exp_of_negative<F: Real>(x: F) -> F {
    let x = x.lesser(F::of(21.0)) * -F::ONE;
    let (turns, power) = (x * F::of(core::f64::consts::LOG2_E)).nearest_power();
    exp_near_zero(x - turns * F::of(core::f64::consts::LN_2)) * power
}

/// `1 - exp(-x)` for `x >= 0`, without cancellation near zero.
pub fn one_minus_exp<F: Real>(x: F) -> F {
    if x < F::of(0.35) { -exp_minus_one_near_zero(-x) } else { F::ONE - exp(-x) }
}

/// Natural logarithm within 1e-15 in `f64` (relative, or absolute near one); the logarithm of the smallest normal number for anything
/// below it and for NaN.
///
/// The series of `2 artanh(s)`, `s = (m - 1)/(m + 1)`, for a mantissa within `[sqrt(1/2), sqrt(2))`; by Estrin's scheme.
#[inline(always)]
pub fn ln<F: Real>(x: F) -> F {
    let (mantissa, exponent) = x.greater(F::NORMAL_MIN).split();
    let over = mantissa > F::of(core::f64::consts::SQRT_2);
    let (mantissa, exponent) = if over { (mantissa * F::of(0.5), exponent + 1) } else { (mantissa, exponent) };
    let s = (mantissa - F::ONE) / (mantissa + F::ONE);
    let second = s * s;
    let fourth = second * second;
    let eighth = fourth * fourth;
    let two = |odd: f64| F::of(1.0 / odd) + F::of(1.0 / (odd + 2.0)) * second;
    let mut sum = two(1.0) + two(5.0) * fourth;
    if F::HAS_LONG_SERIES {
        sum += (two(9.0) + two(13.0) * fourth) * eighth + (two(17.0) + F::of(1.0 / 21.0) * fourth) * (eighth * eighth);
    }
    let exponent = F::from_count(i64::from(exponent));
    exponent * F::LN2_HIGH + (exponent * F::LN2_LOW + F::of(2.0) * s * sum)
}

#[cfg(test)]
mod tests;
