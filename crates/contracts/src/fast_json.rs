//! A reading's JSON without a float in between: the same bytes that `serde_json` writes, in a fraction of the time.
//!
//! Quantities are integers of a decimal unit, so their shortest decimal form follows from the digits. A property test holds every byte
//! against `serde_json`; where the two could differ (more than 15 digits) it is asked.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "divisors are powers of ten, shifts are below 128, and lanes hold what is put into them"
)]

use bitflags::Flags as _;
use measure::{ClockQuality, Deviation, Flags, NormalisedInnovation, Reading};

use crate::readings::Place;

/// Up to here a decimal number and the nearest float stand for each other, digit for digit.
const EXACT_MAX: u64 = 1_000_000_000_000_000;
/// Below this a number has eight digits at most.
const EIGHT_DIGITS: u64 = 100_000_000;
/// `0` in each of eight bytes.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// More than most records take.
const USUAL_LEN: usize = 1_024;

/// Appends the record of `it` at `place` to `out`.
pub(crate) fn write(place: Place<'_>, it: &Reading, out: &mut Vec<u8>) {
    out.reserve(USUAL_LEN);
    let mut digits = itoa::Buffer::new();
    let (meter, channel) = (place.meter.as_str(), digits.format(it.channel));
    text(out, "{\"meter\":\"", meter);
    text(out, "\",\"channel\":", channel);
    text(out, ",\"account\":\"", meter);
    text(out, ".", channel);
    integer(out, "\",\"time_ms\":", it.time.0);
    text(out, ",\"clock\":\"", clock(it.clock));
    integer(out, "\",\"received_ms\":", place.received.0);
    out.extend_from_slice(b",\"stream\":\"");
    out.extend_from_slice(&hexadecimal(place.stream.0));
    integer(out, "\",\"seq\":", place.seq);
    decimal::<3>(out, ",\"voltage_v\":", it.voltage.millivolts().into());
    decimal::<3>(out, ",\"current_a\":", it.current.milliamperes().into());
    decimal::<1>(out, ",\"active_power_w\":", it.active_power.deciwatts().into());
    decimal::<3>(out, ",\"frequency_hz\":", it.frequency.millihertz().into());
    decimal::<3>(out, ",\"power_factor\":", it.power_factor.thousandths().into());
    decimal::<1>(out, ",\"non_active_power_var\":", it.non_active_power.decivars().into());
    decimal::<2>(out, ",\"import_wh\":", it.import.raw.centiwatthours());
    decimal::<2>(out, ",\"import_integrated_wh\":", it.import.integrated.centiwatthours());
    decimal::<2>(out, ",\"export_wh\":", it.export.raw.centiwatthours());
    decimal::<2>(out, ",\"export_integrated_wh\":", it.export.integrated.centiwatthours());
    deviation(out, ",\"voltage_sd_v\":", it.deviation.voltage);
    deviation(out, ",\"current_sd_a\":", it.deviation.current);
    deviation(out, ",\"active_power_sd_w\":", it.deviation.active_power);
    deviation(out, ",\"frequency_sd_hz\":", it.deviation.frequency);
    decimal::<NIS_DECIMALS>(out, ",\"nis\":", it.nis.steps().into());
    out.extend_from_slice(b",\"flags\":[");
    flags(out, it.flags);
    decimal::<3>(out, "],\"raw_voltage_v\":", it.raw.voltage.millivolts().into());
    decimal::<3>(out, ",\"raw_current_a\":", it.raw.current.milliamperes().into());
    decimal::<1>(out, ",\"raw_active_power_w\":", it.raw.active_power.deciwatts().into());
    decimal::<3>(out, ",\"raw_frequency_hz\":", it.raw.frequency.millihertz().into());
    decimal::<3>(out, ",\"raw_power_factor\":", it.raw.power_factor.thousandths().into());
    out.push(b'}');
}

const fn clock(clock: ClockQuality) -> &'static str {
    match clock {
        ClockQuality::Synchronised => "synchronised",
        ClockQuality::Holdover => "holdover",
        ClockQuality::Repaired => "repaired",
        ClockQuality::Unknown => "unknown",
    }
}

