//! A reading in version 1.

use measure::derived;
use measure::{
    Amperes, Deviation, Deviations, Flags, Hertz, NormalisedInnovation, PowerFactor, Raw, Reading, Register, Vars, Volts, WattHours, Watts,
};

use super::{State, TIME_LEN_MAX, walk_place, walk_time};
use crate::codec::{ALWAYS, BITS_LEN_MAX, I32_LEN_MAX, I64_LEN_MAX, Port};
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

const ESTIMATES_LEN_MAX: usize = 6 * I32_LEN_MAX;
const RAW_LEN_MAX: usize = 2 * I64_LEN_MAX + 5 * I32_LEN_MAX;
const REGISTERS_LEN_MAX: usize = 4 * I64_LEN_MAX + 2 * I32_LEN_MAX;
const VERDICT_LEN_MAX: usize = 5 + BITS_LEN_MAX;
/// Longest fields of a reading together, in bytes.
pub(super) const READING_LEN_MAX: usize =
    TIME_LEN_MAX + BITS_LEN_MAX + ESTIMATES_LEN_MAX + REGISTERS_LEN_MAX + VERDICT_LEN_MAX + RAW_LEN_MAX;

/// Describes a reading to `port`; a decoder looks at the predictions only.
pub(super) fn walk_reading(port: &mut impl Port, it: &Reading, state: &State) -> Result<Reading, BodyError> {
    let time = walk_time(port, field::MILLIS, it.time, state)?;
    let (clock, channel) = walk_place(port, field::PLACE, it.clock, it.channel, state)?;
    let last = state.last(channel);

    let voltage = port.i32(field::VOLTAGE, it.voltage.millivolts(), state.voltage.millivolts()).map(Volts::from_millivolts)?;
    let current = port.i32(field::CURRENT, it.current.milliamperes(), last.current.milliamperes()).map(Amperes::from_milliamperes)?;
    let likely = predict::active_power(voltage, current, &last);
    let active_power = port.i32(field::ACTIVE_POWER, it.active_power.deciwatts(), likely.deciwatts()).map(Watts::from_deciwatts)?;
    let frequency = port.i32(field::FREQUENCY, it.frequency.millihertz(), state.frequency.millihertz()).map(Hertz::from_millihertz)?;

    let likely = derived::non_active_power(voltage, current, active_power);
    let non_active_power = port.i32(field::NON_ACTIVE_POWER, it.non_active_power.decivars(), likely.decivars()).map(Vars::from_decivars)?;
    let likely = derived::power_factor(voltage, current, active_power);
    let power_factor = walk_power_factor(port, field::POWER_FACTOR, it.power_factor, likely)?;

    const IMPORT: [u32; 3] = [field::IMPORT_INTEGRATED, field::IMPORT_RAW, field::IMPORT_RAW_FINE];
    const EXPORT: [u32; 3] = [field::EXPORT_INTEGRATED, field::EXPORT_RAW, field::EXPORT_RAW_FINE];
    let energy = predict::energy(&last, time);
    let import = walk_register(port, IMPORT, it.import, last.import, energy)?;
    let export = walk_register(port, EXPORT, it.export, last.export, energy.wrapping_neg())?;

    let mut deviation = |bit, it: Deviation, last: Deviation| port.byte(bit, it.code(), last.code()).map(Deviation::from_code);
    let deviation = Deviations {
        voltage: deviation(field::DEVIATION_VOLTAGE, it.deviation.voltage, last.deviation.voltage)?,
        current: deviation(field::DEVIATION_CURRENT, it.deviation.current, last.deviation.current)?,
        active_power: deviation(field::DEVIATION_POWER, it.deviation.active_power, last.deviation.active_power)?,
        frequency: deviation(field::DEVIATION_FREQUENCY, it.deviation.frequency, last.deviation.frequency)?,
    };
    let nis = port.byte(ALWAYS, it.nis.code(), 0).map(NormalisedInnovation::from_code)?;
    let flags = Flags::from_bits_retain(from_usual_first(port.bits(field::FLAGS, usual_first(it.flags.bits()), 0)?));
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
        raw: Raw::default(),
    };
    let raw = walk_raw(port, &it.raw, &estimates)?;
    Ok(Reading { raw, ..estimates })
}

