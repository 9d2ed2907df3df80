//! One step of the whole filter, put together from its rooms by hand.

use estimator::filter::{Belief, STATES};
use estimator::load::{self, ENERGY, FREQUENCY, LOOP, RMS, SUPPLY};
use estimator::{Config, Estimate, Estimator, Rounding, Sample, SensorNoise, rounding};
use measure::Flags;

const SENSOR: SensorNoise = SensorNoise::PZEM_004T;

/// A house of 10 A at a power factor of 0.9; the last digits move with `k`.
fn sample(k: u32) -> Sample<f64> {
    let voltage: f64 = 230.0 + [0.0, 0.1, 0.0, -0.1, 0.1][k as usize % 5];
    let current = 10.0 + [0.0, 0.02, -0.01, 0.03][k as usize % 4];
    let active_power = (voltage * current * 0.9 * 10.0).round() / 10.0;
    Sample { voltage, current, active_power, frequency: 50.0, power_factor: 0.9, energy_wh: 7_000 }
}

fn settled(config: Config) -> Estimator<f64> {
    let mut estimator = Estimator::new(config);
    for k in 0..120 {
        estimator.step(1.0, &sample(k)).expect("a plausible first sample");
    }
    estimator
}

fn belief(estimator: &Estimator<f64>) -> Belief<f64> {
    *estimator.belief().expect("samples were seen")
}

fn step(estimator: &mut Estimator<f64>, sample: &Sample<f64>) -> Estimate<f64> {
    estimator.step(1.0, sample).expect("samples were seen")
}

#[track_caller]
fn assert_close(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1e-9), "{what}: {ours}, expected {theirs}");
}

/// Mean and variance of the frequency before a sample that comes a second later.
fn predicted_frequency(belief: &Belief<f64>) -> (f64, f64) {
    (belief.mean[FREQUENCY], belief.covariance[(FREQUENCY, FREQUENCY)] + 4e-6)
}

/// By a scalar Kalman filter that takes rounding for white noise.
fn linear(prior: (f64, f64), z: f64) -> (f64, f64) {
    let noise = 0.005 * 0.005 + 0.1 * 0.1 / 12.0;
    let gain = prior.1 / (prior.1 + noise);
    (prior.0 + gain * (z - prior.0), gain * noise)
}

#[track_caller]
fn assert_frequency(estimator: &Estimator<f64>, (mean, variance): (f64, f64), what: &str) {
    let belief = belief(estimator);
    assert_close(belief.mean[FREQUENCY], mean, what);
    assert_close(belief.covariance[(FREQUENCY, FREQUENCY)], variance, what);
}

#[test]
fn a_rounded_frequency_is_an_interval() {
    for shown in [50.0, 50.1] {
        let mut estimator = settled(Config::new(SENSOR));
        let prior = predicted_frequency(&belief(&estimator));
        step(&mut estimator, &Sample { frequency: shown, ..sample(120) });
        let refined = rounding::update(prior, shown, 0.005 * 0.005, 0.1).unwrap_or_else(|| linear(prior, shown));
        assert_frequency(&estimator, refined, "interval");
    }
}

#[test]
fn a_frequency_too_improbable_for_its_interval_is_taken_linearly() {
    let mut estimator = settled(Config::new(SENSOR));
    let prior = predicted_frequency(&belief(&estimator));
    assert_eq!(rounding::update(prior, 50.1, 0.005 * 0.005, 0.1), None, "the case that is meant");
    let estimate = step(&mut estimator, &Sample { frequency: 50.1, ..sample(120) });
    assert_eq!(estimate.flags, Flags::empty());
    assert_frequency(&estimator, linear(prior, 50.1), "too improbable");
}

#[test]
fn rounding_can_be_taken_for_white_noise() {
    let mut estimator = settled(Config { frequency_rounding: Rounding::White, ..Config::new(SENSOR) });
    let prior = predicted_frequency(&belief(&estimator));
    step(&mut estimator, &sample(120));
    assert_frequency(&estimator, linear(prior, 50.0), "white");
}

