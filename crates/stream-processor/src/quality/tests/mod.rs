//! What readings say of power quality, and what their absence says.

mod excursions;
mod states;
mod weeks;

use contracts::quality::QualityKind;
use contracts::{QualityRecord, ReadingRecord};
use measure::{Amperes, ClockQuality, Flags, Hertz, Raw, Reading, StreamId, Volts, Watts};

use super::*;
use crate::metrics::Metrics;
use crate::quality::watch::Contracts;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
/// 2026-11-30 00:00 UTC, a Monday.
const MONDAY: i64 = 1_795_996_800_000;

/// A contract of 5 kW for everyone.
struct FiveKilowatts;

impl Contracts for FiveKilowatts {
    fn power_w(&self, _: &MeterId) -> Option<f64> {
        Some(5_000.0)
    }
}

fn watch() -> Watch {
    let rules = Rules::new(&Settings::default(), None).unwrap();
    Watch::new(rules.into(), Some(std::sync::Arc::new(FiveKilowatts)), Metrics::new())
}

/// 230 V, 50 Hz, 230 W.
fn sound(time: i64) -> Reading {
    let raw = Raw {
        voltage: Volts::from_millivolts(230_000),
        current: Amperes::from_milliamperes(1_000),
        active_power: Watts::from_deciwatts(2_300),
        ..Raw::default()
    };
    Reading {
        time: UnixMillis(time),
        clock: ClockQuality::Synchronised,
        frequency: Hertz::from_millihertz(50_000),
        raw,
        ..Reading::default()
    }
}

fn volts(time: i64, volts: f64) -> Reading {
    let sound = sound(time);
    Reading { raw: Raw { voltage: Volts::from_f64(volts).unwrap(), ..sound.raw }, ..sound }
}

/// As the head-end gets it, 200 ms later.
fn record(meter: &str, reading: &Reading) -> ReadingRecord {
    ReadingRecord::new(&meter.parse().unwrap(), StreamId(1), 1, reading.time.saturating_add(200), reading)
}

/// What follows from the readings of one meter.
fn run(readings: impl IntoIterator<Item = Reading>) -> Vec<Output> {
    let (mut watch, mut out) = (watch(), Vec::new());
    for (reading, offset) in readings.into_iter().zip(0..) {
        watch.take(offset, &record("M1", &reading), &mut out);
    }
    out
}

fn qualities(outputs: &[Output]) -> Vec<&QualityRecord> {
    outputs.iter().filter_map(|it| if let Output::Event(EventRecord::PowerQuality(record)) = it { Some(record) } else { None }).collect()
}

fn signs(outputs: &[Output]) -> Vec<(FeederEventKind, i64)> {
    outputs.iter().filter_map(|it| if let Output::Sign(sign) = it { Some((sign.kind, sign.since.0)) } else { None }).collect()
}

/// Kind, start and end in seconds from `MONDAY` on.
fn told(outputs: &[Output]) -> Vec<(QualityKind, i64, Option<i64>)> {
    let seconds = |at: UnixMillis| (at.0 - MONDAY) / SECOND;
    qualities(outputs).iter().map(|it| (it.kind, seconds(it.start_ms), it.end_ms.map(seconds))).collect()
}
