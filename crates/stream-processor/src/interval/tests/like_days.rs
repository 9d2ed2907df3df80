//! A gap that is too long to be interpolated has the shape of like days.

use contracts::intervals::{Checks, Quality};
use proptest::prelude::*;

use super::replay::{Input, difference};
use super::*;

const DAY: i64 = 24 * HOUR;
const STEP: i64 = 150 * SECOND;

/// The register at that time in 0.01 Wh: 1 kW from 18 to 20 o'clock, 100 W else.
fn register(time: i64) -> i64 {
    let (days, into) = ((time - START).div_euclid(DAY), (time - START).rem_euclid(DAY));
    let evening = (into - 18 * HOUR).clamp(0, 2 * HOUR);
    // 100 W for 360 ms is 0.01 Wh.
    days * (22 * 10_000 + 2 * 100_000) + (into - evening) / 360 + evening / 36
}

/// A reading each 150 s of that many days, but for the stretches that are missing.
fn evenings(number: usize, days: i64, missing: &[std::ops::Range<i64>]) -> Vec<ReadingRecord> {
    let times = (0..days * DAY / STEP).map(|it| START + it * STEP);
    let there = times.filter(|time| missing.iter().all(|it| !it.contains(&(time - START))));
    there.map(|time| reading(number, time, register(time) as f64 / 100.0)).collect()
}

#[test]
fn energy_goes_where_like_days_had_it() {
    // Wednesday to the next Tuesday, of whose evening four hours are missing.
    let missing = 6 * DAY + 17 * HOUR + MINUTE..6 * DAY + 21 * HOUR;
    let mut bench = Bench::usual();
    bench.run(&evenings(0, 7, &[missing]));
    for (hour, quality, energy) in [(17, Quality::Estimated, 100.0), (18, Quality::Estimated, 1_000.0), (20, Quality::Estimated, 100.0)] {
        let it = bench.one(IntervalLength::Hour, START + 6 * DAY + hour * HOUR);
        // Codes of a slot round by up to an eighth.
        assert!((it.import_wh.as_f64() - energy).abs() < energy / 8.0 + 1.0, "{it:?}");
        assert_eq!((it.quality, it.checks), (quality, Checks::GAP | Checks::LIKE_DAY), "{it:?}");
    }
    let quarters = bench.all(IntervalLength::QuarterHour).into_iter().filter(|it| it.start_ms.0 >= START + 6 * DAY);
    let sum: i64 = quarters.map(|it| it.import_wh.centiwatthours()).sum();
    let last = bench.all(IntervalLength::QuarterHour).last().unwrap().end_ms.0;
    assert_eq!(sum, register(last) - register(START + 6 * DAY), "to the last digit");
}

#[test]
fn without_like_days_the_shape_is_a_guess() {
    let missing = DAY + 17 * HOUR + MINUTE..DAY + 21 * HOUR;
    let mut bench = Bench::usual();
    bench.run(&evenings(0, 2, &[missing]));
    let it = bench.one(IntervalLength::Hour, START + DAY + 18 * HOUR);
    assert_eq!(it.quality, Quality::Substituted, "{it:?}");
    assert!((it.import_wh.as_f64() - 2_200.0 / 4.0).abs() < 20.0, "{it:?}");
}

#[test]
fn what_fills_the_gap_takes_the_estimate_away() {
    let missing = 6 * DAY + 17 * HOUR + MINUTE..6 * DAY + 21 * HOUR;
    let mut bench = Bench::usual();
    bench.run(&evenings(0, 7, std::slice::from_ref(&missing)));
    for late in evenings(0, 7, &[0..missing.start, missing.end..7 * DAY]) {
        bench.take(&late);
    }
    (1..=10).for_each(|minute| bench.tick(START + 7 * DAY + (30 + minute) * MINUTE));
    let it = bench.one(IntervalLength::Hour, START + 6 * DAY + 18 * HOUR);
    assert_eq!((it.import_wh, it.quality, it.revision, it.checks), (wh(1_000.0), Quality::Actual, 2, Checks::empty()));
}

