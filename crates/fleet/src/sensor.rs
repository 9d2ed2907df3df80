//! What a meter makes of the physics: means over its window, gain errors, noise, resolution, and registers that it refreshes at its own pace.

use measure::{Amperes, Hertz, PowerFactor, Volts, WattHours, Watts};
use meters::pzem004t::Measurement;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::household::{Moment, Physics, STEPS, Truth};

/// A sensor seeded like its household must not draw the household's numbers again.
const STREAM: u64 = 1;

/// White noise and resolution by channel V, I, P, f; how often the registers are refreshed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Deviation relative to the value.
    pub relative: [f64; 4],
    /// Deviation in any case: V, A, W, Hz.
    pub absolute: [f64; 4],
    /// Resolution: V, A, W, Hz.
    pub quantum: [f64; 4],
    /// Deviation of the gains of V, I and P. A class of 0.5 % read as uniform: 0.29 %.
    pub gain: f64,
    /// From one refresh of the registers to the next, in ms; they are read once a second.
    pub refresh_ms: u32,
}

impl Profile {
    /// PZEM-004T v3 with registers that are always fresh.
    pub const PZEM: Self = Self {
        relative: [1.5e-4, 3e-4, 4e-4, 0.0],
        absolute: [0.01, 5e-4, 0.05, 0.005],
        quantum: [0.1, 0.001, 0.1, 0.1],
        gain: 0.0029,
        refresh_ms: 1000,
    };

    /// PZEM-004T v3 as it is: the registers are refreshed every 1.25 s, so that every fifth reply repeats the one before.
    pub const PZEM_LAGGING: Self = Self { refresh_ms: 1250, ..Self::PZEM };

    /// A microcontroller's converter behind a voltage transformer and a clip-on current transformer.
    pub const NOISY: Self =
        Self { relative: [0.004, 0.008, 0.008, 0.0], absolute: [0.2, 0.02, 2.0, 0.02], quantum: [0.1, 0.01, 1.0, 0.1], ..Self::PZEM };
}

/// What a meter answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SensedSample {
    /// Rms voltage in V.
    pub voltage: f64,
    /// Rms current in A.
    pub current: f64,
    /// Active power in W.
    pub active_power: f64,
    /// Frequency in Hz.
    pub frequency: f64,
    /// P/(V I) of these registers, rounded to two digits.
    pub power_factor: f64,
    /// Energy register in whole Wh; it ticks in replies that repeat the other registers, too.
    pub energy_wh: u64,
}

impl SensedSample {
    /// As the driver of a PZEM gives it; what its fields can't hold is 0.
    pub fn measurement(&self) -> Measurement {
        Measurement {
            voltage: Volts::from_f64(self.voltage).unwrap_or_default(),
            current: Amperes::from_f64(self.current).unwrap_or_default(),
            active_power: Watts::from_f64(self.active_power).unwrap_or_default(),
            energy: WattHours::from_f64(self.energy_wh as f64).unwrap_or_default(),
            frequency: Hertz::from_f64(self.frequency).unwrap_or_default(),
            power_factor: PowerFactor::from_f64(self.power_factor).unwrap_or_default(),
            alarm: false,
        }
    }
}

/// How a sensor is at the moment. Faults change it; see [`faults`](crate::faults).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Factor on the standard deviations of its noise.
    pub noise: f64,
    /// Share of the current that passes through its current transformer.
    pub measured_current: f64,
}

impl Default for Condition {
    fn default() -> Self {
        Self { noise: 1.0, measured_current: 1.0 }
    }
}

/// Sums over the window that the registers are averaged over.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    steps: u32,
    voltage: f64,
    current_squared: f64,
    active_power: f64,
    frequency: f64,
}

impl Window {
    fn add(&mut self, moment: &Moment) {
        self.steps = self.steps.saturating_add(1);
        self.voltage += moment.voltage;
        self.current_squared += moment.current_squared();
        self.active_power += moment.active_power();
        self.frequency += moment.frequency;
    }

    /// V, I, P, f; the current is the root of the mean square.
    fn means(&self) -> [f64; 4] {
        let steps = f64::from(self.steps.max(1));
        [self.voltage / steps, (self.current_squared / steps).sqrt(), self.active_power / steps, self.frequency / steps]
    }
}

/// A meter.
#[derive(Clone, Debug)]
pub struct Sensor {
    profile: Profile,
    random: ChaCha8Rng,
    gains: [f64; 3],
    window: Window,
    /// What the refresh timer shows, in ms.
    since_refresh_ms: u32,
    registers: Option<[f64; 4]>,
    energy_start_wh: u64,
    /// Energy of the household so far, and what of it was not measured, in Wh.
    energy_wh: f64,
    unmeasured_wh: f64,
}

