//! Limits with hysteresis and delays.

use proptest::prelude::*;

use super::*;
use crate::quality::excursion::{Change, Limit, Monitor, Side};

use QualityKind::{Dip, FrequencyLow, Interruption, OverVoltage, OverVoltageSevere, Overload, Swell, UnderVoltage, UnderVoltageSevere};

/// A reading each second, of these voltages.
fn seconds(voltages: &[f64]) -> Vec<Output> {
    run(voltages.iter().zip(0..).map(|(it, second)| volts(MONDAY + second * SECOND, *it)))
}

#[test]
fn under_voltage_counts_after_three_seconds_and_ends_behind_the_hysteresis() {
    // 207 V is 90 %, and 211.6 V the end of the hysteresis; from the seventh second on the voltage is back.
    let outputs = seconds(&[230.0, 206.0, 205.0, 207.5, 211.0, 206.0, 211.5, 212.0, 212.0, 212.0, 212.0]);
    assert_eq!(told(&outputs), [(UnderVoltage, 1, None), (UnderVoltage, 1, Some(7))]);
    let it = qualities(&outputs)[1];
    assert_eq!((it.threshold, it.hysteresis, it.extreme, it.duration_ms), (207.0, 4.6, 205.0, Some(6_000)));
    assert_eq!((it.mean, it.unit.as_str(), it.cut), ((206.0 + 205.0 + 207.5 + 211.0 + 206.0 + 211.5) / 6.0 - 1e-3 / 3.0, "V", false));
}

#[test]
fn what_is_over_before_it_counts_is_a_dip_or_a_swell() {
    assert_eq!(told(&seconds(&[230.0, 200.0, 230.0])), [(Dip, 1, Some(2))]);
    assert_eq!(told(&seconds(&[230.0, 254.0, 254.0, 230.0])), [(Swell, 1, Some(3))]);
    assert_eq!(told(&seconds(&[230.0, 254.0, 254.0, 254.0, 254.0])), [(OverVoltage, 1, None)]);
}

#[test]
fn severe_limits_count_after_a_second_and_an_interruption_is_one() {
    assert_eq!(told(&seconds(&[230.0, 195.0, 195.0])), [(UnderVoltageSevere, 1, None)]);
    assert_eq!(told(&seconds(&[230.0, 265.0, 265.0])), [(OverVoltageSevere, 1, None)]);
    let outputs = seconds(&[230.0, 3.0, 3.0, 230.0, 230.0, 230.0, 230.0]);
    let expected = [
        (UnderVoltageSevere, 1, None),
        (Interruption, 1, None),
        (Dip, 1, Some(3)),
        (UnderVoltageSevere, 1, Some(3)),
        (Interruption, 1, Some(3)),
    ];
    assert_eq!(told(&outputs), expected);
    let at = |second| MONDAY + second * SECOND;
    let (current, none) = (FeederEventKind::Interrupted, FeederEventKind::Supplied);
    assert_eq!(signs(&outputs), [(current, at(1)), (none, at(3))]);
}

#[test]
fn a_value_stands_until_the_next_heartbeat() {
    let minutes = [230.0, 200.0, 200.0, 230.0, 230.0].into_iter().zip(0..).map(|(it, minute)| volts(MONDAY + minute * MINUTE, it));
    assert_eq!(told(&run(minutes)), [(UnderVoltage, 60, None), (UnderVoltage, 60, Some(180))]);
}

#[test]
fn a_gap_cuts_what_counts_and_forgets_what_does_not() {
    let readings = [0, 1, 2, 3, 4, 400, 401].into_iter().map(|second| volts(MONDAY + second * SECOND, 200.0));
    let outputs = run(readings);
    assert_eq!(told(&outputs), [(UnderVoltage, 0, None), (UnderVoltage, 0, Some(4))]);
    assert!(qualities(&outputs)[1].cut, "nobody saw the end");
    let short = [volts(MONDAY, 230.0), volts(MONDAY + SECOND, 200.0), volts(MONDAY + 400 * SECOND, 230.0)];
    assert_eq!(told(&run(short)), []);
}

#[test]
fn frequency_is_judged_by_means_of_ten_seconds() {
    let hertz = |second: i64, millihertz| Reading { frequency: Hertz::from_millihertz(millihertz), ..sound(MONDAY + second * SECOND) };
    // A second of 48 Hz in ten of 49.9 is no more than 49.71 Hz.
    let glitch = (0..60).map(|second| hertz(second, if second == 15 { 48_000 } else { 49_900 }));
    assert_eq!(told(&run(glitch)), []);
    let low = (0..90).map(|second| hertz(second, if (20..50).contains(&second) { 49_400 } else { 50_000 }));
    let outputs = run(low);
    assert_eq!(told(&outputs), [(FrequencyLow, 20, None), (FrequencyLow, 20, Some(50))]);
    assert_eq!((qualities(&outputs)[1].extreme, qualities(&outputs)[1].unit.as_str()), (49.4, "Hz"));
}