#[test]
fn a_day_far_from_like_days_is_noted() {
    // Wednesday to the Friday of the next week, in W; a Tuesday takes twice as much, the day after less than half.
    const POWER: [i64; 10] = [100, 100, 100, 100, 100, 100, 200, 40, 100, 100];
    let mut bench = Bench::usual();
    let mut register_cwh = 0;
    let mut readings = Vec::new();
    for step in 0..10 * DAY / STEP {
        readings.push(reading(0, START + step * STEP, register_cwh as f64 / 100.0));
        // 24 W for 150 s is 1 Wh.
        register_cwh += POWER[(step * STEP / DAY) as usize] * 100 / 24;
    }
    bench.run(&readings);
    let noted = |day: i64| bench.one(IntervalLength::Day, START + day * DAY).checks - Checks::SPIKE;
    let expected = |day| match day {
        6 => Checks::ABOVE_USUAL,
        7 => Checks::BELOW_USUAL,
        _ => Checks::empty(),
    };
    for day in 1..9 {
        assert_eq!(noted(day), expected(day), "day {day}");
    }
}

/// Two meters of three weeks with gaps of three to twelve hours, some of which are filled late; the second falls silent for good.
fn log(seed: u64) -> Vec<Input> {
    use rand::{RngExt, SeedableRng};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut arrivals = Vec::new();
    for (number, days) in [(0, 21), (1, 9)] {
        let mut missing = Vec::new();
        for day in 1..days {
            let from = day * DAY + random.random_range(0..12 * HOUR);
            if random.random_bool(0.7) {
                missing.push(from..from + random.random_range(3 * HOUR..12 * HOUR));
            }
        }
        for it in evenings(number, days, &missing) {
            arrivals.push((it.time_ms.0 + SECOND, Input::Reading(Box::new(it))));
        }
        for late in &missing {
            if random.random_bool(0.7) {
                continue;
            }
            let back = START + late.end + random.random_range(0..8 * HOUR);
            for it in evenings(number, days, &[0..late.start, late.start + HOUR..days * DAY]) {
                arrivals.push((back, Input::Reading(Box::new(it))));
            }
        }
    }
    arrivals.extend((0..80 * DAY / (5 * MINUTE)).map(|it| START + it * 5 * MINUTE).map(|now| (now, Input::Tick(now))));
    arrivals.sort_by_key(|it| it.0);
    arrivals.into_iter().map(|it| it.1).collect()
}

fn rules() -> Rules {
    Rules::new(Settings::default(), Calendar::parse("zone = \"Europe/Berlin\"").unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn days_gone_by_survive_kills(seed: u64, mut kills in prop::collection::vec(any::<usize>(), 1..4)) {
        let log = log(seed);
        kills.iter_mut().for_each(|it| *it %= log.len());
        kills.sort_unstable();
        prop_assert_eq!(difference(&log, &kills, &rules()), None, "seed {}, kills {:?}", seed, kills);
    }
}

#[test]
fn the_log_asks_for_like_days_and_at_last_forgets_all() {
    let mut one = Aggregator::new(rules(), LowWater::beginning(UnixMillis(START)));
    let mut out = Vec::new();
    for (input, offset) in log(1).iter().zip(0..) {
        match input {
            Input::Reading(it) => one.take(offset, it, &mut out),
            Input::Tick(now) => one.tick(UnixMillis(*now), &mut out),
        }
    }
    let quarters = out.iter().filter_map(|it| match it {
        Output::Interval(it) if it.length == IntervalLength::QuarterHour => Some(it.quality),
        _ => None,
    });
    let shaped = quarters.filter(|it| *it == Quality::Estimated).count();
    assert!(shaped > 100, "{shaped} quarter hours estimated, of gaps none of which is short");
    let gone = out.iter().filter(|it| matches!(it, Output::Gone(_))).count();
    assert_eq!((gone, one.channels()), (2, 0), "both are silent for weeks in the end");
}

#[test]
fn days_that_cannot_be_read_are_counted_and_nothing_else() {
    let mut one = Aggregator::new(rules(), LowWater::beginning(UnixMillis(START)));
    for state in ["", "?", "AAAA"] {
        let state = state.to_owned();
        one.restore(meter(0), Some(&contracts::MeterStateRecord { meter: meter(0), next_offset: 1, state }));
    }
    assert_eq!((one.counts().unreadable, one.channels()), (3, 0));
}
