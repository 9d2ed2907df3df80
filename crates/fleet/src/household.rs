//! A household behind its service loop: physics ten times a second.
//!
//! The supply wanders (an Ornstein-Uhlenbeck process of 15 minutes, a fast one of a second, and tap changes), the frequency with it; nine
//! appliances switch on and off, some only while their program runs, with inrush, wander, and a power that follows the voltage; the load's
//! current drops voltage on the service loop.
//!
//! The model and its figures are those of the numpy generator behind the estimator's reference vectors. Its random numbers are not: that
//! stream is not reproduced, the distributions are the same and the seeds are our own.

mod appliance;

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use appliance::{APPLIANCES, Appliance, NOMINAL_V, PROGRAMS, Program};

/// A configuration drawn from a household's seed must not draw the household's numbers.
const CONFIG_STREAM: u64 = u64::MAX;

/// Steps of the physics in a second.
pub const STEPS: usize = 10;
const STEP_S: f64 = 0.1;

/// Mean of the supply, in V.
const SUPPLY_MEAN_V: f64 = 231.0;
const SUPPLY_TIME_S: f64 = 900.0;
const FLICKER_TIME_S: f64 = 1.0;
const FREQUENCY_MEAN_HZ: f64 = 50.0;
const FREQUENCY_TIME_S: f64 = 120.0;
const FREQUENCY_WANDER: f64 = 0.0022;
/// A transformer changes its tap about so often, by one of these, in V.
const TAP_CHANGE_S: f64 = 7200.0;
const TAP_V: [f64; 3] = [-3.4, 0.0, 3.4];
/// What is always on: active power in W, its wander, and non-active power in var.
const BASE_W: f64 = 65.0;
const BASE_TIME_S: f64 = 60.0;
const BASE_WANDER: f64 = 0.01;
const BASE_VAR: f64 = 75.0;

/// Service loops of real households, in ohm: from beside the transformer to the end of a long line.
const TYPICAL_LOOP_OHM: Range<f64> = 0.1..0.4;
/// Restlessness of real supplies, in V/√s.
const TYPICAL_WANDER: Range<f64> = 0.07..0.23;

/// With pauses so much longer each program runs two days in five: 2,100 s of a run and 214,000 s of a pause, the means. An assumption: about
/// so often does a household wash, or heat its oven.
const PAUSE_EVERYDAY: f64 = 23.8;
/// When people are up, in hours of the day.
const AWAKE_EVERYDAY_H: (f64, f64) = (6.5, 23.0);
/// A household begins at midnight.
const DAY_S: f64 = 86_400.0;

/// What differs between households besides chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HouseholdConfig {
    /// Resistance of the service loop, in ohm.
    pub service_loop_ohm: f64,
    /// How restless the supply is, in V/√s; real ones 0.07 to 0.23.
    pub supply_wander: f64,
    /// Deviation of its fast part, in V.
    pub flicker_v: f64,
    /// How long its programs (cooking, a microwave meal, washing, its heating) pause, as a multiple of what they do in the reference
    /// vectors: there each runs eight times a day, so that an hour holds every kind of event.
    pub pause: f64,
    /// From when to when what people switch on draws current, in hours of the day.
    pub awake_h: (f64, f64),
}

impl Default for HouseholdConfig {
    fn default() -> Self {
        Self { service_loop_ohm: 0.2, supply_wander: 0.1, flicker_v: 0.03, pause: 1.0, awake_h: (0.0, 24.0) }
    }
}

impl HouseholdConfig {
    /// One of a street: drawn from what real ones are like.
    pub fn typical(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(CONFIG_STREAM);
        Self {
            service_loop_ohm: random.random_range(TYPICAL_LOOP_OHM),
            supply_wander: random.random_range(TYPICAL_WANDER),
            ..Self::default()
        }
    }

    /// The same, but people live in it: they sleep at night, and cook and wash no more often than people do.
    pub fn everyday(seed: u64) -> Self {
        Self { pause: PAUSE_EVERYDAY, awake_h: AWAKE_EVERYDAY_H, ..Self::typical(seed) }
    }
}

/// One step of the physics, at the meter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Rms voltage in V.
    pub voltage: f64,
    /// Active current P/V in A.
    pub active_current: f64,
    /// Non-active current in A, in quadrature.
    pub non_active_current: f64,
    /// Frequency in Hz.
    pub frequency: f64,
}

impl Moment {
    /// Active power in W.
    pub fn active_power(&self) -> f64 {
        self.voltage * self.active_current
    }

    /// Rms current squared, in A².
    pub fn current_squared(&self) -> f64 {
        self.active_current * self.active_current + self.non_active_current * self.non_active_current
    }
}

/// One second of the physics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physics {
    /// Its steps.
    pub moments: [Moment; STEPS],
    /// Energy since the household began, at the end of this second, in Wh.
    pub energy_wh: f64,
    /// Power on the plate of the largest appliance that began or ceased to draw within this second, in W; 0 if none did.
    pub switched_w: f64,
}

