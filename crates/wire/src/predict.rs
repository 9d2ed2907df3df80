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

/// The number that [`nearest`] divides into `factor` and `rest`; `None` if there is none, because the rest is no rest of `step` (even) or
/// the number has more than 64 bits.
pub(crate) fn from_nearest(factor: i64, rest: i32, step: i64) -> Option<i64> {
    let rest = i64::from(rest);
    let half = step / 2;
    if !(half.wrapping_neg()..half).contains(&rest) {
        return None;
    }
    // The product alone may have more than 64 bits where the sum has not; 128 bits hold both.
    i64::try_from(i128::from(factor).wrapping_mul(step.into()).wrapping_add(rest.into())).ok()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests choose their numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -3_000..3_000i64, (0..3_000i64).prop_map(|it| i64::MAX - it), (0..3_000i64).prop_map(|it| i64::MIN + it)]
    }

    proptest! {
        #[test]
        fn a_number_has_one_division_that_leads_back(number in numbers(), half in 1..1_000i64, other in -1_500..1_500i32) {
            let step = 2 * half;
            let (factor, rest) = nearest(number, step);
            prop_assert_eq!(from_nearest(factor, rest, step), Some(number));
            // Any other rest, with the factor that makes up for it if there is one, leads nowhere or elsewhere.
            let next = from_nearest(factor.wrapping_add(1), rest.wrapping_sub(step as i32), step);
            prop_assert!(next.is_none());
            if other != rest {
                prop_assert_ne!(from_nearest(factor, other, step), Some(number));
            }
        }

        #[test]
        fn what_leads_to_a_number_is_its_division(factor in numbers(), rest in -600..600i32, step in prop::sample::select(vec![100i64, 1_000])) {
            match from_nearest(factor, rest, step) {
                Some(number) => prop_assert_eq!(nearest(number, step), (factor, rest)),
                None => {
                    let wrapped = factor.wrapping_mul(step).wrapping_add(rest.into());
                    prop_assert_ne!(nearest(wrapped, step), (factor, rest));
                }
            }
        }
    }
}
