//! What the filter says about samples of which it is known what is wrong with them.

use estimator::{Config, Estimate, Estimator, Sample, SensorNoise};
use measure::Flags;

const SERVICE_LOOP_OHM: f64 = 0.2;

/// A house that draws `watts` at a power factor of 0.9; the last digits move with `k`, so that no two samples are equal.
fn sample(k: u64, watts: f64, register_wh: u64) -> Sample<f64> {
    let drop = (SERVICE_LOOP_OHM * watts / 230.0 * 10.0).round() / 10.0;
    let voltage = 230.0 - drop + [0.0, 0.1, 0.0, -0.1][(k % 4) as usize];
    let apparent = watts / 0.9;
    let current = (apparent / voltage * 1000.0).round() / 1000.0;
    let active_power = (watts * 10.0).round() / 10.0;
    let power_factor = (active_power / (voltage * current) * 100.0).round() / 100.0;
    Sample { voltage, current, active_power, frequency: 50.0, power_factor, energy_wh: register_wh }
}

/// A filter that has watched a house of 500 W for two minutes.
fn settled() -> Estimator<f64> {
    let mut estimator = Estimator::new(Config::new(SensorNoise::PZEM_004T));
    for k in 0..120 {
        let estimate = step(&mut estimator, &sample(k, 500.0, 7000));
        assert_eq!(estimate.flags, Flags::empty(), "sample {k}");
    }
    estimator
}

fn step(estimator: &mut Estimator<f64>, sample: &Sample<f64>) -> Estimate<f64> {
    estimator.step(1.0, sample).expect("the first sample is plausible")
}

#[test]
fn a_switched_load_is_a_step_and_followed_at_once() {
    let mut estimator = settled();
    let estimate = step(&mut estimator, &sample(120, 2700.0, 7000));
    assert_eq!(estimate.flags, Flags::STEP);
    assert!((estimate.active_power - 2700.0).abs() < 2.0, "{estimate:?}");
    let after = step(&mut estimator, &sample(121, 2700.0, 7000));
    assert_eq!(after.flags, Flags::empty());
}

#[test]
fn a_tap_change_is_a_shift() {
    let mut estimator = settled();
    let mut shifted = sample(120, 500.0, 7000);
    shifted.voltage += 4.0;
    // The house is a resistance: current and power follow the voltage.
    shifted.current *= shifted.voltage / 230.0;
    shifted.active_power = (shifted.voltage * shifted.current * 0.9 * 10.0).round() / 10.0;
    let estimate = step(&mut estimator, &shifted);
    assert!(estimate.flags.contains(Flags::VOLTAGE_SHIFT), "{:?}", estimate.flags);
    assert!(!estimate.flags.intersects(Flags::BAD_VOLTAGE | Flags::REJECTED), "{:?}", estimate.flags);
    assert!((estimate.voltage - shifted.voltage).abs() < 0.1, "{estimate:?}");
}

#[test]
fn a_spike_in_one_channel_is_bad_data_and_left_out() {
    type Spoil = fn(&mut Sample<f64>);
    let spoilt: [(Flags, Spoil); 4] = [
        (Flags::BAD_VOLTAGE | Flags::POWER_FACTOR, |sample| sample.voltage *= 1.1),
        (Flags::BAD_CURRENT | Flags::POWER_FACTOR, |sample| sample.current *= 1.5),
        (Flags::BAD_POWER | Flags::POWER_FACTOR, |sample| sample.active_power *= 0.5),
        (Flags::BAD_FREQUENCY, |sample| sample.frequency += 1.0),
    ];
    for (verdict, spoil) in spoilt {
        let mut estimator = settled();
        let before = step(&mut estimator, &sample(120, 500.0, 7000));
        let mut bad = sample(121, 500.0, 7000);
        spoil(&mut bad);
        let estimate = step(&mut estimator, &bad);
        assert_eq!(estimate.flags, verdict);
        assert!((estimate.voltage - before.voltage).abs() < 0.5, "{verdict:?}: {estimate:?}");
        assert!((estimate.current - before.current).abs() < 0.05, "{verdict:?}: {estimate:?}");
        assert!((estimate.active_power - before.active_power).abs() < 5.0, "{verdict:?}: {estimate:?}");
        assert!((estimate.frequency - before.frequency).abs() < 0.01, "{verdict:?}: {estimate:?}");
        let after = step(&mut estimator, &sample(122, 500.0, 7000));
        assert_eq!(after.flags, Flags::empty(), "after {verdict:?}");
    }
}

