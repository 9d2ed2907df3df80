//! A measurement with fewer digits than noise: what its rounding says.
//!
//! A meter that shows 50.0 Hz says that the frequency, with its noise, was between 49.95 and 50.05 Hz, and mostly says nothing else for
//! hours. Taken for white noise of variance `q²/12`, the rounding error is the same from second to second, the filter believes it more and
//! more, and its variance claims to know the frequency 2 to 4 times better than it does. So the interval itself is what is measured here:
//! the belief becomes a normal distribution with the moments of the exact posterior (the Gaussian fit algorithm of Curry, *Estimation and
//! Control with Quantized Measurements*, MIT Press 1970). With `S² = P + r`, the interval's ends in deviations
//! `a = (z - q/2 - m)/S`, `b = (z + q/2 - m)/S`, and `Z = Φ(b) - Φ(a)`, `λ = (φ(a) - φ(b))/Z`:
//!
//! ```text
//! m' = m + P/S λ
//! P' = P (1 - P/S² (λ² + (b φ(b) - a φ(a))/Z))
//! ```

use crate::Real;
use crate::real::{exp_of_negative, reciprocal_sqrt};

/// How a sensor's rounding of the frequency is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// As white noise of variance quantum²/12.
    White,
    /// As the interval that it is.
    #[default]
    Interval,
}

/// `1/sqrt(2 π)`.
const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
/// Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.2.17: absolute error below 7.5e-8. Lowest power first.
const TAIL: [f64; 5] = [0.319_381_53, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
const TAIL_ARGUMENT: f64 = 0.231_641_9;
/// An interval that is less probable than this is left to the linear update: its moments would be those of the tail's approximation.
const PROBABILITY_MIN: f64 = 1e-3;
/// A measurement leaves at least this share of the variance.
const VARIANCE_SHARE_MIN: f64 = 1e-6;

/// Mean and variance after `z` was shown, which is rounded to multiples of `quantum` and before that has noise of the variance `white`.
/// `None` if nothing is uncertain, or if `z` is so improbable that the interval says no more than its middle.
#[inline(always)]
pub fn update<F: Real>((mean, variance): (F, F), z: F, white: F, quantum: F) -> Option<(F, F)> {
    let spread = variance + white;
    let (inverse, precision) = (reciprocal_sqrt(spread), F::ONE / spread);
    let half = F::of(0.5) * quantum;
    let low = Normal::at(z - half - mean, inverse, precision);
    let high = Normal::at(z + half - mean, inverse, precision);
    let probability = low.probability_until(&high);
    let probable = inverse > F::ZERO && probability >= F::of(PROBABILITY_MIN);
    if !probable {
        return None;
    }
    let certainty = F::ONE / probability;
    let shift = (low.density - high.density) * certainty;
    let narrowing = shift * shift + (high.argument * high.density - low.argument * low.density) * certainty;
    let gain = variance * inverse;
    let share = (F::ONE - variance * precision * narrowing).within(F::of(VARIANCE_SHARE_MIN), F::ONE);
    Some((mean + gain * shift, variance * share))
}

/// The standard normal distribution at an argument, a deviation over its standard deviation.
struct Normal<F> {
    argument: F,
    density: F,
    /// Probability beyond the argument, on its side of zero.
    tail: F,
}

impl<F: Real> Normal<F> {
    /// By the inverse of the standard deviation and of its square.
    #[inline(always)]
    fn at(deviation: F, inverse: F, precision: F) -> Self {
        // The exponential, which takes longest, does not wait for the root.
        let density = F::of(DENSITY_AT_ZERO) * exp_of_negative(F::of(0.5) * deviation * deviation * precision);
        let argument = deviation * inverse;
        let t = F::ONE / (F::ONE + F::of(TAIL_ARGUMENT) * argument.magnitude());
        let [first, second, third, fourth, fifth] = TAIL.map(F::of);
        let square = t * t;
        let series = (first + second * t) + ((third + fourth * t) + fifth * square) * square;
        Self { argument, density, tail: density * series * t }
    }

    /// Without a branch: which of the tails count is another question from sample to sample.
    #[inline(always)]
    fn probability_until(&self, higher: &Self) -> F {
        let signed = |normal: &Self| if normal.argument < F::ZERO { normal.tail } else { -normal.tail };
        let around = if (self.argument < F::ZERO) == (higher.argument < F::ZERO) { F::ZERO } else { F::ONE };
        around + (signed(higher) - signed(self))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// Moments of the posterior by summing over a grid: the rounding of a noisy value.
    fn by_summing(mean: f64, variance: f64, z: f64, white: f64, quantum: f64) -> (f64, f64) {
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for k in -1000..=1000 {
            let x = mean + f64::from(k) * variance.sqrt() * 8e-3;
            let mut shown = 0.0;
            for j in -40..40 {
                let at = z + quantum * (f64::from(j) + 0.5) / 80.0;
                shown += (-0.5 * (at - x).powi(2) / white).exp();
            }
            let weight = shown * (-0.5 * (x - mean).powi(2) / variance).exp();
            sum += weight;
            first += weight * (x - mean);
            second += weight * (x - mean).powi(2);
        }
        let shift = first / sum;
        (mean + shift, second / sum - shift * shift)
    }

    #[test]
    fn moments_are_those_of_the_exact_posterior() {
        for (mean, variance, white) in
            [(50.0, 4e-4, 4e-4), (49.97, 1e-3, 2.5e-5), (50.049, 2e-4, 4e-4), (50.02, 1e-2, 1e-4), (50.0, 1e-5, 0.01)]
        {
            for z in [49.9, 50.0, 50.1] {
                let (m, p) = by_summing(mean, variance, z, white, 0.1);
                let Some((ours_m, ours_p)) = update((mean, variance), z, white, 0.1) else { continue };
                assert!((ours_m - m).abs() < 1e-3 * variance.sqrt(), "{mean} {variance} {z}: mean {ours_m}, exact {m}");
                assert!((ours_p / p - 1.0).abs() < 2e-3, "{mean} {variance} {z}: variance {ours_p}, exact {p}");
                let single = update((mean as f32, variance as f32), z as f32, white as f32, 0.1_f32);
                let off = single.map(|(m, p)| (f64::from(m) - ours_m).abs() / variance.sqrt() + (f64::from(p) / ours_p - 1.0).abs());
                assert!(off.is_some_and(|off| off < 0.02), "{mean} {variance} {z}: {single:?}, in double {ours_m} {ours_p}");
            }
        }
    }

    #[test]
    fn what_is_improbable_or_no_number_is_left_to_others() {
        assert_eq!(update((50.0, 1e-4), 50.2, 1e-4, 0.1), None);
        assert_eq!(update((50.0, 1e-4), 49.8, 1e-4, 0.1), None);
        assert_eq!(update((50.0, 1e-4), f64::NAN, 1e-4, 0.1), None);
        assert_eq!(update((50.0, 0.0), 50.0, 0.0, 0.1), None);
        assert!(update((50.0, 4e-4), 50.1, 4e-4, 0.1).is_some());
    }

    #[test]
    fn the_normal_distribution() {
        for (from, to, probability) in [
            (-1.0, 1.0, 0.682_689_492),
            (0.0, 1.0, 0.341_344_746),
            (-2.0, -1.0, 0.135_905_122),
            (1.0, 2.0, 0.135_905_122),
            (-3.0, 0.5, 0.690_112_590),
        ] {
            let ours = Normal::at(from, 1.0, 1.0).probability_until(&Normal::<f64>::at(to, 1.0, 1.0));
            assert!((ours - probability).abs() < 3e-7, "{from} to {to}: {ours}");
        }
    }
}
