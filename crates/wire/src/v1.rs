//! Version 1 of the body: which fields a record has, in which order, and what each is predicted to be.
//!
//! Frozen: meters in the field write it. A better prediction is a new version beside this one.

mod reading;

use measure::{
    ActionKind, ClockQuality, Event, EventKind, Gap, GapReason, Hello, Hertz, Outcome, Reading, Record, Text, UnixMillis, Verdict, Volts,
};

use crate::codec::{ALWAYS, BITS_LEN_MAX, Decoder, Encoder, HEAD_LEN_MAX, I32_LEN_MAX, I64_LEN_MAX, Port, TEXT_LEN_MAX};
use crate::frame::BodyError;
use crate::predict;
use reading::{READING_LEN_MAX, walk_reading};

/// The head of a record that is no reading.
mod other {
    pub const MARK: u32 = 1;
    pub const KIND_SHIFT: u32 = 1;
    pub const KIND_MASK: u32 = 0b111;
    pub const HELLO: u32 = 0;
    pub const EVENT: u32 = 1;
    pub const GAP: u32 = 2;
    pub const OUTCOME: u32 = 3;
    pub const MILLIS: u32 = 1 << 4;
    pub const PLACE: u32 = 1 << 5;
    pub const VALUE: u32 = 1 << 6;

    pub const fn head(kind: u32) -> u32 {
        MARK | kind << KIND_SHIFT
    }
}

const TIME_LEN_MAX: usize = I64_LEN_MAX + I32_LEN_MAX;
const HELLO_LEN_MAX: usize = TIME_LEN_MAX + 1 + 2 * TEXT_LEN_MAX + 8 + I64_LEN_MAX;
const EVENT_LEN_MAX: usize = TIME_LEN_MAX + 2 * BITS_LEN_MAX + I64_LEN_MAX;
const GAP_LEN_MAX: usize = TIME_LEN_MAX + 2 * I64_LEN_MAX + 1;
const OUTCOME_LEN_MAX: usize = TIME_LEN_MAX + BITS_LEN_MAX + 2 * I64_LEN_MAX + 2;

const FIELDS_LEN_MAX: usize = {
    assert!(READING_LEN_MAX >= HELLO_LEN_MAX && READING_LEN_MAX >= EVENT_LEN_MAX && READING_LEN_MAX >= GAP_LEN_MAX);
    assert!(READING_LEN_MAX >= OUTCOME_LEN_MAX);
    READING_LEN_MAX
};

/// Longest record, in bytes.
pub(crate) const RECORD_LEN_MAX: usize = HEAD_LEN_MAX + FIELDS_LEN_MAX;

/// Times are counted from here before the first record of a frame: 2026-01-01 UTC.
const EPOCH: UnixMillis = UnixMillis(1_767_225_600_000);

/// Channels that are predicted each on its own; higher ones share.
const CHANNELS: usize = 8;

/// What both sides know from the frame's earlier records.
#[derive(Clone, Debug)]
pub(crate) struct State {
    time: UnixMillis,
    place: u32,
    voltage: Volts,
    frequency: Hertz,
    channels: [Reading; CHANNELS],
}

impl Default for State {
    fn default() -> Self {
        let first = Reading { time: EPOCH, deviation: predict::SETTLED, ..Reading::default() };
        Self {
            time: EPOCH,
            place: 0,
            voltage: Volts::from_millivolts(230_000),
            frequency: Hertz::from_millihertz(50_000),
            channels: [first; CHANNELS],
        }
    }
}

impl State {
    /// Takes note of a record that was encoded or decoded.
    pub(crate) fn learn(&mut self, record: &Record) {
        self.time = record.time();
        match record {
            Record::Reading(reading) => {
                self.place = place(reading.clock, reading.channel);
                self.voltage = reading.voltage;
                self.frequency = reading.frequency;
                if let Some(last) = self.channels.get_mut(slot(reading.channel)) {
                    *last = *reading;
                }
            }
            Record::Event(event) => self.place = place(event.clock, event.channel),
            Record::Outcome(outcome) => self.place = place(outcome.clock, outcome.channel),
            Record::Hello(_) | Record::Gap(_) => {}
        }
    }

