//! A feeder's quarter hours, put together from what its meters registered.
//!
//! Meters report in no order, and some not at all. A quarter of an hour is handed on when every meter has said something about it, or when
//! one of them speaks of a time so much later that the rest is not waited for; always in order of time. What comes later still is left out.

use std::collections::BTreeMap;

use contracts::IntervalRecord;
use contracts::intervals::{Checks, Quality};
use measure::{MeterId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::balance::topology::Feeder;
use crate::balance::watch::FeederInterval;
use crate::metrics::Unused;

/// Quarter hours that wait at once: a day.
const PENDING_MAX: usize = 96;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Quarter {
    line: Option<Line>,
    houses: Vec<Option<House>>,
}

/// What the line's meter says; without values where its registers do not tell.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Line {
    values: Option<(f64, f64)>,
    current_squared: f64,
    revision: u32,
}

/// Energy in Wh and voltage in V of a house; without values where its registers do not tell.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct House {
    values: Option<(f64, f64)>,
    revision: u32,
}

/// What waits to be complete.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Assembly {
    pending: BTreeMap<UnixMillis, Quarter>,
    /// Start of the last one that was handed on.
    closed: Option<UnixMillis>,
}

impl Assembly {
    /// Takes what a meter registered in a quarter of an hour, and hands on what is complete by that, or `settle_ms` older.
    pub fn push(&mut self, feeder: &Feeder, interval: &IntervalRecord, settle_ms: i64) -> Result<Vec<FeederInterval>, Unused> {
        let place = Place::of(feeder, &interval.meter)?;
        if interval.channel != 0 {
            return Err(Unused::Channel);
        }
        let start = interval.start_ms;
        if self.closed.is_some_and(|closed| start <= closed) {
            return Err(Unused::Late);
        }
        let empty = || Quarter { line: None, houses: vec![None; feeder.houses.len()] };
        let quarter = self.pending.entry(start).or_insert_with(empty);
        let (values, revision) = (values(interval), interval.revision);
        match place {
            Place::Line => {
                let current = interval.current_mean_a.map_or(0.0, measure::Amperes::as_f64);
                let newer = quarter.line.is_none_or(|it| it.revision < revision);
                if newer {
                    quarter.line = Some(Line { values, current_squared: current * current, revision });
                }
            }
            Place::House(number) => {
                if let Some(house) = quarter.houses.get_mut(number).filter(|it| it.is_none_or(|it| it.revision < revision)) {
                    *house = Some(House { values, revision });
                }
            }
        }
        Ok(self.close(settle_ms))
    }

    /// Whether it is of so many houses.
    pub fn is_of(&self, houses: usize) -> bool {
        self.pending.len() <= PENDING_MAX && self.pending.values().all(|it| it.houses.len() == houses)
    }

    fn close(&mut self, settle_ms: i64) -> Vec<FeederInterval> {
        let newest = self.pending.last_key_value().map_or(UnixMillis::default(), |(start, _)| *start);
        let mut closed = Vec::new();
        while let Some(first) = self.pending.first_entry() {
            let is_settled = newest.millis_since(*first.key()) >= settle_ms;
            if !first.get().is_complete() && !is_settled && self.pending.len() <= PENDING_MAX {
                break;
            }
            let Some((start, quarter)) = self.pending.pop_first() else { break };
            self.closed = Some(start);
            closed.push(quarter.handed_on(start));
        }
        closed
    }
}

enum Place {
    Line,
    House(usize),
}

impl Place {
    fn of(feeder: &Feeder, meter: &MeterId) -> Result<Self, Unused> {
        if feeder.line_meter == *meter {
            return Ok(Self::Line);
        }
        let house = feeder.houses.iter().position(|it| it.meter == *meter);
        let line_side = || feeder.houses.iter().any(|it| it.line_side.as_ref() == Some(meter));
        house.map(Self::House).ok_or_else(|| if line_side() { Unused::LineSide } else { Unused::Meter })
    }
}

impl Quarter {
    fn is_complete(&self) -> bool {
        self.line.is_some() && self.houses.iter().all(Option::is_some)
    }

    /// Without the line's meter, its values are no numbers: the watch leaves such a quarter of an hour out, and counts it.
    fn handed_on(self, start: UnixMillis) -> FeederInterval {
        let (line_wh, line_voltage) = self.line.and_then(|it| it.values).unwrap_or((f64::NAN, f64::NAN));
        FeederInterval {
            start,
            line_wh,
            line_current_squared: self.line.map_or(f64::NAN, |it| it.current_squared),
            line_voltage,
            houses: self.houses.into_iter().map(|it| it.and_then(|it| it.values)).collect(),
        }
    }
}

/// Whether the registers tell what was used in just this time: other days' shape does not.
pub(super) fn is_told(interval: &IntervalRecord) -> bool {
    let told = matches!(interval.quality, Quality::Actual | Quality::RegisterScaled | Quality::Estimated);
    told && !interval.checks.contains(Checks::LIKE_DAY)
}

