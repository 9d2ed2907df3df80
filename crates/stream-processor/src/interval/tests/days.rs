//! Days of a time zone, their demand and their tariffs.

use contracts::intervals::Checks;

use super::IntervalLength::{Day, HalfHour, Hour, QuarterHour};
use super::*;

const BERLIN: &str = r#"
    zone = "Europe/Berlin"
    tariffs = ["peak", "off-peak"]
    standard = "off-peak"
    holidays = ["2026-10-23"]
    [[season]]
    from = "01-01"
    to = "12-31"
    [[season.rule]]
    days = ["mon", "tue", "wed", "thu", "fri"]
    from = "06:00"
    to = "22:00"
    tariff = "peak"
"#;

/// A day with a reading each minute at 17 seconds, and half an hour on either side, with a use that changes all the time.
fn day(start: i64, hours: i64) -> Bench {
    let rules = Rules::new(Settings::default(), Calendar::parse(BERLIN).unwrap()).unwrap();
    let from = start - 30 * MINUTE;
    let mut bench = Bench { aggregator: Aggregator::new(rules, LowWater::beginning(UnixMillis(from))), offset: 0, out: Vec::new() };
    let mut energy = 5_000.0;
    let readings: Vec<_> = (0..=(hours + 1) * 60)
        .map(|minute| {
            energy += (minute * 37 % 101) as f64;
            reading(0, from + minute * MINUTE + 17 * SECOND, energy)
        })
        .collect();
    bench.run(&readings);
    bench
}

#[test]
fn tariffs_follow_the_calendar_and_add_up() {
    // Friday 23 October 2026, a holiday; Saturday 24; Monday 26, the first workday after the clocks went back; Tuesday 27.
    for (start, peak_hours) in [(1_792_706_400_000, 0), (1_792_792_800_000, 0), (1_792_969_200_000, 16), (1_793_055_600_000, 16)] {
        let bench = day(start, 24);
        let the_day = bench.one(Day, start);
        let [peak, off_peak] = the_day.tariff_import_wh[..] else { panic!("two tariffs") };
        assert_eq!(peak.centiwatthours() + off_peak.centiwatthours(), the_day.import_wh.centiwatthours(), "1.8.0 = 1.8.1 + 1.8.2");
        let quarters = bench.all(QuarterHour).into_iter().filter(|it| it.start_ms >= the_day.start_ms && it.end_ms <= the_day.end_ms);
        let peaks: Vec<_> = quarters.filter(|it| it.tariff_import_wh[0] == it.import_wh).collect();
        assert_eq!(peaks.len(), peak_hours * 4);
        assert_eq!(peaks.iter().map(|it| it.import_wh.centiwatthours()).sum::<i64>(), peak.centiwatthours());
        if let Some(first) = peaks.first() {
            assert_eq!(first.start_ms.0, start + 6 * HOUR);
        }
    }
}

#[test]
fn maximum_demand_is_that_of_the_highest_measured_block() {
    for (block, millis) in [(QuarterHour, 15 * MINUTE), (HalfHour, 30 * MINUTE)] {
        let settings = Settings { demand_block: block, ..Settings::default() };
        let mut bench = Bench::new(settings, Calendar::default());
        // 6 kW from 10:07 to 10:22, 600 W otherwise.
        let mut readings = steady(START, START + 25 * HOUR, MINUTE);
        for (minute, it) in readings.iter_mut().enumerate() {
            it.import_wh = wh(it.import_wh.as_f64() + 90.0 * minute.saturating_sub(607).min(15) as f64);
        }
        bench.run(&readings);
        let day = bench.one(Day, START);
        let highest = bench.all(block).into_iter().max_by_key(|it| (it.import_wh, std::cmp::Reverse(it.start_ms))).unwrap();
        assert_eq!(day.block_demand_max_ms, Some(highest.end_ms));
        assert_eq!(day.block_demand_max_w, Watts::from_f64(highest.import_wh.as_f64() * (HOUR / millis) as f64));
        assert_eq!(
            (day.sliding_demand_max_w, day.sliding_demand_max_ms),
            (Watts::from_f64(6_000.0), Some(UnixMillis(START + 622 * MINUTE)))
        );
        assert!(bench.all(Hour).iter().all(|it| it.block_demand_max_w.is_none()));
    }
}

#[test]
fn an_estimated_peak_is_no_maximum_demand() {
    let mut readings = steady(START, START + 25 * HOUR, MINUTE);
    // 12 kW while nobody reads.
    for (minute, it) in readings.iter_mut().enumerate() {
        it.import_wh = wh(it.import_wh.as_f64() + 190.0 * minute.saturating_sub(600).min(60) as f64);
    }
    readings.retain(|it| !(601..660).contains(&((it.time_ms.0 - START) / MINUTE)));
    let mut bench = Bench::usual();
    bench.run(&readings);
    let day = bench.one(Day, START);
    assert_eq!((day.import_wh, day.checks), (wh(14_400.0 + 60.0 * 190.0), Checks::GAP));
    assert_eq!(day.block_demand_max_w, Some(Watts::from_deciwatts(6_000)));
}
