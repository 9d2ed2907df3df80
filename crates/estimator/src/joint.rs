//! The innovations of V, I and P together: their covariance, and what the mean learns from all of them at once.

use crate::Real;
use crate::filter::{Belief, STATES, Scalar, dot};
use crate::load::{BEHIND_LOOP, CHANNELS, CURRENT, I, P, V};

/// Channels whose innovations are correlated: V, I, P.
pub const COUPLED: usize = 3;

/// A symmetric matrix of which only the lower triangle counts.
pub type Square<F> = [[F; COUPLED]; COUPLED];

/// `P Hᵀ` by channel, and `H P Hᵀ + R`.
#[inline(always)]
pub fn innovation_covariance<F: Real>(belief: &Belief<F>, sample: &[Scalar<F>; CHANNELS]) -> ([[F; STATES]; COUPLED], Square<F>) {
    let shadows =
        [belief.along::<BEHIND_LOOP>(&sample[V].row), belief.along::<CURRENT>(&sample[I].row), belief.along::<BEHIND_LOOP>(&sample[P].row)];
    let mut s = shadows.map(|shadow| {
        [
            dot::<BEHIND_LOOP, F>(&shadow, &sample[V].row),
            dot::<CURRENT, F>(&shadow, &sample[I].row),
            dot::<BEHIND_LOOP, F>(&shadow, &sample[P].row),
        ]
    });
    for i in 0..COUPLED {
        s[i][i] += sample[i].variance;
    }
    (shadows, s)
}

/// The mean after an update with `sample` but for channel `without`: for a point to linearise at nothing else is needed, and no frequency,
/// which is measured as it is.
#[inline(always)]
pub fn updated_mean<F: Real>(belief: &Belief<F>, sample: &[Scalar<F>; CHANNELS], without: Option<usize>) -> [F; STATES] {
    let (shadows, mut s) = innovation_covariance(belief, sample);
    let mut weights: [F; COUPLED] = core::array::from_fn(|i| sample[i].innovation);
    if let Some(bad) = without
        && bad < COUPLED
    {
        // An innovation of its own, and none.
        for i in 0..COUPLED {
            (s[bad][i], s[i][bad]) = (F::ZERO, F::ZERO);
        }
        (s[bad][bad], weights[bad]) = (F::ONE, F::ZERO);
    }
    solve(&mut s, &mut weights);
    let mut mean = belief.mean;
    for i in 0..STATES {
        for channel in 0..COUPLED {
            mean[i] += shadows[channel][i] * weights[channel];
        }
    }
    mean
}

/// `S⁻¹ ν` in the place of ν, by the decomposition `S = L D Lᵀ` in the place of S.
#[inline(always)]
fn solve<F: Real>(s: &mut Square<F>, residual: &mut [F; COUPLED]) {
    for k in 0..COUPLED {
        let inverse = F::ONE / s[k][k];
        for i in k + 1..COUPLED {
            let factor = s[i][k] * inverse;
            residual[i] -= factor * residual[k];
            for j in k + 1..=i {
                s[i][j] -= factor * s[j][k];
            }
        }
    }
    for k in (0..COUPLED).rev() {
        for i in k + 1..COUPLED {
            residual[k] -= s[i][k] * residual[i];
        }
        residual[k] = residual[k] / s[k][k];
    }
}
