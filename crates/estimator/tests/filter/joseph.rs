//! The sequential update against the joint one by a dense linear-algebra library.

use estimator::filter::{ALL, Belief, FOLLOWER, LONER, STATES, Scalar};
use estimator::joint::Innovations;
use estimator::load::{self, CHANNELS, HZ};
use estimator::symmetric::Symmetric;
use nalgebra::{SMatrix, SVector};
use proptest::prelude::*;

type Square = SMatrix<f64, STATES, STATES>;

/// `x + K ν` and `(I - K H) P (I - K H)ᵀ + K R Kᵀ` with `K = P Hᵀ (H P Hᵀ + R)⁻¹`; and `νᵀ S⁻¹ ν`.
fn joint<const M: usize>(belief: &Belief<f64>, sample: &[Scalar<f64>; M]) -> (SVector<f64, STATES>, Square, f64) {
    let p = square(belief);
    let h = SMatrix::<f64, M, STATES>::from_fn(|i, j| sample[i].row[j]);
    let r = SMatrix::<f64, M, M>::from_diagonal(&SVector::from(sample.map(|scalar| scalar.variance)));
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

/// `A Aᵀ + 0.01 I` for any A, the loner apart: every positive definite matrix of this shape worth a name.
fn belief() -> impl Strategy<Value = Belief<f64>> {
    (vector(), prop::array::uniform6(vector())).prop_map(|(mean, rows)| {
        let a = Square::from_fn(|i, j| if (i == LONER) == (j == LONER) { rows[i][j] } else { 0.0 });
        let p = a * a.transpose() + Square::identity() * 0.01;
        let mut covariance = Symmetric::diagonal([0.0; STATES]);
        for i in 0..STATES {
            for j in 0..=i {
                covariance.set(i, j, p[(i, j)]);
            }
        }
        Belief { mean, covariance }
    })
}

/// A measurement of anything but the loner.
fn scalar() -> impl Strategy<Value = Scalar<f64>> {
    (vector(), -100.0..100.0, 1e-3..10.0).prop_map(|(mut row, innovation, variance)| {
        row[LONER] = 0.0;
        Scalar { row, innovation, variance }
    })
}

/// Within the accuracy that sequential and joint updates share; the rows of both of a pair too.
fn assert_joint<const M: usize>(
    belief: &Belief<f64>,
    updated: &Belief<f64>,
    sample: &[Scalar<f64>; M],
    shares: f64,
) -> Result<(), TestCaseError> {
    let (mean, covariance, nis) = joint(belief, sample);
    let scale = square(belief).amax();
    let off_mean = (SVector::from(updated.mean) - mean).amax() / mean.amax().max(1.0);
    let off_covariance = (square(updated) - covariance).amax() / scale;
    let opposite =
        Square::from_fn(|i, j| updated.covariance.core.get(i).and_then(|row| row.get(j)).copied().unwrap_or(updated.covariance[(i, j)]));
    let off_opposite = (opposite - covariance).amax() / scale;
    let off_nis = (shares - nis).abs() / nis.max(1.0);
    prop_assert!(
        off_mean <= 1e-8 && off_covariance <= 1e-9 && off_opposite <= 1e-9 && off_nis <= 1e-8,
        "mean {off_mean:e}, covariance {off_covariance:e} and {off_opposite:e}, NIS {off_nis:e}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sequential_equals_joint(belief in belief(), sample in prop::array::uniform4(scalar())) {
        let mut updated = belief;
        let mut sequence = updated.sequence();
        let shares: f64 = sample.iter().map(|scalar| sequence.absorb::<ALL>(scalar)).sum();
        assert_joint(&belief, &updated, &sample, shares)?;
    }

    #[test]
    fn a_sample_of_a_meter_is_a_joint_update(belief in belief(), z in prop::array::uniform4(-10.0..10.0), noise in prop::array::uniform4(1e-3..10.0)) {
        let sample = load::linearise(&belief, &z, &noise);
        let (updated, shares) = load::updated(&belief, &sample, None);
        assert_joint(&belief, &updated, &sample, shares.iter().sum())?;
    }

    #[test]
    fn the_mean_alone_is_that_of_the_update(
        belief in belief(),
        z in prop::array::uniform4(-10.0..10.0),
        noise in prop::array::uniform4(1e-3..10.0),
        without in prop::option::of(0..CHANNELS),
    ) {
        let sample = load::linearise(&belief, &z, &noise);
        let (updated, _) = load::updated(&belief, &sample, without);
        let mean = Innovations::of(&belief, &sample).learnt_mean(belief.mean, &sample, without);
        prop_assert_eq!(mean[LONER], belief.mean[LONER]);
        let off = (0..LONER).map(|i| (updated.mean[i] - mean[i]).abs()).fold(0.0, f64::max);
        prop_assert!(off <= 1e-7 * SVector::from(updated.mean).amax().max(1.0), "{off:e}");
    }

    #[test]
    fn a_measurement_left_out_teaches_nothing(belief in belief(), z in prop::array::uniform4(-10.0..10.0), noise in prop::array::uniform4(1e-3..10.0), out in 0..CHANNELS) {
        let sample = load::linearise(&belief, &z, &noise);
        let (without, shares) = load::updated(&belief, &sample, Some(out));
        prop_assert_eq!(shares[out], 0.0);
        let others: [Scalar<f64>; CHANNELS - 1] = std::array::from_fn(|i| sample[if i < out { i } else { i + 1 }]);
        assert_joint(&belief, &without, &others, shares.iter().sum())?;
        if out == HZ {
            prop_assert_eq!(without.mean[LONER], belief.mean[LONER]);
        }
    }

    #[test]
    fn integration_equals_the_dense_transition(belief in belief(), mut gradient in vector()) {
        (gradient[FOLLOWER], gradient[LONER]) = (0.0, 0.0);
        let mut transition = Square::identity();
        for i in 0..STATES {
            transition[(FOLLOWER, i)] += gradient[i];
        }
        let dense = transition * square(&belief) * transition.transpose();
        let mut ours = belief;
        ours.integrate::<ALL>(&gradient);
        prop_assert!((square(&ours) - dense).amax() <= 1e-12 * dense.amax());
    }

    #[test]
    fn scaling_is_a_congruence(belief in belief(), state in 0..STATES, factor in 0.0..2.0) {
        let mut transition = Square::identity();
        transition[(state, state)] = factor;
        let dense = transition * square(&belief) * transition.transpose();
        let mut ours = belief;
        ours.scale(state, factor);
        prop_assert!((square(&ours) - dense).amax() <= 1e-14 * dense.amax());
        prop_assert!((0..4).all(|i| (0..4).all(|j| (ours.covariance.core[i][j] - dense[(i, j)]).abs() <= 1e-14 * dense.amax())));
    }
}
