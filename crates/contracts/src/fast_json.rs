//! A reading's JSON without a float in between: the same bytes that `serde_json` writes, in a fraction of the time.
//!
//! Quantities are integers of a decimal unit, so their shortest decimal form follows from the digits. A property test holds every byte
//! against `serde_json`; where the two could differ (more than 15 digits) it is asked.

#![expect(clippy::arithmetic_side_effects, reason = "divisors are powers of ten, and shifts are below 64")]

use measure::{Deviation, NormalisedInnovation};

use crate::ReadingRecord;

/// Up to here a decimal number and the nearest float stand for each other, digit for digit.
const EXACT_MAX: u64 = 1_000_000_000_000_000;

/// Appends the record to `out`.
pub(crate) fn write(it: &ReadingRecord, out: &mut Vec<u8>) {
    text(out, "{\"meter\":\"", it.meter.as_str());
    integer(out, "\",\"channel\":", it.channel);
    integer(out, ",\"time_ms\":", it.time_ms.0);
    text(out, ",\"clock\":\"", clock(it));
    integer(out, "\",\"received_ms\":", it.received_ms.0);
    out.extend_from_slice(b",\"stream\":\"");
    hexadecimal(out, it.stream.0);
    integer(out, "\",\"seq\":", it.seq);
    decimal::<3>(out, ",\"voltage_v\":", it.voltage_v.millivolts().into());
    decimal::<3>(out, ",\"current_a\":", it.current_a.milliamperes().into());
    decimal::<1>(out, ",\"active_power_w\":", it.active_power_w.deciwatts().into());
    decimal::<3>(out, ",\"frequency_hz\":", it.frequency_hz.millihertz().into());
    decimal::<3>(out, ",\"power_factor\":", it.power_factor.thousandths().into());
    decimal::<1>(out, ",\"non_active_power_var\":", it.non_active_power_var.decivars().into());
    decimal::<2>(out, ",\"import_wh\":", it.import_wh.centiwatthours());
    decimal::<2>(out, ",\"import_integrated_wh\":", it.import_integrated_wh.centiwatthours());
    decimal::<2>(out, ",\"export_wh\":", it.export_wh.centiwatthours());
    decimal::<2>(out, ",\"export_integrated_wh\":", it.export_integrated_wh.centiwatthours());
    deviation(out, ",\"voltage_sd_v\":", it.voltage_sd_v);
    deviation(out, ",\"current_sd_a\":", it.current_sd_a);
    deviation(out, ",\"active_power_sd_w\":", it.active_power_sd_w);
    deviation(out, ",\"frequency_sd_hz\":", it.frequency_sd_hz);
    decimal::<3>(out, ",\"nis\":", steps(it.nis.as_f64(), NormalisedInnovation::STEP));
    out.extend_from_slice(b",\"flags\":[");
    let mut separator = "\"";
    for (name, _) in it.flags.iter_names() {
        text(out, separator, name);
        separator = "\",\"";
    }
    out.extend_from_slice(if separator == "\"" { b"" } else { b"\"" });
    decimal::<3>(out, "],\"raw_voltage_v\":", it.raw_voltage_v.millivolts().into());
    decimal::<3>(out, ",\"raw_current_a\":", it.raw_current_a.milliamperes().into());
    decimal::<1>(out, ",\"raw_active_power_w\":", it.raw_active_power_w.deciwatts().into());
    decimal::<3>(out, ",\"raw_frequency_hz\":", it.raw_frequency_hz.millihertz().into());
    decimal::<3>(out, ",\"raw_power_factor\":", it.raw_power_factor.thousandths().into());
    out.push(b'}');
}

fn clock(it: &ReadingRecord) -> &'static str {
    match it.clock {
        measure::ClockQuality::Synchronised => "synchronised",
        measure::ClockQuality::Holdover => "holdover",
        measure::ClockQuality::Repaired => "repaired",
        measure::ClockQuality::Unknown => "unknown",
    }
}

/// `before` and a text that needs no escapes: ids and names of ours.
#[inline(always)]
fn text(out: &mut Vec<u8>, before: &str, text: &str) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[inline(always)]
fn integer(out: &mut Vec<u8>, before: &str, value: impl itoa::Integer) {
    text(out, before, itoa::Buffer::new().format(value));
}

fn hexadecimal(out: &mut Vec<u8>, value: u64) {
    out.extend((0..16).rev().map(|digit| {
        let nibble = (value >> (4 * digit)) as u8 & 0x0f;
        if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'a'.wrapping_add(nibble.wrapping_sub(10)) }
    }));
}

#[inline(always)]
fn deviation(out: &mut Vec<u8>, before: &str, it: Deviation) {
    decimal::<4>(out, before, steps(it.as_f64(), Deviation::STEP));
}

/// Whole steps but for the float's rounding; never negative.
fn steps(value: f64, step: f64) -> i64 {
    (value / step + 0.5) as i64
}

