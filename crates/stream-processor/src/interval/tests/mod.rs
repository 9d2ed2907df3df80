//! Readings in, records out.

mod days;
mod late;
mod like_days;
mod records;
mod registers;
mod replay;
mod size;

use std::collections::BTreeMap;

use contracts::intervals::IntervalLength;
use contracts::{IntervalRecord, ReadingRecord};
use measure::{Amperes, Hertz, MeterId, PowerFactor, Reading, Register, StreamId, UnixMillis, Volts, WattHours, Watts};

use super::{Aggregator, Calendar, Counts, LowWater, Output, Rules, Settings};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// A Wednesday, 00:00 UTC.
const START: i64 = 1_793_750_400_000;

type Key = (MeterId, u8, IntervalLength, UnixMillis);

/// An aggregator with everything that came out of it.
struct Bench {
    aggregator: Aggregator,
    offset: u64,
    out: Vec<IntervalRecord>,
}

impl Bench {
    fn new(settings: Settings, calendar: Calendar) -> Self {
        let rules = Rules::new(settings, calendar).unwrap();
        Self { aggregator: Aggregator::new(rules, LowWater::beginning(UnixMillis(START))), offset: 0, out: Vec::new() }
    }

    fn usual() -> Self {
        Self::new(Settings::default(), Calendar::default())
    }

    fn take(&mut self, reading: &ReadingRecord) {
        let mut out = Vec::new();
        self.aggregator.take(self.offset, reading, &mut out);
        self.out.extend(out.into_iter().filter_map(Output::interval));
        self.offset += 1;
    }

    fn tick(&mut self, now: i64) {
        let mut out = Vec::new();
        self.aggregator.tick(UnixMillis(now), &mut out);
        self.out.extend(out.into_iter().filter_map(Output::interval));
    }

    /// Takes each reading when it is measured, and lets time pass as far as all that becomes final.
    fn run(&mut self, readings: &[ReadingRecord]) {
        for reading in readings {
            self.tick(reading.time_ms.0);
            self.take(reading);
        }
        let last = readings.last().unwrap().time_ms.0;
        (1..=20).for_each(|minute| self.tick(last + minute * MINUTE));
    }

    fn counts(&self) -> Counts {
        self.aggregator.counts()
    }

    /// The record that counts for each interval; each revision is there once, in order.
    fn latest(&self) -> BTreeMap<Key, IntervalRecord> {
        latest(&self.out)
    }

    /// The latest records of that length, by start.
    fn all(&self, length: IntervalLength) -> Vec<IntervalRecord> {
        self.latest().into_values().filter(|it| it.length == length).collect()
    }

    fn one(&self, length: IntervalLength, start: i64) -> IntervalRecord {
        self.latest().remove(&(meter(0), 0, length, UnixMillis(start))).expect("a record of that interval")
    }
}

fn latest(records: &[IntervalRecord]) -> BTreeMap<Key, IntervalRecord> {
    let mut latest = BTreeMap::new();
    for record in records {
        let key = (record.meter.clone(), record.channel, record.length, record.start_ms);
        let before = latest.insert(key, record.clone()).map_or(0, |it: IntervalRecord| it.revision);
        assert_eq!(record.revision, before + 1, "{record:?}");
    }
    latest
}

fn meter(number: usize) -> MeterId {
    format!("M{number}").parse().unwrap()
}

fn wh(value: f64) -> WattHours {
    WattHours::from_f64(value).unwrap()
}

/// A reading of a meter's channel 0 with its import register.
fn reading(number: usize, time: i64, import_wh: f64) -> ReadingRecord {
    let reading = Reading {
        time: UnixMillis(time),
        voltage: Volts::from_millivolts(230_000),
        current: Amperes::from_milliamperes(2_700),
        active_power: Watts::from_deciwatts(6_000),
        frequency: Hertz::from_millihertz(50_000),
        power_factor: PowerFactor::from_thousandths(966),
        import: Register { raw: wh(import_wh), integrated: wh(import_wh) },
        ..Reading::default()
    };
    ReadingRecord::new(&meter(number), StreamId(1), 1, UnixMillis(time), &reading)
}

/// A reading of meter 0 each `step` ms from `from` to `to`, both included, at 600 W: 10 Wh a minute, from 1,000 Wh at the start.
fn steady(from: i64, to: i64, step: i64) -> Vec<ReadingRecord> {
    let times = (0..).map(|it| from + it * step).take_while(|it| *it <= to);
    times.map(|time| reading(0, time, 1_000.0 + (time - START) as f64 / 6_000.0)).collect()
}
