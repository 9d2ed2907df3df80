//! Released bytes: version 1 decodes to these values for ever, and these values encode to these bytes.
//!
//! `WRITE_GOLDEN=1 cargo test -p wire --test golden` writes files that are missing; it never changes one that is there.
#![expect(clippy::unwrap_used, reason = "test code: what is not there fails the test")]

mod common;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use common::afternoon;
use measure::{
    ActionKind, ClockQuality, Event, EventKind, Flags, Gap, GapReason, Hello, Outcome, Reading, Record, StreamId, Text, UnixMillis,
    Verdict, WattHours,
};
use wire::AckBatch;
use wire::ack::Ack;
use wire::frame::{self, FrameBuilder};

const STREAM: StreamId = StreamId(0x0123_4567_89ab_cdef);
const TIME: UnixMillis = UnixMillis(1_795_000_000_250);

/// The bytes in a golden file; if it is missing and may be written, `bytes` with their description.
fn golden(name: &str, description: &str, bytes: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1").join(name);
    if !path.exists() && std::env::var_os("WRITE_GOLDEN").is_some() {
        let mut text = String::new();
        for line in description.lines() {
            writeln!(text, "# {line}").unwrap();
        }
        for line in bytes.chunks(32) {
            line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text.push('\n');
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let digits: Vec<u8> = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::bytes).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn frame(name: &str, about: &str, first_seq: u64, records: &[Record]) {
    let mut builder = FrameBuilder::new(STREAM, first_seq);
    records.iter().for_each(|record| builder.push(record).unwrap());
    let encoded = builder.finish();
    let mut description = format!("{about}\nversion 1, stream {STREAM}, first_seq {first_seq}, count {}", records.len());
    for record in records {
        write!(description, "\n{record:?}").unwrap();
    }
    let golden = golden(name, &description, &encoded);

    let (header, body) = frame::decode(&golden).unwrap();
    assert_eq!((header.stream, header.first_seq, usize::from(header.count)), (STREAM, first_seq, records.len()));
    assert_eq!(body.collect::<Result<Vec<_>, _>>().unwrap(), records);
    assert_eq!(encoded[..], golden);
}

#[test]
fn one_reading() {
    let readings: Vec<_> = afternoon(1).into_iter().map(Record::Reading).collect();
    frame("one-reading.hex", "One reading: the first after a start, a register snapshot.", 2, &readings);
}

#[test]
fn thirty_two_readings() {
    let readings: Vec<_> = afternoon(32).into_iter().map(Record::Reading).collect();
    frame("readings-32.hex", "Thirty-two readings of a house: steps and heartbeats.", 16_385, &readings);
}

#[test]
fn registers_only() {
    let energy = WattHours::from_centiwatthours;
    let at = |millis, import| {
        let mut reading = Reading::of_registers(UnixMillis(millis), ClockQuality::Synchronised, 0, energy(import), energy(1_049_000));
        reading.flags |= Flags::HEARTBEAT;
        Record::Reading(reading)
    };
    let records = [at(TIME.0, 6_156_128_900), at(TIME.0 + 60_000, 6_156_129_300)];
    frame("registers-only.hex", "Two readings of a meter that shows its energy registers only, a minute apart.", 2, &records);
}

#[test]
fn hello() {
    let hello = Hello {
        time: TIME,
        clock: ClockQuality::Synchronised,
        device: Text::try_from("pzem-004t").unwrap(),
        software: Text::try_from("edge-agent 0.1.0").unwrap(),
        configuration: 0x00c0_ffee_00c0_ffee,
        starts: 300,
    };
    frame("hello.hex", "The first record of a stream.", 1, &[Record::Hello(hello)]);
}

#[test]
fn event() {
    let event = Event { time: TIME, clock: ClockQuality::Repaired, channel: 3, kind: EventKind::RegisterDecreased, value: -123_400 };
    frame("event.hex", "A register of channel 3 went back by 1234 Wh.", 7, &[Record::Event(event)]);
}

#[test]
fn gap() {
    let gap = Gap { from: UnixMillis(TIME.0 - 3_600_000), to: TIME, count: 3_600, reason: GapReason::JournalFull };
    frame("gap.hex", "An hour that did not fit the journal.", u64::MAX, &[Record::Gap(gap)]);
}

#[test]
fn outcome() {
    let number = TIME.0.unsigned_abs() - 1_500;
    let (action, verdict) = (ActionKind::TopUp, Verdict::Done);
    let outcome = Outcome { time: TIME, clock: ClockQuality::Holdover, channel: 5, number, action, verdict, value: 5_000_000 };
    frame("outcome.hex", "Channel 5 was given credit.", 9, &[Record::Outcome(outcome)]);
}

#[test]
fn ack() {
    let ack = Ack { stream: STREAM, through: 16_416, incarnation: 1 };
    let golden = golden("ack.hex", &format!("An acknowledgement.\nversion 1, {ack:?}"), &ack.encode());
    assert_eq!(Ack::decode(&golden), Ok(ack));
    assert_eq!(ack.encode()[..], golden);
}

#[test]
fn ack_batch() {
    let acks = [("M0001", STREAM, 16_416), ("0", StreamId(u64::MAX), 0), ("a-name_of-thirty-two-characters0", StreamId(1), u64::MAX)];
    let acks = acks.map(|(meter, stream, through)| (meter.parse().unwrap(), Ack { stream, through, incarnation: 300 }));
    let mut batch = AckBatch::new(300);
    acks.iter().for_each(|(meter, ack)| batch.push(meter, ack).unwrap());
    let encoded = batch.finish();
    let mut description = "Acknowledgements to three meters.\nversion 1, incarnation 300".to_owned();
    for (meter, ack) in &acks {
        write!(description, "\n{meter} {ack:?}").unwrap();
    }
    let golden = golden("ack-batch.hex", &description, &encoded);
    assert_eq!(AckBatch::decode(&golden).unwrap().collect::<Vec<_>>(), acks);
    assert_eq!(encoded[..], golden);
}
