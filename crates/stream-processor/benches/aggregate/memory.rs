//! Windows in memory, on one core.

use std::time::Instant;

use contracts::ReadingRecord;
use stream_processor::derive::{Mark, Transform};
use stream_processor::interval::{Aggregator, Calendar, Rules, Settings};

use crate::figure::{Figure, Target};
use crate::readings::readings;

const METERS: usize = 5_000;
/// What is measured: an hour and a half of them.
const READINGS: usize = METERS * 135;
/// Three weeks and a quarter of a day of some meters: by then everything is open that ever is, and all days are known that are kept.
const CHANNELS: usize = 50;
const THREE_WEEKS: usize = CHANNELS * 45_900;

fn aggregator() -> Aggregator {
    Aggregator::new(Rules::new(Settings::default(), Calendar::default()).unwrap(), Mark::BEGINNING.into())
}

/// Readings by the second, and bytes.
pub fn figures() -> Vec<Figure> {
    let input: Vec<ReadingRecord> = readings(METERS).take(READINGS).collect();
    let mut records = 0;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let (mut aggregator, mut out) = (aggregator(), Vec::new());
        let start = Instant::now();
        records = 0;
        for (offset, reading) in (0..).zip(&input) {
            Transform::take(&mut aggregator, offset, reading, &mut out);
            records += out.len();
            out.clear();
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let mut small = aggregator();
    let mut out = Vec::new();
    for (offset, reading) in (0..).zip(readings(CHANNELS).take(THREE_WEEKS)) {
        Transform::take(&mut small, offset, &reading, &mut out);
        out.clear();
    }
    let a_channel = small.bytes() as f64 / small.channels() as f64;
    vec![
        Figure::new("windows in memory, one core", READINGS as f64 / best, "readings/s").target(Target::AtLeast(300_000.0)),
        Figure::new("interval records of 1,000 readings", 1e3 * records as f64 / READINGS as f64, ""),
        Figure::new("state of a channel", a_channel, "B"),
        Figure::new("of these, days that long gaps are estimated by", small.profile_bytes() as f64 / small.channels() as f64, "B"),
        Figure::new("state of 1,000,000 channels", a_channel, "MB").target(Target::AtMost(2_000.0)),
    ]
}
