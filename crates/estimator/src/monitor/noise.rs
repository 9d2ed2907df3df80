//! Recognises a sensor that gets noisier: a bad contact, an ageing converter.
//!
//! White noise of variance `R` on a random walk that gains the variance `q` a sample shows in the variogram
//! `γ(h) = E (z[k] - z[k-h])²/2 = R + h q/2`, hence `R = 2 γ(1) - γ(2)` (Cressie, *Statistics for Spatial Data*, 1993, ch. 2.4). Switched
//! loads are outliers in it, so each `γ` comes from the median of the absolute differences, `γ = (1.4826 median)²/2` (Hampel 1974), and not
//! from their mean. Two series are watched: the voltage, and P/(V I), in which the wander of the load cancels.
//!
//! What is measured is compared with what this sensor used to do, not with what it should do: a quantised and restless supply reads as
//! noise that is not there. The work is two medians per window and series, every 128 samples.
//!
//! All of it is in single precision, whatever the filter's is: nothing here has more than three digits.

use crate::load::{CHANNELS, I, P, V};
use crate::real::sqrt;

/// Fresh samples in a window.
const WINDOW: usize = 128;
/// Windows from which a sensor's usual noise is learnt.
const LEARNING: usize = 60;
/// Weight of a new window in the smoothed ratio.
const SMOOTHING: f32 = 0.3;
/// Range of the ratio of a window.
const RATIO: (f32, f32) = (0.25, 400.0);
/// Noise variance relative to the usual one, above which a window counts, and below which the alarm ends.
const RAISED: f32 = 4.0;
const LOWERED: f32 = 2.0;
/// Windows in a row that raise the alarm.
const CONFIRMING: u8 = 2;
/// A normal distribution's deviation over the median of its magnitude.
const MEDIAN_TO_DEVIATION: f32 = 1.4826;
/// Where the difference of two variograms says nothing, this share of the first is taken for noise.
const LEAST_SHARE: f32 = 0.1;

/// Loads below which the digits of I (A) and P (W) are too few for P/(V I).
const LOAD_MIN: (f32, f32) = (0.15, 25.0);

/// The monitor of one sensor.
#[derive(Clone, Debug)]
pub struct Noise {
    voltage: Series,
    load: Series,
}

impl Noise {
    /// Nothing seen yet.
    pub const fn new() -> Self {
        // P/(V I) is on no grid.
        Self { voltage: Series::new(true), load: Series::new(false) }
    }

    /// Takes a fresh sample, the noise variances that the model expects of it, and those of the rounding among them.
    #[inline(always)]
    pub fn take(&mut self, z: &[f32; CHANNELS], variances: &[f32; CHANNELS], rounding: &[f32; CHANNELS]) {
        let white = |i: usize| variances[i] - rounding[i];
        self.voltage.take(z[V], Expected { white: white(V), rounding: rounding[V] });
        if z[I] > LOAD_MIN.0 && z[P] > LOAD_MIN.1 {
            let inverse = 1.0 / (z[V] * z[I]);
            let factor = z[P] * inverse;
            // By propagation of errors, the derivatives all divided by V I.
            let weights =
                [(factor * z[I]) * (factor * z[I]), (factor * z[V]) * (factor * z[V]), 1.0].map(|weight| weight * (inverse * inverse));
            let sum = |v: f32, i: f32, p: f32| weights[V] * v + weights[I] * i + weights[P] * p;
            self.load
                .take(factor, Expected { white: sum(white(V), white(I), white(P)), rounding: sum(rounding[V], rounding[I], rounding[P]) });
        } else {
            self.load.interrupt();
        }
    }

    /// Whether one of the series is noisier than it used to be.
    pub fn is_raised(&self) -> bool {
        self.voltage.raised || self.load.raised
    }

    /// Noise variance of the voltage and of P/(V I), relative to what it used to be; 1 as long as that is not known.
    pub fn ratios(&self) -> [f32; 2] {
        [self.voltage.relative(), self.load.relative()]
    }

    /// Factors on the variance of each channel's analogue noise, if the alarm is on.
    pub fn inflation(&self) -> Option<[f32; CHANNELS]> {
        let factor = |series: &Series| if series.raised { series.ratio } else { 1.0 };
        let (voltage, load) = (factor(&self.voltage), factor(&self.load));
        self.is_raised().then_some([voltage, load, load, 1.0])
    }
}

impl Default for Noise {
    fn default() -> Self {
        Self::new()
    }
}

/// Variances that the model expects of a value of a series.
#[derive(Clone, Copy, Debug)]
struct Expected {
    white: f32,
    rounding: f32,
}

/// The variogram of one series, and what it used to be.
#[derive(Clone, Debug)]
struct Series {
    /// Whether its values are rounded to multiples of one quantum.
    on_grid: bool,
    /// The sample before, and the one before that.
    earlier: [f32; 2],
    /// How many of them are still to come.
    unknown: u8,
    /// Squares of the differences to them, relative to the white variance that the model expects: loads come and go within a window.
    differences: [[Coarse; WINDOW]; 2],
    /// Sum over the window of the expected rounding, relative to it likewise.
    rounding: f32,
    filled: u8,
    /// Smoothed noise variance relative to the model's.
    ratio: f32,
    learnt: [f32; LEARNING],
    windows: u8,
    usual: Option<f32>,
    high: u8,
    raised: bool,
}

impl Series {
    const fn new(on_grid: bool) -> Self {
        Self {
            on_grid,
            earlier: [0.0; 2],
            unknown: 2,
            differences: [[Coarse::LEAST; WINDOW]; 2],
            rounding: 0.0,
            filled: 0,
            ratio: 1.0,
            learnt: [0.0; LEARNING],
            windows: 0,
            usual: None,
            high: 0,
            raised: false,
        }
    }

