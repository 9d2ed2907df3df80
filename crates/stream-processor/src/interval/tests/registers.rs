//! Registers that roll over, meters that are exchanged, and readings that cannot be.

use contracts::intervals::{Checks, Quality};
use measure::{ClockQuality, Flags};
use proptest::prelude::*;

use super::IntervalLength::{Day, Hour, Minute};
use super::*;

#[test]
fn an_exchanged_meter_loses_the_energy_of_the_exchange_only() {
    // At 00:30 the register falls from 1,290 to 7 Wh.
    let mut readings = steady(START, START + 2 * HOUR, MINUTE);
    for it in readings.iter_mut().skip(30) {
        it.import_wh = wh(it.import_wh.as_f64() - 1_293.0);
    }
    let mut bench = Bench::usual();
    bench.run(&readings);
    let hour = bench.one(Hour, START);
    assert_eq!((hour.quality, hour.checks, hour.import_wh), (Quality::Failed, Checks::EXCHANGE, wh(590.0)));
    assert_eq!(hour.import_register_wh, Some(wh(307.0)));
    assert_eq!(bench.one(Minute, START + 29 * MINUTE).import_wh, wh(0.0));
    assert_eq!(bench.one(Minute, START + 30 * MINUTE).quality, Quality::Actual);
    assert_eq!(bench.one(Hour, START + HOUR).import_wh, wh(600.0));
    assert_eq!(bench.counts().exchanges, 1);
}

#[test]
fn a_jump_is_not_believed() {
    let mut readings = steady(START, START + 2 * HOUR, MINUTE);
    for it in readings.iter_mut().skip(30) {
        it.import_wh = wh(it.import_wh.as_f64() + 1e6);
    }
    let mut bench = Bench::usual();
    bench.run(&readings);
    let hour = bench.one(Hour, START);
    assert_eq!((hour.quality, hour.checks, hour.import_wh), (Quality::Failed, Checks::HIGH, wh(590.0)));
    assert_eq!(bench.counts().jumps, 1);
}

#[test]
fn export_is_kept_apart() {
    let mut readings = steady(START, START + HOUR, MINUTE);
    for (minute, it) in readings.iter_mut().enumerate() {
        it.export_wh = wh(minute as f64 * 3.0);
    }
    let mut bench = Bench::usual();
    bench.run(&readings);
    let hour = bench.one(Hour, START);
    assert_eq!((hour.import_wh, hour.export_wh, hour.export_register_wh), (wh(600.0), wh(180.0), Some(wh(180.0))));
}

#[test]
fn a_meter_of_registers_only_has_energy_and_no_voltage() {
    let mut readings = steady(START, START + HOUR, MINUTE);
    for it in &mut readings {
        let shown = Reading::of_registers(it.time_ms, it.clock, it.channel, it.import_wh, it.export_wh);
        *it = ReadingRecord::new(&it.meter, it.stream, it.seq, it.received_ms, &shown);
    }
    let mut bench = Bench::usual();
    bench.run(&readings);
    let hour = bench.one(Hour, START);
    assert_eq!((hour.import_wh, hour.quality, hour.covered_ms), (wh(600.0), Quality::Actual, HOUR as u32));
    assert_eq!((hour.voltage_mean_v, hour.voltage_min_v, hour.active_power_max_w), (None, None, None));
}

#[test]
fn a_measured_day_without_energy_is_told() {
    let mut readings = steady(START, START + 25 * HOUR, MINUTE);
    readings.iter_mut().for_each(|it| it.import_wh = wh(77.0));
    let mut bench = Bench::usual();
    bench.run(&readings);
    assert_eq!(bench.one(Day, START).checks, Checks::ZERO);
}

#[test]
fn a_peak_that_stands_alone_is_told() {
    // 12 kW for a quarter of an hour above 600 W; two more such quarters make it plausible.
    for (peaks, expected) in [(1, Checks::SPIKE), (3, Checks::empty())] {
        let mut readings = steady(START, START + 25 * HOUR, MINUTE);
        for (minute, it) in readings.iter_mut().enumerate() {
            let extra: usize = (0..peaks).map(|peak| minute.saturating_sub(600 + peak * 60).min(15)).sum();
            it.import_wh = wh(it.import_wh.as_f64() + 190.0 * extra as f64);
        }
        let mut bench = Bench::usual();
        bench.run(&readings);
        let day = bench.one(Day, START);
        assert_eq!((day.checks, day.block_demand_max_w), (expected, Some(Watts::from_deciwatts(120_000))));
        assert_eq!(day.block_demand_max_ms, Some(UnixMillis(START + 615 * MINUTE)));
    }
}

