extern crate std;

use super::*;

/// Worst relative deviation of `ours` from `theirs` over a geometric sweep.
fn worst(from: f64, to: f64, ours: impl Fn(f64) -> f64, theirs: impl Fn(f64) -> f64) -> (f64, f64) {
    let ratio = (to / from).powf(1e-5);
    let mut at = (0.0, 0.0);
    let mut x = from;
    while x < to {
        let deviation = ((ours(x) - theirs(x)) / theirs(x)).abs();
        if deviation.is_nan() || deviation > at.0 {
            at = (deviation, x);
        }
        x *= ratio;
    }
    at
}

#[test]
fn square_root() {
    let (deviation, x) = worst(1e-300, 1e300, sqrt, f64::sqrt);
    assert!(deviation <= 2.3e-16, "f64: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1e-37, 1e37, |x| f64::from(sqrt(x as f32)), |x| f64::from((x as f32).sqrt()));
    assert!(deviation <= 1.2e-7, "f32: {deviation:e} at {x:e}");
    for exact in [0.0, 1.0, 4.0, 1e4, 52_900.0] {
        assert_eq!(sqrt(exact * exact), exact);
    }
    assert_eq!(sqrt(-1.0), 0.0);
    assert_eq!(sqrt(f64::NAN), 0.0);
    assert_eq!(sqrt(f64::INFINITY), f64::INFINITY);
    assert_eq!((sqrt(f64::MIN_POSITIVE), sqrt(0.99 * f64::MIN_POSITIVE)), (2.0_f64.powi(-511), 0.0));
}

#[test]
fn exponential() {
    let (deviation, x) = worst(1e-9, 700.0, |x| exp(-x), |x| (-x).exp());
    assert!(deviation <= 1e-15, "f64, negative: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1e-9, 700.0, exp, f64::exp);
    assert!(deviation <= 1e-15, "f64, positive: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1e-9, 600.0, one_minus_exp, |x| -(-x).exp_m1());
    assert!(deviation <= 1e-15, "f64, one minus: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1e-9, 80.0, |x| f64::from(exp(-x as f32)), |x| (-f64::from(x as f32)).exp());
    assert!(deviation <= 3e-7, "f32: {deviation:e} at {x:e}");
    assert_eq!(exp(-1e9), 0.0);
    assert_eq!(exp(f32::NAN), 0.0);
    assert_eq!(exp(0.0), 1.0);
    // The last normal numbers on either side.
    assert!((exp(-708.39_f64) / (-708.39_f64).exp() - 1.0).abs() < 1e-15);
    assert_eq!(exp(-708.8_f64), 0.0);
    assert!((exp(709.0_f64) / 709.0_f64.exp() - 1.0).abs() < 1e-15);
    assert_eq!((exp(-87.0_f32) > 0.0, exp(-88.0_f32)), (true, 0.0));
}

#[test]
fn what_needs_neither_division_nor_branch() {
    let (deviation, x) = worst(1e-300, 1e300, reciprocal_sqrt, |x| 1.0 / x.sqrt());
    assert!(deviation <= 1e-15, "f64: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1e-37, 1e37, |x| f64::from(reciprocal_sqrt(x as f32)), |x| 1.0 / f64::from((x as f32).sqrt()));
    assert!(deviation <= 5e-6, "f32: {deviation:e} at {x:e}");
    assert_eq!((reciprocal_sqrt(0.0), reciprocal_sqrt(-1.0), reciprocal_sqrt(f32::NAN)), (0.0, 0.0, 0.0));

    let (deviation, x) = worst(1e-9, 21.0, exp_of_negative, |x| (-x).exp());
    assert!(deviation <= 4e-15, "f64: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1e-9, 21.0, |x| f64::from(exp_of_negative(x as f32)), |x| (-x).exp());
    assert!(deviation <= 2e-6, "f32: {deviation:e} at {x:e}");
    assert!(exp_of_negative(1e30) < 1e-9 && exp_of_negative(f64::NAN) < 1e-9);
    assert_eq!(exp_of_negative(0.0_f32), 1.0);
}

#[test]
fn logarithm() {
    let (deviation, x) = worst(1e-300, 0.9, ln, f64::ln);
    assert!(deviation <= 1e-15, "f64 below one: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1.1, 1e300, ln, f64::ln);
    assert!(deviation <= 1e-15, "f64 above one: {deviation:e} at {x:e}");
    let (deviation, x) = worst(1.1, 1e37, |x| f64::from(ln(x as f32)), |x| f64::from(x as f32).ln());
    assert!(deviation <= 5e-7, "f32: {deviation:e} at {x:e}");
    assert_eq!(ln(1.0), 0.0);
    assert!(ln(0.0_f64).is_finite() && ln(f64::NAN).is_finite() && ln(-1.0_f32).is_finite());
}
