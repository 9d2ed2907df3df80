//! Mean and covariance, and what happens to them: prediction and the sequential update in Joseph form.
//!
//! Equations as in Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation* (2001), ch. 5.2 and 7.4.
//! Nothing here knows what the states mean.

use crate::Real;

/// Dimension of the state.
pub const STATES: usize = 6;

/// Covariances below this are set to zero: subnormal numbers double the time of a step, and no state has a unit in which it matters.
const NEGLIGIBLE: f64 = 1e-25;

/// What is known about the state: its mean and covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief<F> {
    /// Mean.
    pub mean: [F; STATES],
    /// Covariance; symmetric after [`Belief::settle`].
    pub covariance: [[F; STATES]; STATES],
}

/// One scalar measurement, linearised at some point.
#[derive(Clone, Copy, Debug)]
pub struct Scalar<F> {
    /// Derivative of the measurement by the state.
    pub row: [F; STATES],
    /// Measured less expected value, at the mean before the whole sample.
    pub innovation: F,
    /// Variance of the measurement noise; positive.
    pub variance: F,
}

/// Inner product.
pub fn dot<F: Real>(a: &[F; STATES], b: &[F; STATES]) -> F {
    let mut sum = a[0] * b[0];
    for i in 1..STATES {
        sum += a[i] * b[i];
    }
    sum
}

impl<F: Real> Belief<F> {
    /// Independent states with these means and variances.
    pub fn independent(mean: [F; STATES], variance: [F; STATES]) -> Self {
        let mut covariance = [[F::ZERO; STATES]; STATES];
        for i in 0..STATES {
            covariance[i][i] = variance[i];
        }
        Self { mean, covariance }
    }

    /// Multiplies a state's deviation from its mean by `factor`; the mean itself is the caller's.
    pub fn scale(&mut self, state: usize, factor: F) {
        for i in 0..STATES {
            self.covariance[state][i] = self.covariance[state][i] * factor;
        }
        for i in 0..STATES {
            self.covariance[i][state] = self.covariance[i][state] * factor;
        }
    }

    /// Adds process noise to one state.
    pub fn add_variance(&mut self, state: usize, variance: F) {
        self.covariance[state][state] += variance;
    }

    /// Adds process noise common to two states.
    pub fn add_covariance(&mut self, a: usize, b: usize, covariance: F) {
        self.covariance[a][b] += covariance;
        self.covariance[b][a] += covariance;
    }

    /// Covariance of a state that integrates others: `state += gradient · x` for small deviations. The mean is the caller's.
    pub fn integrate(&mut self, state: usize, gradient: &[F; STATES]) {
        for i in 0..STATES {
            let increment = dot(&self.covariance[i], gradient);
            self.covariance[i][state] += increment;
        }
        let mut row = self.covariance[state];
        for k in 0..STATES {
            for i in 0..STATES {
                row[i] += gradient[k] * self.covariance[k][i];
            }
        }
        self.covariance[state] = row;
    }

    /// `P h`.
    pub fn along(&self, row: &[F; STATES]) -> [F; STATES] {
        core::array::from_fn(|i| dot(&self.covariance[i], row))
    }

    /// Variance of the linear combination `row · x`.
    pub fn variance_along(&self, row: &[F; STATES]) -> F {
        dot(&self.along(row), row)
    }

    /// One sample: its scalar measurements one after the other, all linearised at the mean before the first of them (then this equals the
    /// joint update, without a matrix inverse). `None` leaves a measurement out. Returns each one's share of the normalised innovation
    /// squared.
    pub fn update<const N: usize>(&mut self, measurements: &[Option<Scalar<F>>; N]) -> [F; N] {
        let before = self.mean;
        core::array::from_fn(|i| {
            let Some(scalar) = &measurements[i] else { return F::ZERO };
            let moved = core::array::from_fn(|j| self.mean[j] - before[j]);
            self.absorb(&Scalar { innovation: scalar.innovation - dot(&scalar.row, &moved), ..*scalar })
        })
    }

    /// `P' = (I - K h) P (I - K h)ᵀ + K r Kᵀ`, as two corrections of rank one, the second computed from the result of the first: this keeps
    /// P positive definite in `f32` also where the prior variance is 10^9 times the noise (after a load step), where `(I - K h) P` does not.
    fn absorb(&mut self, scalar: &Scalar<F>) -> F {
        let shadow = self.along(&scalar.row);
        let total = dot(&shadow, &scalar.row) + scalar.variance;
        let gain: [F; STATES] = core::array::from_fn(|i| shadow[i] / total);
        for i in 0..STATES {
            self.mean[i] += gain[i] * scalar.innovation;
            for j in 0..STATES {
                self.covariance[i][j] -= gain[i] * shadow[j];
            }
        }
        let rest = self.along(&scalar.row);
        for i in 0..STATES {
            let correction = rest[i] - scalar.variance * gain[i];
            for j in 0..STATES {
                self.covariance[i][j] -= correction * gain[j];
            }
        }
        scalar.innovation * scalar.innovation / total
    }

    /// Symmetric again, without negligible covariances, no variance above its ceiling. All three keep P positive definite: the last is a
    /// congruence.
    pub fn settle(&mut self, ceiling: &[f64; STATES]) {
        let half = F::of(0.5);
        for i in 0..STATES {
            for j in 0..i {
                let mean = (self.covariance[i][j] + self.covariance[j][i]) * half;
                let kept = if mean.magnitude() < F::of(NEGLIGIBLE) { F::ZERO } else { mean };
                self.covariance[i][j] = kept;
                self.covariance[j][i] = kept;
            }
        }
        for i in 0..STATES {
            if self.covariance[i][i] > F::of(ceiling[i]) {
                self.scale(i, crate::real::sqrt(F::of(ceiling[i]) / self.covariance[i][i]));
            }
        }
    }

    /// Every number finite and every variance positive: the cheap half of "P is positive definite".
    pub fn is_sound(&self) -> bool {
        (0..STATES).all(|i| self.mean[i].is_finite() && self.covariance[i][i] > F::ZERO)
            && self.covariance.iter().flatten().all(|entry| entry.is_finite())
    }
}