    fn last(&self, channel: u8) -> Reading {
        self.channels.get(slot(channel)).copied().unwrap_or_default()
    }
}

fn slot(channel: u8) -> usize {
    usize::from(channel) % CHANNELS
}

/// Clock quality and channel in one number.
fn place(clock: ClockQuality, channel: u8) -> u32 {
    u32::from(channel) << 2 | u32::from(clock.code())
}

/// The bytes of `record` after the records that `state` knows.
pub(crate) fn encode(record: &Record, state: &State) -> Result<heapless::Vec<u8, RECORD_LEN_MAX>, BodyError> {
    let mut port = Encoder::<FIELDS_LEN_MAX>::default();
    let head = match record {
        Record::Reading(reading) => walk_reading(&mut port, reading, state).map(|_| 0)?,
        Record::Hello(hello) => walk_hello(&mut port, hello, state).map(|_| other::head(other::HELLO))?,
        Record::Event(event) => walk_event(&mut port, event, state).map(|_| other::head(other::EVENT))?,
        Record::Gap(gap) => walk_gap(&mut port, gap, state).map(|_| other::head(other::GAP))?,
        Record::Outcome(outcome) => walk_outcome(&mut port, outcome, state).map(|_| other::head(other::OUTCOME))?,
    };
    port.finish(head)
}

/// The record at the front of `bytes` and what follows it. Refuses bytes that [`encode`] would not have written.
pub(crate) fn decode<'a>(bytes: &'a [u8], state: &State) -> Result<(Record, &'a [u8]), BodyError> {
    let mut port = Decoder::new(bytes)?;
    let mask = port.mask();
    let (record, head) = walk(&mut port, mask, state)?;
    Ok((record, port.finish(head)?))
}

/// A record of the kind that its mask says, and the mask's head.
fn walk(port: &mut impl Port, mask: u32, state: &State) -> Result<(Record, u32), BodyError> {
    if mask & other::MARK == 0 {
        return Ok((Record::Reading(walk_reading(port, &Reading::default(), state)?), 0));
    }
    let kind = mask >> other::KIND_SHIFT & other::KIND_MASK;
    let record = match kind {
        other::HELLO => Record::Hello(walk_hello(port, &NO_HELLO, state)?),
        other::EVENT => Record::Event(walk_event(port, &NO_EVENT, state)?),
        other::GAP => Record::Gap(walk_gap(port, &NO_GAP, state)?),
        other::OUTCOME => Record::Outcome(walk_outcome(port, &NO_OUTCOME, state)?),
        kind => return Err(BodyError::UnknownKind(kind.to_le_bytes()[0])),
    };
    Ok((record, other::head(kind)))
}

// What the walks are given when they decode: a decoder looks at predictions only.
const NO_HELLO: Hello = Hello {
    time: UnixMillis(0),
    clock: ClockQuality::Synchronised,
    device: Text::new(),
    software: Text::new(),
    configuration: 0,
    starts: 0,
};
const NO_EVENT: Event = Event { time: UnixMillis(0), clock: ClockQuality::Synchronised, channel: 0, kind: EventKind::Started, value: 0 };
const NO_GAP: Gap = Gap { from: UnixMillis(0), to: UnixMillis(0), count: 0, reason: GapReason::JournalFull };
const NO_OUTCOME: Outcome = Outcome {
    time: UnixMillis(0),
    clock: ClockQuality::Synchronised,
    channel: 0,
    number: 0,
    action: ActionKind::Read,
    verdict: Verdict::Done,
    value: 0,
};

