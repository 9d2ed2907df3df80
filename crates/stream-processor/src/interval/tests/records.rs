//! What a record says when nothing is missing.

use contracts::intervals::{Checks, Quality};
use proptest::prelude::*;

use super::IntervalLength::{Day, HalfHour, Hour, Minute, QuarterHour};
use super::*;

#[test]
fn an_hour_of_readings_makes_its_intervals() {
    let mut bench = Bench::usual();
    bench.run(&steady(START, START + HOUR, 10 * SECOND));
    for (length, count, energy, readings) in
        [(Minute, 60, 10.0, 6), (QuarterHour, 4, 150.0, 90), (HalfHour, 2, 300.0, 180), (Hour, 1, 600.0, 360)]
    {
        // The first minute begins with the first reading: nothing says what was before it, but nothing needs to.
        let all = bench.all(length);
        assert_eq!(all.len(), count, "{length:?}");
        for it in all {
            assert_eq!((it.quality, it.checks, it.import_wh), (Quality::Actual, Checks::empty(), wh(energy)), "{it:?}");
            assert_eq!((it.readings, i64::from(it.covered_ms)), (readings, it.end_ms.millis_since(it.start_ms)), "{it:?}");
            assert_eq!(it.revision, 1);
        }
    }
    let hour = bench.one(Hour, START);
    assert_eq!(hour.import_register_wh, Some(wh(1_600.0)));
    assert_eq!(hour.voltage_mean_v, Some(Volts::from_millivolts(230_000)));
    assert!(bench.all(Day).is_empty(), "the day is not over");
}

#[test]
fn a_boundary_between_readings_is_interpolated_and_says_so() {
    let mut bench = Bench::usual();
    bench.run(&steady(START + 30 * SECOND, START + HOUR, MINUTE));
    let minute = bench.one(Minute, START + MINUTE);
    assert_eq!((minute.quality, minute.import_wh, minute.import_register_wh), (Quality::RegisterScaled, wh(10.0), Some(wh(1_020.0))));
    // What was before the first reading is unknown; what is known of that interval is given.
    let first = bench.one(Minute, START);
    assert_eq!((first.quality, first.checks, first.import_wh), (Quality::Failed, Checks::GAP, wh(5.0)));
}

#[test]
fn means_are_weighted_with_time_and_extremes_are_those_of_readings() {
    let mut readings = steady(START, START + 2 * MINUTE, 15 * SECOND);
    readings[1].voltage_v = Volts::from_millivolts(200_000);
    readings[2].voltage_v = Volts::from_millivolts(200_000);
    readings.remove(2);
    let mut bench = Bench::usual();
    bench.run(&readings);
    let minute = bench.one(Minute, START);
    // 230 V for half a minute, 200 V for the other: a reading stands until the next.
    assert_eq!(minute.voltage_mean_v, Some(Volts::from_millivolts(215_000)));
    assert_eq!(
        (minute.voltage_min_v, minute.voltage_max_v),
        (Some(Volts::from_millivolts(200_000)), Some(Volts::from_millivolts(230_000)))
    );
}

#[test]
fn only_the_wanted_lengths_are_written() {
    let settings = Settings { lengths: vec![QuarterHour], ..Settings::default() };
    let mut bench = Bench::new(settings, Calendar::default());
    bench.run(&steady(START, START + HOUR, MINUTE));
    assert_eq!((bench.out.len(), bench.all(QuarterHour).len()), (4, 4));
}

#[test]
fn silence_is_not_filled_before_it_ends() {
    let mut bench = Bench::usual();
    bench.run(&steady(START, START + 20 * MINUTE, MINUTE));
    let written = bench.out.len();
    bench.tick(START + 10 * HOUR);
    assert_eq!(bench.out.len(), written);
    // A day later the open intervals are given up: their ends are unknown.
    bench.tick(START + 26 * HOUR);
    let quarter = bench.one(QuarterHour, START + 15 * MINUTE);
    assert_eq!((quarter.quality, quarter.import_wh), (Quality::Failed, wh(50.0)));
    // The day is open to late readings for one more horizon; then the channel is forgotten.
    bench.tick(START + 47 * HOUR);
    assert_eq!(bench.aggregator.channels(), 1);
    bench.tick(START + 49 * HOUR);
    assert_eq!((bench.one(Day, START).quality, bench.aggregator.channels()), (Quality::Failed, 0));
}

#[test]
fn a_long_pause_of_time_itself_loses_no_interval() {
    let mut bench = Bench::usual();
    for reading in steady(START, START + 20 * MINUTE, MINUTE) {
        bench.tick(reading.time_ms.0);
        bench.take(&reading);
    }
    bench.tick(START + 100 * HOUR);
    let minutes = bench.all(Minute);
    assert_eq!(minutes.iter().filter(|it| (it.quality, it.import_wh) == (Quality::Actual, wh(10.0))).count(), 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_within_the_lateness_gives_the_same(
        steps in prop::collection::vec((1_000_i64..400_000, 0_i64..5_000, 0_i64..110_000), 20..200),
    ) {
        let mut time = START + 7 * SECOND;
        let mut energy = 0;
        let mut arrivals = Vec::new();
        for (step, centiwatthours, delay) in steps {
            time += step;
            energy += centiwatthours;
            arrivals.push((time + delay, reading(0, time, energy as f64 / 100.0)));
        }
        let mut straight = Bench::usual();
        straight.run(&arrivals.iter().map(|it| it.1.clone()).collect::<Vec<_>>());
        arrivals.sort_by_key(|it| it.0);
        let mut shuffled = Bench::usual();
        for (arrival, reading) in &arrivals {
            shuffled.tick(*arrival);
            shuffled.take(reading);
        }
        (1..=20).for_each(|minute| shuffled.tick(time + minute * MINUTE));
        prop_assert_eq!(straight.latest(), shuffled.latest());
        prop_assert_eq!(shuffled.counts().late, 0);
    }
}
