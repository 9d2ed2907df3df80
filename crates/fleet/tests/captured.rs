//! The filter on what real modules said.

use estimator::{Config, Estimator, SensorNoise, load, monitor};
use fleet::recording::{Recorded, captured};
use measure::Flags;

fn for_filter(recorded: &Recorded) -> estimator::Sample<f64> {
    let sample = recorded.sample;
    estimator::Sample {
        voltage: sample.voltage,
        current: sample.current,
        active_power: sample.active_power,
        frequency: sample.frequency,
        power_factor: sample.power_factor,
        energy_wh: sample.energy_wh,
    }
}

#[test]
fn every_captured_reply_is_plausible_and_agrees_with_its_power_factor() {
    let replies: Vec<Recorded> = captured().into_iter().flatten().collect();
    assert_eq!(replies.len(), 51);
    for recorded in &replies {
        let sample = for_filter(recorded);
        assert!(!monitor::power_factor_contradicts(&sample), "{recorded:?}");
        assert!(monitor::is_plausible(&[sample.voltage, sample.current, sample.active_power, sample.frequency]), "{recorded:?}");
    }
}

/// 17:10:30 to 17:10:33: loads of 9 and 6 A are switched off and the voltage rises by what they had dropped on the service loop.
#[test]
fn a_real_load_step_is_recognised_and_shows_the_service_loop() {
    let sittings = captured();
    let sitting =
        sittings.iter().find(|sitting| sitting.iter().any(|recorded| recorded.time_s == 61_831.0)).expect("the sitting at 17:10:31");
    let mut estimator = Estimator::<f64>::new(Config::new(SensorNoise::PZEM_004T));
    let mut before = None;
    let mut steps = 0;
    for recorded in sitting {
        let elapsed = recorded.time_s - before.replace(recorded.time_s).unwrap_or(recorded.time_s);
        let estimate = estimator.step(elapsed, &for_filter(recorded)).expect("plausible");
        println!(
            "{:.0} s: {:?} V {:.1} I {:.3} P {:.1}",
            recorded.time_s, estimate.flags, estimate.voltage, estimate.current, estimate.active_power
        );
        let bad = Flags::BAD_VOLTAGE | Flags::BAD_CURRENT | Flags::BAD_POWER | Flags::BAD_FREQUENCY | Flags::REJECTED;
        assert!(!estimate.flags.intersects(bad), "a real step is called bad data: {estimate:?}");
        steps += u32::from(estimate.flags.contains(Flags::STEP));
    }
    let belief = estimator.belief().expect("samples were seen");
    let (loop_ohm, deviation) = (belief.mean[load::LOOP], belief.covariance[(load::LOOP, load::LOOP)].sqrt());
    println!("service loop {loop_ohm:.3} ± {deviation:.3} ohm, {steps} steps");
    assert!(steps >= 2, "{steps} steps");
    assert!((loop_ohm - 0.128).abs() < 0.02 && deviation < 0.05, "service loop {loop_ohm} ± {deviation} ohm");
}