/// A meter that samples every second keeps its phase.
fn walk_time(port: &mut impl Port, bit: u32, actual: UnixMillis, state: &State) -> Result<UnixMillis, BodyError> {
    const SECOND: i64 = 1000;
    port.in_steps([ALWAYS, bit], actual.0, state.time.0, SECOND).map(UnixMillis)
}

fn walk_place(port: &mut impl Port, bit: u32, clock: ClockQuality, channel: u8, state: &State) -> Result<(ClockQuality, u8), BodyError> {
    let place = port.bits(bit, place(clock, channel), state.place)?;
    let [code, ..] = (place & 0b11).to_le_bytes();
    let clock = ClockQuality::from_code(code).ok_or(BodyError::UnknownCode(code.into()))?;
    let channel = u8::try_from(place >> 2).map_err(|_| BodyError::NonCanonical)?;
    Ok((clock, channel))
}

fn walk_hello(port: &mut impl Port, it: &Hello, state: &State) -> Result<Hello, BodyError> {
    let time = walk_time(port, other::MILLIS, it.time, state)?;
    let code = port.byte(ALWAYS, it.clock.code(), 0)?;
    let clock = ClockQuality::from_code(code).ok_or(BodyError::UnknownCode(code.into()))?;
    let device = port.text(&it.device)?;
    let software = port.text(&it.software)?;
    let mut configuration = it.configuration.to_le_bytes();
    for byte in &mut configuration {
        *byte = port.byte(ALWAYS, *byte, 0)?;
    }
    let starts = port.i64(ALWAYS, it.starts.cast_signed(), 0)?.cast_unsigned();
    Ok(Hello { time, clock, device, software, configuration: u64::from_le_bytes(configuration), starts })
}

fn walk_event(port: &mut impl Port, it: &Event, state: &State) -> Result<Event, BodyError> {
    let time = walk_time(port, other::MILLIS, it.time, state)?;
    let (clock, channel) = walk_place(port, other::PLACE, it.clock, it.channel, state)?;
    let code = u16::try_from(port.bits(ALWAYS, it.kind.code().into(), 0)?).map_err(|_| BodyError::NonCanonical)?;
    let kind = EventKind::from_code(code).ok_or(BodyError::UnknownCode(code))?;
    let value = port.i64(other::VALUE, it.value, 0)?;
    Ok(Event { time, clock, channel, kind, value })
}

fn walk_gap(port: &mut impl Port, it: &Gap, state: &State) -> Result<Gap, BodyError> {
    let to = walk_time(port, other::MILLIS, it.to, state)?;
    let from = port.i64(ALWAYS, it.from.0, to.0).map(UnixMillis)?;
    let count = port.i64(ALWAYS, it.count.cast_signed(), 0)?.cast_unsigned();
    let code = port.byte(ALWAYS, it.reason.code(), 0)?;
    let reason = GapReason::from_code(code).ok_or(BodyError::UnknownCode(code.into()))?;
    Ok(Gap { from, to, count, reason })
}

/// Numbers of commands are usually the milliseconds at which they were signed.
fn walk_outcome(port: &mut impl Port, it: &Outcome, state: &State) -> Result<Outcome, BodyError> {
    let time = walk_time(port, other::MILLIS, it.time, state)?;
    let (clock, channel) = walk_place(port, other::PLACE, it.clock, it.channel, state)?;
    let number = port.i64(ALWAYS, it.number.cast_signed(), time.0)?.cast_unsigned();
    let code = port.byte(ALWAYS, it.action.code(), 0)?;
    let action = ActionKind::from_code(code).ok_or(BodyError::UnknownCode(code.into()))?;
    let code = port.byte(ALWAYS, it.verdict.code(), 0)?;
    let verdict = Verdict::from_code(code).ok_or(BodyError::UnknownCode(code.into()))?;
    let value = port.i64(other::VALUE, it.value, 0)?;
    Ok(Outcome { time, clock, channel, number, action, verdict, value })
}

#[cfg(test)]
mod tests;
