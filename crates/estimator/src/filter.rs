//! Mean and covariance, and what happens to them: prediction and the sequential update in Joseph form.
//!
//! Equations as in Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation* (2001), ch. 5.2 and 7.4.
//! Nothing here knows what the states mean.

use crate::Real;
use crate::real::sqrt;
use crate::symmetric::Symmetric;

/// Dimension of the state.
pub const STATES: usize = 6;

/// Covariances below this are set to zero: subnormal numbers double the time of a step, and no state has a unit in which it matters.
const NEGLIGIBLE: f64 = 1e-25;

/// What is known about the state: its mean and covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief<F> {
    /// Mean.
    pub mean: [F; STATES],
    /// Covariance.
    pub covariance: Symmetric<F>,
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

/// States that a linear combination depends on, a bit each. It is known when this is compiled, and what it leaves out costs nothing: a
/// measurement of one state of six takes a sixth of the time. The result is the same: products with 0 add nothing.
pub type Support = u8;

/// Every state.
pub const ALL: Support = (1 << STATES) - 1;

#[inline(always)]
const fn has(support: Support, state: usize) -> bool {
    support >> state & 1 == 1
}

/// Inner product over a support that is not empty.
#[inline(always)]
pub fn dot<const SUPPORT: Support, F: Real>(a: &[F; STATES], b: &[F; STATES]) -> F {
    let first = SUPPORT.trailing_zeros() as usize;
    let mut sum = a[first] * b[first];
    for i in 0..STATES {
        if i > first && has(SUPPORT, i) {
            sum += a[i] * b[i];
        }
    }
    sum
}

impl<F: Real> Belief<F> {
    /// Independent states with these means and variances.
    pub fn independent(mean: [F; STATES], variance: [F; STATES]) -> Self {
        Self { mean, covariance: Symmetric::diagonal(variance) }
    }

    /// Multiplies a state's deviation from its mean by `factor`; the mean itself is the caller's.
    #[inline(always)]
    pub fn scale(&mut self, state: usize, factor: F) {
        for i in 0..STATES {
            self.covariance[(i, state)] = self.covariance[(i, state)] * factor;
        }
        self.covariance[(state, state)] = self.covariance[(state, state)] * factor;
    }

    /// Adds process noise to one state.
    #[inline(always)]
    pub fn add_variance(&mut self, state: usize, variance: F) {
        self.covariance[(state, state)] += variance;
    }

    /// Adds process noise common to two different states.
    #[inline(always)]
    pub fn add_covariance(&mut self, a: usize, b: usize, covariance: F) {
        self.covariance[(a, b)] += covariance;
    }

    /// Covariance of a state that integrates others: `state += gradient · x` for small deviations. The mean is the caller's; the gradient by
    /// the state itself must be 0, and no state beyond the reach correlated with those within the support.
    #[inline(always)]
    pub fn integrate<const SUPPORT: Support, const REACH: Support>(&mut self, state: usize, gradient: &[F; STATES]) {
        let increment = self.along::<SUPPORT>(gradient);
        for i in 0..STATES {
            if has(REACH, i) && i != state {
                self.covariance[(i, state)] += increment[i];
            }
        }
        self.covariance[(state, state)] += F::of(2.0) * increment[state] + dot::<SUPPORT, F>(&increment, gradient);
    }

    /// `P h`.
    #[inline(always)]
    pub fn along<const SUPPORT: Support>(&self, row: &[F; STATES]) -> [F; STATES] {
        let mut along = [F::ZERO; STATES];
        for i in 0..STATES {
            along[i] = dot::<SUPPORT, F>(&self.column(i), row);
        }
        along
    }

    /// Variance of the linear combination `row · x`.
    #[inline(always)]
    pub fn variance_along<const SUPPORT: Support>(&self, row: &[F; STATES]) -> F {
        dot::<SUPPORT, F>(&self.along::<SUPPORT>(row), row)
    }

    /// A column of P.
    #[inline(always)]
    fn column(&self, state: usize) -> [F; STATES] {
        let mut column = [F::ZERO; STATES];
        for i in 0..STATES {
            column[i] = self.covariance[(i, state)];
        }
        column
    }

