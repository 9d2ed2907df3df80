//! Registers of a device that forgets them are never below what was told, whenever the power fails.

use edge_core::journal::{Journal, MemoryJournal};
use edge_core::{Config, Edge, Now, PrepaidConfig, Registers, Sample, Wall, credit};
use estimator::SensorNoise;
use measure::{Amperes, ClockQuality, GapReason, Hertz, PowerFactor, Raw, UnixMillis, Volts, WattHours, Watts};

fn start(journal: &mut MemoryJournal, keeps_registers: bool) -> Edge {
    let channels = vec![estimator::Config::new(SensorNoise::PZEM_004T); 2];
    let edge = Edge::start(Config { channels, keeps_registers, ..Config::default() }, [7; 32], now(0), journal).unwrap();
    journal.commit();
    edge
}

fn now(seconds: u64) -> Now {
    let time = UnixMillis(1_800_014_400_000_i64.saturating_add_unsigned(seconds.saturating_mul(1_000)));
    Now { monotonic_ms: seconds.saturating_mul(1_000), wall: Some(Wall { time, quality: ClockQuality::Synchronised }) }
}

fn sample(import: i64) -> Sample {
    let raw = Raw {
        voltage: Volts::from_millivolts(230_000),
        current: Amperes::from_milliamperes(1_000),
        active_power: Watts::from_deciwatts(2_300),
        frequency: Hertz::from_millihertz(50_000),
        power_factor: PowerFactor::from_thousandths(1_000),
    };
    Sample { raw, import: energy(import), export: energy(3), alarm: false }
}

const fn energy(centi: i64) -> WattHours {
    WattHours::from_centiwatthours(centi)
}

fn known(import: i64) -> Option<Registers> {
    Some(Registers { import: energy(import), export: energy(3) })
}

#[test]
fn what_was_told_is_what_a_start_begins_with() {
    let mut journal = MemoryJournal::new(1_000);
    let mut edge = start(&mut journal, true);
    assert_eq!(edge.registers(1), None, "a new channel");
    // The first sample is a reading; the next, alike, is none and moves too little to be noted.
    edge.handle_sample(now(1), &mut journal, 1, &sample(10_000)).unwrap();
    edge.handle_sample(now(2), &mut journal, 1, &sample(10_999)).unwrap();
    journal.commit();
    let again = start(&mut journal, true);
    assert_eq!((again.registers(1), again.registers(0)), (known(10_000), None));

    // 10 Wh further it is noted without a reading; and with a stop, however little it moved.
    edge.handle_sample(now(3), &mut journal, 1, &sample(11_000)).unwrap();
    journal.commit();
    assert_eq!(start(&mut journal, true).registers(1), known(11_000));
    edge.handle_sample(now(4), &mut journal, 1, &sample(11_001)).unwrap();
    edge.handle_stop(&mut journal).unwrap();
    journal.commit();
    assert_eq!(start(&mut journal, true).registers(1), known(11_001));
    assert_eq!(start(&mut journal, false).registers(1), None, "a device that remembers them itself");
}

#[test]
fn a_prepaid_channel_goes_on_from_what_was_debited() {
    let begin = |journal: &mut MemoryJournal| {
        let credit = Some(credit::Config::default());
        let prepaid = vec![Some(PrepaidConfig { credit, ..PrepaidConfig::default() })];
        let channels = vec![estimator::Config::new(SensorNoise::PZEM_004T)];
        let config = Config { channels, prepaid, keeps_registers: true, ..Config::default() };
        Edge::start(config, [7; 32], now(0), journal).unwrap()
    };
    let mut journal = MemoryJournal::new(1_000);
    let mut edge = begin(&mut journal);
    edge.handle_sample(now(1), &mut journal, 0, &sample(10_000)).unwrap();
    edge.handle_sample(now(2), &mut journal, 0, &sample(10_400)).unwrap();
    journal.commit();
    assert_eq!(begin(&mut journal).registers(0), known(10_400), "nobody pays twice, and nothing that was paid is taken off the register");
}

#[test]
fn what_a_failed_commit_held_is_noted_again() {
    let mut journal = MemoryJournal::new(1_000);
    let mut edge = start(&mut journal, true);
    edge.handle_sample(now(1), &mut journal, 0, &sample(5_000)).unwrap();
    journal.roll_back();
    edge.handle_commit_failed(&mut journal, GapReason::JournalFull).unwrap();
    journal.commit();
    assert_eq!(edge.registers(0), None);
    edge.handle_stop(&mut journal).unwrap();
    journal.commit();
    assert_eq!(start(&mut journal, true).registers(0), known(5_000));
    assert!(journal.note(edge_core::journal::Note::Registers(0)).unwrap().is_some());
}
