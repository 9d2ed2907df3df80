//! One meter from samples to frames, as its shell sees it.

#![expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "tests count small numbers, and panic where they are wrong")]

use edge_core::calibration::{Calibration, Gains};
use edge_core::journal::MemoryJournal;
use edge_core::{Config, Edge, NoData, Now, Registers, Sample, Wall};
use estimator::SensorNoise;
use measure::{
    Amperes, ClockQuality, Event, EventKind, Flags, Hertz, PowerFactor, Raw, Reading, Record, UnixMillis, Volts, WattHours, Watts,
};
use wire::ack::Ack;
use wire::frame;

/// 12:00:00 UTC on some day.
const NOON: i64 = 1_800_014_400_000;

struct Meter {
    edge: Edge,
    journal: MemoryJournal,
    ms: u64,
    utc_ahead_ms: i64,
}

impl Meter {
    /// Connected, at noon.
    fn new() -> Self {
        Self::calibrated(None)
    }

    fn calibrated(calibration: Option<Calibration>) -> Self {
        let channels = vec![estimator::Config::new(SensorNoise::PZEM_004T)];
        let config = Config { channels, calibrations: vec![calibration], ..Config::default() };
        let (mut journal, ms) = (MemoryJournal::new(10_000), 5_000);
        let mut edge = Edge::start(config, [7; 32], now(ms, 0), &mut journal).unwrap();
        edge.handle_connected();
        Self { edge, journal, ms, utc_ahead_ms: 0 }
    }

    fn now(&self) -> Now {
        now(self.ms, self.utc_ahead_ms)
    }

    fn sample(&mut self, sample: &Sample) {
        self.edge.handle_sample(self.now(), &mut self.journal, 0, sample).unwrap();
    }

    /// A sample a second.
    fn samples(&mut self, seconds: u64, sample: &Sample) {
        for _ in 0..seconds {
            self.ms += 1_000;
            self.sample(sample);
        }
    }

    fn nothing(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.ms += 1_000;
            self.edge.handle_no_data(self.now(), &mut self.journal, 0, NoData::Timeout).unwrap();
        }
    }

    /// Everything that waits, as the head-end gets it.
    fn sent(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(transmit) = self.edge.poll_transmit(self.now(), &mut self.journal).unwrap() {
            self.journal.commit();
            self.edge.handle_committed();
            let (header, body) = frame::decode(&transmit.bytes).unwrap();
            records.extend(body.map(Result::unwrap));
            let ack = Ack { stream: header.stream, through: header.last_seq(), incarnation: 1 };
            self.edge.handle_ack(self.now(), &mut self.journal, &ack).unwrap();
        }
        assert!(self.edge.is_drained(&self.journal).unwrap());
        records
    }

    fn sent_readings(&mut self) -> Vec<Reading> {
        self.sent().into_iter().filter_map(|record| if let Record::Reading(reading) = record { Some(reading) } else { None }).collect()
    }

    fn sent_events(&mut self) -> Vec<(EventKind, i64)> {
        let event = |record| if let Record::Event(Event { kind, value, .. }) = record { Some((kind, value)) } else { None };
        self.sent().into_iter().filter_map(event).collect()
    }
}

fn now(ms: u64, utc_ahead_ms: i64) -> Now {
    let time = UnixMillis(NOON + utc_ahead_ms + ms as i64 - 5_000);
    Now { monotonic_ms: ms, wall: Some(Wall { time, quality: ClockQuality::Synchronised }) }
}

/// A plausible sample of a load of so many watts.
fn load(watts: f64) -> Sample {
    let volts = 230.0;
    let raw = Raw {
        voltage: Volts::from_f64(volts).unwrap(),
        current: Amperes::from_f64(watts / volts).unwrap(),
        active_power: Watts::from_f64(watts).unwrap(),
        frequency: Hertz::from_f64(50.0).unwrap(),
        power_factor: PowerFactor::from_f64(1.0).unwrap(),
    };
    Sample { raw, import: WattHours::from_centiwatthours(123_400), export: WattHours::default(), alarm: false }
}

