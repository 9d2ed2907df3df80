//! Version 1 of the body: which fields a record has, in which order, and what each is predicted to be.
//!
//! Frozen: meters in the field write it. A better prediction is a new version beside this one.

use measure::{
    Amperes, ClockQuality, Deviation, Event, EventKind, Flags, Gap, GapReason, Hello, Hertz, NormalisedInnovation, PowerFactor, Reading,
    Record, Register, Text, UnixMillis, Vars, Volts, WattHours, Watts,
};

use crate::codec::{ALWAYS, BITS_LEN_MAX, Decoder, Encoder, HEAD_LEN_MAX, I32_LEN_MAX, I64_LEN_MAX, Port, TEXT_LEN_MAX};
use crate::frame::BodyError;
use crate::predict;

/// Bits of a reading's head. The first thirteen are the usual ones, so that the head of most readings takes two bytes.
mod field {
    pub const MILLIS: u32 = 1 << 1;
    pub const VOLTAGE: u32 = 1 << 2;
    pub const CURRENT: u32 = 1 << 3;
    pub const ACTIVE_POWER: u32 = 1 << 4;
    pub const FREQUENCY: u32 = 1 << 5;
    pub const IMPORT_INTEGRATED: u32 = 1 << 6;
    pub const FLAGS: u32 = 1 << 7;
    pub const DEVIATION_VOLTAGE: u32 = 1 << 8;
    pub const DEVIATION_CURRENT: u32 = 1 << 9;
    pub const DEVIATION_POWER: u32 = 1 << 10;
    pub const RAW_VOLTAGE: u32 = 1 << 11;
    pub const RAW_CURRENT: u32 = 1 << 12;
    pub const RAW_ACTIVE_POWER: u32 = 1 << 13;
    pub const IMPORT_RAW: u32 = 1 << 14;
    pub const DEVIATION_FREQUENCY: u32 = 1 << 15;
    pub const NON_ACTIVE_POWER: u32 = 1 << 16;
    pub const RAW_FREQUENCY: u32 = 1 << 17;
    pub const POWER_FACTOR: u32 = 1 << 18;
    pub const RAW_POWER_FACTOR: u32 = 1 << 19;
    pub const PLACE: u32 = 1 << 20;
    pub const EXPORT_INTEGRATED: u32 = 1 << 21;
    pub const EXPORT_RAW: u32 = 1 << 22;
    pub const IMPORT_RAW_FINE: u32 = 1 << 23;
    pub const EXPORT_RAW_FINE: u32 = 1 << 24;
    pub const RAW_VOLTAGE_FINE: u32 = 1 << 25;
    pub const RAW_FREQUENCY_FINE: u32 = 1 << 26;
}

/// The head of a record that is no reading.
mod other {
    pub const MARK: u32 = 1;
    pub const KIND_SHIFT: u32 = 1;
    pub const KIND_MASK: u32 = 0b111;
    pub const HELLO: u32 = 0;
    pub const EVENT: u32 = 1;
    pub const GAP: u32 = 2;
    pub const MILLIS: u32 = 1 << 4;
    pub const PLACE: u32 = 1 << 5;
    pub const VALUE: u32 = 1 << 6;

    pub const fn head(kind: u32) -> u32 {
        MARK | kind << KIND_SHIFT
    }
}

const TIME_LEN_MAX: usize = I64_LEN_MAX + I32_LEN_MAX;
const ESTIMATES_LEN_MAX: usize = 6 * I32_LEN_MAX;
const RAW_LEN_MAX: usize = 2 * I64_LEN_MAX + 5 * I32_LEN_MAX;
const REGISTERS_LEN_MAX: usize = 4 * I64_LEN_MAX + 2 * I32_LEN_MAX;
const VERDICT_LEN_MAX: usize = 5 + BITS_LEN_MAX;
const READING_LEN_MAX: usize = TIME_LEN_MAX + BITS_LEN_MAX + ESTIMATES_LEN_MAX + REGISTERS_LEN_MAX + VERDICT_LEN_MAX + RAW_LEN_MAX;
const HELLO_LEN_MAX: usize = TIME_LEN_MAX + 1 + 2 * TEXT_LEN_MAX + 8 + I64_LEN_MAX;
const EVENT_LEN_MAX: usize = TIME_LEN_MAX + 2 * BITS_LEN_MAX + I64_LEN_MAX;
const GAP_LEN_MAX: usize = TIME_LEN_MAX + 2 * I64_LEN_MAX + 1;

