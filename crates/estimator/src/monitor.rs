//! What watches a meter beside the filter, a room a monitor. None of them changes an estimate, but [`noise`], which has the filter believe
//! a degraded sensor less.
//!
//! - [`frame`]: what one frame shows without any model: implausible, duplicate, stuck, contradicted by its own power factor;
//! - [`replay`]: stretches that were measured before;
//! - [`noise`]: white noise that grows;
//! - [`loop_resistance`]: switched loads that cost the usual voltage but too little current.

pub mod frame;
pub mod loop_resistance;
pub mod noise;
pub mod replay;

use measure::Flags;

use crate::Real;
use crate::load::{CHANNELS, P, V};
use crate::sample::Evidence;
use crate::symmetric::lanes;
use loop_resistance::LoopResistance;
use noise::Noise;
use replay::Replay;

pub use frame::{Repetition, STUCK_FRAMES, is_plausible, power_factor_contradicts};

/// The monitors of one metering point that remember more than a frame. `BLOCKS` as in [`Replay`].
#[derive(Clone, Debug)]
pub struct Monitors<F, const BLOCKS: usize> {
    replay: Replay<BLOCKS>,
    noise: Noise,
    loop_resistance: LoopResistance<F>,
}

impl<F: Real, const BLOCKS: usize> Monitors<F, BLOCKS> {
    /// Nothing seen yet. `threshold` as in [`LoopResistance::new`].
    pub fn new(threshold: f64) -> Self {
        Self { replay: Replay::new(), noise: Noise::new(), loop_resistance: LoopResistance::new(F::of(threshold)) }
    }

    /// Takes a plausible frame, fresh or not.
    pub fn see(&mut self, z: &[F; CHANNELS]) {
        self.replay.see(replay::fingerprint(z));
    }

    /// Takes a fresh frame, the variances that the sensor should have at it, those of its rounding alone, and the filter's verdicts.
    #[inline(always)]
    pub fn weigh(&mut self, z: &[F; CHANNELS], variances: &[F; CHANNELS], rounding: &[F; CHANNELS], verdicts: Flags) {
        self.noise.take(&single(z), &single(variances), &single(rounding));
        self.loop_resistance.take(z[V], z[P] / z[V], verdicts);
    }

    /// What the monitors say now.
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::empty();
        flags.set(Flags::REPLAY, self.replay.age().is_some());
        flags.set(Flags::NOISE, self.noise.is_raised());
        flags.set(Flags::LOOP_RESISTANCE, self.loop_resistance.is_raised());
        flags
    }

    /// By how much the noise of each channel grew, if it did: factors on the variance of all but the rounding.
    #[inline(always)]
    pub fn inflation(&self) -> Option<[F; CHANNELS]> {
        let factors = self.noise.inflation()?;
        Some(lanes(|channel| F::of(factors[channel].into())))
    }

    /// What the verdicts rest on.
    pub fn evidence(&self) -> Evidence<F> {
        let [noise_voltage, noise_load] = self.noise.ratios().map(|ratio| F::of(ratio.into()));
        let loops = &self.loop_resistance;
        Evidence {
            replay_age: self.replay.age(),
            noise_voltage,
            noise_load,
            loop_resistance: loops.recent(),
            loop_reference: loops.reference(),
            loop_statistic: loops.statistic(),
        }
    }
}

/// Number by number: an array's `map` is a call that leaves them in memory, and who reads them by fours waits for that.
#[inline(always)]
fn single<F: Real>(values: &[F; CHANNELS]) -> [f32; CHANNELS] {
    lanes(|channel| values[channel].to_f64() as f32)
}
