//! Silence, and successors.

use super::*;

const HOUR: i64 = 60 * MINUTE;

/// Two hours of three meters with a reading each half minute, with everything in it: dips, lasting low voltage, signs, a gap.
fn log() -> Vec<ReadingRecord> {
    let mut log = Vec::new();
    for half in 0..240_i64 {
        for meter in 0..3_i64 {
            let time = MONDAY + half * 30 * SECOND + meter;
            let voltage = match (half * 7 + meter * 13) % 61 {
                0 => 150.0,
                1..=5 => 200.0,
                6 => 255.0,
                _ => 230.0,
            };
            let flags = if half == 100 { Flags::STUCK } else { Flags::empty() };
            if meter == 1 && (50..70).contains(&half) {
                continue;
            }
            log.push(record(&format!("M{meter}"), &Reading { flags, ..volts(time, voltage) }));
        }
    }
    log
}

#[test]
fn whoever_goes_on_tells_the_same() {
    let log = log();
    let (mut whole, mut expected) = (watch(), Vec::new());
    log.iter().zip(0..).for_each(|(reading, offset)| whole.take(offset, reading, &mut expected));
    assert!(qualities(&expected).len() > 30, "{}", qualities(&expected).len());
    for step in [1, 7, 100, 333] {
        let (mut watch, mut written) = (watch(), Vec::new());
        for (reading, offset) in log.iter().zip(0..) {
            if offset % step == step - 1 {
                let low_water = watch.low_water();
                assert!(offset - low_water <= 3 * 40, "{} readings are taken again", offset - low_water);
                watch = successor(&written, &log, low_water, offset);
            }
            watch.take(offset, reading, &mut written);
        }
        assert!(written == expected, "every {step}: {} outputs instead of {}", written.len(), expected.len());
    }
}

fn successor(written: &[Output], log: &[ReadingRecord], low_water: i64, next: i64) -> Watch {
    let mut watch = watch();
    for output in written {
        match output {
            Output::State(it) => watch.restore(it.meter.clone(), Some(it)),
            Output::Gone(meter) => watch.restore(meter.clone(), None),
            _ => {}
        }
    }
    for (reading, offset) in log.iter().zip(0..).filter(|(_, offset)| (low_water..next).contains(offset)) {
        watch.replay(offset, reading);
    }
    watch
}

#[test]
fn a_meter_that_is_not_heard_is_silent_once_and_then_heard_again() {
    let (mut watch, mut out) = (watch(), Vec::new());
    let at = |second: i64| UnixMillis(MONDAY + second * SECOND);
    watch.tick(at(0), true, &mut out);
    watch.take(0, &record("M1", &sound(MONDAY)), &mut out);
    (1..180).for_each(|second| watch.tick(at(second), true, &mut out));
    assert_eq!(told(&out), []);
    (180..400).for_each(|second| watch.tick(at(second), true, &mut out));
    assert_eq!(told(&out), [(QualityKind::Silent, 0, None)]);
    watch.take(1, &record("M1", &sound(MONDAY + 400 * SECOND)), &mut out);
    assert_eq!(told(&out), [(QualityKind::Silent, 0, None), (QualityKind::Silent, 0, Some(400))]);
    let heard = MONDAY + 200;
    assert_eq!(signs(&out), [(FeederEventKind::Silent, heard), (FeederEventKind::Heard, heard + 400 * SECOND)]);
}

#[test]
fn a_successor_knows_who_is_silent_and_listens_before_it_says_so_itself() {
    let (mut first, mut out) = (watch(), Vec::new());
    let at = |second: i64| UnixMillis(MONDAY + second * SECOND);
    first.tick(at(0), true, &mut out);
    let log = [record("M1", &sound(MONDAY)), record("M2", &sound(MONDAY + 170 * SECOND))];
    log.iter().zip(0..).for_each(|(it, offset)| first.take(offset, it, &mut out));
    first.tick(at(200), true, &mut out);
    assert_eq!(told(&out), [(QualityKind::Silent, 0, None)]);
    let mut next = successor(&out, &log, first.low_water(), 2);
    let mut later = Vec::new();
    // It comes an hour later, and is told nothing for a while.
    (3_600..3_780).for_each(|second| next.tick(at(second), true, &mut later));
    assert_eq!(later, [], "nobody listened in that hour");
    next.tick(at(3_780), true, &mut later);
    assert_eq!(told(&later), [(QualityKind::Silent, 170, None)]);
}

#[test]
fn who_is_behind_says_nothing_of_silence() {
    let (mut watch, mut out) = (watch(), Vec::new());
    watch.take(0, &record("M1", &sound(MONDAY)), &mut out);
    (0..1_000).for_each(|second| watch.tick(UnixMillis(MONDAY + HOUR + second * SECOND), false, &mut out));
    assert_eq!(told(&out), []);
}

#[test]
fn a_meter_that_never_comes_back_is_forgotten() {
    let (mut watch, mut out) = (watch(), Vec::new());
    watch.take(0, &record("M1", &sound(MONDAY)), &mut out);
    watch.tick(UnixMillis(MONDAY), true, &mut out);
    watch.tick(UnixMillis(MONDAY + HOUR), true, &mut out);
    watch.tick(UnixMillis(MONDAY + 31 * 24 * HOUR), true, &mut out);
    assert_eq!((out.last(), watch.meters()), (Some(&Output::Gone("M1".parse().unwrap())), 0));
    assert_eq!(watch.low_water(), 1);
}

#[test]
fn a_state_that_is_none_costs_its_meter_its_past_only() {
    let metrics = Metrics::new();
    let rules = Rules::new(&Settings::default(), None).unwrap();
    let mut watch = Watch::new(rules.into(), None, metrics.clone());
    let meter: MeterId = "M1".parse().unwrap();
    for state in ["", "####", "oWRsYXN0AA=="] {
        watch.restore(meter.clone(), Some(&MeterStateRecord { meter: meter.clone(), next_offset: 9, state: state.to_owned() }));
    }
    assert_eq!((metrics.meter_states_unreadable.get(), watch.meters()), (3, 0), "it begins anew with its next reading");
}
