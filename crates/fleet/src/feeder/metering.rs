//! What the meters make of it: gains, registers of whole Wh, voltages of 0.1 V, and under stress clocks that are off and intervals lost.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::physics::Minute;
use super::theft::{Registered, VoltageRegister};
use super::{FeederConfig, HOUSES, HouseInterval, INTERVAL_MIN, Interval, Stream, Truth, random};

/// Deviations of the gains, and what class they are kept within.
const HOUSE_GAIN: (f64, f64) = (0.004, 0.01);
const LINE_GAIN: (f64, f64) = (0.002, 0.005);
const VOLTAGE_GAIN: f64 = 0.003;
/// Noise of a voltage, in V, and steps of 0.1 V.
const VOLTAGE_NOISE: f64 = 0.04;
const VOLTAGE_STEPS: f64 = 10.0;
/// Under stress: clocks are off by at most this share of an interval (20 s), and this share of intervals is lost.
const SKEW: f64 = 20.0 / 900.0;
const LOST: f64 = 0.01;

pub fn report(seed: u64, config: &FeederConfig, minutes: &[Minute], registered: Option<&Registered>) -> Vec<Interval> {
    let mut random = random(seed, Stream::Sensors);
    let gains: [f64; HOUSES] = core::array::from_fn(|_| 1.0 + gain(&mut random, HOUSE_GAIN));
    let line_gain = 1.0 + gain(&mut random, LINE_GAIN);
    let voltage_gains: [f64; HOUSES] = core::array::from_fn(|_| 1.0 + VOLTAGE_GAIN * normal(&mut random));
    let line_voltage_gain = 1.0 + VOLTAGE_GAIN * normal(&mut random);
    let mut registers = [Register::default(); HOUSES];
    let mut line_register = Register::default();
    let mut frozen = None;
    let mut intervals: Vec<Interval> = Vec::with_capacity(minutes.len() / INTERVAL_MIN);
    for (number, chunk) in minutes.chunks_exact(INTERVAL_MIN).enumerate() {
        let mut interval = Interval { houses: vec![HouseInterval::default(); HOUSES], ..Interval::default() };
        for (offset, minute) in chunk.iter().enumerate() {
            let at = number * INTERVAL_MIN + offset;
            for house in 0..HOUSES {
                registers[house].count(minute.registered[house] * gains[house]);
                let mut shown = shown(&mut random, minute.voltage[house] * voltage_gains[house]);
                if let Some(it) = registered.filter(|it| it.house == house && at >= it.from_minute) {
                    shown = match it.voltage {
                        VoltageRegister::Scaled(share) => shown * share,
                        VoltageRegister::Frozen => *frozen.get_or_insert(shown),
                    };
                }
                interval.houses[house].voltage += shown / INTERVAL_MIN as f64;
            }
            line_register.count(minute.line_watts * line_gain);
            interval.line_voltage += shown(&mut random, minute.line_voltage * line_voltage_gain) / INTERVAL_MIN as f64;
            interval.line_current_squared += minute.line_current_squared * line_gain * line_gain / INTERVAL_MIN as f64;
            let wh = |watts: f64| watts / 60.0;
            interval.line_current += minute.line_current_squared.sqrt() * line_gain / INTERVAL_MIN as f64;
            interval.truth = Truth {
                stolen_wh: interval.truth.stolen_wh + wh(minute.stolen),
                loss_wh: interval.truth.loss_wh + wh(minute.loss),
                line_wh: interval.truth.line_wh + wh(minute.line_watts),
            };
        }
        for (house, register) in interval.houses.iter_mut().zip(&mut registers) {
            house.energy_wh = register.difference();
        }
        interval.line_wh = line_register.difference();
        intervals.push(interval);
    }
    if config.stress {
        disturb(seed, &mut intervals);
    }
    intervals
}

/// A cumulative register of whole Wh.
#[derive(Clone, Copy, Debug, Default)]
struct Register {
    watt_minutes: f64,
    before: f64,
}

impl Register {
    fn count(&mut self, watts: f64) {
        self.watt_minutes += watts;
    }

    fn difference(&mut self) -> f64 {
        let now = (self.watt_minutes / 60.0).floor();
        now - std::mem::replace(&mut self.before, now)
    }
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    random.sample(StandardNormal)
}

fn gain(random: &mut ChaCha8Rng, (deviation, most): (f64, f64)) -> f64 {
    (deviation * normal(random)).clamp(-most, most)
}

fn shown(random: &mut ChaCha8Rng, voltage: f64) -> f64 {
    ((voltage + VOLTAGE_NOISE * normal(random)) * VOLTAGE_STEPS).round() / VOLTAGE_STEPS
}

/// Clocks that are off move energy to the neighbouring interval; a lost interval is drawn straight between those around it.
fn disturb(seed: u64, intervals: &mut [Interval]) {
    let mut random = random(seed, Stream::Clocks);
    for house in 0..HOUSES {
        let skew = random.random_range(-SKEW..SKEW);
        let sound: Vec<f64> = intervals.iter().map(|it| it.houses[house].energy_wh).collect();
        let last = sound.len().saturating_sub(1);
        let shifted = |at: usize| {
            let neighbour = if skew > 0.0 { (at + 1).min(last) } else { at.saturating_sub(1) };
            sound[at] * (1.0 - skew.abs()) + sound[neighbour] * skew.abs()
        };
        let heard: Vec<Option<f64>> = (0..sound.len()).map(|at| (random.random::<f64>() >= LOST).then(|| shifted(at))).collect();
        for (at, interval) in intervals.iter_mut().enumerate() {
            interval.houses[house].energy_wh = heard[at].unwrap_or_else(|| between(&heard, at));
        }
    }
}

/// Interpolated from what was heard before and after; what there is, at an end.
fn between(heard: &[Option<f64>], at: usize) -> f64 {
    let before = heard[..at].iter().enumerate().rev().find_map(|(place, it)| Some((place, (*it)?)));
    let after = heard[at..].iter().enumerate().find_map(|(offset, it)| Some((at + offset, (*it)?)));
    match (before, after) {
        (Some((from, low)), Some((to, high))) => low + (high - low) * (at - from) as f64 / (to - from) as f64,
        (Some((_, value)), None) | (None, Some((_, value))) => value,
        (None, None) => 0.0,
    }
}
