//! What a field is likely to be, in integers only: meter and head-end must agree to the last digit.

use measure::{Amperes, Deviation, Deviations, PowerFactor, Reading, UnixMillis, Volts, Watts};

/// Standard deviations of a settled filter behind a PZEM-004T in a quiet house: 45 mV, 0.5 mA, 58 mW, 7.6 mHz.
pub(crate) const SETTLED: Deviations = Deviations {
    voltage: Deviation::from_code(0x5c),
    current: Deviation::from_code(0x05),
    active_power: Deviation::from_code(0x62),
    frequency: Deviation::from_code(0x33),
};

/// Active power if what was switched since `last` is a plain resistance, as most of what matters in a house is.
pub(crate) fn active_power(voltage: Volts, current: Amperes, last: &Reading) -> Watts {
    const MICROVOLTAMPERES: i64 = 100_000;
    let switched = i64::from(current.milliamperes()).wrapping_sub(last.current.milliamperes().into());
    // The factors have 32 and 33 bits: wrapping is for made-up extremes, where any prediction is as good.
    let power = i64::from(voltage.millivolts()).wrapping_mul(switched) / MICROVOLTAMPERES;
    let likely = i64::from(last.active_power.deciwatts()).wrapping_add(power);
    Watts::from_deciwatts(i32::try_from(likely).unwrap_or(0))
}

/// Energy in 0.01 Wh if the last reading's power went on until `time`.
pub(crate) fn energy(last: &Reading, time: UnixMillis) -> i64 {
    /// Deciwatt-milliseconds in 0.01 Wh.
    const DECIWATT_MILLIS: i64 = 360_000;
    let elapsed = time.0.wrapping_sub(last.time.0);
    i64::from(last.active_power.deciwatts()).wrapping_mul(elapsed) / DECIWATT_MILLIS
}

/// To two decimals, as the PZEM-004T shows it.
pub(crate) fn hundredths(power_factor: PowerFactor) -> PowerFactor {
    let (tens, _) = nearest(power_factor.thousandths().into(), 10);
    i16::try_from(tens.wrapping_mul(10)).map_or(power_factor, PowerFactor::from_thousandths)
}

/// `number` as the nearest multiple of `step` (2 or more): its factor, and the rest in `-step / 2 .. step / 2`.
///
/// `factor * step + rest` is `number` for all numbers if it is computed wrapping.
pub(crate) fn nearest(number: i64, step: i64) -> (i64, i32) {
    let (Some(factor), Some(rest)) = (number.checked_div_euclid(step), number.checked_rem_euclid(step)) else { return (0, 0) };
    let (factor, rest) = if rest < step / 2 { (factor, rest) } else { (factor.wrapping_add(1), rest.wrapping_sub(step)) };
    (factor, i32::try_from(rest).unwrap_or(0))
}