#[test]
fn more_than_the_contract_allows_is_told_after_a_minute() {
    let watts = |second: i64, watts| {
        let sound = sound(MONDAY + second * SECOND);
        Reading { raw: Raw { active_power: Watts::from_f64(watts).unwrap(), ..sound.raw }, ..sound }
    };
    let kettle = (0..120).map(|second| watts(second, if (10..60).contains(&second) { 6_000.0 } else { 300.0 }));
    assert_eq!(told(&run(kettle)), []);
    let oven = (0..240).map(|second| watts(second, if (10..100).contains(&second) { 5_600.0 } else { 300.0 }));
    let outputs = run(oven);
    assert_eq!(told(&outputs), [(Overload, 10, None), (Overload, 10, Some(100))]);
    assert_eq!((qualities(&outputs)[1].threshold, qualities(&outputs)[1].mean), (5_000.0, 5_600.0));
}

#[test]
fn signs_of_tampering_are_told_once_a_day() {
    let flags = |second: i64, flags| Reading { flags, ..sound(MONDAY + second * SECOND) };
    let outputs = run((0..30).map(|hour| flags(hour * 3_600, Flags::STUCK | Flags::NOISE)));
    let told: Vec<_> = signs(&outputs).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(told, [FeederEventKind::Stuck, FeederEventKind::Noise, FeederEventKind::Stuck, FeederEventKind::Noise]);
    let reverse = (0..15).map(|second| {
        let sound = sound(MONDAY + second * SECOND);
        Reading { raw: Raw { active_power: Watts::from_deciwatts(-300), ..sound.raw }, ..sound }
    });
    assert_eq!(signs(&run(reverse)), [(FeederEventKind::ReversePower, MONDAY)]);
    let no_neutral = (0..15).map(|second| volts(MONDAY + second * SECOND, 50.0));
    assert_eq!(signs(&run(no_neutral)), [(FeederEventKind::NeutralMissing, MONDAY)]);
}

#[test]
fn a_register_that_falls_is_a_sign_and_one_that_begins_again_is_none() {
    let register = |second: i64, wh: f64| {
        let raw = measure::WattHours::from_f64(wh).unwrap();
        Reading { import: measure::Register { raw, integrated: raw }, ..sound(MONDAY + second * SECOND) }
    };
    let readings = [register(0, 9_999_990.0), register(60, 10.0)];
    assert_eq!(signs(&run(readings)), [(FeederEventKind::RegisterDecreased, MONDAY + MINUTE)]);
    let rules = Rules::new(&Settings::default(), Some(10_000_000)).unwrap();
    let (mut watch, mut out) = (Watch::new(rules.into(), None, Metrics::new()), Vec::new());
    for (reading, offset) in readings.iter().zip(0..) {
        watch.take(offset, &record("M1", reading), &mut out);
    }
    assert_eq!(signs(&out), []);
}

#[test]
fn what_the_filter_does_not_believe_is_no_voltage() {
    for flags in [Flags::REJECTED, Flags::REPLAY, Flags::STUCK, Flags::DUPLICATE, Flags::REGISTERS_ONLY] {
        let outputs = run((0..20).map(|second| Reading { flags, ..volts(MONDAY + second * SECOND, 0.0) }));
        assert_eq!(told(&outputs), [], "{flags:?}");
    }
    let late = [sound(MONDAY + 100 * SECOND), volts(MONDAY, 100.0), volts(MONDAY + 50 * SECOND, 100.0)];
    assert_eq!(told(&run(late)), []);
    let clock = (0..20).map(|second| Reading { clock: ClockQuality::Unknown, ..volts(MONDAY + second * SECOND, 0.0) });
    assert_eq!(told(&run(clock)), []);
}

proptest! {
    /// Whatever the values: what begins ends, in turn; short ones are shorter than the delay, and what counts is not.
    #[test]
    fn excursions_take_turns(values in proptest::collection::vec((1_i64..8_000, 0_i64..20), 1..200)) {
        let limit = Limit { threshold: 10, hysteresis: 2, side: Side::Above, on_ms: 3_000, off_ms: 3_000 };
        let (mut monitor, mut time, mut open) = (Monitor::default(), UnixMillis(MONDAY), None);
        for (step, value) in values {
            time = time.saturating_add(step);
            match monitor.push(&limit, time, value) {
                Some(Change::Begun(it)) => {
                    prop_assert!(open.is_none() && it.end.is_none() && it.extreme > 10);
                    open = Some(it.start);
                }
                Some(Change::Ended(it)) => {
                    prop_assert_eq!(open.take(), Some(it.start));
                    prop_assert!(it.end.is_some_and(|end| end.millis_since(it.start) >= limit.on_ms && end < time));
                }
                Some(Change::Short(it)) => {
                    prop_assert!(open.is_none());
                    prop_assert!(it.end.is_some_and(|end| end.millis_since(it.start) < limit.on_ms && it.mean <= it.extreme));
                }
                None => {}
            }
        }
    }
}
