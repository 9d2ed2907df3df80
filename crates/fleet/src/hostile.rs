//! What no meter and no clock should ever say: NaN, infinities, zeros, numbers beyond all measure, time that stands still or runs back.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sensor::SensedSample;

/// Values that no register can mean.
const ODD: [f64; 12] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e30, -1e30, 1e-40, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, -1.0];
/// Elapsed times that no clock can mean, among them a year either way, in s.
const ODD_ELAPSED: [f64; 11] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, -3.2e7, 1e-30, 1e30, 3.2e7, 86_400.0, 600.0];
/// Ranges in which a value is believable: V, A, W, Hz, power factor.
const BELIEVABLE: [(f64, f64); 5] = [(60.0, 300.0), (0.0, 200.0), (-60e3, 60e3), (40.0, 70.0), (0.0, 1.0)];
const ODD_REGISTERS: [u64; 5] = [0, 1, u64::MAX, u64::MAX / 2, 9_999_990];
/// Registers that are believable end here, in Wh.
const REGISTER_END_WH: u64 = 100_000;
/// Ordinary times between samples end here, in s.
const ELAPSED_END_S: f64 = 3.0;

/// A seeded source of hostile samples.
#[derive(Clone, Debug)]
pub struct Hostile {
    random: ChaCha8Rng,
}

impl Hostile {
    /// The same seed gives the same samples.
    pub fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The next sample, and the time since the one before it in s. Some are odd in everything, some in one value only.
    pub fn sample(&mut self) -> (f64, SensedSample) {
        let elapsed = if self.once_in(4) { self.one_of(&ODD_ELAPSED) } else { self.random.random_range(0.0..ELAPSED_END_S) };
        let odd_share = self.one_of(&[0, 1, 2, 6]);
        let [voltage, current, active_power, frequency, power_factor] = BELIEVABLE.map(|range| self.value(odd_share, range));
        let energy_wh = if self.once_in(2) { self.one_of(&ODD_REGISTERS) } else { self.random.random_range(0..REGISTER_END_WH) };
        (elapsed, SensedSample { voltage, current, active_power, frequency, power_factor, energy_wh })
    }

    /// A number of samples, below `end`.
    pub fn count(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    /// A current for the ordinary house that comes after it, in A.
    pub fn ordinary_current(&mut self) -> f64 {
        self.random.random_range(0.0..40.0)
    }

    /// Odd in `odd_share` of 8 draws, at the limit of what is believable in one more.
    fn value(&mut self, odd_share: u32, (low, high): (f64, f64)) -> f64 {
        match self.random.random_range(0..8) {
            draw if draw < odd_share => self.one_of(&ODD),
            7 => self.one_of(&[low, high]),
            _ => self.random.random_range(low..high),
        }
    }

    fn once_in(&mut self, count: u32) -> bool {
        self.random.random_range(0..count) == 0
    }

    fn one_of<T: Copy + Default>(&mut self, values: &[T]) -> T {
        values.get(self.random.random_range(0..values.len())).copied().unwrap_or_default()
    }
}
