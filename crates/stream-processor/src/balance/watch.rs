//! One feeder under watch: its balance and its voltage drops.

use measure::UnixMillis;
use serde::{Deserialize, Serialize};

use super::cusum::{Change, Cusum, Rule};
use super::drop::{self, DropWatch, Place};
use super::finding::{Finding, Subject, Test};
use super::losses::{LEARN, Losses, Row};
use super::topology::Feeder;

/// The rule of the balance; how the threshold was found: docs/theft.md.
pub const RULE: Rule = Rule { slack: 0.25, threshold: 45.0, clip: 8.0 };
/// Surprises that are kept as evidence: two days.
const EVIDENCE: usize = 192;
/// Below this a house's meter is not measuring its supply, in V.
const VOLTAGE_MIN: f64 = 50.0;
const VOLTAGE_MAX: f64 = 500.0;
/// No low-voltage meter registers more in a quarter of an hour, in Wh; and no line carries more, in A².
const ENERGY_MAX: f64 = 1e6;
const CURRENT_SQUARED_MAX: f64 = 1e8;
const HOURS: f64 = 0.25;

/// A quarter of an hour of a feeder.
#[derive(Clone, Debug, PartialEq)]
pub struct FeederInterval {
    /// Its start.
    pub start: UnixMillis,
    /// Energy that entered the line, in Wh.
    pub line_wh: f64,
    /// Mean square of the current that entered it, in A².
    pub line_current_squared: f64,
    /// Mean voltage where it begins, in V.
    pub line_voltage: f64,
    /// Energy in Wh and mean voltage in V of each house, in the order of the topology; none if it is missing.
    pub houses: Vec<Option<(f64, f64)>>,
}

/// Intervals that taught or told nothing, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Not later than the one before.
    pub stale: u64,
    /// Another number of houses than the topology has.
    pub houses: u64,
    /// The line's meter says something impossible.
    pub line: u64,
    /// A house's energy is missing or impossible: no balance.
    pub energy: u64,
    /// A voltage is missing or impossible: no drops.
    pub voltage: u64,
}

/// A feeder under watch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeederWatch {
    feeder: Feeder,
    poles: Vec<usize>,
    last: UnixMillis,
    rows: Vec<Row>,
    losses: Option<Losses>,
    cusum: Cusum,
    evidence: std::collections::VecDeque<(UnixMillis, f64)>,
    drops: DropWatch,
    named: Vec<Option<Subject>>,
    dropped: Dropped,
}

impl FeederWatch {
    /// Of this feeder; it learns for two weeks and watches from then on.
    pub fn new(feeder: Feeder) -> Self {
        let houses = feeder.houses.len();
        Self {
            poles: feeder.pole_of_each_house(),
            last: UnixMillis(i64::MIN),
            rows: Vec::new(),
            losses: None,
            cusum: Cusum::default(),
            evidence: std::collections::VecDeque::new(),
            drops: DropWatch::new(houses),
            named: vec![None; houses],
            dropped: Dropped::default(),
            feeder,
        }
    }

    /// Takes the next interval and says what is found. No input makes it panic.
    pub fn push(&mut self, it: &FeederInterval) -> Vec<Finding> {
        if it.start <= self.last {
            self.dropped.stale += 1;
            return Vec::new();
        }
        self.last = it.start;
        if it.houses.len() != self.feeder.houses.len() {
            self.dropped.houses += 1;
            return Vec::new();
        }
        let line = (-ENERGY_MAX..=ENERGY_MAX).contains(&it.line_wh) && (0.0..=CURRENT_SQUARED_MAX).contains(&it.line_current_squared);
        if !line || !is_voltage(it.line_voltage) {
            self.dropped.line += 1;
            self.skip();
            return Vec::new();
        }
        let energies: Option<Vec<(f64, f64)>> = it.houses.iter().copied().collect();
        let energies = energies.filter(|all| all.iter().all(|(energy, _)| (-ENERGY_MAX..=ENERGY_MAX).contains(energy)));
        let Some(houses) = energies else {
            self.dropped.energy += 1;
            self.skip();
            return Vec::new();
        };
        let mut findings: Vec<Finding> = self.balance(it, &houses).into_iter().collect();
        if houses.iter().all(|(_, voltage)| is_voltage(*voltage)) {
            let seen: Vec<(f64, f64)> = houses.iter().map(|(energy, voltage)| (*voltage, amperes(*energy, *voltage))).collect();
            let changes = self.drops.push(it.start, it.line_voltage, &seen);
            findings.extend(changes.into_iter().filter_map(|(house, change)| self.drop_finding(it.start, house, change)));
        } else {
            self.dropped.voltage += 1;
        }
        findings
    }