/// Flags as they travel, from the lowest bit: those that come every day fit one byte.
const FLAGS: [Flags; 19] = [
    Flags::HEARTBEAT,
    Flags::STEP,
    Flags::DUPLICATE,
    Flags::SNAPSHOT,
    Flags::REGISTER_ANCHORED,
    Flags::METER_ALARM,
    Flags::VOLTAGE_SHIFT,
    Flags::BAD_VOLTAGE,
    Flags::BAD_CURRENT,
    Flags::BAD_POWER,
    Flags::BAD_FREQUENCY,
    Flags::REJECTED,
    Flags::POWER_FACTOR,
    Flags::STUCK,
    Flags::RESTARTED,
    Flags::REPLAY,
    Flags::NOISE,
    Flags::LOOP_RESISTANCE,
    // What is named later takes the place that it had without a name, and no byte changes.
    Flags::REGISTERS_ONLY,
];

/// Bits that have no name yet stay where they are.
const UNNAMED: u32 = u32::MAX << FLAGS.len();

/// Where each named flag travels, by its own place.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which refuses an index out of range")]
const USUAL: [u32; FLAGS.len()] = {
    let mut usual = [0; FLAGS.len()];
    let mut at = 0;
    while at < FLAGS.len() {
        usual[FLAGS[at].bits().trailing_zeros() as usize] = 1 << at;
        at += 1;
    }
    usual
};

/// Each named flag, by the place where it travels.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which refuses an index out of range")]
const NAMED: [u32; FLAGS.len()] = {
    let mut named = [0; FLAGS.len()];
    let mut at = 0;
    while at < FLAGS.len() {
        named[at] = FLAGS[at].bits();
        at += 1;
    }
    named
};

fn usual_first(flags: u32) -> u32 {
    moved(flags, &USUAL)
}

fn from_usual_first(code: u32) -> u32 {
    moved(code, &NAMED)
}

/// Each named bit to its place in `places`. Few are set, so only these are looked at.
fn moved(bits: u32, places: &[u32; FLAGS.len()]) -> u32 {
    let (mut moved, mut left) = (bits & UNNAMED, bits & !UNNAMED);
    while left != 0 {
        let place = left.trailing_zeros() as usize;
        moved |= places.get(place).copied().unwrap_or_default();
        left &= left.wrapping_sub(1);
    }
    moved
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
    let raw = port.in_steps([raw_bit, fine_bit], it.raw.centiwatthours(), likely, TICK)?;
    Ok(Register { raw: WattHours::from_centiwatthours(raw), integrated: WattHours::from_centiwatthours(integrated) })
}

fn walk_raw(port: &mut impl Port, it: &Raw, estimates: &Reading) -> Result<Raw, BodyError> {
    /// 0.1 V and 0.1 Hz, the resolution of simple meters, in thousandths.
    const STEP: i64 = 100;
    let mut coarse = |bits, actual: i32, estimate: i32| {
        let (steps, _) = predict::nearest(estimate.into(), STEP);
        let count = port.in_steps(bits, actual.into(), steps.wrapping_mul(STEP), STEP)?;
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
    let likely = predict::hundredths(derived::power_factor(voltage, current, active_power));
    let power_factor = walk_power_factor(port, field::RAW_POWER_FACTOR, it.power_factor, likely)?;
    Ok(Raw { voltage, current, active_power, frequency, power_factor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_flags_leads_back() {
        for named in 0..1 << FLAGS.len() {
            for flags in [named, named | UNNAMED] {
                assert_eq!(from_usual_first(usual_first(flags)), flags);
            }
        }
    }
}