/// What a perfect meter would show for one second: what estimates are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Truth {
    /// Mean rms voltage in V.
    pub voltage: f64,
    /// Rms current in A.
    pub current: f64,
    /// Mean active power in W.
    pub active_power: f64,
    /// Non-active power in var.
    pub non_active_power: f64,
    /// Mean frequency in Hz.
    pub frequency: f64,
    /// Energy in Wh.
    pub energy_wh: f64,
}

impl Physics {
    /// The truth about this second.
    pub fn truth(&self) -> Truth {
        let mean = |of: fn(&Moment) -> f64| self.moments.iter().map(of).sum::<f64>() / STEPS as f64;
        let (voltage, current) = (mean(|moment| moment.voltage), mean(Moment::current_squared).sqrt());
        let active_power = mean(Moment::active_power);
        let non_active_power = ((voltage * current).powi(2) - active_power.powi(2)).max(0.0).sqrt();
        Truth { voltage, current, active_power, non_active_power, frequency: mean(|moment| moment.frequency), energy_wh: self.energy_wh }
    }
}

/// A household, one second at a time.
#[derive(Clone, Debug)]
pub struct Household {
    config: HouseholdConfig,
    random: ChaCha8Rng,
    slow_v: f64,
    fast_v: f64,
    tap_v: f64,
    off_nominal_hz: f64,
    base: f64,
    voltage: f64,
    appliances: [Appliance; APPLIANCES.len()],
    programs: [Program; PROGRAMS],
    energy_wh: f64,
    switched_w: f64,
    time_s: f64,
}

impl Household {
    /// The same seed and configuration give the same household.
    pub fn new(seed: u64, config: &HouseholdConfig) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let appliances = APPLIANCES.map(|plate| Appliance::new(plate, &mut random));
        let programs = core::array::from_fn(|_| Program::new(&mut random, config.pause));
        Self {
            config: *config,
            random,
            slow_v: 0.0,
            fast_v: 0.0,
            tap_v: 0.0,
            off_nominal_hz: 0.0,
            base: 1.0,
            voltage: NOMINAL_V,
            appliances,
            programs,
            energy_wh: 0.0,
            switched_w: 0.0,
            time_s: 0.0,
        }
    }

    /// The next second.
    pub fn second(&mut self) -> Physics {
        self.switched_w = 0.0;
        let moments = core::array::from_fn(|_| self.step());
        Physics { moments, energy_wh: self.energy_wh, switched_w: self.switched_w }
    }

    fn step(&mut self) -> Moment {
        let supply = self.supply();
        let hour = self.time_s % DAY_S / 3600.0;
        let awake = hour >= self.config.awake_h.0 && hour < self.config.awake_h.1;
        self.time_s += STEP_S;
        for program in &mut self.programs {
            program.step(&mut self.random);
        }
        self.base += wander(&mut self.random, self.base - 1.0, BASE_TIME_S, BASE_WANDER);
        let mut active_current = BASE_W * self.base / self.voltage;
        let mut non_active_current = BASE_VAR / self.voltage;
        for appliance in &mut self.appliances {
            let drew = appliance.draws();
            let (active, non_active) = appliance.step(&mut self.random, &self.programs, awake, self.voltage);
            if appliance.draws() != drew {
                self.switched_w = self.switched_w.max(appliance.plate_w());
            }
            active_current += active;
            non_active_current += non_active;
        }
        self.voltage = supply - self.config.service_loop_ohm * active_current;
        let moment =
            Moment { voltage: self.voltage, active_current, non_active_current, frequency: FREQUENCY_MEAN_HZ + self.off_nominal_hz };
        self.energy_wh += moment.active_power() * STEP_S / 3600.0;
        moment
    }

    /// Voltage behind the service loop; moves the frequency too.
    fn supply(&mut self) -> f64 {
        let random = &mut self.random;
        self.slow_v += wander(random, self.slow_v, SUPPLY_TIME_S, self.config.supply_wander);
        self.fast_v += wander(random, self.fast_v, FLICKER_TIME_S, self.config.flicker_v * (2.0 / FLICKER_TIME_S).sqrt());
        self.off_nominal_hz += wander(random, self.off_nominal_hz, FREQUENCY_TIME_S, FREQUENCY_WANDER);
        if random.random::<f64>() < STEP_S / TAP_CHANGE_S
            && let Some(tap_v) = TAP_V.get(random.random_range(0..TAP_V.len()))
        {
            self.tap_v = *tap_v;
        }
        SUPPLY_MEAN_V + self.slow_v + self.fast_v + self.tap_v
    }
}

/// One step of an Ornstein-Uhlenbeck process at `deviation` from its mean.
fn wander(random: &mut ChaCha8Rng, deviation: f64, time_s: f64, per_root_s: f64) -> f64 {
    let normal: f64 = random.sample(StandardNormal);
    -deviation / time_s * STEP_S + per_root_s * STEP_S.sqrt() * normal
}

fn between(random: &mut ChaCha8Rng, (low, high): (f64, f64)) -> f64 {
    random.random_range(low..high)
}
