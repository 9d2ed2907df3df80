//! Mean and covariance, and what happens to them: prediction and the sequential update in Joseph form.
//!
//! Equations as in Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation* (2001), ch. 5.2 and 7.4.
//! Nothing here knows what the states mean.

use crate::Real;
use crate::real::sqrt;

/// Dimension of the state.
pub const STATES: usize = 6;

/// Covariances below this are set to zero: subnormal numbers double the time of a step, and no state has a unit in which it matters.
const NEGLIGIBLE: f64 = 1e-25;

/// What is known about the state: its mean and covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief<F> {
    /// Mean.
    pub mean: [F; STATES],
    /// Covariance; every operation leaves it exactly symmetric.
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

    /// Covariance of a state that integrates others: `state += gradient · x` for small deviations. The mean is the caller's; the gradient by
    /// the state itself must be 0.
    pub fn integrate(&mut self, state: usize, gradient: &[F; STATES]) {
        let increment = self.along(gradient);
        for i in (0..STATES).filter(|i| *i != state) {
            self.covariance[i][state] += increment[i];
            self.covariance[state][i] = self.covariance[i][state];
        }
        self.covariance[state][state] += F::of(2.0) * increment[state] + dot(&increment, gradient);
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

    /// The Joseph form `P' = A P Aᵀ + r K Kᵀ`, `A = I - K h`, with `A` applied without a difference where it matters.
    ///
    /// After a load step the prior variance is 10^9 times the noise: in `f32` every entry of `1 - K h` is then rounding error, and evaluated
    /// as written the form loses positive definiteness (in 247 of the 4,000 samples of the PZEM vector). But `h A = (r/S) h` exactly, so the
    /// measured combination's own covariance is `P' h = r K`, a product. One state, the pivot, is therefore exchanged for the measured
    /// combination: the others' block is the Schur complement, as in a Cholesky decomposition, and the pivot's row follows from `P' h = r K`.
    fn absorb(&mut self, scalar: &Scalar<F>) -> F {
        let row = &scalar.row;
        let shadow = self.along(row);
        let total = dot(&shadow, row) + scalar.variance;
        let gain: [F; STATES] = core::array::from_fn(|i| shadow[i] / total);
        let pivot = self.pivot(row);
        let p = &mut self.covariance;
        for i in 0..STATES {
            self.mean[i] += gain[i] * scalar.innovation;
            for j in 0..=i {
                p[i][j] -= gain[i] * shadow[j];
                p[j][i] = p[i][j];
            }
        }
        p[pivot][pivot] = F::ZERO;
        for i in (0..STATES).filter(|i| *i != pivot).chain([pivot]) {
            let mut rest = scalar.variance * gain[i];
            for j in (0..STATES).filter(|j| *j != pivot) {
                rest -= row[j] * p[i][j];
            }
            p[i][pivot] = rest / row[pivot];
            p[pivot][i] = p[i][pivot];
        }
        scalar.innovation * scalar.innovation / total
    }

    /// The state that contributes most to the variance of `row · x`.
    fn pivot(&self, row: &[F; STATES]) -> usize {
        let share = |i: usize| row[i] * row[i] * self.covariance[i][i];
        (1..STATES).fold(0, |best, i| if share(i) > share(best) { i } else { best })
    }

    /// Restores what rounding may cost: no negligible covariances, no variance above its ceiling (a congruence, so P stays definite), and
    /// should P not be positive definite by a margin after all, no correlations: `n diag(P)` is never less than P.
    pub fn settle(&mut self, ceiling: &[f64; STATES]) {
        for i in 0..STATES {
            if self.covariance[i][i] > F::of(ceiling[i]) {
                self.scale(i, sqrt(F::of(ceiling[i]) / self.covariance[i][i]));
            }
        }
        for entry in self.covariance.iter_mut().flatten() {
            if entry.magnitude() < F::of(NEGLIGIBLE) {
                *entry = F::ZERO;
            }
        }
        if !self.is_definite() {
            let variance =
                core::array::from_fn(|i| (self.covariance[i][i] * F::of(STATES as f64)).within(F::of(NEGLIGIBLE), F::of(ceiling[i])));
            *self = Self::independent(self.mean, variance);
        }
    }

    /// Whether P is positive definite by a margin of some roundings: every pivot of its decomposition `L D Lᵀ` against its variance.
    pub fn is_definite(&self) -> bool {
        let mut p = self.covariance;
        for k in 0..STATES {
            let pivot = p[k][k];
            let definite = pivot > self.covariance[k][k] * F::MARGIN && pivot.is_finite();
            if !definite {
                return false;
            }
            for i in k + 1..STATES {
                let factor = p[i][k] / pivot;
                for j in k + 1..=i {
                    p[i][j] -= factor * p[j][k];
                }
            }
        }
        true
    }
}