    /// The feeder.
    pub fn feeder(&self) -> &Feeder {
        &self.feeder
    }

    /// Whether its parts fit together: for one that was kept elsewhere.
    pub fn is_sound(&self) -> bool {
        let houses = self.feeder.houses.len();
        self.poles == self.feeder.pole_of_each_house()
            && self.named.len() == houses
            && self.rows.len() < LEARN
            && self.evidence.len() <= EVIDENCE
            && self.drops.is_of(houses)
    }

    /// Whether both tests have learned.
    pub fn is_watching(&self) -> bool {
        self.losses.is_some() && self.drops.is_watching()
    }

    /// What was left out.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The sum of the balance and whether its alarm is on.
    pub fn balance_sum(&self) -> (f64, bool) {
        (self.cusum.sum(), self.cusum.is_alarming())
    }

    /// Bytes that it holds, divided by its houses.
    pub fn bytes_a_meter(&self) -> usize {
        let rows = self.rows.capacity() * size_of::<Row>() + self.evidence.capacity() * size_of::<(UnixMillis, f64)>();
        (size_of::<Self>() + rows + self.drops.bytes()) / self.feeder.houses.len().max(1)
    }

    fn skip(&mut self) {
        if let Some(losses) = &mut self.losses {
            losses.skip();
        }
    }

    fn balance(&mut self, it: &FeederInterval, houses: &[(f64, f64)]) -> Option<Finding> {
        let metered: f64 = houses.iter().map(|(energy, _)| energy).sum();
        let current = |(energy, voltage): &(f64, f64)| amperes(*energy, if is_voltage(*voltage) { *voltage } else { it.line_voltage });
        let house_squared = houses.iter().map(|house| current(house).powi(2)).sum();
        let row = Row { residual: it.line_wh - metered, metered, line_squared: it.line_current_squared, house_squared };
        let Some(losses) = &mut self.losses else {
            self.rows.push(row);
            if self.rows.len() >= LEARN {
                self.losses = Losses::learn(&std::mem::take(&mut self.rows));
            }
            return None;
        };
        let surprise = losses.surprise(&row);
        let change = self.cusum.push(&RULE, it.start, surprise);
        if !self.cusum.is_suspicious(&RULE) {
            losses.follow(&row);
        }
        if self.evidence.len() >= EVIDENCE {
            self.evidence.pop_front();
        }
        self.evidence.push_back((it.start, surprise));
        let begins = change? == Change::Raised;
        Some(Finding {
            test: Test::Balance,
            subject: Subject::Feeder(self.feeder.id.clone()),
            begins,
            statistic: self.cusum.sum(),
            threshold: RULE.threshold,
            unit: "deviations",
            since: self.cusum.since(),
            at: it.start,
            evidence: self.evidence.iter().copied().collect(),
            amperes: None,
            cause: None,
        })
    }

    /// The day before is closed with the first interval of the next.
    fn drop_finding(&mut self, at: UnixMillis, house: usize, change: Change) -> Option<Finding> {
        let (statistic, since) = self.drops.sum(house)?;
        let begins = change == Change::Raised;
        let found = self.drops.who(since, &self.poles).filter(|_| begins);
        let subject = match found.map(|it| it.place) {
            Some(Place::Pole(pole)) => Subject::Pole(self.feeder.id.clone(), self.feeder.poles.get(pole)?.clone()),
            Some(Place::House(house)) => Subject::Meter(self.feeder.houses.get(house)?.meter.clone()),
            // What was raised is what is cleared.
            None => self.named.get(house).cloned().flatten()?,
        };
        let named_already = self.named.contains(&Some(subject.clone()));
        if let Some(place) = self.named.get_mut(house) {
            *place = begins.then(|| subject.clone());
        }
        let still_named = self.named.contains(&Some(subject.clone()));
        // The neighbours of a thief alarm as well and name the same place: it is told once, and cleared with the last of them.
        if (begins && named_already) || (!begins && still_named) {
            return None;
        }
        Some(Finding {
            test: Test::VoltageDrop,
            subject,
            begins,
            statistic,
            threshold: drop::RULE.threshold,
            unit: "deviations",
            since,
            at,
            evidence: self.drops.evidence(house),
            amperes: found.map(|it| it.amperes),
            cause: None,
        })
    }
}

/// Whether a meter measures a supply, by its voltage in V.
pub(super) fn is_voltage(voltage: f64) -> bool {
    (VOLTAGE_MIN..=VOLTAGE_MAX).contains(&voltage)
}

/// Mean active current of an interval, in A.
pub(super) fn amperes(energy_wh: f64, voltage: f64) -> f64 {
    energy_wh / HOURS / voltage
}

#[cfg(test)]
mod tests;
