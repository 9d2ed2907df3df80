//! Ten-minute means, and weeks of them.

use contracts::VoltageWeekRecord;

use super::*;
use crate::quality::mean::{Mean, Window};

const HOUR: i64 = 60 * MINUTE;

fn weeks(outputs: &[Output]) -> Vec<&VoltageWeekRecord> {
    outputs.iter().filter_map(|it| if let Output::Event(EventRecord::VoltageWeek(record)) = it { Some(record) } else { None }).collect()
}

/// A week with a reading a minute, and the first hour of the next.
fn week(voltage: impl Fn(i64) -> f64) -> Vec<Reading> {
    (0..=(7 * 24 + 1) * 60).map(|minute| volts(MONDAY + minute * MINUTE, voltage(minute))).collect()
}

#[test]
fn a_week_is_judged_by_its_ten_minute_means() {
    // Below 207 V for so many of 1008 means.
    for (low, complies) in [(50, true), (51, false)] {
        let outputs = run(week(|minute| if minute < low * 10 { 205.0 } else { 230.0 }));
        let [it] = weeks(&outputs)[..] else { panic!("{:?}", weeks(&outputs)) };
        assert_eq!((it.start_ms.0, it.end_ms.0), (MONDAY, MONDAY + 7 * 24 * HOUR));
        assert_eq!((it.means, i64::from(it.within), it.far_out, it.complies), (1_008, 1_008 - low, 0, complies));
        assert_eq!((it.lowest_v.as_f64(), it.highest_v.as_f64(), it.nominal_v.as_f64()), (205.0, 230.0, 230.0));
    }
}

#[test]
fn one_mean_far_out_is_too_many() {
    let outputs = run(week(|minute| if minute < 10 { 190.0 } else { 230.0 }));
    assert_eq!((weeks(&outputs)[0].far_out, weeks(&outputs)[0].complies), (1, false));
}

#[test]
fn what_is_interrupted_or_unknown_does_not_count() {
    // Ten minutes without voltage and an hour without readings: 1 and 6 means less.
    let readings = week(|minute| if (600..610).contains(&minute) { 0.0 } else { 230.0 });
    let outputs = run(readings.into_iter().filter(|it| !(1_200..1_260).contains(&((it.time.0 - MONDAY) / MINUTE))));
    let it = weeks(&outputs)[0];
    assert_eq!((it.means, it.within, it.complies), (1_001, 1_001, true));
}

#[test]
fn a_mean_is_weighted_with_time() {
    let (mut mean, mut windows) = (Mean::default(), Vec::new());
    for (from, to, value) in [(0, 4_000, 10), (4_000, 25_000, 30), (25_000, 41_000, 50)] {
        mean.push(10_000, UnixMillis(from), UnixMillis(to), value, |it| windows.push(it));
    }
    let expected = [(0, 22), (10_000, 30), (20_000, 40), (30_000, 50)];
    assert_eq!(windows, expected.map(|(start, mean)| Window { start: UnixMillis(start), mean }));
}