impl Sensor {
    /// The same seed and profile give the same meter. The seed may be the household's.
    pub fn new(seed: u64, profile: Profile) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(STREAM);
        let gains = core::array::from_fn(|_| 1.0 + profile.gain * random.sample::<f64, _>(StandardNormal));
        Self {
            profile,
            random,
            gains,
            window: Window::default(),
            since_refresh_ms: 0,
            registers: None,
            energy_start_wh: 0,
            energy_wh: 0.0,
            unmeasured_wh: 0.0,
        }
    }

    /// The same with an energy register that starts here.
    pub fn with_register(self, energy_wh: u64) -> Self {
        Self { energy_start_wh: energy_wh, ..self }
    }

    /// What is read after this second.
    pub fn sample(&mut self, physics: &Physics) -> SensedSample {
        self.sample_in(&Condition::default(), physics)
    }

    /// What is read after this second in this condition.
    pub fn sample_in(&mut self, condition: &Condition, physics: &Physics) -> SensedSample {
        const STEP_MS: u32 = 1000 / STEPS as u32;
        for moment in &physics.moments {
            self.window.add(moment);
            self.since_refresh_ms = self.since_refresh_ms.saturating_add(STEP_MS);
            if self.since_refresh_ms >= self.profile.refresh_ms {
                self.since_refresh_ms = self.since_refresh_ms.saturating_sub(self.profile.refresh_ms);
                self.refresh(condition);
            }
        }
        // The first answer of a module that was just switched on must not wait.
        let [voltage, current, active_power, frequency] = match self.registers {
            Some(registers) => registers,
            None => {
                self.since_refresh_ms = 0;
                self.refresh(condition)
            }
        };
        let [_, _, power_gain] = self.gains;
        let elapsed_wh = physics.energy_wh - self.energy_wh;
        self.energy_wh = physics.energy_wh;
        self.unmeasured_wh += elapsed_wh * (1.0 - condition.measured_current);
        let energy_wh = self.energy_start_wh.saturating_add(((self.energy_wh - self.unmeasured_wh) * power_gain) as u64);
        SensedSample { voltage, current, active_power, frequency, power_factor: power_factor(voltage, current, active_power), energy_wh }
    }

    /// The truth as this meter would show it without noise: its gain errors are part of it, because no filter at the meter can see them.
    pub fn as_sensed(&self, truth: &Truth) -> Truth {
        let [voltage_gain, current_gain, power_gain] = self.gains;
        let (voltage, current, active_power) =
            (truth.voltage * voltage_gain, truth.current * current_gain, truth.active_power * power_gain);
        let non_active_power = ((voltage * current).powi(2) - active_power.powi(2)).max(0.0).sqrt();
        let energy_wh = self.energy_start_wh as f64 + truth.energy_wh * power_gain;
        Truth { voltage, current, active_power, non_active_power, frequency: truth.frequency, energy_wh }
    }

    /// Closes the window: gain, noise, resolution.
    fn refresh(&mut self, condition: &Condition) -> [f64; 4] {
        let [voltage, current, power, frequency] = core::mem::take(&mut self.window).means();
        let [voltage_gain, current_gain, power_gain] = self.gains;
        let Profile { relative: [rv, ri, rp, rf], absolute: [av, ai, ap, af], quantum: [qv, qi, qp, qf], .. } = self.profile;
        let mut measure = |value: f64, relative: f64, absolute: f64, quantum: f64| {
            let deviation = condition.noise * (relative * value).hypot(absolute);
            let noisy = (value + deviation * self.random.sample::<f64, _>(StandardNormal)).max(0.0);
            // Divided by the integer that the resolution is the inverse of, so that equal readings are equal numbers.
            let per_unit = (1.0 / quantum).round();
            (noisy * per_unit).round() / per_unit
        };
        let registers = [
            measure(voltage * voltage_gain, rv, av, qv),
            measure(current * current_gain * condition.measured_current, ri, ai, qi),
            measure(power * power_gain * condition.measured_current, rp, ap, qp),
            measure(frequency, rf, af, qf),
        ];
        self.registers = Some(registers);
        registers
    }
}

/// As the PZEM computes it: from its own registers, to two digits, at most 1.
pub(crate) fn power_factor(voltage: f64, current: f64, active_power: f64) -> f64 {
    let apparent = voltage * current;
    if apparent > 0.0 { (active_power / apparent * 100.0).round().min(100.0) / 100.0 } else { 0.0 }
}
