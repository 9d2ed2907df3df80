//! Quantities that follow from voltage, current and active power, in integers: the same everywhere to the last digit.

use crate::{Amperes, PowerFactor, Vars, Volts, Watts};

/// Microvolt-amperes in 0.1 W, 0.1 var.
const PER_TENTH: i64 = 100_000;

/// Apparent power in µVA. Fits: the factors have 32 bits.
fn apparent(voltage: Volts, current: Amperes) -> i64 {
    i64::from(voltage.millivolts()).saturating_mul(current.milliamperes().into())
}

/// Non-active power `sqrt((V I)^2 - P^2)`, never negative; 0 where rounding makes `P` exceed `V I`.
pub fn non_active_power(voltage: Volts, current: Amperes, active_power: Watts) -> Vars {
    let apparent = u128::from(apparent(voltage, current).unsigned_abs());
    let active = u128::from(i64::from(active_power.deciwatts()).saturating_mul(PER_TENTH).unsigned_abs());
    // Both are below 2^63, so nothing wraps, and the root has 63 bits.
    let square = apparent.wrapping_mul(apparent).saturating_sub(active.wrapping_mul(active));
    let root = u64::try_from(square.isqrt()).unwrap_or(u64::MAX);
    let rounded = root.saturating_add(50_000) / 100_000;
    Vars::from_decivars(i32::try_from(rounded).unwrap_or(i32::MAX))
}

/// Power factor `P / (V I)`, rounded to the nearest thousandth, within -1 to 1; 0 without current.
pub fn power_factor(voltage: Volts, current: Amperes, active_power: Watts) -> PowerFactor {
    let apparent = apparent(voltage, current);
    // Twice the active power has 59 bits at most; in thousandths it still fits.
    let doubled = i64::from(active_power.deciwatts()).saturating_mul(2 * 1000 * PER_TENTH);
    let quotient = match (doubled.checked_add(apparent), apparent.checked_mul(2)) {
        (Some(rounding), Some(divisor)) => rounding.checked_div_euclid(divisor).unwrap_or(0),
        // Only the largest apparent power of all does not fit; next to it every active power is nothing.
        _ => 0,
    };
    let thousandths = quotient.clamp(-1000, 1000);
    PowerFactor::from_thousandths(i16::try_from(thousandths).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millivolts: i32, milliamperes: i32, deciwatts: i32) -> (i32, i16) {
        let (v, i, p) = (Volts::from_millivolts(millivolts), Amperes::from_milliamperes(milliamperes), Watts::from_deciwatts(deciwatts));
        (non_active_power(v, i, p).decivars(), power_factor(v, i, p).thousandths())
    }

    #[test]
    fn a_right_triangle() {
        // 250 V, 2 A: 500 VA; 300 W, 400 var.
        assert_eq!(of(250_000, 2_000, 3_000), (4_000, 600));
        assert_eq!(of(250_000, 2_000, -3_000), (4_000, -600));
    }

    #[test]
    fn idle_rounding_and_extremes() {
        assert_eq!(of(230_000, 0, 0), (0, 0));
        assert_eq!(of(230_000, 0, 1), (0, 0));
        assert_eq!(of(230_000, 1_000, 2_301), (0, 1000));
        assert_eq!(of(230_000, 1_000, -2_301), (0, -1000));
        assert_eq!(of(i32::MAX, i32::MAX, i32::MIN).0, i32::MAX);
        assert_eq!(of(i32::MIN, i32::MAX, i32::MAX).0, i32::MAX);
        for active in [i32::MIN, 0, i32::MAX] {
            assert_eq!(of(i32::MIN, i32::MIN, active).1, 0);
        }
    }

    #[test]
    fn the_power_factor_is_the_quotient_at_every_size() {
        let exact = |voltage: i32, current: i32, active: i32| {
            let apparent = i128::from(voltage) * i128::from(current);
            let doubled = i128::from(active) * 200_000_000;
            (doubled + apparent).checked_div_euclid(2 * apparent).unwrap_or(0).clamp(-1000, 1000)
        };
        let sizes = (0..31).flat_map(|bit| [1 << bit, -(1 << bit), i32::MAX >> bit, i32::MIN >> bit]).chain([0, 230_123]);
        for (voltage, current) in sizes.clone().flat_map(|voltage| sizes.clone().map(move |current| (voltage, current))) {
            for active in sizes.clone() {
                assert_eq!(i128::from(of(voltage, current, active).1), exact(voltage, current, active), "{voltage} {current} {active}");
            }
        }
    }
}