#[test]
fn a_bad_frequency_teaches_nothing_about_it() {
    let mut estimator = settled(Config::new(SENSOR));
    let prior = predicted_frequency(&belief(&estimator));
    let estimate = step(&mut estimator, &Sample { frequency: 51.0, ..sample(120) });
    assert_eq!(estimate.flags, Flags::BAD_FREQUENCY);
    assert_frequency(&estimator, prior, "bad");
}

/// What a meter shows at a second.
type Frame = fn(u32) -> Sample<f64>;

/// A supply that is elsewhere, though the frame agrees with itself.
fn elsewhere(k: u32) -> Sample<f64> {
    let honest = sample(k);
    let voltage = honest.voltage + 45.0;
    Sample { voltage, power_factor: (honest.active_power / (voltage * honest.current) * 100.0).round() / 100.0, ..honest }
}

/// A frame whose power factor contradicts its voltage.
fn contradicted(k: u32) -> Sample<f64> {
    let honest = sample(k);
    Sample { voltage: honest.voltage + 45.0, ..honest }
}

#[test]
fn the_fifth_dispute_in_a_row_starts_anew_from_its_sample() {
    let mut estimator = settled(Config::new(SENSOR));
    let disputed = Flags::BAD_VOLTAGE | Flags::REJECTED;
    for k in 120..124 {
        let flags = step(&mut estimator, &elsewhere(k)).flags;
        assert!(flags.intersects(disputed) && !flags.contains(Flags::RESTARTED), "{flags:?}");
    }
    let before = belief(&estimator);
    let estimate = step(&mut estimator, &elsewhere(124));
    assert_eq!(estimate.flags, Flags::RESTARTED, "believed, and so not bad");
    let z = elsewhere(124).channels();
    let slow = |state| (before.mean[state], before.covariance[(state, state)]);
    let ((ohm, ohm_variance), energy) = (slow(LOOP), slow(ENERGY));
    let mut expected = load::starting_at(&z, (ohm, ohm_variance + 1e-8 + 0.01), energy);
    let linearised = load::linearise(&expected, &z, &SENSOR.variances(&z));
    (expected, _) = load::updated(&expected, &linearised, None);
    let ours = belief(&estimator);
    for i in 0..ENERGY {
        assert_close(ours.mean[i], expected.mean[i], "mean");
        for j in 0..=i {
            assert_close(ours.covariance[(i, j)], expected.covariance[(i, j)], "covariance");
        }
    }
    let hour_share = z[load::P] / 3_600.0;
    assert!((estimate.energy.remainder_wh + estimate.energy.anchor_wh as f64 - 7_000.0) > 120.0 * hour_share, "the energy is kept");
    assert!(estimate.energy_variance > energy.1, "and so is its uncertainty: {} after {}", estimate.energy_variance, energy.1);
    assert_eq!(step(&mut estimator, &elsewhere(125)).flags, Flags::empty());
}

#[test]
fn disputes_count_in_a_row_and_frames_that_contradict_themselves_do_not() {
    let restarted = |frames: &[Frame]| {
        let mut estimator = settled(Config::new(SENSOR));
        let flags = (120..).zip(frames).map(|(k, frame)| step(&mut estimator, &frame(k)).flags);
        flags.map(|flags| flags.contains(Flags::RESTARTED)).collect::<Vec<bool>>()
    };
    let disputed: [Frame; 4] = [elsewhere; 4];
    let frames = |last: &[Frame]| [&disputed, last].concat();
    assert!(restarted(&frames(&[elsewhere])).ends_with(&[true]));
    assert!(!restarted(&frames(&[sample, elsewhere, elsewhere, elsewhere, elsewhere])).contains(&true), "a sound one in between");
    assert!(!restarted(&frames(&[contradicted])).contains(&true), "is no dispute");
    assert!(restarted(&frames(&[contradicted, elsewhere])).ends_with(&[true]), "and ends none");
    assert!(!restarted(&[contradicted as Frame; 12]).contains(&true), "is bad however often it comes");
}

