//! The line: currents, drops, losses, once a minute.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::load::Used;
use super::theft::Registered;
use super::{DAY_MIN, FeederConfig, HOUSES, MAIN_OHM, POLES, SERVICE_OHM, Stream, pole, random};

/// Mean of the supply where the line begins, in V.
const SUPPLY_V: f64 = 236.0;
/// Its wander is an Ornstein-Uhlenbeck process of this time in min, and of this size in V/√min.
const SUPPLY_TIME_MIN: f64 = 240.0;
const SUPPLY_WANDER: f64 = 0.12;
/// Reactance of the main line relative to its resistance.
const REACTANCE: f64 = 0.25;
/// What a meter draws itself, in W; the line-side meter sees it.
const OWN_W: f64 = 1.0;
/// Rounds of the fixed-point iteration, each beginning where the minute before ended; the error falls thirtyfold with each.
const ROUNDS: usize = 4;
/// Resistance of the conductors per kelvin.
const PER_KELVIN: f64 = 0.004;
/// Under stress a load's reactive part changes so often, in min.
const POWER_FACTOR_MIN: usize = 30;

/// One minute of the truth.
#[derive(Clone, Copy, Debug)]
pub struct Minute {
    /// What each meter is given to count, in W.
    pub registered: [f64; HOUSES],
    /// What enters the line, in W.
    pub line_watts: f64,
    /// Square of the current that enters it, in A².
    pub line_current_squared: f64,
    /// Voltage where it begins, in V.
    pub line_voltage: f64,
    /// Voltage at each house, in V.
    pub voltage: [f64; HOUSES],
    /// Lost, in W.
    pub loss: f64,
    /// Used and not registered, in W.
    pub stolen: f64,
}

pub fn run(seed: u64, config: &FeederConfig, used: &Used, registered: Option<&Registered>) -> Vec<Minute> {
    let mut supply = random(seed, Stream::Supply);
    let mut factors: Vec<_> = (0..HOUSES).map(|house| random(seed, Stream::PowerFactor(house))).collect();
    let tan: [f64; HOUSES] = core::array::from_fn(|house| (1.0 / used.power_factor[house].powi(2) - 1.0).sqrt());
    let mut tan_now = tan;
    let mut off = 0.0;
    let mut line = Line { voltage: [230.0; HOUSES], poles: [232.0; POLES] };
    let minute = |minute: usize| {
        off += -off / SUPPLY_TIME_MIN + SUPPLY_WANDER * supply.sample::<f64, _>(StandardNormal);
        if config.stress && minute.is_multiple_of(POWER_FACTOR_MIN) {
            tan_now = core::array::from_fn(|house| tan[house] * factors[house].random_range(0.5..1.5));
        }
        let used: [f64; HOUSES] = core::array::from_fn(|house| used.watts[house][minute]);
        let mut counted = used;
        let mut taps = [0.0; POLES];
        if let Some(it) = registered {
            if let Some(watts) = &it.watts {
                counted[it.house] = watts[minute];
            }
            if let Some(watts) = &it.tap {
                taps[pole(it.house)] = watts[minute];
            }
        }
        let warmth = if config.stress { warmth(minute) } else { 1.0 };
        let (loss, current_squared) = line.settle(SUPPLY_V + off, &used, &tan_now, &taps, warmth);
        let tapped: f64 = taps.iter().sum();
        let total: f64 = used.iter().sum();
        Minute {
            registered: counted,
            line_watts: total + tapped + loss + OWN_W * HOUSES as f64,
            line_current_squared: current_squared,
            line_voltage: SUPPLY_V + off,
            voltage: line.voltage,
            loss,
            stolen: total - counted.iter().sum::<f64>() + tapped,
        }
    };
    (0..config.days * DAY_MIN).map(minute).collect()
}

/// How much higher the conductors' resistance is: warm afternoons, cold nights, and a month's weather.
fn warmth(minute: usize) -> f64 {
    let days = minute as f64 / DAY_MIN as f64;
    let turn = core::f64::consts::TAU;
    1.0 + PER_KELVIN * (8.0 * (turn * (days - 0.4)).sin() + 5.0 * (turn * days / 30.0).sin())
}

struct Line {
    voltage: [f64; HOUSES],
    poles: [f64; POLES],
}

impl Line {
    /// Finds the voltages; gives the loss in W, and the square of the current that enters, in A².
    fn settle(&mut self, supply: f64, used: &[f64; HOUSES], tan: &[f64; HOUSES], taps: &[f64; POLES], warmth: f64) -> (f64, f64) {
        let (mut active, mut reactive) = ([0.0; HOUSES], [0.0; HOUSES]);
        let (mut main_active, mut main_reactive) = ([0.0; POLES], [0.0; POLES]);
        for _ in 0..ROUNDS {
            main_active = core::array::from_fn(|pole| taps[pole] / self.poles[pole]);
            main_reactive = [0.0; POLES];
            for house in 0..HOUSES {
                active[house] = used[house] / self.voltage[house];
                reactive[house] = active[house] * tan[house];
                main_active[pole(house)] += active[house];
                main_reactive[pole(house)] += reactive[house];
            }
            for pole in (1..POLES).rev() {
                main_active[pole - 1] += main_active[pole];
                main_reactive[pole - 1] += main_reactive[pole];
            }
            let mut voltage = supply;
            for pole in 0..POLES {
                voltage -= MAIN_OHM * (main_active[pole] + REACTANCE * main_reactive[pole]) * warmth;
                self.poles[pole] = voltage;
            }
            for (house, active) in active.iter().enumerate() {
                self.voltage[house] = self.poles[pole(house)] - SERVICE_OHM * warmth * active;
            }
        }
        let square = |active: f64, reactive: f64| active * active + reactive * reactive;
        let main: f64 = main_active.iter().zip(&main_reactive).map(|(a, r)| square(*a, *r)).sum();
        let services: f64 = active.iter().zip(&reactive).map(|(a, r)| square(*a, *r)).sum();
        ((MAIN_OHM * main + SERVICE_OHM * services) * warmth, square(main_active[0], main_reactive[0]))
    }
}
