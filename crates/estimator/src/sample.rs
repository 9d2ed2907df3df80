//! What goes into an estimator and what comes out.

use measure::Flags;

use crate::Real;
use crate::energy::Energy;
use crate::load::{CHANNELS, SensorNoise};
use crate::monitor::loop_resistance::THRESHOLD_FLEET;
use crate::rounding::Rounding;

/// What an estimator has to know about its meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Noise of the sensor.
    pub noise: SensorNoise,
    /// Evidence of a loop resistance that rose, in nats, above which it is told; see [`loop_resistance`](crate::monitor::loop_resistance).
    pub loop_threshold: f64,
    /// How the rounding of the frequency is understood.
    pub frequency_rounding: Rounding,
}

impl Config {
    /// For one of many meters with this sensor.
    pub const fn new(noise: SensorNoise) -> Self {
        Self { noise, loop_threshold: THRESHOLD_FLEET, frequency_rounding: Rounding::Interval }
    }
}

/// A measurement as the meter gave it, the mean over the interval since the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample<F> {
    /// Rms voltage in V.
    pub voltage: F,
    /// Rms current in A.
    pub current: F,
    /// Active power in W.
    pub active_power: F,
    /// Frequency in Hz.
    pub frequency: F,
    /// Power factor as the meter computes it, rounded to two digits.
    pub power_factor: F,
    /// Cumulative energy register in Wh.
    pub energy_wh: u64,
}

/// What is known after a sample. Variances exclude the sensor's gain error, which can't be observed at one meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<F> {
    /// Rms voltage in V.
    pub voltage: F,
    /// Rms current in A.
    pub current: F,
    /// Active power in W.
    pub active_power: F,
    /// Non-active power in var, `sqrt((V I)² - P²)`; never negative.
    pub non_active_power: F,
    /// Power factor, at most 1.
    pub power_factor: F,
    /// Frequency in Hz.
    pub frequency: F,
    /// Cumulative energy: integrated, corrected at the ticks of the register.
    pub energy: Energy<F>,
    /// Variance of the voltage in V².
    pub voltage_variance: F,
    /// Variance of the current in A².
    pub current_variance: F,
    /// Variance of the active power in W².
    pub active_power_variance: F,
    /// Variance of the frequency in Hz².
    pub frequency_variance: F,
    /// Variance of the energy in Wh².
    pub energy_variance: F,
    /// Normalised innovation squared of (V, I, P), three degrees of freedom; 0 where no fresh sample was compared.
    pub nis: F,
    /// Normalised innovation squared of the frequency, one degree of freedom.
    pub nis_frequency: F,
    /// Verdicts on the sample.
    pub flags: Flags,
}

/// What the monitors' verdicts rest on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence<F> {
    /// How many frames ago the frames that are repeated now were seen first; `None` if none are.
    pub replay_age: Option<u16>,
    /// Noise variance of the voltage, relative to what this sensor used to have; 1 before that is known.
    pub noise_voltage: F,
    /// Noise variance of P/(V I), relative to what this sensor used to have; 1 before that is known.
    pub noise_load: F,
    /// Resistance of the service loop by the last few switched loads, in ohm; 0 before the first.
    pub loop_resistance: F,
    /// Resistance of the service loop by the first forty switched loads, in ohm; 0 before them.
    pub loop_reference: F,
    /// Evidence that the resistance has risen, in nats; see [`loop_resistance`](crate::monitor::loop_resistance).
    pub loop_statistic: F,
}

impl<F: Real> Sample<F> {
    /// The independent measurements, by channel.
    pub fn channels(&self) -> [F; CHANNELS] {
        [self.voltage, self.current, self.active_power, self.frequency]
    }
}
