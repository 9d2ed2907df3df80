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
    // Both are below 2^63, so their squares fit.
    let square = apparent.saturating_mul(apparent).saturating_sub(active.saturating_mul(active));
    let rounded = square.isqrt().saturating_add(50_000) / 100_000;
    Vars::from_decivars(i32::try_from(rounded).unwrap_or(i32::MAX))
}

/// Power factor `P / (V I)`, rounded to the nearest thousandth, within -1 to 1; 0 without current.
pub fn power_factor(voltage: Volts, current: Amperes, active_power: Watts) -> PowerFactor {
    let apparent = i128::from(apparent(voltage, current));
    let active = i128::from(i64::from(active_power.deciwatts()).saturating_mul(PER_TENTH)).saturating_mul(1000);
    let (doubled, divisor) = (active.saturating_mul(2).saturating_add(apparent), apparent.saturating_mul(2));
    let thousandths = doubled.checked_div_euclid(divisor).unwrap_or(0).clamp(-1000, 1000);
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
    }
}