#[test]
fn readings_that_cannot_be_are_counted_and_change_nothing() {
    let sound = steady(START, START + HOUR, MINUTE);
    let mut expected = Bench::usual();
    expected.run(&sound);
    let hostile = |change: fn(&mut ReadingRecord)| {
        let mut it = reading(0, START + 30 * MINUTE + 500, 1_300.0);
        change(&mut it);
        it
    };
    let mut bench = Bench::usual();
    for it in &sound {
        bench.tick(it.time_ms.0);
        bench.take(it);
        bench.take(it);
        bench.take(&hostile(|it| it.import_wh = wh(-1.0)));
        bench.take(&hostile(|it| it.export_wh = WattHours::from_centiwatthours(i64::MAX)));
        bench.take(&hostile(|it| it.import_wh = WattHours::from_centiwatthours(i64::MIN)));
        bench.take(&hostile(|it| it.time_ms = UnixMillis(253_402_300_799_000)));
        bench.take(&hostile(|it| it.time_ms = UnixMillis(i64::MAX)));
        bench.take(&hostile(|it| it.time_ms = UnixMillis(i64::MIN)));
        bench.take(&hostile(|it| it.clock = ClockQuality::Unknown));
        bench.take(&hostile(|it| it.flags = Flags::REPLAY));
        bench.take(&hostile(|it| it.flags = Flags::REJECTED));
    }
    for now in [i64::MIN, -1, i64::MAX] {
        bench.tick(now);
    }
    (1..=20).for_each(|minute| bench.tick(START + HOUR + minute * MINUTE));
    assert_eq!(bench.out, expected.out);
    let counts = bench.counts();
    let n = sound.len() as u64;
    assert_eq!((counts.duplicate, counts.register, counts.ahead), (n, 3 * n, 2 * n));
    assert_eq!((counts.too_late, counts.clock, counts.untrusted), (n, n, 2 * n));
}

#[test]
fn no_json_smuggles_in_a_number_that_is_none() {
    let sound = serde_json::to_string(&reading(0, START, 1_000.0)).unwrap();
    assert!(serde_json::from_str::<ReadingRecord>(&sound).is_ok());
    for number in ["NaN", "1e300", "-1e300", "1e400", "null"] {
        let hostile = sound.replace("\"import_wh\":1000.0", &format!("\"import_wh\":{number}"));
        assert_ne!(hostile, sound);
        assert!(serde_json::from_str::<ReadingRecord>(&hostile).is_err(), "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_reading_panics_and_no_energy_is_negative(
        readings in prop::collection::vec(
            (
                prop_oneof![any::<i64>(), START - 3 * HOUR..START + 50 * HOUR],
                prop_oneof![any::<i64>(), 0_i64..1_000_000],
                any::<i64>(),
                any::<[i32; 4]>(),
                any::<i16>(),
                prop_oneof![Just(0_i64), Just(MINUTE), any::<i64>(), 0..5 * HOUR],
            ),
            1..200,
        ),
        modulus in prop::option::of(1_000_i64..10_000_000),
    ) {
        let mut bench = Bench::new(Settings { register_modulus_wh: modulus, ..Settings::default() }, Calendar::default());
        let mut now = START;
        for (time, import, export, [voltage, current, power, frequency], factor, pause) in readings {
            let mut it = reading(0, time, 0.0);
            it.import_wh = WattHours::from_centiwatthours(import);
            it.export_wh = WattHours::from_centiwatthours(export.rem_euclid(1_000_000));
            it.voltage_v = Volts::from_millivolts(voltage);
            it.current_a = Amperes::from_milliamperes(current);
            it.active_power_w = Watts::from_deciwatts(power);
            it.frequency_hz = Hertz::from_millihertz(frequency);
            it.power_factor = PowerFactor::from_thousandths(factor);
            bench.take(&it);
            now = now.saturating_add(pause).min(START + 60 * HOUR);
            bench.tick(now);
        }
        bench.tick(START + 200 * HOUR);
        for it in bench.latest().values() {
            prop_assert!(it.import_wh >= wh(0.0) && it.export_wh >= wh(0.0), "{:?}", it);
            prop_assert!(!it.checks.contains(Checks::SUM), "{:?}", it);
        }
    }
}
