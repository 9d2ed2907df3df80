//! Recognises a sensor that gets noisier: a bad contact, an ageing converter.
//!
//! White noise of variance `R` on a random walk that gains the variance `q` a sample shows in the variogram
//! `γ(h) = E (z[k] - z[k-h])²/2 = R + h q/2`, hence `R = 2 γ(1) - γ(2)` (Cressie, *Statistics for Spatial Data*, 1993, ch. 2.4). Switched
//! loads are outliers in it, so each `γ` comes from the median of the absolute differences, `γ = (1.4826 median)²/2` (Hampel 1974), and not
//! from their mean. Two series are watched: the voltage, and P/(V I), in which the wander of the load cancels.
//!
//! What is measured is compared with what this sensor used to do, not with what it should do: a quantised and restless supply reads as
//! noise that is not there. The work is two medians per window and series: by selection, a few thousand comparisons every 128 samples.
//!
//! All of it is in single precision, whatever the filter's is: nothing here has more than three digits.

use crate::load::{CHANNELS, I, P, SensorNoise, V};
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
        Self { voltage: Series::new(), load: Series::new() }
    }

    /// Takes a fresh sample.
    pub fn take(&mut self, z: &[f32; CHANNELS], sensor: &SensorNoise) {
        let (white, rounding) = variances(sensor, z);
        let quantum = sensor.quantum[V] as f32;
        self.voltage.take(z[V], Expected { white: white[V], rounding: rounding[V] }, quantum);
        if z[I] > LOAD_MIN.0 && z[P] > LOAD_MIN.1 {
            let factor = z[P] / (z[V] * z[I]);
            let weights = [V, I, P].map(|i| (i, factor * factor / (z[i] * z[i])));
            let sum = |variances: &[f32; CHANNELS]| weights.iter().fold(0.0, |sum, (i, weight)| sum + weight * variances[*i]);
            // P/(V I) is on no grid.
            self.load.take(factor, Expected { white: sum(&white), rounding: sum(&rounding) }, 0.0);
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

/// By channel, what the model says of a sample: variance of everything but rounding, and of rounding.
fn variances(sensor: &SensorNoise, z: &[f32; CHANNELS]) -> ([f32; CHANNELS], [f32; CHANNELS]) {
    let white = core::array::from_fn(|i| {
        let (relative, absolute) = (sensor.relative[i] as f32 * z[i], sensor.absolute[i] as f32);
        relative * relative + absolute * absolute
    });
    (white, sensor.quantum.map(|quantum| (quantum * quantum / 12.0) as f32))
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
    /// The sample before, and the one before that.
    earlier: [f32; 2],
    known: u8,
    /// Squares of the differences to them, relative to the white variance that the model expects: loads come and go within a window.
    differences: [[f32; WINDOW]; 2],
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
    const fn new() -> Self {
        Self {
            earlier: [0.0; 2],
            known: 0,
            differences: [[0.0; WINDOW]; 2],
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

    /// Takes a value of a series on a grid of `quantum`.
    fn take(&mut self, value: f32, expected: Expected, quantum: f32) {
        let (known, [before, before_that]) = (self.known, self.earlier);
        self.known = self.known.saturating_add(1).min(2);
        self.earlier = [value, before];
        if known < 2 {
            return;
        }
        let at = usize::from(self.filled);
        let relative = |difference: f32| difference * difference / expected.white;
        self.differences[0][at] = relative(value - before);
        self.differences[1][at] = relative(value - before_that);
        self.rounding += expected.rounding / expected.white;
        self.filled = if at + 1 == WINDOW { 0 } else { self.filled + 1 };
        if self.filled == 0 {
            let rounding = core::mem::take(&mut self.rounding) / WINDOW as f32;
            self.close(rounding, quantum * quantum / expected.white);
        }
    }

    /// Ends a window of so much rounding, on a grid of this square. All variances are relative to the white one.
    fn close(&mut self, rounding: f32, grid: f32) {
        let [first, second] = &mut self.differences;
        let variogram = |squares: &mut [f32; WINDOW]| 0.5 * MEDIAN_TO_DEVIATION * MEDIAN_TO_DEVIATION * grouped_median(squares, grid);
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
        self.known = 0;
    }

    fn relative(&self) -> f32 {
        self.usual.map_or(1.0, |usual| self.ratio / usual)
    }
}

/// The square of the median of magnitudes, given their squares. The magnitudes were rounded to a grid whose square is `grid`, each being
/// anywhere within half a step of it: with few steps of resolution the plain median would jump by whole ones.
fn grouped_median<const N: usize>(squares: &mut [f32; N], grid: f32) -> f32 {
    let (_, middle, _) = squares.select_nth_unstable_by(N / 2, f32::total_cmp);
    let (middle, half) = (sqrt(*middle), 0.5 * sqrt(grid));
    let (low, high) = ((middle - half).max(0.0), middle + half);
    let below = squares.iter().filter(|square| **square < low * low).count() as f32;
    let within = squares.iter().filter(|square| **square <= high * high).count() as f32 - below;
    let median = low + (high - low) * (N as f32 * 0.5 - below) / within.max(1.0);
    median * median
}

#[cfg(test)]
mod tests;
