//! Appliances and the programs that gate them: when they are on, and what they draw.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{STEP_S, between, wander};

/// Voltage at which appliances draw what it says on their plate, in V.
pub const NOMINAL_V: f64 = 230.0;
/// How long inrush lasts, in s.
const INRUSH_S: f64 = 0.3;
const APPLIANCE_WANDER_TIME_S: f64 = 20.0;
/// Programs (cooking, a microwave meal, washing, its heating): how long they run and pause, in s.
pub const PROGRAMS: usize = 4;
const PROGRAM_RUNS_S: (f64, f64) = (1200.0, 3000.0);
const PROGRAM_PAUSES_S: (f64, f64) = (4000.0, 14_000.0);
const PROGRAM_FIRST_S: (f64, f64) = (600.0, 4000.0);

/// How the power of an appliance follows the voltage.
#[derive(Clone, Copy, Debug)]
enum Draws {
    /// Electronics: constant power.
    Power,
    /// Motors, about: constant current.
    Current,
    /// Heaters: constant resistance.
    Resistance,
}

/// What is known about a kind of appliance.
#[derive(Clone, Copy, Debug)]
pub struct Plate {
    watts: f64,
    power_factor: f64,
    draws: Draws,
    on_s: (f64, f64),
    off_s: (f64, f64),
    /// Multiple of the power right after switching on.
    inrush: f64,
    wander: f64,
    /// Draws only while all of these programs run.
    programs: &'static [usize],
    /// Draws only while people are up.
    by_people: bool,
}

const fn plate(watts: f64, power_factor: f64, draws: Draws, on_s: (f64, f64), off_s: (f64, f64)) -> Plate {
    Plate { watts, power_factor, draws, on_s, off_s, inrush: 1.0, wander: 0.0, programs: &[], by_people: false }
}

pub const APPLIANCES: [Plate; 9] = [
    // Fridge, kettle, oven element on its thermostat, microwave.
    Plate { inrush: 6.0, wander: 0.004, ..plate(110.0, 0.72, Draws::Current, (600.0, 900.0), (900.0, 1500.0)) },
    Plate { by_people: true, ..plate(2000.0, 1.0, Draws::Resistance, (100.0, 200.0), (2400.0, 9000.0)) },
    Plate { by_people: true, programs: &[0], ..plate(2200.0, 1.0, Draws::Resistance, (20.0, 40.0), (25.0, 70.0)) },
    Plate { by_people: true, inrush: 1.4, wander: 0.01, programs: &[1], ..plate(1150.0, 0.97, Draws::Current, (10.0, 30.0), (10.0, 30.0)) },
    // LED lights, television and computer.
    Plate { by_people: true, ..plate(60.0, 0.92, Draws::Power, (3600.0, 9000.0), (5000.0, 15_000.0)) },
    Plate { by_people: true, inrush: 2.0, wander: 0.03, ..plate(95.0, 0.62, Draws::Power, (1800.0, 7200.0), (3000.0, 10_000.0)) },
    // Washing machine: motor and heater.
    Plate { by_people: true, inrush: 3.0, wander: 0.05, programs: &[2], ..plate(280.0, 0.60, Draws::Current, (8.0, 20.0), (5.0, 12.0)) },
    Plate { by_people: true, programs: &[2, 3], ..plate(1950.0, 1.0, Draws::Resistance, (300.0, 900.0), (600.0, 1500.0)) },
    // Water pump or the compressor of an air conditioner.
    Plate { inrush: 5.0, wander: 0.004, ..plate(750.0, 0.85, Draws::Current, (300.0, 1200.0), (2000.0, 6000.0)) },
];

/// An appliance at work.
#[derive(Clone, Copy, Debug)]
pub struct Appliance {
    plate: Plate,
    draws: bool,
    on: bool,
    left_s: f64,
    inrush_s: f64,
    level: f64,
}

/// A program that gates appliances.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    runs: bool,
    left_s: f64,
    pause: f64,
}

impl Program {
    /// Pauses at first. All pauses are `pause` times as long as usual.
    pub fn new(random: &mut ChaCha8Rng, pause: f64) -> Self {
        // Where pauses are long, a household begins anywhere in one.
        let first = if pause > 1.0 { (0.0, pause * PROGRAM_PAUSES_S.1) } else { PROGRAM_FIRST_S };
        Self { runs: false, left_s: between(random, first), pause }
    }

    /// One step of the physics.
    pub fn step(&mut self, random: &mut ChaCha8Rng) {
        self.left_s -= STEP_S;
        if self.left_s <= 0.0 {
            self.runs = !self.runs;
            self.left_s = if self.runs { between(random, PROGRAM_RUNS_S) } else { self.pause * between(random, PROGRAM_PAUSES_S) };
        }
    }
}

impl Appliance {
    /// Off at first.
    pub fn new(plate: Plate, random: &mut ChaCha8Rng) -> Self {
        let left_s = random.random_range(0.0..plate.off_s.1);
        Self { plate, draws: false, on: false, left_s, inrush_s: 0.0, level: 1.0 }
    }

    /// Whether it draws current.
    pub fn draws(&self) -> bool {
        self.draws
    }

    /// Power on its plate, in W.
    pub fn plate_w(&self) -> f64 {
        self.plate.watts
    }

    /// Active and non-active current at `voltage`.
    pub fn step(&mut self, random: &mut ChaCha8Rng, programs: &[Program; PROGRAMS], awake: bool, voltage: f64) -> (f64, f64) {
        let plate = self.plate;
        self.left_s -= STEP_S;
        if self.left_s <= 0.0 {
            self.on = !self.on;
            self.left_s = between(random, if self.on { plate.on_s } else { plate.off_s });
            if self.on {
                self.inrush_s = INRUSH_S;
            }
        }
        let gated = plate.programs.iter().any(|program| programs.get(*program).is_some_and(|program| !program.runs));
        self.draws = self.on && !gated && (awake || !plate.by_people);
        if !self.draws {
            return (0.0, 0.0);
        }
        self.level += wander(random, self.level - 1.0, APPLIANCE_WANDER_TIME_S, plate.wander);
        let relative = voltage / NOMINAL_V;
        let follows = match plate.draws {
            Draws::Power => 1.0,
            Draws::Current => relative,
            Draws::Resistance => relative * relative,
        };
        let mut watts = plate.watts * follows * self.level;
        if self.inrush_s > 0.0 {
            watts *= plate.inrush;
            self.inrush_s -= STEP_S;
        }
        let active = watts / voltage;
        (active, active * (1.0 / (plate.power_factor * plate.power_factor) - 1.0).max(0.0).sqrt())
    }
}