/// The names of those that are set. They are declared from the lowest bit, one after the other.
fn flags(out: &mut Vec<u8>, flags: Flags) {
    let (mut left, mut separator) = (flags.bits() & Flags::all().bits(), "\"");
    while left != 0 {
        if let Some(flag) = Flags::FLAGS.get(left.trailing_zeros() as usize) {
            text(out, separator, flag.name());
            separator = "\",\"";
        }
        left &= left - 1;
    }
    if separator != "\"" {
        out.push(b'"');
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

/// Sixteen digits, the bytes of a word at once.
fn hexadecimal(value: u64) -> [u8; 16] {
    const NIBBLES: u128 = 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f;
    const ONES: u128 = 0x0101_0101_0101_0101_0101_0101_0101_0101;
    // From half a word to a word: each half of a lane moves to a lane of its own, until each nibble has a byte.
    let mut lanes = u128::from(value);
    lanes = (lanes | lanes << 32) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    lanes = (lanes | lanes << 16) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    lanes = (lanes | lanes << 8) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    lanes = (lanes | lanes << 4) & NIBBLES;
    // 1 in each byte that holds 10 or more: those are letters.
    let letters = ((lanes + 6 * ONES) >> 4) & ONES;
    (lanes + u128::from(b'0') * ONES + letters * u128::from(b'a' - b'0' - 10)).to_be_bytes()
}

const DEVIATION_DECIMALS: u32 = 4;
const NIS_DECIMALS: u32 = 3;
const _: () = assert!(Deviation::STEP == 0.0001 && NormalisedInnovation::STEP == 0.001);

#[inline(always)]
fn deviation(out: &mut Vec<u8>, before: &str, it: Deviation) {
    decimal::<DEVIATION_DECIMALS>(out, before, it.steps().into());
}

/// `before` and `units` of the decimal place `DECIMALS` (1 to 4). Inlined, because copying a name of known length is a few moves instead
/// of a call.
#[inline(always)]
fn decimal<const DECIMALS: u32>(out: &mut Vec<u8>, before: &str, units: i64) {
    out.extend_from_slice(before.as_bytes());
    number::<DECIMALS>(out, units);
}

/// `units` of the decimal place `DECIMALS`, with at least one digit behind the point and no zeros at the end but that.
fn number<const DECIMALS: u32>(out: &mut Vec<u8>, units: i64) {
    let magnitude = units.unsigned_abs();
    if units < 0 {
        out.push(b'-');
    }
    if magnitude < EIGHT_DIGITS {
        short::<DECIMALS>(out, magnitude);
        return;
    }
    let per_one = const { 10_u64.pow(DECIMALS) };
    if magnitude >= EXACT_MAX {
        // Writing to a vector does not fail.
        let _ = serde_json::to_writer(out, &(magnitude as f64 / per_one as f64));
        return;
    }
    out.extend_from_slice(itoa::Buffer::new().format(magnitude / per_one).as_bytes());
    // The point and the decimals of "0.…", without its nought.
    let nought = out.len();
    short::<DECIMALS>(out, magnitude % per_one);
    out.remove(nought);
}

/// The same for less than [`EIGHT_DIGITS`] units: all digits in one word, the first in its lowest byte.
#[inline(always)]
fn short<const DECIMALS: u32>(out: &mut Vec<u8>, units: u64) {
    // Where the first decimal stands, in bits.
    let point = const { 8 * (8 - DECIMALS) };
    let digits = eight_digits(units);
    // The digit before the point and the one behind it stay, noughts or not.
    let leading = (digits | const { 1 << (8 * (7 - DECIMALS)) }).trailing_zeros() & !7;
    let trailing = (digits | 1 << point).leading_zeros() / 8;
    let text = digits | ZEROS;
    let whole = text & const { (1 << (8 * (8 - DECIMALS))) - 1 };
    let behind = u128::from(text >> point) << 8 | u128::from(b'.');
    let text = (u128::from(whole) | behind << point) >> leading;
    // Sixteen bytes are written at once, and what is too much of them is taken back.
    let end = out.len() + 9 - leading as usize / 8 - trailing as usize;
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(end);
}

/// The eight decimal digits of a number that has no more, 0 to 9 in each byte, the first in the lowest byte.
///
/// Halves, then quarters, then digits are divided side by side; the factors are the reciprocals of 100 and 10, exact for what a lane holds.
const fn eight_digits(number: u64) -> u64 {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}

#[cfg(test)]
mod tests {
    use measure::{Amperes, Deviations, Hertz, PowerFactor, Raw, Register, StreamId, UnixMillis, Vars, Volts, WattHours, Watts};
    use proptest::prelude::*;

    use super::*;
    use crate::ReadingRecord;

    fn same_as_serde(it: &ReadingRecord) {
        let mut bytes = b"before".to_vec();
        it.write_json(&mut bytes);
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

    #[test]
    fn every_word_of_up_to_eight_digits_is_its_digits() {
        let digits = |number: u64| format!("{number:08}").bytes().map(|digit| digit - b'0').collect::<Vec<_>>();
        for half in 0..10_000 {
            for number in [half, half * 10_000, half * 10_000 + 9_999, 99_990_000 + half] {
                assert_eq!(eight_digits(number).to_le_bytes()[..], digits(number)[..], "{number}");
            }
        }
    }

    proptest! {
        #[test]
        fn sixteen_digits_are_hexadecimal(value: u64) {
            prop_assert_eq!(String::from_utf8(hexadecimal(value).to_vec()).unwrap(), format!("{value:016x}"));
        }
    }
}