    /// One sample: its scalar measurements one after the other, all linearised at the mean before the first of them (then this equals the
    /// joint update, without a matrix inverse). `None` leaves a measurement out. Returns each one's share of the normalised innovation
    /// squared.
    pub fn update<const N: usize>(&mut self, measurements: &[Option<Scalar<F>>; N]) -> [F; N] {
        let mut sequence = self.sequence();
        measurements.map(|measurement| measurement.map_or(F::ZERO, |scalar| sequence.absorb::<ALL, ALL>(&scalar)))
    }

    /// The same, one by one.
    #[inline(always)]
    pub fn sequence(&mut self) -> Sequence<'_, F> {
        Sequence { before: self.mean, belief: self }
    }

    /// The Joseph form `P' = A P Aᵀ + r K Kᵀ`, `A = I - K h`, with `A` applied without a difference where it matters.
    ///
    /// After a load step the prior variance is 10^9 times the noise: in `f32` every entry of `1 - K h` is then rounding error, and evaluated
    /// as written the form loses positive definiteness (in 247 of the 4,000 samples of the PZEM vector). But `h A = (r/S) h` exactly, so the
    /// measured combination's own covariance is `P' h = r K`, a product. One state, the pivot, is therefore exchanged for the measured
    /// combination: the others' block is the Schur complement, as in a Cholesky decomposition, and the pivot's row follows from `P' h = r K`.
    #[inline(always)]
    pub fn absorb<const SUPPORT: Support, const REACH: Support>(&mut self, scalar: &Scalar<F>) -> F {
        let row = &scalar.row;
        let shadow = self.along::<SUPPORT>(row);
        let total = dot::<SUPPORT, F>(&shadow, row) + scalar.variance;
        let inverse = F::ONE / total;
        let mut gain = [F::ZERO; STATES];
        let pivot = self.pivot::<SUPPORT>(row);
        for i in 0..STATES {
            if has(REACH, i) {
                gain[i] = shadow[i] * inverse;
                self.mean[i] += gain[i] * scalar.innovation;
            }
        }
        // A pivot that is known when this is compiled keeps P in registers. It is always within the support.
        match pivot {
            0 if has(SUPPORT, 0) => self.condense::<SUPPORT, REACH, 0>(scalar, &shadow, &gain),
            1 if has(SUPPORT, 1) => self.condense::<SUPPORT, REACH, 1>(scalar, &shadow, &gain),
            2 if has(SUPPORT, 2) => self.condense::<SUPPORT, REACH, 2>(scalar, &shadow, &gain),
            3 if has(SUPPORT, 3) => self.condense::<SUPPORT, REACH, 3>(scalar, &shadow, &gain),
            4 if has(SUPPORT, 4) => self.condense::<SUPPORT, REACH, 4>(scalar, &shadow, &gain),
            _ => self.condense::<SUPPORT, REACH, 5>(scalar, &shadow, &gain),
        }
        scalar.innovation * scalar.innovation * inverse
    }

    /// The state that contributes most to the variance of `row · x`.
    #[inline(always)]
    fn pivot<const SUPPORT: Support>(&self, row: &[F; STATES]) -> usize {
        let share = |i: usize| row[i] * row[i] * self.covariance[(i, i)];
        let mut best = SUPPORT.trailing_zeros() as usize;
        for i in 0..STATES {
            if has(SUPPORT, i) && share(i) > share(best) {
                best = i;
            }
        }
        best
    }

    /// The covariance's part of [`Belief::absorb`].
    #[inline(always)]
    fn condense<const SUPPORT: Support, const REACH: Support, const PIVOT: usize>(
        &mut self,
        scalar: &Scalar<F>,
        shadow: &[F; STATES],
        gain: &[F; STATES],
    ) {
        let p = &mut self.covariance;
        let row = &scalar.row;
        for i in 0..STATES {
            for j in 0..STATES {
                if j <= i && has(REACH, i) && has(REACH, j) && i != PIVOT && j != PIVOT {
                    p[(i, j)] -= gain[i] * shadow[j];
                }
            }
        }
        let inverse = F::ONE / row[PIVOT];
        let mut measured = [F::ZERO; STATES];
        for i in 0..STATES {
            measured[i] = scalar.variance * gain[i];
            for j in 0..STATES {
                if i != PIVOT && j != PIVOT && has(SUPPORT, j) {
                    measured[i] -= row[j] * p[(i, j)];
                }
            }
        }
        for i in 0..STATES {
            if has(REACH, i) && i != PIVOT {
                let entry = measured[i] * inverse;
                p[(i, PIVOT)] = entry;
                if has(SUPPORT, i) {
                    measured[PIVOT] -= row[i] * entry;
                }
            }
        }
        p[(PIVOT, PIVOT)] = measured[PIVOT] * inverse;
    }

    /// No negligible covariances, and no variance above its ceiling (a congruence, so P stays definite).
    #[inline(always)]
    pub fn bound(&mut self, ceiling: &[f64; STATES]) {
        for i in 0..STATES {
            if self.covariance[(i, i)] > F::of(ceiling[i]) {
                self.lower(i, F::of(ceiling[i]));
            }
        }
        self.covariance.map(|entry| if entry.magnitude() < F::of(NEGLIGIBLE) { F::ZERO } else { entry });
    }

    /// Should P not be positive definite by a margin, for what rounding has cost, no correlations: `n diag(P)` is never less than P. States
    /// beyond `GROUP` are correlated with nothing.
    #[inline(always)]
    pub fn ensure_definite<const GROUP: Support>(&mut self, ceiling: &[f64; STATES]) {
        if !self.is_definite::<GROUP>() {
            self.forget_correlations(ceiling);
        }
    }

    #[cold]
    fn forget_correlations(&mut self, ceiling: &[f64; STATES]) {
        let variance = |i: usize| (self.covariance[(i, i)] * F::of(STATES as f64)).within(F::of(NEGLIGIBLE), F::of(ceiling[i]));
        *self = Self::independent(self.mean, core::array::from_fn(variance));
    }

    #[cold]
    fn lower(&mut self, state: usize, variance: F) {
        self.scale(state, sqrt(variance / self.covariance[(state, state)]));
    }

    /// Whether P is positive definite by a margin of some roundings: every pivot of its decomposition `L D Lᵀ` against its variance.
    #[inline(always)]
    fn is_definite<const GROUP: Support>(&self) -> bool {
        let mut rest = self.covariance;
        self.eliminate::<GROUP, 0>(&mut rest)
            && self.eliminate::<GROUP, 1>(&mut rest)
            && self.eliminate::<GROUP, 2>(&mut rest)
            && self.eliminate::<GROUP, 3>(&mut rest)
            && self.eliminate::<GROUP, 4>(&mut rest)
            && self.eliminate::<GROUP, 5>(&mut rest)
    }

    /// One column of it: whether its pivot is definite, and what is left without it.
    #[inline(always)]
    fn eliminate<const GROUP: Support, const PIVOT: usize>(&self, rest: &mut Symmetric<F>) -> bool {
        let pivot = rest[(PIVOT, PIVOT)];
        let inverse = F::ONE / pivot;
        for i in 0..STATES {
            for j in 0..STATES {
                if j <= i && j > PIVOT && has(GROUP, i) && has(GROUP, j) && has(GROUP, PIVOT) {
                    rest[(i, j)] = rest[(i, j)] - rest[(i, PIVOT)] * inverse * rest[(j, PIVOT)];
                }
            }
        }
        // False for what is no number, too.
        pivot > self.covariance[(PIVOT, PIVOT)] * F::MARGIN
    }
}

/// A sample's scalar measurements, all linearised at the mean before the first of them.
pub struct Sequence<'a, F: Real> {
    belief: &'a mut Belief<F>,
    before: [F; STATES],
}

impl<F: Real> Sequence<'_, F> {
    /// The first one, before which nothing has moved.
    #[inline(always)]
    pub fn absorb_first<const SUPPORT: Support, const REACH: Support>(&mut self, scalar: &Scalar<F>) -> F {
        self.belief.absorb::<SUPPORT, REACH>(scalar)
    }

    /// The next one. Its row is 0 outside the support, and no state beyond its reach is correlated with those within the support. Returns its share of the normalised innovation squared.
    #[inline(always)]
    pub fn absorb<const SUPPORT: Support, const REACH: Support>(&mut self, scalar: &Scalar<F>) -> F {
        let mut moved = [F::ZERO; STATES];
        for i in 0..STATES {
            moved[i] = self.belief.mean[i] - self.before[i];
        }
        let innovation = scalar.innovation - dot::<SUPPORT, F>(&scalar.row, &moved);
        self.belief.absorb::<SUPPORT, REACH>(&Scalar { innovation, ..*scalar })
    }
}
