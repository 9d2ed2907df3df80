//! What a sample shows without any model: implausible, duplicate, stuck, contradicted by its own power factor.

use crate::Real;
use crate::load::{CHANNELS, I, P, V};
use crate::sample::Sample;

/// Range in which a meter that lives on the line it measures can answer at all: V, A, W, Hz. A frame outside it is a bad frame.
const PLAUSIBLE: [(f64, f64); CHANNELS] = [(60.0, 300.0), (0.0, 200.0), (-60e3, 60e3), (40.0, 70.0)];

/// This many equal frames after one another are a stuck meter; four are the longest natural run in ten days of ten meters.
pub const STUCK_FRAMES: u32 = 15;

/// Rounding of a power factor to two digits, and of V, I and P to theirs.
const POWER_FACTOR_TOLERANCE: f64 = 0.0075;
/// Below these the digits of I (A) and P (W) are too few to contradict a power factor.
const POWER_FACTOR_CURRENT_A: f64 = 0.05;
const POWER_FACTOR_POWER_W: f64 = 2.0;

/// Active power is not beyond the apparent power but by noise and, while a load is switched off, by the longer window over which some meters
/// average it: relative to V I, and in W.
const ACTIVE_POWER_MAX: (f64, f64) = (1.5, 1000.0);

/// Whether a meter can have measured this.
pub fn is_plausible<F: Real>(z: &[F; CHANNELS]) -> bool {
    // Without branches: nearly every frame is.
    let in_range = (0..CHANNELS).fold(true, |all, i| all & (z[i] >= F::of(PLAUSIBLE[i].0)) & (z[i] <= F::of(PLAUSIBLE[i].1)));
    let most = F::of(ACTIVE_POWER_MAX.0) * z[V] * z[I] + F::of(ACTIVE_POWER_MAX.1);
    in_range & (z[P].magnitude() <= most)
}

/// Whether the power factor contradicts P/(V I), which is how the meter computes it: no measurement of its own, but a checksum.
pub fn power_factor_contradicts<F: Real>(sample: &Sample<F>) -> bool {
    if !(sample.current > F::of(POWER_FACTOR_CURRENT_A) && sample.active_power > F::of(POWER_FACTOR_POWER_W)) {
        return false;
    }
    let computed = (sample.active_power / (sample.voltage * sample.current)).lesser(F::ONE);
    let agrees = (sample.power_factor - computed).magnitude() <= F::of(POWER_FACTOR_TOLERANCE);
    !agrees
}

/// Recognises frames that the meter did not refresh. The energy register is no part of the comparison: it ticks inside duplicates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repetition<F> {
    last: Option<[F; CHANNELS]>,
    equal: u32,
}

impl<F: Real> Repetition<F> {
    /// How many frames equal to this one came right before it.
    pub fn count(&mut self, z: &[F; CHANNELS]) -> u32 {
        self.equal = if self.last.as_ref() == Some(z) { self.equal.saturating_add(1) } else { 0 };
        self.last = Some(*z);
        self.equal
    }
}