/// Energy in Wh, and mean voltage in V (0 if there is none); nothing where the registers do not tell.
fn values(interval: &IntervalRecord) -> Option<(f64, f64)> {
    let energy = interval.import_wh.as_f64() - interval.export_wh.as_f64();
    is_told(interval).then(|| (energy, interval.voltage_mean_v.map_or(0.0, measure::Volts::as_f64)))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]
mod tests {
    use fleet::feeder::{self, HouseInterval};
    use measure::FeederId;

    use super::*;

    const QUARTER_MS: i64 = 900_000;
    const SETTLE_MS: i64 = 2 * QUARTER_MS;

    fn id() -> FeederId {
        "F1".parse().unwrap()
    }

    fn of_two_houses() -> Feeder {
        let mut record = feeder::topology(&id()).unwrap();
        record.houses.truncate(2);
        Feeder::of(record).unwrap()
    }

    /// The records of the line and of the two houses.
    fn quarter(number: i64) -> Vec<IntervalRecord> {
        let houses = vec![HouseInterval { energy_wh: 40.0, voltage: 229.0 }, HouseInterval { energy_wh: 50.0, voltage: 228.0 }];
        let interval = feeder::Interval { line_wh: 100.0, line_current: 2.0, line_voltage: 230.0, houses, ..feeder::Interval::default() };
        let records = feeder::records(&id(), UnixMillis(number * QUARTER_MS), &interval).unwrap();
        records.into_iter().map(|it| it.interval).collect()
    }

    /// Start of each quarter of an hour that is handed on, in quarter hours.
    fn push(assembly: &mut Assembly, record: &IntervalRecord) -> Result<Vec<i64>, Unused> {
        let closed = assembly.push(&of_two_houses(), record, SETTLE_MS)?;
        Ok(closed.into_iter().map(|it| it.start.0 / QUARTER_MS).collect())
    }

    #[test]
    fn what_is_complete_is_handed_on_in_order() {
        let mut assembly = Assembly::default();
        let [line, first, second] = &quarter(1)[..] else { panic!() };
        assert_eq!(push(&mut assembly, second), Ok(vec![]));
        for record in quarter(2) {
            assert_eq!(push(&mut assembly, &record), Ok(vec![]), "the first one comes first");
        }
        assert_eq!(push(&mut assembly, line), Ok(vec![]));
        assert_eq!(push(&mut assembly, first), Ok(vec![1, 2]));
        assert_eq!(push(&mut assembly, first), Err(Unused::Late));
    }

    #[test]
    fn a_silent_meter_is_not_waited_for_for_ever() {
        let mut assembly = Assembly::default();
        for number in 1..=2 {
            for record in &quarter(number)[..2] {
                assert_eq!(push(&mut assembly, record), Ok(vec![]));
            }
        }
        let closed = assembly.push(&of_two_houses(), &quarter(3)[0], SETTLE_MS).unwrap();
        assert_eq!(closed.len(), 1);
        assert_eq!(
            (closed[0].line_wh, closed[0].line_current_squared, &closed[0].houses[..]),
            (100.0, 4.0, &[Some((40.0, 229.0)), None][..])
        );
    }

    #[test]
    fn a_revision_replaces_and_an_older_one_does_not() {
        let mut assembly = Assembly::default();
        let mut house = quarter(1)[1].clone();
        for (revision, wh) in [(2, 60.0), (1, 70.0)] {
            (house.revision, house.import_wh) = (revision, measure::WattHours::from_f64(wh).unwrap());
            push(&mut assembly, &house).unwrap();
        }
        push(&mut assembly, &quarter(1)[0]).unwrap();
        let closed = assembly.push(&of_two_houses(), &quarter(1)[2], SETTLE_MS).unwrap();
        assert_eq!(closed[0].houses[0], Some((60.0, 229.0)));
    }

    #[test]
    fn what_the_registers_do_not_tell_is_missing_and_not_nothing() {
        let mut assembly = Assembly::default();
        for (number, quality, checks) in [(1, Quality::Failed, Checks::empty()), (2, Quality::Estimated, Checks::GAP | Checks::LIKE_DAY)] {
            let records = quarter(number).into_iter().map(|it| IntervalRecord { quality, checks, ..it });
            let closed = records.flat_map(|it| assembly.push(&of_two_houses(), &it, SETTLE_MS).unwrap()).collect::<Vec<_>>();
            assert!(closed.len() == 1 && closed.iter().all(|it| it.line_wh.is_nan() && it.houses == [None, None]), "{closed:?}");
        }
    }

    #[test]
    fn strangers_and_further_channels_are_named() {
        let mut assembly = Assembly::default();
        let stranger = IntervalRecord { meter: "X".parse().unwrap(), ..quarter(1)[0].clone() };
        assert_eq!(push(&mut assembly, &stranger), Err(Unused::Meter));
        assert_eq!(push(&mut assembly, &IntervalRecord { channel: 1, ..quarter(1)[0].clone() }), Err(Unused::Channel));
    }

    #[test]
    fn far_apart_times_do_not_pile_up() {
        let mut assembly = Assembly::default();
        for number in (0..10_000).rev() {
            let _ = assembly.push(&of_two_houses(), &quarter(number)[0], i64::MAX);
        }
        assert!(assembly.is_of(2));
    }
}