#[test]
fn an_implausible_frame_is_rejected_and_its_register_not_read() {
    let mut estimator = settled();
    let estimate = step(&mut estimator, &Sample::default());
    assert_eq!(estimate.flags, Flags::REJECTED);
    assert!((estimate.voltage - 230.0).abs() < 0.5);
    assert!(estimate.energy.anchor_wh >= 7000);
    assert_eq!(estimate.nis, 0.0);
}

#[test]
fn a_persistent_disagreement_restarts_the_filter() {
    let mut estimator = settled();
    let elsewhere = |k| Sample { voltage: 275.0, ..sample(k, 500.0, 7000) };
    let flags: Vec<Flags> = (120..126).map(|k| step(&mut estimator, &Sample { power_factor: 0.75, ..elsewhere(k) }).flags).collect();
    assert!(flags[..4].iter().all(|flags| flags.intersects(Flags::BAD_VOLTAGE | Flags::REJECTED)), "{flags:?}");
    assert!(flags[4].contains(Flags::RESTARTED), "{flags:?}");
    let estimate = step(&mut estimator, &Sample { power_factor: 0.75, ..elsewhere(127) });
    assert!((estimate.voltage - 275.0).abs() < 0.2, "{estimate:?}");
}

#[test]
fn equal_frames_are_duplicates_and_then_stuck_while_the_energy_runs_on() {
    let mut estimator = settled();
    let frozen = sample(120, 500.0, 7000);
    let before = step(&mut estimator, &frozen);
    assert_eq!(before.flags, Flags::empty());
    for repeated in 1..=20 {
        let estimate = step(&mut estimator, &frozen);
        let expected = if repeated >= 15 { Flags::DUPLICATE | Flags::STUCK } else { Flags::DUPLICATE };
        assert_eq!(estimate.flags, expected, "repetition {repeated}");
        assert!(estimate.voltage_variance > before.voltage_variance);
    }
    let energy = step(&mut estimator, &sample(121, 500.0, 7000)).energy.watt_hours().as_f64() - before.energy.watt_hours().as_f64();
    assert!((energy - 500.0 * 21.0 / 3600.0).abs() < 0.05, "{energy} Wh");
}

#[test]
fn ticks_of_the_register_pin_the_energy() {
    let mut estimator = Estimator::new(Config::new(SensorNoise::PZEM_004T));
    let mut truth = 40_000.37;
    let mut estimate = None;
    for k in 0..3600 {
        truth += 500.0 / 3600.0;
        estimate = estimator.step(1.0, &sample(k, 500.0, truth as u64));
    }
    let estimate = estimate.expect("plausible samples");
    let off = estimate.energy.watt_hours().as_f64() - truth;
    assert!(off.abs() < 0.15, "off by {off} Wh, claimed deviation {}", estimate.energy_variance.sqrt());
    assert!(estimate.energy_variance.sqrt() < 0.1);
}

#[test]
fn a_register_that_was_reset_is_anchored_anew() {
    let mut estimator = settled();
    let estimate = step(&mut estimator, &sample(120, 500.0, 0));
    assert_eq!(estimate.flags, Flags::REGISTER_ANCHORED);
    assert!(estimate.energy.watt_hours().as_f64() < 2.0);
    let estimate = step(&mut estimator, &sample(121, 500.0, 1));
    assert_eq!(estimate.flags, Flags::empty());
}

#[test]
fn a_gap_is_bridged_and_widens_what_is_claimed() {
    let mut estimator = settled();
    let before = step(&mut estimator, &sample(120, 500.0, 7000));
    let bridged = estimator.predict_only(600.0).expect("samples were seen");
    assert!(bridged.active_power_variance > 1000.0 * before.active_power_variance);
    assert!((bridged.energy.watt_hours().as_f64() - before.energy.watt_hours().as_f64() - 500.0 / 6.0).abs() < 0.1);
    let after = estimator.step(600.0, &sample(121, 1500.0, 7180)).expect("samples were seen");
    assert!((after.active_power - 1500.0).abs() < 2.0, "{after:?}");
    assert!((after.energy.watt_hours().as_f64() - 7180.5).abs() < 1.0, "{after:?}");
}