const FIELDS_LEN_MAX: usize = {
    assert!(READING_LEN_MAX >= HELLO_LEN_MAX && READING_LEN_MAX >= EVENT_LEN_MAX && READING_LEN_MAX >= GAP_LEN_MAX);
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
    place: u16,
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
fn place(clock: ClockQuality, channel: u8) -> u16 {
    u16::from(channel) << 2 | u16::from(clock.code())
}

/// The bytes of `record` after the records that `state` knows.
pub(crate) fn encode(record: &Record, state: &State) -> Result<heapless::Vec<u8, RECORD_LEN_MAX>, BodyError> {
    let mut port = Encoder::<FIELDS_LEN_MAX>::default();
    let head = match record {
        Record::Reading(reading) => walk_reading(&mut port, reading, state).map(|_| 0)?,
        Record::Hello(hello) => walk_hello(&mut port, hello, state).map(|_| other::head(other::HELLO))?,
        Record::Event(event) => walk_event(&mut port, event, state).map(|_| other::head(other::EVENT))?,
        Record::Gap(gap) => walk_gap(&mut port, gap, state).map(|_| other::head(other::GAP))?,
    };
    port.finish(head)
}

/// The record at the front of `bytes` and what follows it. Refuses bytes that [`encode`] would not have written.
pub(crate) fn decode<'a>(bytes: &'a [u8], state: &State) -> Result<(Record, &'a [u8]), BodyError> {
    let mut port = Decoder::new(bytes)?;
    let record = if port.mask() & other::MARK == 0 {
        Record::Reading(walk_reading(&mut port, &Reading::default(), state)?)
    } else {
        match port.mask() >> other::KIND_SHIFT & other::KIND_MASK {
            other::HELLO => Record::Hello(walk_hello(&mut port, &NO_HELLO, state)?),
            other::EVENT => Record::Event(walk_event(&mut port, &NO_EVENT, state)?),
            other::GAP => Record::Gap(walk_gap(&mut port, &NO_GAP, state)?),
            kind => return Err(BodyError::UnknownKind(kind.to_le_bytes()[0])),
        }
    };
    let rest = port.rest();
    let canonical = encode(&record, state)?;
    if canonical.len().checked_add(rest.len()) != Some(bytes.len()) || !bytes.starts_with(&canonical) {
        return Err(BodyError::NonCanonical);
    }
    Ok((record, rest))
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

/// A number that tends to keep its distance to multiples of `step`: how many steps it is from its prediction, and the rest.
fn walk_in_steps(port: &mut impl Port, bits: [u32; 2], actual: i64, likely: i64, step: i64) -> Result<i64, BodyError> {
    let [steps_bit, rest_bit] = bits;
    let (steps, rest) = predict::nearest(actual.wrapping_sub(likely), step);
    let steps = port.i64(steps_bit, steps, 0)?;
    let rest = port.i32(rest_bit, rest, 0)?;
    Ok(likely.wrapping_add(steps.wrapping_mul(step)).wrapping_add(rest.into()))
}

/// A meter that samples every second keeps its phase.
fn walk_time(port: &mut impl Port, bit: u32, actual: UnixMillis, state: &State) -> Result<UnixMillis, BodyError> {
    const SECOND: i64 = 1000;
    walk_in_steps(port, [ALWAYS, bit], actual.0, state.time.0, SECOND).map(UnixMillis)
}

fn walk_place(port: &mut impl Port, bit: u32, clock: ClockQuality, channel: u8, state: &State) -> Result<(ClockQuality, u8), BodyError> {
    let place = port.bits(bit, place(clock, channel), state.place)?;
    let [code, _] = (place & 0b11).to_le_bytes();
    let clock = ClockQuality::from_code(code).ok_or(BodyError::UnknownCode(code.into()))?;
    let channel = u8::try_from(place >> 2).map_err(|_| BodyError::NonCanonical)?;
    Ok((clock, channel))
}

fn walk_reading(port: &mut impl Port, it: &Reading, state: &State) -> Result<Reading, BodyError> {
    let time = walk_time(port, field::MILLIS, it.time, state)?;
    let (clock, channel) = walk_place(port, field::PLACE, it.clock, it.channel, state)?;
    let last = state.last(channel);

    let voltage = port.i32(field::VOLTAGE, it.voltage.millivolts(), state.voltage.millivolts()).map(Volts::from_millivolts)?;
    let current = port.i32(field::CURRENT, it.current.milliamperes(), last.current.milliamperes()).map(Amperes::from_milliamperes)?;
    let likely = predict::active_power(voltage, current, &last);
    let active_power = port.i32(field::ACTIVE_POWER, it.active_power.deciwatts(), likely.deciwatts()).map(Watts::from_deciwatts)?;
    let frequency = port.i32(field::FREQUENCY, it.frequency.millihertz(), state.frequency.millihertz()).map(Hertz::from_millihertz)?;

    let likely = measure::derived::non_active_power(voltage, current, active_power);
    let non_active_power = port.i32(field::NON_ACTIVE_POWER, it.non_active_power.decivars(), likely.decivars()).map(Vars::from_decivars)?;
    let likely = measure::derived::power_factor(voltage, current, active_power);
    let power_factor = walk_power_factor(port, field::POWER_FACTOR, it.power_factor, likely)?;

    const IMPORT: [u32; 3] = [field::IMPORT_INTEGRATED, field::IMPORT_RAW, field::IMPORT_RAW_FINE];
    const EXPORT: [u32; 3] = [field::EXPORT_INTEGRATED, field::EXPORT_RAW, field::EXPORT_RAW_FINE];
    let energy = predict::energy(&last, time);
    let import = walk_register(port, IMPORT, it.import, last.import, energy)?;
    let export = walk_register(port, EXPORT, it.export, last.export, energy.wrapping_neg())?;

    let mut deviation = |bit, it: Deviation, last: Deviation| port.byte(bit, it.code(), last.code()).map(Deviation::from_code);
    let deviation = measure::Deviations {
        voltage: deviation(field::DEVIATION_VOLTAGE, it.deviation.voltage, last.deviation.voltage)?,
        current: deviation(field::DEVIATION_CURRENT, it.deviation.current, last.deviation.current)?,
        active_power: deviation(field::DEVIATION_POWER, it.deviation.active_power, last.deviation.active_power)?,
        frequency: deviation(field::DEVIATION_FREQUENCY, it.deviation.frequency, last.deviation.frequency)?,
    };
    let nis = port.byte(ALWAYS, it.nis.code(), 0).map(NormalisedInnovation::from_code)?;
    // Turned so that the flags that come most often (alarm, snapshot, heartbeat, step, shift) take one byte.
    let flags = port.bits(field::FLAGS, it.flags.bits().rotate_left(4), 0)?.rotate_right(4);
    let flags = Flags::from_bits_retain(flags);
    let estimates = Reading {
        time,
        clock,
        channel,
        voltage,
        current,
        active_power,
        frequency,
        power_factor,
        non_active_power,
        import,
        export,
        deviation,
        nis,
        flags,
        raw: measure::Raw::default(),
    };
    let raw = walk_raw(port, &it.raw, &estimates)?;
    Ok(Reading { raw, ..estimates })
}

fn walk_power_factor(port: &mut impl Port, bit: u32, actual: PowerFactor, likely: PowerFactor) -> Result<PowerFactor, BodyError> {
    let thousandths = port.i32(bit, actual.thousandths().into(), likely.thousandths().into())?;
    i16::try_from(thousandths).map(PowerFactor::from_thousandths).map_err(|_| BodyError::NonCanonical)
}

/// `energy` is what the power since the last reading amounts to, positive if it belongs to this register.
fn walk_register(port: &mut impl Port, bits: [u32; 3], it: Register, last: Register, energy: i64) -> Result<Register, BodyError> {
    /// Most registers count whole watt-hours.
    const TICK: i64 = 100;
    let [integrated_bit, raw_bit, fine_bit] = bits;
    let likely = last.integrated.centiwatthours().wrapping_add(energy.max(0));
    let integrated = port.i64(integrated_bit, it.integrated.centiwatthours(), likely)?;
    let likely = integrated.wrapping_sub(integrated.rem_euclid(TICK));
    let raw = walk_in_steps(port, [raw_bit, fine_bit], it.raw.centiwatthours(), likely, TICK)?;
    Ok(Register { raw: WattHours::from_centiwatthours(raw), integrated: WattHours::from_centiwatthours(integrated) })
}

fn walk_raw(port: &mut impl Port, it: &measure::Raw, estimates: &Reading) -> Result<measure::Raw, BodyError> {
    /// 0.1 V and 0.1 Hz, the resolution of simple meters, in thousandths.
    const STEP: i64 = 100;
    let mut coarse = |bits, actual: i32, estimate: i32| {
        let (steps, _) = predict::nearest(estimate.into(), STEP);
        let count = walk_in_steps(port, bits, actual.into(), steps.wrapping_mul(STEP), STEP)?;
        i32::try_from(count).map_err(|_| BodyError::NonCanonical)
    };
    let voltage = coarse([field::RAW_VOLTAGE, field::RAW_VOLTAGE_FINE], it.voltage.millivolts(), estimates.voltage.millivolts())
        .map(Volts::from_millivolts)?;
    let frequency = coarse([field::RAW_FREQUENCY, field::RAW_FREQUENCY_FINE], it.frequency.millihertz(), estimates.frequency.millihertz())
        .map(Hertz::from_millihertz)?;
    let current =
        port.i32(field::RAW_CURRENT, it.current.milliamperes(), estimates.current.milliamperes()).map(Amperes::from_milliamperes)?;
    let active_power =
        port.i32(field::RAW_ACTIVE_POWER, it.active_power.deciwatts(), estimates.active_power.deciwatts()).map(Watts::from_deciwatts)?;
    let likely = predict::hundredths(measure::derived::power_factor(voltage, current, active_power));
    let power_factor = walk_power_factor(port, field::RAW_POWER_FACTOR, it.power_factor, likely)?;
    Ok(measure::Raw { voltage, current, active_power, frequency, power_factor })
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
    let code = port.bits(ALWAYS, it.kind.code(), 0)?;
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
