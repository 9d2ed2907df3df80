//! A million meters that say what no meter should, each followed by ten ordinary seconds.
//!
//! After every sample the covariance must be positive definite and everything finite; after the ten, the estimate must be as good as a single
//! sample and without doubts. A panic ends this program.

use estimator::filter::{Belief, STATES};
use estimator::{Config, Estimate, Estimator, Real, Sample, SensorNoise};
use fleet::hostile::Hostile;
use fleet::sensor::SensedSample;
use nalgebra::SMatrix;

use crate::clean::BAD;
use crate::figure::{Figure, Target};
use crate::run::{all, for_filter};

const CASES: u64 = 1_000_000;
/// Cases of one job: it has a seed of its own.
const BATCH: u64 = 10_000;
/// Hostile samples of a case end here.
const SAMPLES_END: usize = 16;
/// Good samples after which the filter is to be back.
const RECOVERY: u32 = 10;
/// What an estimate may be off after them, besides five deviations of the sensor: V, A, W, Hz.
const OFF_MAX: [f64; 4] = [0.5, 0.05, 5.0, 0.05];

/// What went wrong, by kind.
#[derive(Clone, Copy, Default)]
struct Violations {
    samples: f64,
    not_definite: f64,
    not_finite: f64,
    not_recovered: f64,
}

pub fn figures(seed: u64) -> Vec<Figure> {
    let batches: Vec<u64> = (0..CASES / BATCH).map(|number| seed.wrapping_mul(1_000_003).wrapping_add(number)).collect();
    let sum = all("batches of hostile meters", &batches, |seed| batch(*seed)).into_iter().fold(Violations::default(), |a, b| Violations {
        samples: a.samples + b.samples,
        not_definite: a.not_definite + b.not_definite,
        not_finite: a.not_finite + b.not_finite,
        not_recovered: a.not_recovered + b.not_recovered,
    });
    let never = |name: &str, value| Figure::new(format!("hostile/{name}"), value, "").target(Target::AtMost(0.0));
    vec![
        Figure::new("hostile/cases", CASES as f64, ""),
        Figure::new("hostile/samples", sum.samples, ""),
        never("covariances not positive definite", sum.not_definite),
        never("estimates not finite", sum.not_finite),
        never("not recovered after ten samples", sum.not_recovered),
    ]
}

fn batch(seed: u64) -> Violations {
    let mut hostile = Hostile::new(seed);
    let mut violations = Violations::default();
    for number in 0..BATCH {
        let noise = if number.is_multiple_of(2) { SensorNoise::PZEM_004T } else { SensorNoise::NOISY };
        if number % 4 < 2 {
            case::<f32>(&mut hostile, noise, &mut violations);
        } else {
            case::<f64>(&mut hostile, noise, &mut violations);
        }
    }
    violations
}

fn case<F: Real>(hostile: &mut Hostile, noise: SensorNoise, violations: &mut Violations) {
    let mut estimator = Estimator::<F>::new(Config::new(noise));
    for _ in 0..hostile.count(SAMPLES_END) {
        let (elapsed, sample) = hostile.sample();
        let ahead = estimator.predict_only(F::of(elapsed));
        violations.not_finite += f64::from(u8::from(ahead.is_some_and(|estimate| !is_finite(&estimate))));
        let estimate = estimator.step(F::of(elapsed), &narrowed(&sample));
        violations.check(&estimator, estimate);
    }
    let current = hostile.ordinary_current();
    let mut last = None;
    for number in 0..RECOVERY {
        last = estimator.step(F::ONE, &narrowed(&ordinary(number, current)));
        violations.check(&estimator, last);
    }
    let is_back = last.is_some_and(|estimate| is_right(&estimate, &ordinary(RECOVERY - 1, current), &noise));
    violations.not_recovered += f64::from(u8::from(!is_back));
}

impl Violations {
    fn check<F: Real>(&mut self, estimator: &Estimator<F>, estimate: Option<Estimate<F>>) {
        self.samples += 1.0;
        self.not_finite += f64::from(u8::from(estimate.is_some_and(|estimate| !is_finite(&estimate))));
        self.not_definite += f64::from(u8::from(estimator.belief().is_some_and(|belief| !is_definite(belief))));
    }
}

/// By a decomposition that is not the filter's own, scaled to ones on the diagonal: the units differ by orders of magnitude.
fn is_definite<F: Real>(belief: &Belief<F>) -> bool {
    let p = |i: usize, j: usize| belief.covariance[(i, j)].to_f64();
    let symmetric = (0..STATES).all(|i| (0..i).all(|j| p(i, j) == p(j, i)));
    let correlation = SMatrix::<f64, STATES, STATES>::from_fn(|i, j| p(i, j) / (p(i, i) * p(j, j)).sqrt());
    symmetric && correlation.cholesky().is_some()
}

fn is_finite<F: Real>(estimate: &Estimate<F>) -> bool {
    let Estimate { voltage, current, active_power, non_active_power, power_factor, frequency, energy, nis, nis_frequency, .. } = *estimate;
    let numbers = [voltage, current, active_power, non_active_power, power_factor, frequency, energy.remainder_wh, nis, nis_frequency];
    let variances = [
        estimate.voltage_variance,
        estimate.current_variance,
        estimate.active_power_variance,
        estimate.frequency_variance,
        estimate.energy_variance,
    ];
    numbers.iter().all(|number| number.is_finite()) && variances.iter().all(|variance| variance.is_finite() && *variance > F::ZERO)
}

fn is_right<F: Real>(estimate: &Estimate<F>, truth: &SensedSample, noise: &SensorNoise) -> bool {
    let truth = [truth.voltage, truth.current, truth.active_power, truth.frequency];
    let estimates = [estimate.voltage, estimate.current, estimate.active_power, estimate.frequency].map(F::to_f64);
    let limits = noise.variances(&truth).into_iter().zip(OFF_MAX).map(|(variance, floor)| floor + 5.0 * variance.sqrt());
    let near = estimates.into_iter().zip(truth).zip(limits).all(|((estimate, truth), limit)| (estimate - truth).abs() <= limit);
    near && !estimate.flags.intersects(BAD)
}

/// A second of an ordinary house; its last digits move, so that no two in a row are equal.
fn ordinary(number: u32, current: f64) -> SensedSample {
    let voltage = if number.is_multiple_of(2) { 230.1 } else { 230.0 };
    let active_power = (voltage * current * 0.9 * 10.0).round() / 10.0;
    SensedSample { voltage, current, active_power, frequency: 50.0, power_factor: 0.9, energy_wh: 5000 }
}

fn narrowed<F: Real>(sample: &SensedSample) -> Sample<F> {
    let Sample { voltage, current, active_power, frequency, power_factor, energy_wh } = for_filter(sample);
    let [voltage, current, active_power, frequency, power_factor] = [voltage, current, active_power, frequency, power_factor].map(F::of);
    Sample { voltage, current, active_power, frequency, power_factor, energy_wh }
}
