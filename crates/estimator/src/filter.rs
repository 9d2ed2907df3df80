//! Mean and covariance, and what happens to them: prediction and the sequential update in Joseph form.
//!
//! Equations as in Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation* (2001), ch. 5.2 and 7.4.
//! Nothing here knows what the states mean, but for which of them know of each other (room [`symmetric`](crate::symmetric)).

use crate::Real;
use crate::real::sqrt;
pub use crate::symmetric::{CORE, FOLLOWER, LONER, STATES};
use crate::symmetric::{Shadow, Symmetric, lanes};

/// States that are correlated with others.
const GROUP: usize = CORE + 1;

/// Covariances below this are set to zero: subnormal numbers double the time of a step, and no state has a unit in which it matters.
const NEGLIGIBLE: f64 = 1e-25;

/// What is expected may be so many times as uncertain as what is measured before the update needs care: 10 of the 24 binary digits of single
/// precision are lost without it then.
const CARELESS_MAX: f64 = 1024.0;

/// What is known about the state: its mean and covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief<F> {
    /// Covariance. It comes first, so that a copy of a belief is one of its rows.
    pub covariance: Symmetric<F>,
    /// Mean.
    pub mean: [F; STATES],
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

/// What one scalar measurement teaches, whoever measured.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<F> {
    /// `P h`.
    pub shadow: Shadow<F>,
    /// `1/S`; 0 for a measurement that is left out.
    pub inverse: F,
    /// `ν`.
    pub innovation: F,
}

impl<F: Real> Lesson<F> {
    /// Its share of the normalised innovation squared.
    #[inline(always)]
    pub fn share(&self) -> F {
        self.innovation * self.innovation * self.inverse
    }
}

/// States that a linear combination depends on, a bit each. It is known when this is compiled, and what it leaves out costs nothing. The
/// result is the same: products with 0 add nothing.
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

/// Whether an update with a measurement of this variance needs care, where what is expected has the variance `expected`.
#[inline(always)]
pub fn needs_care<F: Real>(expected: F, measured: F) -> bool {
    expected > F::of(CARELESS_MAX) * measured
}

impl<F: Real> Belief<F> {
    /// Independent states with these means and variances.
    pub fn independent(mean: [F; STATES], variance: [F; STATES]) -> Self {
        Self { mean, covariance: Symmetric::diagonal(variance) }
    }

    /// Multiplies a state's deviation from its mean by `factor`; the mean itself is the caller's.
    #[inline(always)]
    pub fn scale(&mut self, state: usize, factor: F) {
        let factor_of = |i: usize| if i == state { factor } else { F::ONE };
        let p = &mut self.covariance;
        for i in 0..CORE {
            p.core[i] = lanes(|j| p.core[i][j] * factor_of(j));
            if i == state {
                p.core[i] = lanes(|j| p.core[i][j] * factor);
            }
        }
        p.follower = lanes(|j| p.follower[j] * factor_of(j));
        if state == FOLLOWER {
            p.follower = lanes(|j| p.follower[j] * factor);
            p.follower_own = p.follower_own * factor * factor;
        }
        if state == LONER {
            p.loner_own = p.loner_own * factor * factor;
        }
    }

    /// Adds process noise to one state.
    #[inline(always)]
    pub fn add_variance(&mut self, state: usize, variance: F) {
        self.covariance.set(state, state, self.covariance[(state, state)] + variance);
    }

    /// Adds process noise common to two different states.
    #[inline(always)]
    pub fn add_covariance(&mut self, a: usize, b: usize, covariance: F) {
        self.covariance.set(a, b, self.covariance[(a, b)] + covariance);
    }

    /// Covariance of the follower after it has integrated the core: `follower += gradient · x` for small deviations. The mean is the caller's.
    #[inline(always)]
    pub fn integrate<const SUPPORT: Support>(&mut self, gradient: &[F; STATES]) {
        let increment = self.along::<SUPPORT>(gradient);
        let p = &mut self.covariance;
        p.follower = F::plus(p.follower, F::ONE, increment.core);
        p.follower_own += F::of(2.0) * increment.follower + increment.dot::<SUPPORT>(gradient);
    }

    /// `P h`.
    #[inline(always)]
    pub fn along<const SUPPORT: Support>(&self, row: &[F; STATES]) -> Shadow<F> {
        let p = &self.covariance;
        let first = SUPPORT.trailing_zeros() as usize;
        let column = |i: usize| if i < CORE { p.core[i] } else { p.follower };
        let mut core = F::times(column(first), row[first]);
        for i in 0..GROUP {
            if i > first && has(SUPPORT, i) {
                core = F::plus(core, row[i], column(i));
            }
        }
        let follower = Shadow { core: p.follower, follower: p.follower_own }.dot::<SUPPORT>(row);
        Shadow { core, follower }
    }