/// A load that differs a little from second to second, as real ones do.
fn restless(second: u64, watts: f64) -> Sample {
    load(watts + if second.is_multiple_of(2) { 0.3 } else { -0.3 })
}

#[test]
fn a_start_is_told_and_the_first_sample_is_a_snapshot() {
    let mut meter = Meter::new();
    meter.sample(&load(500.0));
    let sent = meter.sent();
    assert!(matches!(sent[0], Record::Hello(_)));
    assert!(matches!(sent[1], Record::Event(Event { kind: EventKind::Started, value: 1, time: UnixMillis(NOON), .. })));
    let Record::Reading(reading) = &sent[2] else { panic!("{sent:?}") };
    assert_eq!((reading.time, reading.clock, reading.raw), (UnixMillis(NOON), ClockQuality::Synchronised, load(500.0).raw));
    assert!(reading.flags.contains(Flags::SNAPSHOT));
    assert!((reading.active_power.as_f64() - 500.0).abs() < 5.0);
    assert_eq!(reading.import.raw, load(500.0).import);
    assert_eq!(sent.len(), 3);
}

#[test]
fn a_calibration_is_told_and_corrects_the_estimates_only() {
    let calibration = Calibration::new(3, 20_261_201, Gains::new(991_000, 1_020_000).unwrap()).unwrap();
    let mut meter = Meter::calibrated(Some(calibration));
    meter.sample(&load(500.0));
    let sent = meter.sent();
    let told = |at: usize| if let Record::Event(event) = &sent[at] { Some((event.kind, event.value, event.channel)) } else { None };
    let expected = [(EventKind::Calibrated, 320_261_201), (EventKind::VoltageGain, 991_000), (EventKind::CurrentGain, 1_020_000)];
    assert_eq!([told(2), told(3), told(4)], expected.map(|(kind, value)| Some((kind, value, 0))));
    let Record::Reading(reading) = &sent[5] else { panic!("{sent:?}") };
    assert_eq!((reading.raw, reading.import.raw), (load(500.0).raw, load(500.0).import), "what the meter gave stays");
    assert!((reading.voltage.as_f64() - 230.0 * 0.991).abs() < 0.2, "{reading:?}");
    assert!((reading.active_power.as_f64() - 500.0 * 0.991 * 1.02).abs() < 3.0, "{reading:?}");
    assert!(!reading.flags.contains(Flags::POWER_FACTOR), "voltage, current and power agree as before");
}

#[test]
fn an_idle_house_is_a_heartbeat_a_minute_and_a_switched_load_is_told_at_once() {
    let mut meter = Meter::new();
    meter.sample(&restless(0, 500.0));
    meter.sent();
    for second in 1..=180 {
        meter.samples(1, &restless(second, 500.0));
    }
    let readings = meter.sent_readings();
    assert_eq!(readings.len(), 3, "{readings:?}");
    assert!(readings.iter().all(|reading| reading.flags.contains(Flags::HEARTBEAT)));
    assert_eq!(meter.edge.counters().samples_unsent, 177);
    meter.samples(1, &load(2_500.0));
    let step = meter.sent_readings();
    assert!((step[0].active_power.as_f64() - 2_500.0).abs() < 25.0, "{step:?}");
}

#[test]
fn a_snapshot_is_the_first_sample_of_each_quarter_hour() {
    let mut meter = Meter::new();
    for second in 0..1_900 {
        meter.samples(1, &restless(second, 500.0));
    }
    let snapshots: Vec<_> = meter.sent_readings().into_iter().filter(|reading| reading.flags.contains(Flags::SNAPSHOT)).collect();
    let times: Vec<_> = snapshots.iter().map(|reading| (reading.time.0 - NOON) / 1_000).collect();
    assert_eq!(times, [1, 900, 1_800]);
}

