//! Bytes on the wire, beside JSON, CBOR and Avro of the same readings: `cargo bench -p wire --bench size -- [--json]`.
//!
//! The readings are those that edge agents send for a day of simulated households: filtered, and reported on change.
//! JSON and CBOR hold the decimal numbers of the public contract. Avro holds the same scaled integers as the wire, its best case.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a measurement: what is odd must end it")]

use apache_avro::{AvroSchema, Schema, to_avro_datum, to_value};
use edge_core::journal::MemoryJournal;
use edge_core::{Config, Edge, Now, Sample, Wall};
use fleet::household::{Household, HouseholdConfig};
use fleet::sensor::{Profile, Sensor};
use measure::{ClockQuality, Raw, Reading, Record, StreamId, UnixMillis, WattHours};
use serde::Serialize;
use wire::frame::FrameBuilder;

const SEED: u64 = 2026;
const HOUSES: u64 = 8;
const SECONDS: u64 = 86_400;
const STREAM: StreamId = StreamId(0x0123_4567_89ab_cdef);
/// A number that a stream has after some days.
const SEQ: u64 = 10_000;
const MANY: usize = 32;

/// What the modules of a house show, second by second; its register has seen some years.
fn samples(house: u64) -> impl Iterator<Item = Sample> {
    let mut household = Household::new(SEED + house, &HouseholdConfig::default());
    let mut sensor = Sensor::new(SEED + house, Profile::PZEM_LAGGING).with_register(1_234_567 * (1 + house));
    (0..SECONDS).map(move |_| {
        let it = sensor.sample(&household.second()).measurement();
        let raw = Raw {
            voltage: it.voltage,
            current: it.current,
            active_power: it.active_power,
            frequency: it.frequency,
            power_factor: it.power_factor,
        };
        Sample { raw, import: it.energy, export: WattHours::default(), alarm: it.alarm }
    })
}

/// What an edge agent journals for a house's day.
fn readings(house: u64) -> Vec<Reading> {
    let mut journal = MemoryJournal::new(1_000_000);
    let filter = estimator::Config::new(estimator::SensorNoise::PZEM_004T);
    let config = Config { channels: vec![filter], ..Config::default() };
    // Polls are some milliseconds late, each by another few.
    let now = |second: u64| {
        let monotonic_ms = second * 1_000 + second * 7_919 % 23;
        let time = UnixMillis(1_795_000_000_000 + i64::try_from(monotonic_ms).unwrap());
        Now { monotonic_ms, wall: Some(Wall { time, quality: ClockQuality::Synchronised }) }
    };
    let mut edge = Edge::start(config, [7; 32], now(0), &mut journal).unwrap();
    for (second, sample) in (0..SECONDS).zip(samples(house)) {
        edge.handle_sample(now(second), &mut journal, 0, &sample).unwrap();
        journal.commit();
    }
    let records = journal.rows().map(|row| row.record.clone());
    records.filter_map(|it| if let Record::Reading(reading) = it { Some(reading) } else { None }).collect()
}

fn frame_len(readings: &[Reading]) -> usize {
    let mut builder = FrameBuilder::new(STREAM, SEQ);
    readings.iter().for_each(|reading| builder.push(&Record::Reading(*reading)).unwrap());
    builder.finish().len()
}

/// The peers' frame: the same header, and all fields of each reading.
#[derive(Serialize)]
struct Message<'a> {
    stream: StreamId,
    first_seq: u64,
    readings: &'a [Reading],
}

fn json_len(readings: &[Reading]) -> usize {
    serde_json::to_vec(&Message { stream: STREAM, first_seq: SEQ, readings }).unwrap().len()
}

fn cbor_len(readings: &[Reading]) -> usize {
    let mut bytes = Vec::new();
    ciborium::into_writer(&Message { stream: STREAM, first_seq: SEQ, readings }, &mut bytes).unwrap();
    bytes.len()
}

#[derive(Serialize, AvroSchema)]
struct AvroMessage {
    stream: i64,
    first_seq: i64,
    readings: Vec<AvroReading>,
}

#[derive(Serialize, AvroSchema)]
struct AvroReading {
    time_ms: i64,
    clock: i32,
    channel: i32,
    voltage_mv: i32,
    current_ma: i32,
    active_power_dw: i32,
    frequency_mhz: i32,
    power_factor_thousandths: i32,
    non_active_power_dvar: i32,
    import_cwh: i64,
    import_integrated_cwh: i64,
    export_cwh: i64,
    export_integrated_cwh: i64,
    voltage_deviation: i32,
    current_deviation: i32,
    active_power_deviation: i32,
    frequency_deviation: i32,
    nis: i32,
    flags: i32,
    raw_voltage_mv: i32,
    raw_current_ma: i32,
    raw_active_power_dw: i32,
    raw_frequency_mhz: i32,
    raw_power_factor_thousandths: i32,
}