    #[inline(always)]
    fn take(&mut self, value: f32, expected: Expected) {
        let [before, before_that] = self.earlier;
        self.earlier = [value, before];
        if self.unknown > 0 {
            self.unknown -= 1;
            return;
        }
        let at = usize::from(self.filled) % WINDOW;
        let inverse = 1.0 / expected.white;
        let relative = |difference: f32| Coarse::new(difference * difference * inverse);
        self.differences[0][at] = relative(value - before);
        self.differences[1][at] = relative(value - before_that);
        self.rounding += expected.rounding * inverse;
        self.filled = ((at + 1) % WINDOW) as u8;
        if self.filled == 0 {
            let rounding = core::mem::take(&mut self.rounding) / WINDOW as f32;
            // A quantum's rounding has the variance of a twelfth of its square.
            let grid = if self.on_grid { 12.0 * expected.rounding * inverse } else { 0.0 };
            self.close(rounding, grid);
        }
    }

    /// Ends a window of so much rounding, on a grid of this square. All variances are relative to the white one.
    #[inline(never)]
    fn close(&mut self, rounding: f32, grid: f32) {
        let [first, second] = &self.differences;
        let variogram = |squares: &[Coarse; WINDOW]| 0.5 * MEDIAN_TO_DEVIATION * MEDIAN_TO_DEVIATION * grouped_median(squares, grid);
        let (first, second) = (variogram(first), variogram(second));
        let noise = (2.0 * first - second).max(LEAST_SHARE * first) - rounding;
        let (least, most) = RATIO;
        let window = noise.max(least).min(most);
        self.ratio += SMOOTHING * (window - self.ratio);
        match self.usual {
            None => self.learn(),
            Some(usual) => self.judge(self.ratio / usual, window / usual),
        }
    }

    fn learn(&mut self) {
        self.learnt[usize::from(self.windows)] = self.ratio;
        self.windows += 1;
        if usize::from(self.windows) == LEARNING {
            let (_, usual, _) = self.learnt.select_nth_unstable_by(LEARNING / 2, f32::total_cmp);
            self.usual = Some(usual.max(1.0));
        }
    }

    /// By the smoothed ratio and that of the last window: a single one, however noisy, raises no alarm.
    fn judge(&mut self, relative: f32, window: f32) {
        self.high = if relative > RAISED && window > LOWERED { self.high.saturating_add(1) } else { 0 };
        self.raised = self.high >= CONFIRMING || (self.raised && relative > LOWERED);
    }

    /// The next value does not follow on the last one.
    fn interrupt(&mut self) {
        self.unknown = 2;
    }

    fn relative(&self) -> f32 {
        self.usual.map_or(1.0, |usual| self.ratio / usual)
    }
}

/// A number to three digits: five bits of its exponent and ten of its fraction. They are in the order of the numbers, and a vector unit compares
/// eight at once. What is below 2^-16 counts as 0, and what is above 2^16 as that: less than any noise, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Coarse(i16);

impl Coarse {
    const LEAST: Self = Self(0);
    const LEAST_VALUE: f32 = 1.0 / 65_536.0;
    const MOST_VALUE: f32 = 65_535.0;
    /// Bits of a fraction that don't count.
    const DROPPED: u32 = f32::MANTISSA_DIGITS - 1 - 10;

    #[inline(always)]
    const fn new(value: f32) -> Self {
        let above = if value > Self::LEAST_VALUE { value } else { Self::LEAST_VALUE };
        let within = if above < Self::MOST_VALUE { above } else { Self::MOST_VALUE };
        Self(((within.to_bits() - Self::LEAST_VALUE.to_bits()) >> Self::DROPPED) as i16)
    }

    const fn value(self) -> f32 {
        if self.0 == 0 { 0.0 } else { f32::from_bits(((self.0 as u32) << Self::DROPPED) + Self::LEAST_VALUE.to_bits()) }
    }
}

/// How many of the values are so. Summed as -1, which is what a vector unit's comparison gives.
#[inline(always)]
fn count<const N: usize>(values: &[Coarse; N], is_so: impl Fn(Coarse) -> bool) -> i16 {
    -values.iter().map(|value| -i16::from(is_so(*value))).sum::<i16>()
}

/// The value that `N / 2` others are not above: the largest one that at most half of the values lie below, a bit after the other. Each bit takes a
/// count over all of them, which has no branch and which a vector unit does eight at a time; a selection moves them about and guesses.
fn upper_median<const N: usize>(values: &[Coarse; N]) -> Coarse {
    let mut median = 0;
    for bit in (0..15).rev() {
        let tried = median | 1 << bit;
        if count(values, |value| value.0 < tried) <= (N / 2) as i16 {
            median = tried;
        }
    }
    Coarse(median)
}

/// The square of the median of magnitudes, given their squares. The magnitudes were rounded to a grid whose square is `grid`, each being
/// anywhere within half a step of it: with few steps of resolution the plain median would jump by whole ones.
fn grouped_median<const N: usize>(squares: &[Coarse; N], grid: f32) -> f32 {
    let (middle, half) = (sqrt(upper_median(squares).value()), 0.5 * sqrt(grid));
    let (low, high) = ((middle - half).max(0.0), middle + half);
    let (low_square, high_square) = (Coarse::new(low * low), Coarse::new(high * high));
    let below = f32::from(count(squares, |square| square < low_square));
    let within = f32::from(count(squares, |square| square <= high_square)) - below;
    let median = low + (high - low) * (N as f32 * 0.5 - below) / within.max(1.0);
    median * median
}

#[cfg(test)]
mod tests;