#[test]
fn a_load_that_is_switched_ends_a_dispute() {
    let stepped = |k| {
        let honest = sample(k);
        let (current, active_power) = (honest.current + 9.0, honest.active_power + 9.0 * 0.9 * honest.voltage);
        Sample { current, active_power: (active_power * 10.0).round() / 10.0, ..honest }
    };
    let mut estimator = settled(Config::new(SENSOR));
    for k in 120..124 {
        step(&mut estimator, &elsewhere(k));
    }
    let flags = step(&mut estimator, &stepped(124)).flags;
    assert!(flags.contains(Flags::STEP) && !flags.intersects(Flags::BAD_VOLTAGE | Flags::REJECTED), "{flags:?}");
    assert!(!step(&mut estimator, &elsewhere(125)).flags.contains(Flags::RESTARTED));
}

#[test]
fn an_interval_is_bounded() {
    let estimator = settled(Config::new(SENSOR));
    let after = |elapsed_s| estimator.predict_only(elapsed_s).expect("samples were seen");
    for none in [-1.0, -1e9, f64::NEG_INFINITY, f64::NAN] {
        assert_eq!(after(none), after(0.0), "{none} s");
    }
    for longer in [86_401.0, 1e30, f64::INFINITY] {
        assert_eq!(after(longer), after(86_400.0), "{longer} s");
    }
    assert!(after(86_400.0).frequency_variance > after(86_399.0).frequency_variance);
}

#[test]
fn an_estimate_says_what_is_believed() {
    let mut estimator = settled(Config::new(SENSOR));
    let estimate = step(&mut estimator, &sample(120));
    let belief = belief(&estimator);
    let x = &belief.mean;
    let [voltage, current, active_power, frequency] = load::expected(x);
    assert_eq!((estimate.voltage, estimate.current, estimate.active_power), (voltage, current, active_power));
    assert_eq!((estimate.frequency, estimate.frequency_variance), (frequency, belief.covariance[(FREQUENCY, FREQUENCY)]));
    assert_close(estimate.non_active_power, ((voltage * current).powi(2) - active_power.powi(2)).sqrt(), "non-active power");
    assert_close(estimate.power_factor, active_power / (voltage * current), "power factor");
    let rows = load::jacobian(x);
    let variance_of = |channel: usize| {
        let row: [f64; STATES] = rows[channel];
        (0..STATES).map(|i| (0..STATES).map(|j| row[i] * belief.covariance[(i, j)] * row[j]).sum::<f64>()).sum::<f64>()
    };
    assert_close(estimate.voltage_variance, variance_of(load::V), "variance of the voltage");
    assert_close(estimate.current_variance, belief.covariance[(RMS, RMS)], "variance of the current");
    assert_close(estimate.active_power_variance, variance_of(load::P), "variance of the power");
    assert_close(estimate.energy_variance, belief.covariance[(ENERGY, ENERGY)], "variance of the energy");
    assert!(belief.covariance[(SUPPLY, SUPPLY)] > estimate.voltage_variance, "the loop's part of it is shared");
}

#[test]
fn an_idle_house_has_no_power_factor_to_speak_of() {
    let mut estimator = Estimator::new(Config::new(SENSOR));
    let idle = Sample { voltage: 230.0, frequency: 50.0, ..Sample::default() };
    let estimate = step(&mut estimator, &idle);
    assert_eq!((estimate.current, estimate.power_factor, estimate.non_active_power), (0.0, 0.0, 0.0));
}

#[test]
fn surprises_are_normalised_by_what_was_expected() {
    let mut estimator = settled(Config { frequency_rounding: Rounding::White, ..Config::new(SENSOR) });
    let prior = predicted_frequency(&belief(&estimator));
    let estimate = step(&mut estimator, &Sample { frequency: 50.1, ..sample(120) });
    let total = prior.1 + 0.005 * 0.005 + 0.1 * 0.1 / 12.0;
    assert_close(estimate.nis_frequency, (50.1 - prior.0).powi(2) / total, "frequency");
    assert!((0.01..18.0).contains(&estimate.nis), "{}", estimate.nis);
}