impl From<&Reading> for AvroReading {
    fn from(it: &Reading) -> Self {
        Self {
            time_ms: it.time.0,
            clock: it.clock.code().into(),
            channel: it.channel.into(),
            voltage_mv: it.voltage.millivolts(),
            current_ma: it.current.milliamperes(),
            active_power_dw: it.active_power.deciwatts(),
            frequency_mhz: it.frequency.millihertz(),
            power_factor_thousandths: it.power_factor.thousandths().into(),
            non_active_power_dvar: it.non_active_power.decivars(),
            import_cwh: it.import.raw.centiwatthours(),
            import_integrated_cwh: it.import.integrated.centiwatthours(),
            export_cwh: it.export.raw.centiwatthours(),
            export_integrated_cwh: it.export.integrated.centiwatthours(),
            voltage_deviation: it.deviation.voltage.code().into(),
            current_deviation: it.deviation.current.code().into(),
            active_power_deviation: it.deviation.active_power.code().into(),
            frequency_deviation: it.deviation.frequency.code().into(),
            nis: it.nis.code().into(),
            flags: it.flags.bits().cast_signed(),
            raw_voltage_mv: it.raw.voltage.millivolts(),
            raw_current_ma: it.raw.current.milliamperes(),
            raw_active_power_dw: it.raw.active_power.deciwatts(),
            raw_frequency_mhz: it.raw.frequency.millihertz(),
            raw_power_factor_thousandths: it.raw.power_factor.thousandths().into(),
        }
    }
}

fn avro_len(schema: &Schema, readings: &[Reading]) -> usize {
    let message = AvroMessage {
        stream: STREAM.0.cast_signed(),
        first_seq: SEQ.cast_signed(),
        readings: readings.iter().map(AvroReading::from).collect(),
    };
    to_avro_datum(schema, to_value(message).unwrap()).unwrap().len()
}

/// A line of the result.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    target: Option<f64>,
    ok: bool,
}

impl Figure {
    fn new(name: &'static str, value: f64, target: Option<f64>) -> Self {
        Self { name, value: (value * 100.0).round() / 100.0, unit: "bytes", target, ok: target.is_none_or(|target| value <= target) }
    }
}

/// Mean length of a message of `size` readings, by reading.
fn mean(houses: &[Vec<Reading>], size: usize, len: impl Fn(&[Reading]) -> usize) -> f64 {
    let messages = || houses.iter().flat_map(|readings| readings.chunks_exact(size));
    messages().map(len).sum::<usize>() as f64 / (messages().count() * size) as f64
}

fn main() {
    let houses: Vec<_> = (0..HOUSES).map(readings).collect();
    let schema = AvroMessage::get_schema();
    let longest = houses.iter().flatten().map(|it| frame_len(std::slice::from_ref(it))).max().unwrap();
    let figures = [
        Figure::new("wire, frame of one, longest", longest as f64, Some(48.0)),
        Figure::new("wire, frame of one", mean(&houses, 1, frame_len), Some(48.0)),
        Figure::new("Avro, message of one", mean(&houses, 1, |it| avro_len(&schema, it)), None),
        Figure::new("CBOR, message of one", mean(&houses, 1, cbor_len), None),
        Figure::new("JSON, message of one", mean(&houses, 1, json_len), None),
        Figure::new("wire, a reading in a frame of 32", mean(&houses, MANY, frame_len), Some(20.0)),
        Figure::new("Avro, a reading in a message of 32", mean(&houses, MANY, |it| avro_len(&schema, it)), None),
        Figure::new("CBOR, a reading in a message of 32", mean(&houses, MANY, cbor_len), None),
        Figure::new("JSON, a reading in a message of 32", mean(&houses, MANY, json_len), None),
    ];
    if std::env::args().any(|argument| argument == "--json") {
        figures.iter().for_each(|figure| println!("{}", serde_json::to_string(figure).unwrap()));
    } else {
        let count: usize = houses.iter().map(Vec::len).sum();
        println!("{count} readings of {HOUSES} houses and a day, seed {SEED}\n");
        println!("{:<36} {:>10} {:>10}  ", "figure", "bytes", "target");
        for Figure { name, value, target, ok, .. } in &figures {
            let target_text = target.map_or_else(String::new, |it| format!("<= {it}"));
            let verdict = if target.is_none() {
                ""
            } else if *ok {
                "ok"
            } else {
                "MISSED"
            };
            println!("{name:<36} {value:>10.2} {target_text:>10}  {verdict}");
        }
    }
    if figures.iter().any(|it| !it.ok) {
        std::process::exit(1);
    }
}
