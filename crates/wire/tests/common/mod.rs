//! Records of every shape: likely ones, and all that the types can hold.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::arithmetic_side_effects, reason = "test code: the numbers are its own")]

use measure::{
    ActionKind, Amperes, ClockQuality, Deviation, Deviations, Event, EventKind, Flags, Gap, GapReason, Hello, Hertz, NormalisedInnovation,
    Outcome, PowerFactor, Raw, Reading, Record, Register, Text, UnixMillis, Vars, Verdict, Volts, WattHours, Watts,
};
use proptest::prelude::*;

/// Any value, the extremes and the neighbourhood of zero more often than chance would have it.
fn i32s() -> impl Strategy<Value = i32> {
    prop_oneof![4 => any::<i32>(), 2 => -300..300, 1 => Just(i32::MIN), 1 => Just(i32::MAX)]
}

fn i64s() -> impl Strategy<Value = i64> {
    prop_oneof![4 => any::<i64>(), 2 => -300i64..300, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn clocks() -> impl Strategy<Value = ClockQuality> {
    (0..4u8).prop_filter_map("a code", ClockQuality::from_code)
}

fn registers() -> impl Strategy<Value = Register> {
    (i64s(), i64s()).prop_map(|(raw, integrated)| Register {
        raw: WattHours::from_centiwatthours(raw),
        integrated: WattHours::from_centiwatthours(integrated),
    })
}

fn raws() -> impl Strategy<Value = Raw> {
    (i32s(), i32s(), i32s(), i32s(), any::<i16>()).prop_map(|(v, i, p, f, pf)| Raw {
        voltage: Volts::from_millivolts(v),
        current: Amperes::from_milliamperes(i),
        active_power: Watts::from_deciwatts(p),
        frequency: Hertz::from_millihertz(f),
        power_factor: PowerFactor::from_thousandths(pf),
    })
}

/// Every reading that the type can hold.
pub fn readings() -> impl Strategy<Value = Reading> {
    let place = (i64s(), clocks(), any::<u8>());
    let estimates = (i32s(), i32s(), i32s(), i32s(), any::<i16>(), i32s());
    let verdict = (any::<[u8; 4]>(), any::<u8>(), any::<u32>());
    (place, estimates, registers(), registers(), verdict, raws()).prop_map(|(place, estimates, import, export, verdict, raw)| Reading {
        time: UnixMillis(place.0),
        clock: place.1,
        channel: place.2,
        voltage: Volts::from_millivolts(estimates.0),
        current: Amperes::from_milliamperes(estimates.1),
        active_power: Watts::from_deciwatts(estimates.2),
        frequency: Hertz::from_millihertz(estimates.3),
        power_factor: PowerFactor::from_thousandths(estimates.4),
        non_active_power: Vars::from_decivars(estimates.5),
        import,
        export,
        deviation: Deviations {
            voltage: Deviation::from_code(verdict.0[0]),
            current: Deviation::from_code(verdict.0[1]),
            active_power: Deviation::from_code(verdict.0[2]),
            frequency: Deviation::from_code(verdict.0[3]),
        },
        nis: NormalisedInnovation::from_code(verdict.1),
        flags: Flags::from_bits_retain(verdict.2),
        raw,
    })
}

fn texts() -> impl Strategy<Value = Text> {
    "[ -~]{0,32}".prop_filter_map("a text", |text| Text::try_from(text.as_str()).ok())
}

fn hellos() -> impl Strategy<Value = Hello> {
    (i64s(), clocks(), texts(), texts(), any::<u64>(), any::<u64>()).prop_map(|(time, clock, device, software, configuration, starts)| {
        Hello { time: UnixMillis(time), clock, device, software, configuration, starts }
    })
}

fn events() -> impl Strategy<Value = Event> {
    (i64s(), clocks(), any::<u8>(), prop::sample::select(EventKind::ALL), i64s()).prop_map(|(time, clock, channel, kind, value)| Event {
        time: UnixMillis(time),
        clock,
        channel,
        kind,
        value,
    })
}

fn gaps() -> impl Strategy<Value = Gap> {
    let reasons = (1..=3u8).prop_filter_map("a code", GapReason::from_code);
    (i64s(), i64s(), any::<u64>(), reasons).prop_map(|(from, to, count, reason)| Gap {
        from: UnixMillis(from),
        to: UnixMillis(to),
        count,
        reason,
    })
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let what = (prop::sample::select(ActionKind::ALL), prop::sample::select(Verdict::ALL));
    (i64s(), clocks(), any::<u8>(), any::<u64>(), what, i64s()).prop_map(|(time, clock, channel, number, (action, verdict), value)| {
        Outcome { time: UnixMillis(time), clock, channel, number, action, verdict, value }
    })
}

/// Every record that the types can hold.
pub fn records() -> impl Strategy<Value = Record> {
    prop_oneof![
        4 => readings().prop_map(Record::Reading),
        1 => hellos().prop_map(Record::Hello),
        1 => events().prop_map(Record::Event),
        1 => gaps().prop_map(Record::Gap),
        1 => outcomes().prop_map(Record::Outcome),
    ]
}

/// A household's afternoon as edge agents send it, 0 to `count`: small changes, steps, heartbeats.
///
/// Frozen with the golden frames: it must never yield other values.
pub fn afternoon(count: i32) -> std::vec::Vec<Reading> {
    let sample = |k: i32| {
        let power = 651 + k * 37 % 190 + if k % 7 < 2 { 19_800 } else { 0 };
        let voltage = 231_420 - power / 9 + k * 131 % 700;
        let current = (power + 260) * 100_000 / voltage;
        let (v, i, p) = (Volts::from_millivolts(voltage), Amperes::from_milliamperes(current), Watts::from_deciwatts(power));
        let frequency = 50_000 + k * 11 % 37 - 18;
        let energy = 12_345_600 + i64::from(k) * 1_723;
        let raw_current = Amperes::from_milliamperes(current + k % 3 - 1);
        Reading {
            time: UnixMillis(1_795_000_000_250 + i64::from(k) * 17_000 + i64::from(k * 7 % 11)),
            clock: if k < 30 { ClockQuality::Synchronised } else { ClockQuality::Holdover },
            channel: 0,
            voltage: v,
            current: i,
            active_power: p,
            frequency: Hertz::from_millihertz(frequency),
            power_factor: measure::derived::power_factor(v, i, p),
            non_active_power: measure::derived::non_active_power(v, i, p),
            import: Register {
                raw: WattHours::from_centiwatthours(energy - energy % 100),
                integrated: WattHours::from_centiwatthours(energy),
            },
            export: Register::default(),
            deviation: Deviations {
                voltage: Deviation::from_code(92),
                current: Deviation::from_code(if k % 7 < 2 { 40 } else { 5 }),
                active_power: Deviation::from_code(if k % 7 < 2 { 130 } else { 98 }),
                frequency: Deviation::from_code(51),
            },
            nis: NormalisedInnovation::from_code((k * 29 % 160) as u8),
            flags: if k == 0 {
                Flags::SNAPSHOT | Flags::RESTARTED
            } else if k % 7 == 0 || k % 7 == 2 {
                Flags::STEP
            } else {
                Flags::HEARTBEAT
            },
            raw: Raw {
                voltage: Volts::from_millivolts(voltage - voltage.rem_euclid(100)),
                current: raw_current,
                active_power: Watts::from_deciwatts(power + k % 2),
                frequency: Hertz::from_millihertz(50_000),
                power_factor: PowerFactor::from_thousandths((power * 1000 / (power + 260) / 10 * 10) as i16),
            },
        }
    };
    (0..count).map(sample).collect()
}
