//! Voltage drops say who draws current that no meter shows.
//!
//! A house's voltage falls by what flows through the line and its service. From two weeks the drops V₀ - Vᵢ are learned as
//! cᵢ + kᵢ (V₀ - 236 V) + Σⱼ Rᵢⱼ Iⱼ (ridge regression), with Iⱼ the mean active current of a meter's register. Where later a drop is larger
//! than that, somebody draws what is not registered; the residual e is inverted to the missing currents, dI = (Rᵀ W R)⁻¹ Rᵀ W e, and a
//! cumulative sum over days watches each house. The idea is that of Gao, Foggo, Yu, "A physically inspired data-driven model for
//! electricity theft detection with smart meter data" (IEEE Trans. Industrial Informatics, 2019).
//!
//! A house's column of R is not a pole's: what is drawn at a pole without a meter drops voltage on the line and on no service. So the
//! residual is matched with both kinds of columns, and the better one is named.

mod network;

use std::collections::VecDeque;

use measure::UnixMillis;
use nalgebra::DVector;
use serde::{Deserialize, Serialize};

use super::cusum::{Change, Cusum, Rule};
use network::{Learning, Network, Sample, Sums};

pub use network::{Match, Place};

/// Days that are learned from.
pub const LEARN_DAYS: usize = 14;
/// Days that are kept, for naming and as evidence.
pub const DAYS_KEPT: usize = 30;
/// A day with fewer intervals than this is left out.
pub const DAY_INTERVALS_MIN: usize = 48;
/// The rule of a house's daily sum; how the threshold was found: docs/theft.md.
pub const RULE: Rule = Rule { slack: 1.0, threshold: 14.0, clip: 8.0 };

const DAY_MS: i64 = 86_400_000;

/// Watches the voltages of a feeder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DropWatch {
    houses: usize,
    today: UnixMillis,
    sums: Sums,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Learning { sums: Box<Learning>, days: Vec<Sums> },
    Watching(Box<Watching>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Watching {
    network: Network,
    cusums: Vec<Cusum>,
    days: VecDeque<Day>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Day {
    start: UnixMillis,
    residual: DVector<f64>,
    surprise: DVector<f64>,
}

impl DropWatch {
    /// Of so many houses.
    pub fn new(houses: usize) -> Self {
        let learning = State::Learning { sums: Box::new(Learning::new(houses)), days: Vec::new() };
        Self { houses, today: UnixMillis(i64::MIN), sums: Sums::new(houses), state: learning }
    }

    /// Takes an interval: the voltage where the line begins, and each house's voltage in V and mean active current in A, all finite.
    /// When it begins another day, says whose alarms began or ended with the day before.
    pub fn push(&mut self, start: UnixMillis, line_voltage: f64, houses: &[(f64, f64)]) -> Vec<(usize, Change)> {
        if houses.len() != self.houses {
            return Vec::new();
        }
        let today = start.interval_start(DAY_MS);
        let changes = if today == self.today { Vec::new() } else { self.close() };
        self.today = today;
        let sample = Sample::new(line_voltage, houses);
        if let State::Learning { sums, .. } = &mut self.state {
            sums.push(&sample);
        }
        self.sums.add(&sample);
        changes
    }

    fn close(&mut self) -> Vec<(usize, Change)> {
        let day = std::mem::replace(&mut self.sums, Sums::new(self.houses));
        if day.count < DAY_INTERVALS_MIN {
            return Vec::new();
        }
        match &mut self.state {
            State::Learning { sums, days } => {
                days.push(day);
                if days.len() >= LEARN_DAYS {
                    let learned = sums.finish(days).map(|network| Watching::new(network, self.houses));
                    // What cannot be solved is learned anew.
                    self.state = learned.map_or_else(|| Self::new(self.houses).state, |it| State::Watching(Box::new(it)));
                }
                Vec::new()
            }
            State::Watching(watching) => watching.day(self.today, &day),
        }
    }

    /// Whether everything in it is of so many houses: for one that was kept elsewhere.
    pub fn is_of(&self, houses: usize) -> bool {
        let state = match &self.state {
            State::Learning { sums, days } => sums.is_of(houses) && days.len() < LEARN_DAYS && days.iter().all(|it| it.is_of(houses)),
            State::Watching(it) => {
                let days = it.days.iter().all(|day| (day.residual.len(), day.surprise.len()) == (houses, houses));
                it.network.is_of(houses) && it.cusums.len() == houses && it.days.len() <= DAYS_KEPT && days
            }
        };
        self.houses == houses && self.sums.is_of(houses) && state
    }

    /// Whether the network is known yet.
    pub fn is_watching(&self) -> bool {
        matches!(self.state, State::Watching(_))
    }

    /// A house's sum, in deviations, and since when it grows.
    pub fn sum(&self, house: usize) -> Option<(f64, UnixMillis)> {
        let State::Watching(watching) = &self.state else { return None };
        watching.cusums.get(house).map(|it| (it.sum(), it.since()))
    }

    /// Who explains the residuals since then best; `poles` is the pole of each house.
    pub fn who(&self, since: UnixMillis, poles: &[usize]) -> Option<Match> {
        let State::Watching(watching) = &self.state else { return None };
        let days = || watching.days.iter().filter(|it| it.start >= since.interval_start(DAY_MS));
        let sum = days().fold(DVector::zeros(self.houses), |sum, day| sum + &day.residual);
        watching.network.who(&(sum / days().count().max(1) as f64), poles)
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let numbers = match &self.state {
            State::Learning { days, .. } => Learning::numbers(self.houses) + days.len() * Sums::numbers(self.houses),
            State::Watching(it) => Network::numbers(self.houses) + it.days.capacity() * (2 * self.houses + 1) + 3 * self.houses,
        };
        (numbers + Sums::numbers(self.houses)) * size_of::<f64>()
    }

    /// Surprises of a house, a day each, in deviations: the evidence.
    pub fn evidence(&self, house: usize) -> Vec<(UnixMillis, f64)> {
        let State::Watching(watching) = &self.state else { return Vec::new() };
        watching.days.iter().filter_map(|day| Some((day.start, *day.surprise.get(house)?))).collect()
    }
}

impl Watching {
    fn new(network: Network, houses: usize) -> Self {
        Self { network, cusums: vec![Cusum::default(); houses], days: VecDeque::with_capacity(DAYS_KEPT) }
    }

    fn day(&mut self, start: UnixMillis, day: &Sums) -> Vec<(usize, Change)> {
        let residual = self.network.residual(day);
        let surprise = self.network.surprise(&residual);
        let watched = self.cusums.iter_mut().zip(surprise.iter()).enumerate();
        let changes = watched.filter_map(|(house, (cusum, value))| Some((house, cusum.push(&RULE, start, *value)?))).collect();
        if self.days.len() >= DAYS_KEPT {
            self.days.pop_front();
        }
        self.days.push_back(Day { start, residual, surprise });
        changes
    }
}
