//! Pairs of a feeder: what a meter at the pole registers against the house's meter behind it, a day (UTC) at a time.

use std::collections::BTreeMap;

use contracts::IntervalRecord;
use measure::{Amperes, UnixMillis, Volts};
use serde::{Deserialize, Serialize};

use super::assembly::is_told;
use crate::balance::finding::{Finding, Subject, Test};
use crate::balance::pair::{Compared, Pair, Verdict};
use crate::balance::topology::{Feeder, House};

const DAY_MS: i64 = 86_400_000;
/// A day is compared by so many quarter hours that both told, or more: half of it.
const QUARTERS_MIN: usize = 48;
/// Quarter hours that are kept of a pair: two days.
const QUARTERS_MAX: usize = 192;
/// Days that are kept as evidence.
const EVIDENCE: usize = 30;
/// Step of the coarsest registers, in Wh.
const RESOLUTION_WH: f64 = 10.0;

/// Energy in Wh, voltage in V and current in A of a quarter of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Side {
    energy_wh: f64,
    voltage: f64,
    current: f64,
    revision: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Both {
    line: Option<Side>,
    house: Option<Side>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Days {
    /// The day that is judged next; quarter hours before it come too late.
    day: UnixMillis,
    quarters: BTreeMap<UnixMillis, Both>,
    /// Start of each day that was judged, and its indicator.
    evidence: Vec<(UnixMillis, f64)>,
    since: Option<UnixMillis>,
}

/// All pairs of a feeder, by the number of the house.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs(BTreeMap<usize, Days>);

impl Pairs {
    /// Takes what a meter registered in a quarter of an hour; None if it is part of no pair.
    pub fn push(&mut self, feeder: &Feeder, interval: &IntervalRecord, settle_ms: i64) -> Option<Vec<Finding>> {
        let of = |it: &House| it.line_side.is_some() && (it.meter == interval.meter || it.line_side.as_ref() == Some(&interval.meter));
        let (number, house) = feeder.houses.iter().enumerate().find(|(_, it)| of(it))?;
        if interval.channel != 0 {
            return Some(Vec::new());
        }
        let days = self.0.entry(number).or_default();
        let mut findings = Vec::new();
        let start = interval.start_ms;
        let settled = UnixMillis(start.0.saturating_sub(settle_ms)).interval_start(DAY_MS);
        if days.day < settled {
            if !days.quarters.is_empty() {
                findings.extend(days.judge(house, start));
            }
            days.day = settled;
            days.quarters = days.quarters.split_off(&settled);
        }
        if start >= days.day && (days.quarters.len() < QUARTERS_MAX || days.quarters.contains_key(&start)) {
            let both = days.quarters.entry(start).or_default();
            let side = if house.meter == interval.meter { &mut both.house } else { &mut both.line };
            if let Some(new) = side_of(interval).filter(|new| side.is_none_or(|it| it.revision < new.revision)) {
                *side = Some(new);
            }
        }
        Some(findings)
    }

    /// Whether it is of so many houses.
    pub fn is_of(&self, houses: usize) -> bool {
        self.0.iter().all(|(number, days)| *number < houses && days.quarters.len() <= QUARTERS_MAX && days.evidence.len() <= EVIDENCE)
    }
}

impl Days {
    /// Judges the day that is over, at the time of the quarter of an hour that says so.
    fn judge(&mut self, house: &House, at: UnixMillis) -> Option<Finding> {
        let end = self.day.saturating_add(DAY_MS);
        let of_the_day = self.quarters.range(self.day..end).filter_map(|(_, it)| it.line.zip(it.house));
        let both: Vec<(Side, Side)> = of_the_day.collect();
        if both.len() < QUARTERS_MIN {
            return None;
        }
        let count = both.len() as f64;
        let sum = |of: fn(&(Side, Side)) -> f64| both.iter().map(of).sum::<f64>();
        let compared = Compared {
            line_wh: sum(|(line, _)| line.energy_wh),
            house_wh: sum(|(_, house)| house.energy_wh),
            current: (sum(|(line, _)| line.current * line.current) / count).sqrt(),
            voltage: sum(|(line, _)| line.voltage) / count,
        };
        let pair = Pair {
            line_class: house.class,
            house_class: house.class,
            loop_ohm: house.loop_ohm.unwrap_or_default(),
            resolution_wh: RESOLUTION_WH,
        };
        let indication = pair.compare(&compared);
        let cause = match indication.verdict {
            Verdict::Unknown => return None,
            Verdict::Theft => Some("under_registered"),
            Verdict::OverReading => Some("over_registered"),
            Verdict::Fair => None,
        };
        self.evidence.push((self.day, indication.indicator));
        if self.evidence.len() > EVIDENCE {
            self.evidence.remove(0);
        }
        let begins = cause.is_some();
        if begins == self.since.is_some() {
            return None;
        }
        self.since = begins.then_some(self.day);
        let threshold =
            if cause == Some("over_registered") { indication.technical_loss - indication.tolerance } else { indication.limit() };
        Some(Finding {
            test: Test::Pair,
            subject: Subject::Meter(house.meter.clone()),
            begins,
            statistic: indication.indicator,
            threshold,
            unit: "%",
            since: self.day,
            at,
            evidence: self.evidence.clone(),
            amperes: begins.then(|| (compared.line_wh - compared.house_wh) / (count / 4.0) / compared.voltage),
            cause: cause.map(str::to_owned),
        })
    }
}

/// What a meter says; nothing where its registers do not tell what was used in just this time.
fn side_of(interval: &IntervalRecord) -> Option<Side> {
    if !is_told(interval) {
        return None;
    }
    let energy_wh = interval.import_wh.as_f64() - interval.export_wh.as_f64();
    let voltage = interval.voltage_mean_v.map_or(0.0, Volts::as_f64);
    // Without a current, that of the energy: the power factor is taken for 1.
    let current = interval.current_mean_a.map(Amperes::as_f64).unwrap_or_else(|| 4.0 * energy_wh / voltage);
    Some(Side { energy_wh, voltage, current, revision: interval.revision })
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]
mod tests;