#[test]
fn a_silent_device_is_told_once_and_never_read_as_zero() {
    let mut meter = Meter::new();
    meter.samples(3, &load(500.0));
    meter.sent();
    meter.nothing(9);
    assert_eq!(meter.sent(), []);
    meter.nothing(51);
    assert_eq!(meter.sent_events(), [(EventKind::DeviceSilent, 0)]);
    meter.samples(2, &load(500.0));
    meter.nothing(1);
    meter.samples(3, &restless(1, 500.0));
    let back = meter.sent();
    let event = |record: &Record| matches!(record, Record::Event(Event { kind: EventKind::DeviceBack, value: 64_000, .. }));
    assert_eq!(back.iter().filter(|record| event(record)).count(), 1, "silent from 3 s to 67 s: {back:?}");
    let power = |record: &Record| if let Record::Reading(reading) = record { Some(reading.active_power.as_f64()) } else { None };
    assert!(back.iter().filter_map(power).all(|watts| watts > 400.0), "{back:?}");
    assert_eq!(meter.edge.counters().no_data_timeout, 61);
}

#[test]
fn a_device_that_never_answers_is_told_too() {
    let mut meter = Meter::new();
    meter.nothing(20);
    assert_eq!(meter.sent_events(), [(EventKind::DeviceSilent, 0), (EventKind::Started, 1)], "urgent first");
}

#[test]
fn a_register_that_goes_back_is_told_by_how_much() {
    let mut meter = Meter::new();
    meter.samples(2, &load(500.0));
    meter.sent();
    meter.samples(1, &Sample { import: WattHours::from_centiwatthours(400), ..restless(1, 500.0) });
    assert_eq!(meter.sent_events(), [(EventKind::RegisterDecreased, 123_000)]);
}

#[test]
fn the_register_of_a_sample_that_can_not_be_is_not_believed() {
    let mut meter = Meter::new();
    meter.samples(2, &load(500.0));
    meter.samples(1, &Sample::default());
    meter.samples(2, &restless(1, 500.0));
    let sent = meter.sent();
    let flags = |record: &Record| if let Record::Reading(reading) = record { Some(reading.flags) } else { None };
    assert!(sent.iter().filter_map(flags).any(|flags| flags.contains(Flags::REJECTED)));
    assert!(!sent.iter().any(|record| matches!(record, Record::Event(Event { kind: EventKind::RegisterDecreased, .. }))), "{sent:?}");
}

#[test]
fn registers_that_do_not_move_are_told_once() {
    let mut meter = Meter::new();
    meter.samples(100, &load(500.0));
    let stuck = meter.sent_events().into_iter().filter(|(kind, _)| *kind == EventKind::Stuck);
    assert_eq!(stuck.collect::<Vec<_>>(), [(EventKind::Stuck, 15)]);
}

/// A house in which no two seconds are alike.
fn lively(second: u64) -> Sample {
    let watts = 500.0 + (second * second * 7 % 389) as f64 / 10.0;
    let mut sample = load(watts);
    sample.raw.voltage = Volts::from_millivolts(230_000 + (second * 37 % 11) as i32 * 100);
    sample
}

#[test]
fn a_recording_in_the_meters_place_is_told_with_its_age() {
    let mut meter = Meter::new();
    (0..300).for_each(|second| meter.samples(1, &lively(second)));
    assert!(!meter.sent_events().iter().any(|(kind, _)| *kind == EventKind::Replay));
    (100..115).for_each(|second| meter.samples(1, &lively(second)));
    assert_eq!(meter.sent_events(), []);
    meter.samples(1, &lively(115));
    let sent = meter.sent();
    let flagged = |record: &Record| matches!(record, Record::Reading(reading) if reading.flags.contains(Flags::REPLAY));
    assert!(sent.iter().any(flagged), "{sent:?}");
    let event = |record: &Record| matches!(record, Record::Event(Event { kind: EventKind::Replay, value: 200, .. }));
    assert!(sent.iter().any(event), "{sent:?}");
}

#[test]
fn a_sensor_that_gets_noisier_is_told_by_how_much() {
    let mut meter = Meter::new();
    let mut state = 1_u64;
    let mut noisy = |meter: &mut Meter, seconds: u32, most: i32| {
        for _ in 0..seconds {
            let mut sample = load(500.0);
            // Between -most and most, in 0.1 V.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sample.raw.voltage = Volts::from_millivolts(230_000 + ((state >> 33) as i32 % (2 * most + 1) - most) * 100);
            meter.samples(1, &sample);
        }
    };
    noisy(&mut meter, 75 * 128, 3);
    meter.sent();
    noisy(&mut meter, 1_000, 15);
    let events = meter.sent_events();
    let noise: Vec<_> = events.iter().filter(|(kind, _)| *kind == EventKind::Noise).collect();
    assert!(matches!(noise[..], [(_, 2_000..=6_000)]), "{events:?}");
}

