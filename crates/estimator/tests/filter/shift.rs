//! A supply that shifts under loads of constant power, and a voltage that only claims to.

use estimator::{Config, Estimator, Sample, SensorNoise};
use measure::Flags;

/// Electronics of about 60 W: the last digits move with `k`, and the current falls as the voltage rises.
fn electronics(k: u32, voltage: f64) -> Sample<f64> {
    let jitter = if k.is_multiple_of(2) { 0.1 } else { 0.0 };
    let (voltage, active_power) = (voltage + jitter, 62.9 + jitter);
    let current = (96.4 / voltage * 1000.0).round() / 1000.0;
    Sample { voltage, current, active_power, frequency: 50.0, power_factor: 0.65, energy_wh: 7000 }
}

fn settled() -> Estimator<f64> {
    let mut estimator = Estimator::new(Config::new(SensorNoise::PZEM_004T));
    for k in 0..300 {
        let estimate = estimator.step(1.0, &electronics(k, 229.6)).expect("plausible");
        assert_eq!(estimate.flags, Flags::empty(), "sample {k}");
    }
    estimator
}

#[test]
fn a_tap_change_under_loads_of_constant_power_is_a_shift() {
    for shifted in [233.0, 226.2, 231.2, 228.0] {
        let mut estimator = settled();
        let estimate = estimator.step(1.0, &electronics(300, shifted)).expect("plausible");
        let flags = estimate.flags;
        assert!(
            flags.contains(Flags::VOLTAGE_SHIFT) && !flags.intersects(Flags::BAD_VOLTAGE | Flags::REJECTED),
            "to {shifted} V: {flags:?}"
        );
        assert!((estimate.voltage - shifted).abs() < 0.2, "to {shifted} V: {estimate:?}");
        let after = estimator.step(1.0, &electronics(301, shifted)).expect("plausible");
        assert_eq!(after.flags, Flags::empty(), "after the shift to {shifted} V");
    }
}

/// The power factor agrees with its registers, but no load takes the same current and the same power at another voltage.
#[test]
fn a_voltage_that_no_load_answers_to_is_bad_data() {
    for share in [1.05, 0.95, 1.1, 0.9] {
        let mut estimator = settled();
        let sound = electronics(300, 229.6);
        let voltage = (sound.voltage * share * 10.0).round() / 10.0;
        let power_factor = (sound.active_power / (voltage * sound.current) * 100.0).round() / 100.0;
        let estimate = estimator.step(1.0, &Sample { voltage, power_factor, ..sound }).expect("plausible");
        assert_eq!(estimate.flags, Flags::BAD_VOLTAGE, "{share} times the voltage");
        assert!((estimate.voltage - sound.voltage).abs() < 0.3, "{estimate:?}");
    }
}
