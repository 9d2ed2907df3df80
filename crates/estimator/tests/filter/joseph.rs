//! The sequential update against the joint one by a dense linear-algebra library.

use estimator::filter::{ALL, Belief, STATES, Scalar};
use estimator::load;
use estimator::symmetric::Symmetric;
use nalgebra::{SMatrix, SVector};
use proptest::prelude::*;

const MEASUREMENTS: usize = 4;
type Square = SMatrix<f64, STATES, STATES>;

/// `x + K ν` and `(I - K H) P (I - K H)ᵀ + K R Kᵀ` with `K = P Hᵀ (H P Hᵀ + R)⁻¹`; and `νᵀ S⁻¹ ν`.
fn joint(belief: &Belief<f64>, sample: &[Scalar<f64>; MEASUREMENTS]) -> (SVector<f64, STATES>, Square, f64) {
    let p = square(belief);
    let h = SMatrix::<f64, MEASUREMENTS, STATES>::from_fn(|i, j| sample[i].row[j]);
    let r = SMatrix::<f64, MEASUREMENTS, MEASUREMENTS>::from_diagonal(&SVector::from(sample.map(|scalar| scalar.variance)));
    let innovation = SVector::from(sample.map(|scalar| scalar.innovation));
    let s = (h * p * h.transpose() + r).cholesky().expect("S is positive definite");
    let k = s.solve(&(h * p)).transpose();
    let a = Square::identity() - k * h;
    let mean = SVector::from(belief.mean) + k * innovation;
    (mean, a * p * a.transpose() + k * r * k.transpose(), innovation.dot(&s.solve(&innovation)))
}

fn square(belief: &Belief<f64>) -> Square {
    Square::from_fn(|i, j| belief.covariance[(i, j)])
}

fn vector() -> impl Strategy<Value = [f64; STATES]> {
    prop::array::uniform6(-10.0..10.0)
}

/// `A Aᵀ + 0.01 I` for any A: every positive definite matrix worth a name.
fn belief() -> impl Strategy<Value = Belief<f64>> {
    (vector(), prop::array::uniform6(vector())).prop_map(|(mean, rows)| {
        let a = Square::from_fn(|i, j| rows[i][j]);
        let p = a * a.transpose() + Square::identity() * 0.01;
        Belief { mean, covariance: Symmetric::from_fn(|i, j| p[(i, j)]) }
    })
}

fn scalar() -> impl Strategy<Value = Scalar<f64>> {
    (vector(), -100.0..100.0, 1e-3..10.0).prop_map(|(row, innovation, variance)| Scalar { row, innovation, variance })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sequential_equals_joint(belief in belief(), sample in prop::array::uniform4(scalar())) {
        let (mean, covariance, nis) = joint(&belief, &sample);
        let mut updated = belief;
        let shares = updated.update(&sample.map(Some));
        let ours = square(&updated);
        let scale = square(&belief).amax();
        let off_mean = (SVector::from(updated.mean) - mean).amax() / mean.amax().max(1.0);
        let off_covariance = (ours - covariance).amax() / scale;
        let off_nis = (shares.iter().sum::<f64>() - nis).abs() / nis.max(1.0);
        prop_assert!(off_mean <= 1e-8 && off_covariance <= 1e-9 && off_nis <= 1e-8, "mean {off_mean:e}, covariance {off_covariance:e}, NIS {off_nis:e}");
    }

    #[test]
    fn a_measurement_left_out_teaches_nothing(belief in belief(), sample in prop::array::uniform4(scalar()), out in 0..MEASUREMENTS) {
        let mut without = belief;
        let mut measurements = sample.map(Some);
        measurements[out] = None;
        let shares = without.update(&measurements);
        prop_assert_eq!(shares[out], 0.0);
        let mut ignored = sample;
        ignored[out].variance = 1e12;
        let (mean, covariance, _) = joint(&belief, &ignored);
        prop_assert!((SVector::from(without.mean) - mean).amax() <= 1e-6 * mean.amax().max(1.0));
        prop_assert!((square(&without) - covariance).amax() <= 1e-6 * square(&belief).amax());
    }

    #[test]
    fn integration_equals_the_dense_transition(belief in belief(), mut gradient in vector(), state in 0..STATES) {
        gradient[state] = 0.0;
        let mut transition = Square::identity();
        for i in 0..STATES {
            transition[(state, i)] += gradient[i];
        }
        let dense = transition * square(&belief) * transition.transpose();
        let mut ours = belief;
        ours.integrate::<ALL, ALL>(state, &gradient);
        prop_assert!((square(&ours) - dense).amax() <= 1e-12 * dense.amax());
    }

    #[test]
    fn what_the_model_leaves_out_changes_no_bit(mut belief in belief(), z in prop::array::uniform4(-10.0..10.0), noise in prop::array::uniform4(1e-3..10.0)) {
        // The model couples the frequency with nothing.
        let alone = Belief::independent(belief.mean, [1.0; STATES]).covariance;
        for i in 0..STATES {
            belief.covariance[(i, load::FREQUENCY)] = alone[(i, load::FREQUENCY)];
        }
        let sample = load::linearise(&belief, &z, &noise);
        let mut dense = belief;
        let theirs = dense.update(&sample.map(Some));
        let ours = load::update(&mut belief, &sample, None);
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(belief, dense);
    }
}