#[test]
fn a_shunted_current_is_told_with_the_resistance_that_it_pretends() {
    let mut meter = Meter::new();
    // A loop of 0.2 ohm, and loads of 10 A that are switched every ten seconds.
    let switched = |second: u64, measured: f64| {
        let amperes = if (second / 10).is_multiple_of(2) { 1.0 } else { 11.0 };
        let volts = 230.0 - 0.2 * amperes + [0.0, 0.1, -0.1, 0.2][(second % 4) as usize];
        let mut sample = load(0.0);
        sample.raw.voltage = Volts::from_f64(volts).unwrap();
        sample.raw.current = Amperes::from_f64(amperes * measured).unwrap();
        sample.raw.active_power = Watts::from_f64((volts * 10.0).round() / 10.0 * amperes * measured).unwrap();
        sample
    };
    (0..600).for_each(|second| meter.samples(1, &switched(second, 1.0)));
    meter.sent();
    (600..900).for_each(|second| meter.samples(1, &switched(second, 0.5)));
    let events = meter.sent_events();
    let loops: Vec<_> = events.iter().filter(|(kind, _)| *kind == EventKind::LoopResistance).collect();
    assert!(matches!(loops[..], [(_, 230..=450)]), "{events:?}");
}

#[test]
fn the_meters_alarm_is_told_as_a_state_and_not_more_often_than_once_a_minute() {
    let mut meter = Meter::new();
    let with = |alarm, second| Sample { alarm, ..restless(second, 500.0) };
    meter.samples(2, &with(false, 0));
    meter.sent();
    for second in 0..30 {
        meter.samples(1, &with(second % 2 == 0, second));
    }
    assert_eq!(meter.sent_events(), [(EventKind::PowerAlarm, 1)]);
    assert!(meter.edge.counters().events_repeated > 0);
    for second in 0..60 {
        meter.samples(1, &with(false, second));
    }
    assert_eq!(meter.sent_events(), [(EventKind::PowerAlarm, 0)]);
}

#[test]
fn a_clock_that_was_set_is_told_by_how_much() {
    let mut meter = Meter::new();
    meter.samples(2, &load(500.0));
    meter.sent();
    meter.utc_ahead_ms = 3_600_000;
    meter.samples(1, &restless(0, 500.0));
    assert_eq!(meter.sent_events(), [(EventKind::ClockSet, 3_600_000)]);
}

#[test]
fn a_channel_that_is_not_there_is_counted() {
    let mut meter = Meter::new();
    meter.sent();
    meter.edge.handle_sample(meter.now(), &mut meter.journal, 1, &load(1.0)).unwrap();
    assert_eq!(meter.edge.counters().samples_of_unknown_channel, 1);
    assert_eq!(meter.sent(), []);
}

#[test]
fn registers_without_measurements_are_readings_that_say_so() {
    let mut meter = Meter::new();
    let energy = WattHours::from_centiwatthours;
    let read = |meter: &mut Meter, import| {
        meter.ms += 60_000;
        let registers = Registers { import: energy(import), export: energy(7) };
        meter.edge.handle_registers(meter.now(), &mut meter.journal, 0, &registers).unwrap();
    };
    read(&mut meter, 5_000);
    read(&mut meter, 5_100);
    let mut readings = meter.sent_readings();
    readings.sort_by_key(|it| it.time);
    assert_eq!(readings.iter().map(|it| it.import.integrated).collect::<Vec<_>>(), [energy(5_000), energy(5_100)]);
    assert!(readings.iter().all(|it| !it.is_measured() && it.export.raw == energy(7)));
    assert!(readings[0].flags.contains(Flags::SNAPSHOT) && readings[1].flags.contains(Flags::HEARTBEAT));
    read(&mut meter, 4_000);
    assert!(meter.sent_events().contains(&(EventKind::RegisterDecreased, 1_100)));
}
