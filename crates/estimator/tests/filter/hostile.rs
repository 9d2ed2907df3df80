//! Whatever a meter or a clock says: no panic, a positive definite covariance, finite estimates, and recovery.

use estimator::filter::{Belief, STATES};
use estimator::{Config, Estimate, Estimator, Real, Sample, SensorNoise};
use measure::Flags;
use nalgebra::SMatrix;
use proptest::prelude::*;

/// Good samples after which the filter is back.
const RECOVERY_SAMPLES: usize = 10;

/// What no meter measures, and what one may measure.
fn value(low: f64, high: f64) -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e30, -1e30, 1e-40, f64::MAX, -1.0]),
        1 => prop::sample::select(vec![low, high]),
        5 => low..high,
    ]
}

fn elapsed() -> impl Strategy<Value = f64> {
    let odd = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, -3.2e7, 1e-30, 1e30, 3.2e7, 600.0];
    prop_oneof![1 => prop::sample::select(odd), 3 => 0.0..3.0]
}

fn sample() -> impl Strategy<Value = Sample<f64>> {
    let register = prop_oneof![prop::sample::select(vec![0, 1, u64::MAX, u64::MAX / 2, 9_999_990]), 0_u64..100_000];
    (value(60.0, 300.0), value(0.0, 200.0), value(-60e3, 60e3), value(40.0, 70.0), value(0.0, 1.0), register).prop_map(
        |(voltage, current, active_power, frequency, power_factor, energy_wh)| Sample {
            voltage,
            current,
            active_power,
            frequency,
            power_factor,
            energy_wh,
        },
    )
}

/// An ordinary second of an ordinary house; `k` moves the last digits, so that no two are equal.
fn good(k: usize, current: f64) -> Sample<f64> {
    let jitter = if k.is_multiple_of(2) { 0.1 } else { 0.0 };
    let (voltage, power_factor) = (230.0 + jitter, 0.9);
    let active_power = ((voltage * current * power_factor) * 10.0).round() / 10.0;
    Sample { voltage, current, active_power, frequency: 50.0, power_factor, energy_wh: 5000 }
}

fn narrowed<F: Real>(sample: &Sample<f64>) -> Sample<F> {
    Sample {
        voltage: F::of(sample.voltage),
        current: F::of(sample.current),
        active_power: F::of(sample.active_power),
        frequency: F::of(sample.frequency),
        power_factor: F::of(sample.power_factor),
        energy_wh: sample.energy_wh,
    }
}

fn assert_sound<F: Real>(belief: &Belief<F>) -> Result<(), TestCaseError> {
    prop_assert!(belief.mean.iter().all(|state| state.is_finite()), "{belief:?}");
    let p = SMatrix::<f64, STATES, STATES>::from_fn(|i, j| belief.covariance[(i, j)].to_f64());
    prop_assert!(p == p.transpose(), "not symmetric: {p}");
    // Scaled to ones on the diagonal: the units differ by orders of magnitude, definiteness does not depend on them.
    let correlation = SMatrix::<f64, STATES, STATES>::from_fn(|i, j| p[(i, j)] / (p[(i, i)] * p[(j, j)]).sqrt());
    prop_assert!(correlation.cholesky().is_some(), "not positive definite: {p}, correlations {correlation}");
    Ok(())
}

fn assert_finite<F: Real>(estimate: &Estimate<F>) -> Result<(), TestCaseError> {
    let numbers = [
        estimate.voltage,
        estimate.current,
        estimate.active_power,
        estimate.non_active_power,
        estimate.power_factor,
        estimate.frequency,
        estimate.energy.remainder_wh,
        estimate.nis,
        estimate.nis_frequency,
    ];
    prop_assert!(numbers.iter().all(|number| number.is_finite()), "{estimate:?}");
    let variances = [
        estimate.voltage_variance,
        estimate.current_variance,
        estimate.active_power_variance,
        estimate.frequency_variance,
        estimate.energy_variance,
    ];
    prop_assert!(variances.iter().all(|variance| variance.is_finite() && *variance > F::ZERO), "{estimate:?}");
    Ok(())
}

fn survives_and_recovers<F: Real>(noise: SensorNoise, hostile: &[(f64, Sample<f64>)], current: f64) -> Result<(), TestCaseError> {
    let mut estimator = Estimator::<F>::new(Config::new(noise));
    for (elapsed, sample) in hostile {
        if let Some(ahead) = estimator.predict_only(F::of(*elapsed)) {
            assert_finite(&ahead)?;
        }
        if let Some(estimate) = estimator.step(F::of(*elapsed), &narrowed(sample)) {
            assert_finite(&estimate)?;
            assert_sound(estimator.belief().expect("an estimate comes from a belief"))?;
        }
    }
    let mut last = None;
    for k in 0..RECOVERY_SAMPLES {
        last = estimator.step(F::ONE, &narrowed(&good(k, current)));
        assert_sound(estimator.belief().expect("a good sample was seen"))?;
    }
    let last = last.expect("a good sample was seen");
    let truth = good(RECOVERY_SAMPLES - 1, current);
    let truth = [truth.voltage, truth.current, truth.active_power, truth.frequency];
    let estimates = [last.voltage, last.current, last.active_power, last.frequency];
    let noise = noise.variances(&truth);
    for (i, (name, floor)) in [("V", 0.5), ("I", 0.05), ("P", 5.0), ("f", 0.05)].into_iter().enumerate() {
        // Within what a single sample of this sensor may be off by: the filter does no harm any more.
        let (off, tolerance) = ((estimates[i].to_f64() - truth[i]).abs(), floor + 5.0 * noise[i].sqrt());
        prop_assert!(off <= tolerance, "{name} is off by {off} (> {tolerance}) after {RECOVERY_SAMPLES} good samples: {last:?}");
    }
    let doubts = Flags::REJECTED | Flags::BAD_VOLTAGE | Flags::BAD_CURRENT | Flags::BAD_POWER | Flags::BAD_FREQUENCY;
    prop_assert!(!last.flags.intersects(doubts), "still in doubt: {:?}", last.flags);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn survives_and_recovers_in_double_precision(hostile in prop::collection::vec((elapsed(), sample()), 0..40), current in 0.0..40.0) {
        survives_and_recovers::<f64>(SensorNoise::PZEM_004T, &hostile, current)?;
        survives_and_recovers::<f64>(SensorNoise::NOISY, &hostile, current)?;
    }

    #[test]
    fn survives_and_recovers_in_single_precision(hostile in prop::collection::vec((elapsed(), sample()), 0..40), current in 0.0..40.0) {
        survives_and_recovers::<f32>(SensorNoise::PZEM_004T, &hostile, current)?;
        survives_and_recovers::<f32>(SensorNoise::NOISY, &hostile, current)?;
    }
}

#[test]
fn nothing_is_made_up_before_the_first_plausible_sample() {
    let mut estimator = Estimator::<f64>::new(Config::new(SensorNoise::PZEM_004T));
    assert_eq!(estimator.predict_only(1.0), None);
    assert_eq!(estimator.step(1.0, &Sample::default()), None);
    assert!(estimator.step(1.0, &good(0, 1.0)).is_some());
}
