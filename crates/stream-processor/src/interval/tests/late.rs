//! Gaps, and what late readings make of them.

use contracts::intervals::{Checks, Quality};

use super::IntervalLength::{Day, Hour, Minute, QuarterHour};
use super::*;

/// Three hours with a reading each minute, of which those between 01:05 and 01:35 are kept back; 01:00 to 02:00 uses the double.
fn with_a_gap() -> (Vec<ReadingRecord>, Vec<ReadingRecord>) {
    let energy = |time: i64| {
        let minutes = (time - START) / MINUTE;
        1_000 + minutes * 10 + (minutes - 60).clamp(0, 15) * 10
    };
    let all: Vec<_> = (0..=180).map(|it| START + it * MINUTE).map(|time| reading(0, time, energy(time) as f64)).collect();
    all.into_iter().partition(|it| !(66..=94).contains(&((it.time_ms.0 - START) / MINUTE)))
}

#[test]
fn a_gap_is_estimated_from_the_registers_around_it() {
    let (there, _) = with_a_gap();
    let mut bench = Bench::usual();
    bench.run(&there);
    // 01:05 to 01:35 brought 400 Wh: 13.33 Wh a minute.
    for (start, quality, energy, covered) in [
        (60, Quality::Estimated, 100.0 + 133.33, 5),
        (75, Quality::Estimated, 200.0, 0),
        (90, Quality::Estimated, 66.67 + 100.0, 10),
        (105, Quality::Actual, 150.0, 15),
    ] {
        let it = bench.one(QuarterHour, START + start * MINUTE);
        assert_eq!((it.quality, it.import_wh, i64::from(it.covered_ms)), (quality, wh(energy), covered * MINUTE), "{it:?}");
        assert_eq!(it.checks, if covered < 15 { Checks::GAP } else { Checks::empty() });
    }
    // Both ends of the hour were read: its energy is actual whatever is missing inside.
    let hour = bench.one(Hour, START + HOUR);
    assert_eq!((hour.quality, hour.checks, hour.import_wh), (Quality::Actual, Checks::GAP, wh(750.0)));
    // No minute is invented.
    assert!(bench.all(Minute).iter().all(|it| it.readings > 0));
}

#[test]
fn a_long_gap_is_substituted_and_one_beyond_the_horizon_is_not_filled() {
    for (hours, expected) in [(2, Some(Quality::Estimated)), (3, Some(Quality::Substituted)), (25, None)] {
        let mut readings = steady(START, START + HOUR, MINUTE);
        readings.extend(steady(START + (1 + hours) * HOUR, START + (3 + hours) * HOUR, MINUTE));
        let mut bench = Bench::usual();
        bench.run(&readings);
        let found = bench.latest().remove(&(meter(0), 0, QuarterHour, UnixMillis(START + 90 * MINUTE)));
        assert_eq!(found.map(|it| (it.quality, it.import_wh)), expected.map(|it| (it, wh(150.0))), "{hours} h");
    }
}

#[test]
fn late_readings_lead_where_punctual_ones_lead() {
    let (there, late) = with_a_gap();
    let mut punctual = Bench::usual();
    let mut all = [there.clone(), late.clone()].concat();
    all.extend(steady(START + 181 * MINUTE, START + 25 * HOUR, MINUTE).into_iter().map(|mut it| {
        it.import_wh = wh(it.import_wh.as_f64() + 150.0);
        it
    }));
    all.sort_by_key(|it| it.time_ms);
    punctual.run(&all);
    let (last, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.time_ms.0 > START + 24 * HOUR);
    // In order of time, as a backlog comes, but the second half of it may be first.
    for first in [0, 15] {
        let mut bench = Bench::usual();
        bench.run(&there);
        for (place, number) in (0..late.len()).map(|it| (it + first) % late.len()).enumerate() {
            bench.take(&late[number]);
            // So much time passes between the first that what is left of the gap is estimated again and again.
            if place < 10 {
                bench.tick(START + 3 * HOUR + 20 * MINUTE + place as i64 * 6 * MINUTE);
            }
        }
        let later: Vec<_> = rest.iter().filter(|it| it.time_ms.0 > START + 3 * HOUR).cloned().collect();
        bench.run(&[later, last.clone()].concat());
        let (found, expected) = (bench.latest(), punctual.latest());
        assert!(found.keys().eq(expected.keys()), "reading {first} first");
        for (found, expected) in found.into_values().zip(expected.into_values()) {
            assert_eq!(IntervalRecord { revision: expected.revision, ..found }, expected, "reading {first} first");
        }
        assert_eq!(bench.one(Day, START).sliding_demand_max_w, Some(Watts::from_deciwatts(12_000)));
        assert_eq!(bench.counts().superfluous, 0);
    }
}

#[test]
fn a_half_filled_gap_is_estimated_again_when_it_is_left_alone() {
    let (there, late) = with_a_gap();
    let mut bench = Bench::usual();
    bench.run(&there);
    // Up to 01:20: the double use is over at 01:15, so 01:20 to 01:35 brings 150 Wh.
    let now = START + 3 * HOUR + 30 * MINUTE;
    bench.tick(now - MINUTE);
    late.iter().filter(|it| it.time_ms.0 <= START + 80 * MINUTE).for_each(|it| bench.take(it));
    bench.tick(now);
    assert_eq!((bench.one(QuarterHour, START + 60 * MINUTE).revision, bench.one(QuarterHour, START + 75 * MINUTE).revision), (2, 1));
    bench.tick(now + 5 * MINUTE);
    let (middle, end) = (bench.one(QuarterHour, START + 75 * MINUTE), bench.one(QuarterHour, START + 90 * MINUTE));
    assert_eq!((middle.revision, middle.quality, middle.import_wh), (2, Quality::Estimated, wh(150.0)));
    assert_eq!((end.revision, end.import_wh), (2, wh(150.0)));
    let hour = bench.one(Hour, START + HOUR);
    let sum: f64 = (4..8).map(|it| bench.one(QuarterHour, START + it * 15 * MINUTE).import_wh.as_f64()).sum();
    assert!((hour.import_wh.as_f64() - sum).abs() < 1e-9);
}

#[test]
fn what_is_too_late_or_finds_no_gap_is_counted() {
    let mut bench = Bench::usual();
    bench.run(&steady(START, START + HOUR, MINUTE));
    let written = bench.out.len();
    bench.take(&reading(0, START + 30 * MINUTE + 1, 1_300.0));
    bench.take(&reading(0, START + HOUR, 1_600.0));
    bench.tick(START + 30 * HOUR);
    bench.take(&reading(0, START + 50 * MINUTE, 1_500.0));
    let counts = bench.counts();
    assert_eq!((counts.superfluous, counts.duplicate, counts.too_late, counts.late), (1, 1, 1, 0));
    assert!(bench.out[written..].iter().all(|it| it.quality == Quality::Failed), "only what is given up");
}

#[test]
fn more_gaps_than_are_kept_lose_no_energy() {
    let mut bench = Bench::usual();
    let readings: Vec<_> = steady(START, START + 25 * HOUR, 5 * MINUTE);
    bench.run(&readings);
    assert!(bench.counts().gaps > 200, "{:?}", bench.counts());
    let day = bench.one(Day, START);
    assert_eq!((day.import_wh, day.quality, day.covered_ms), (wh(14_400.0), Quality::Actual, 0));
    let sum: f64 = bench.all(QuarterHour).iter().filter(|it| it.end_ms <= day.end_ms).map(|it| it.import_wh.as_f64()).sum();
    assert!((sum - 14_400.0).abs() < 1e-6);
}
