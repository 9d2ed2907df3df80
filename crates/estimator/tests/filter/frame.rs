//! What one frame shows without any model, at each of its limits.

use estimator::Sample;
use estimator::monitor::{Repetition, is_plausible, power_factor_contradicts};

const GOOD: [f64; 4] = [230.0, 10.0, 2_000.0, 50.0];

#[test]
fn a_frame_is_plausible_within_its_limits_only() {
    assert!(is_plausible(&GOOD));
    for (channel, inside, outside) in [
        (0, [60.0, 300.0], [59.9, 300.1]),
        (1, [0.0, 200.0], [-0.001, 200.1]),
        (2, [-4_450.0, 4_450.0], [-4_450.1, 4_450.1]),
        (3, [40.0, 70.0], [39.9, 70.1]),
    ] {
        for (values, plausible) in [(inside, true), (outside, false)] {
            for value in values {
                let mut z = GOOD;
                z[channel] = value;
                // So that a power of 2 kW remains possible.
                if channel < 2 {
                    z[2] = 100.0;
                }
                assert_eq!(is_plausible(&z), plausible, "channel {channel}: {value}");
            }
        }
    }
    for power in [60_000.1, -60_000.1] {
        assert!(!is_plausible(&[300.0, 200.0, power, 50.0]), "{power} W");
    }
    assert!((0..4).all(|channel| !is_plausible(&core::array::from_fn(|i| if i == channel { f64::NAN } else { GOOD[i] }))));
}

/// A sample of this power and power factor at 230 V and 1 A, both far from the least that a checksum is believed at.
fn sample(active_power: f64, power_factor: f64) -> Sample<f64> {
    Sample { voltage: 230.0, current: 1.0, active_power, frequency: 50.0, power_factor, energy_wh: 0 }
}

#[test]
fn a_power_factor_contradicts_beyond_its_rounding() {
    assert!(!power_factor_contradicts(&sample(115.0, 0.5)));
    assert!(!power_factor_contradicts(&sample(115.0, 0.5074)));
    assert!(!power_factor_contradicts(&sample(115.0, 0.4926)));
    assert!(power_factor_contradicts(&sample(115.0, 0.5076)));
    assert!(power_factor_contradicts(&sample(115.0, 0.4924)));
    assert!(power_factor_contradicts(&sample(115.0, f64::NAN)));
    // A meter never shows more than one, whatever its noise.
    assert!(!power_factor_contradicts(&sample(240.0, 1.0)));
    assert!(power_factor_contradicts(&sample(240.0, 1.04)));
}

#[test]
fn a_small_load_contradicts_nothing() {
    for (current, active_power, contradicts) in
        [(0.051, 2.1, true), (0.049, 2.1, false), (0.051, 1.9, false), (0.05, 10.0, false), (1.0, 2.0, false)]
    {
        let sample = Sample { current, ..sample(active_power, 0.9) };
        assert_eq!(power_factor_contradicts(&sample), contradicts, "{current} A, {active_power} W");
    }
}

#[test]
fn equal_frames_are_counted() {
    let mut repetition = Repetition::default();
    let other = [230.0, 10.0, 2_000.1, 50.0];
    let counted = [GOOD, GOOD, GOOD, other, GOOD, GOOD].map(|z| repetition.count(&z));
    assert_eq!(counted, [0, 1, 2, 0, 0, 1]);
}
