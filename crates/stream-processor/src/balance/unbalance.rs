//! The phases of a feeder beside each other: how far their currents are apart.
//!
//! The unbalance of a quarter of an hour is the largest difference of a phase's current from the mean of the three, in percent of the mean.
//! Currents are those that the houses' registers and voltages tell, taken for active. (The unbalance of voltages that EN 50160 limits is
//! that of their negative sequence; it takes angles, which meters of one phase do not have.)

use std::collections::VecDeque;

use contracts::topology::Phase;
use measure::UnixMillis;
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Subject, Test};
use super::topology::Feeder;
use super::watch::{FeederInterval, amperes, is_voltage};
use crate::quality::excursion::{Change, Limit, Monitor, Side};

const QUARTER_MS: i64 = 900_000;
/// With less current in a phase, as a mean of the three, a kettle decides: nothing is said.
const CURRENT_MIN: f64 = 5.0;
/// In 0.1 %: more than 30 % for an hour, until it was less than 20 % for an hour. Both are judgement: a third of the neutral's losses is
/// avoided, and no feeder of houses is balanced better than to a tenth.
const LIMIT: Limit = Limit { threshold: 300, hysteresis: 100, side: Side::Above, on_ms: 3_600_000, off_ms: 3_600_000 };
/// Quarter hours that are kept as evidence: a day.
const EVIDENCE: usize = 96;

/// What is known of a feeder's phases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unbalance {
    monitor: Monitor,
    is_alarming: bool,
    /// Start of the last quarter of an hour that told something.
    last: UnixMillis,
    evidence: VecDeque<(UnixMillis, f64)>,
}

impl Unbalance {
    /// Takes the next quarter of an hour. No input makes it panic.
    ///
    /// Nothing is said of a feeder of which not each house's phase is known, nor of a quarter of an hour in which a house is missing or
    /// hardly a current flows: an alarm stays as it is meanwhile, and what is no alarm yet begins anew.
    pub fn push(&mut self, feeder: &Feeder, it: &FeederInterval) -> Option<Finding> {
        let currents = currents(feeder, it)?;
        let percent = percent(currents)?;
        if it.start <= self.last {
            return None;
        }
        if !self.is_alarming && it.start.millis_since(self.last) > QUARTER_MS {
            self.monitor = Monitor::default();
        }
        self.last = it.start;
        if self.evidence.len() >= EVIDENCE {
            self.evidence.pop_front();
        }
        self.evidence.push_back((it.start, percent));
        let (excursion, begins) = match self.monitor.push(&LIMIT, it.start, (percent * 10.0) as i64)? {
            Change::Begun(excursion) => (excursion, true),
            Change::Ended(excursion) => (excursion, false),
            Change::Short(_) => return None,
        };
        self.is_alarming = begins;
        let shares = Phase::ALL.iter().zip(currents).map(|(phase, current)| format!("{} {current:.1} A", phase.name()));
        Some(Finding {
            test: Test::Unbalance,
            subject: Subject::Feeder(feeder.id.clone()),
            begins,
            statistic: percent,
            threshold: LIMIT.threshold as f64 / 10.0,
            unit: "%",
            since: excursion.start,
            at: it.start,
            evidence: self.evidence.iter().copied().collect(),
            amperes: None,
            cause: Some(shares.collect::<Vec<_>>().join(", ")),
        })
    }
}

/// The current of each phase, in A; none if it is not known of all houses.
fn currents(feeder: &Feeder, it: &FeederInterval) -> Option<[f64; 3]> {
    if feeder.houses.len() != it.houses.len() {
        return None;
    }
    let mut currents = [0.0; 3];
    for (house, seen) in feeder.houses.iter().zip(&it.houses) {
        let (energy, voltage) = (*seen)?;
        let phase = house.phase?;
        if !is_voltage(voltage) {
            return None;
        }
        for (current, of) in currents.iter_mut().zip(Phase::ALL) {
            if of == phase {
                *current += amperes(energy, voltage);
            }
        }
    }
    Some(currents)
}

/// In percent of the mean; none if that is small.
fn percent(currents: [f64; 3]) -> Option<f64> {
    let mean = currents.iter().sum::<f64>() / 3.0;
    let farthest = currents.iter().map(|it| (it - mean).abs()).fold(0.0, f64::max);
    let percent = 100.0 * farthest / mean;
    (mean >= CURRENT_MIN && percent.is_finite()).then_some(percent)
}

#[cfg(test)]
mod tests;