    /// One sample: its scalar measurements one after the other, all linearised at the mean before the first of them (then this equals the
    /// joint update, without a matrix inverse).
    #[inline(always)]
    pub fn sequence(&mut self) -> Sequence<'_, F> {
        Sequence { before: self.mean, belief: self }
    }

    /// A measurement of the loner. Returns its share of the normalised innovation squared.
    #[inline(always)]
    pub fn absorb_loner(&mut self, innovation: F, variance: F) -> F {
        let own = self.covariance.loner_own;
        let inverse = F::ONE / (own + variance);
        let gain = own * inverse;
        self.mean[LONER] += gain * innovation;
        self.covariance.loner_own = variance * gain;
        innovation * innovation * inverse
    }

    /// A measurement of the others: the Joseph form `P' = A P Aᵀ + r K Kᵀ`, `A = I - K h`, which without rounding is `P - K (P h)ᵀ`. With
    /// rounding that difference loses as many digits as the measurement is surer than what was expected: few, unless something happened, and
    /// then it is put right.
    #[inline(always)]
    fn absorb<const SUPPORT: Support>(&mut self, scalar: &Scalar<F>) -> F {
        let shadow = self.along::<SUPPORT>(&scalar.row);
        let expected = shadow.dot::<SUPPORT>(&scalar.row);
        let inverse = F::ONE / (expected + scalar.variance);
        let lesson = Lesson { shadow, inverse, innovation: scalar.innovation };
        self.learn(&lesson);
        if needs_care(expected, scalar.variance) {
            self.mend::<SUPPORT>(&scalar.row, &shadow.times(scalar.variance * inverse), &shadow, expected);
        }
        lesson.share()
    }

    /// Mean and covariance after a measurement: `x + K ν` and `P - K (P h)ᵀ`.
    #[inline(always)]
    pub fn learn(&mut self, lesson: &Lesson<F>) {
        let gain = lesson.shadow.times(lesson.inverse);
        gain.shift(&mut self.mean, lesson.innovation);
        self.covariance.subtract(&gain, &lesson.shadow);
    }

    /// Puts right what [`Belief::absorb`] has lost to rounding.
    ///
    /// After a load step the prior variance is 10^9 times the noise: in `f32` every entry of the difference is then rounding error, and P no
    /// longer positive definite (in 247 of the 4,000 samples of the PZEM vector). But `h A = (r/S) h` exactly, so what is known of the measured
    /// combination afterwards is a product, `P' h = r K`. The smallest change along the shadow that brings this about, `w = P h/(h P h)`, is
    /// `P + e wᵀ + w eᵀ - (h e) w wᵀ` where `e = r K - P h`. What remains of the rounding in directions that the measurement does not see is small
    /// beside their variances, as in a Cholesky decomposition.
    #[inline(always)]
    fn mend<const SUPPORT: Support>(&mut self, row: &[F; STATES], known: &Shadow<F>, shadow: &Shadow<F>, expected: F) {
        self.covariance.pair();
        let inverse = F::ONE / expected;
        let missing = self.along::<SUPPORT>(row).less(F::ONE, known);
        let twice = F::of(0.5) * missing.dot::<SUPPORT>(row) * inverse;
        let missing = missing.less(twice, shadow);
        self.covariance.subtract(&missing, &shadow.times(inverse));
        self.covariance.subtract(shadow, &missing.times(inverse));
    }

    /// No negligible covariances, and no variance above its ceiling (a congruence, so P stays definite).
    pub fn bound(&mut self, ceiling: &[f64; STATES]) {
        for i in 0..STATES {
            let variance = self.covariance[(i, i)];
            if variance > F::of(ceiling[i]) {
                self.scale(i, sqrt(F::of(ceiling[i]) / variance));
            }
        }
        self.covariance.map(|entry| if entry.magnitude() < F::of(NEGLIGIBLE) { F::ZERO } else { entry });
    }

    /// Should P not be positive definite by a margin, for what rounding has cost, no correlations: `n diag(P)` is never less than P.
    pub fn ensure_definite(&mut self, ceiling: &[f64; STATES]) {
        if !self.is_definite() {
            let variance = |i: usize| (self.covariance[(i, i)] * F::of(STATES as f64)).within(F::of(NEGLIGIBLE), F::of(ceiling[i]));
            *self = Self::independent(self.mean, core::array::from_fn(variance));
        }
    }

    /// Whether P is positive definite by a margin of some roundings: every pivot of its decomposition `L D Lᵀ` against its variance.
    fn is_definite(&self) -> bool {
        let mut rest = [[F::ZERO; GROUP]; GROUP];
        for i in 0..GROUP {
            for j in 0..=i {
                rest[i][j] = self.covariance[(i, j)];
            }
        }
        for k in 0..GROUP {
            let pivot = rest[k][k];
            // False for what is no number, too.
            let definite = pivot > self.covariance[(k, k)] * F::MARGIN;
            if !definite {
                return false;
            }
            let inverse = F::ONE / pivot;
            for i in k + 1..GROUP {
                let factor = rest[i][k] * inverse;
                for j in k + 1..=i {
                    rest[i][j] -= factor * rest[j][k];
                }
            }
        }
        self.covariance.loner_own > F::ZERO
    }
}

/// A sample's scalar measurements, all linearised at the mean before the first of them.
pub struct Sequence<'a, F: Real> {
    belief: &'a mut Belief<F>,
    before: [F; STATES],
}

impl<F: Real> Sequence<'_, F> {
    /// The next one. Its row is 0 outside the support. Returns its share of the normalised innovation squared.
    #[inline(always)]
    pub fn absorb<const SUPPORT: Support>(&mut self, scalar: &Scalar<F>) -> F {
        let mut moved = [F::ZERO; STATES];
        for i in 0..GROUP {
            moved[i] = self.belief.mean[i] - self.before[i];
        }
        let innovation = scalar.innovation - dot::<SUPPORT, F>(&scalar.row, &moved);
        self.belief.absorb::<SUPPORT>(&Scalar { innovation, ..*scalar })
    }
}