/// `before` and `units` of the decimal place `DECIMALS`. Inlined, because copying a name of known length is a few moves instead of a call.
#[inline(always)]
fn decimal<const DECIMALS: u32>(out: &mut Vec<u8>, before: &str, units: i64) {
    out.extend_from_slice(before.as_bytes());
    number::<DECIMALS>(out, units);
}

/// `units` of the decimal place `DECIMALS`, with at least one digit behind the point and no zeros at the end but that.
fn number<const DECIMALS: u32>(out: &mut Vec<u8>, units: i64) {
    let (magnitude, per_one) = (units.unsigned_abs(), const { 10_u64.pow(DECIMALS) });
    if units < 0 {
        out.push(b'-');
    }
    if magnitude >= EXACT_MAX {
        // Writing to a vector does not fail.
        let _ = serde_json::to_writer(out, &(magnitude as f64 / per_one as f64));
        return;
    }
    let (mut whole, mut fraction, mut places) = (magnitude / per_one, magnitude % per_one, DECIMALS);
    while places > 1 && fraction % 10 == 0 {
        (fraction, places) = (fraction / 10, places - 1);
    }
    // From the last digit to the first: 15 digits of a whole part, the point, and the decimals fit.
    let (mut digits, mut at) = ([0; 24], 24);
    let mut put = |digit: u8| {
        at -= 1;
        if let Some(place) = digits.get_mut(at) {
            *place = digit;
        }
    };
    for _ in 0..places {
        put(b'0' | (fraction % 10) as u8);
        fraction /= 10;
    }
    put(b'.');
    loop {
        put(b'0' | (whole % 10) as u8);
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use measure::{
        Amperes, ClockQuality, Deviations, Flags, Hertz, PowerFactor, Raw, Reading, Register, StreamId, UnixMillis, Vars, Volts, WattHours,
        Watts,
    };
    use proptest::prelude::*;

    use super::*;

    fn same_as_serde(it: &ReadingRecord) {
        let mut bytes = b"before".to_vec();
        write(it, &mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("before{}", serde_json::to_string(it).unwrap()));
    }

    fn energy() -> impl Strategy<Value = WattHours> {
        prop_oneof![any::<i64>(), -1_000_i64..1_000_000_000].prop_map(WattHours::from_centiwatthours)
    }

    fn numbers() -> impl Strategy<Value = [i32; 9]> {
        let number = prop_oneof![any::<i32>(), -2_000_i32..300_000, (-300_i32..300).prop_map(|whole| whole * 1_000)];
        prop::array::uniform9(number)
    }

    proptest! {
        #[test]
        fn every_byte_is_that_of_serde(
            numbers in numbers(),
            factors in any::<[i16; 2]>(),
            energies in prop::array::uniform4(energy()),
            codes in any::<[u8; 5]>(),
            flags in any::<u32>(),
            clock in 0_u8..4,
            channel in any::<u8>(),
            times in any::<[i64; 2]>(),
            place in any::<[u64; 2]>(),
        ) {
            let [voltage, current, power, frequency, vars, raw_voltage, raw_current, raw_power, raw_frequency] = numbers;
            let [import, import_integrated, export, export_integrated] = energies;
            let [sd_voltage, sd_current, sd_power, sd_frequency, nis] = codes;
            let reading = Reading {
                time: UnixMillis(times[0]),
                clock: ClockQuality::from_code(clock).unwrap(),
                channel,
                voltage: Volts::from_millivolts(voltage),
                current: Amperes::from_milliamperes(current),
                active_power: Watts::from_deciwatts(power),
                frequency: Hertz::from_millihertz(frequency),
                power_factor: PowerFactor::from_thousandths(factors[0]),
                non_active_power: Vars::from_decivars(vars),
                import: Register { raw: import, integrated: import_integrated },
                export: Register { raw: export, integrated: export_integrated },
                deviation: Deviations {
                    voltage: Deviation::from_code(sd_voltage),
                    current: Deviation::from_code(sd_current),
                    active_power: Deviation::from_code(sd_power),
                    frequency: Deviation::from_code(sd_frequency),
                },
                nis: NormalisedInnovation::from_code(nis),
                flags: Flags::from_bits_truncate(flags),
                raw: Raw {
                    voltage: Volts::from_millivolts(raw_voltage),
                    current: Amperes::from_milliamperes(raw_current),
                    active_power: Watts::from_deciwatts(raw_power),
                    frequency: Hertz::from_millihertz(raw_frequency),
                    power_factor: PowerFactor::from_thousandths(factors[1]),
                },
            };
            same_as_serde(&ReadingRecord::new(&"M-1_a".parse().unwrap(), StreamId(place[0]), place[1], UnixMillis(times[1]), &reading));
        }
    }

    #[test]
    fn every_small_code_is_that_of_serde() {
        for code in 0..=u8::MAX {
            let deviation = measure::Deviations { voltage: Deviation::from_code(code), ..Default::default() };
            let reading = Reading { deviation, nis: NormalisedInnovation::from_code(code), ..Reading::default() };
            same_as_serde(&ReadingRecord::new(&"M1".parse().unwrap(), StreamId(1), 1, UnixMillis(0), &reading));
        }
    }
}
