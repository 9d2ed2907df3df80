//! The innovations of V, I and P together: their covariance, and what a belief learns from all of them.
//!
//! Measurements that are taken one after the other make each other's gains, and a processor waits for each of them to read the covariance that
//! the one before has left. But all that a measurement `i` needs of it is its shadow `P hᵢ` and what is expected of it, `hᵢ P hⱼ`, and what
//! measurement `k` does to those is known without the covariance: with `c = hᵢ P hₖ / Sₖ`
//!
//! ```text
//! P' hᵢ = P hᵢ - c P hₖ      hᵢ P' hⱼ = hᵢ P hⱼ - c hₖ P hⱼ      νᵢ' = νᵢ - c νₖ
//! ```
//!
//! which is the decomposition `S = L D Lᵀ`. So the sequence runs over three numbers and vectors, and the covariance follows at the end.

use crate::Real;
use crate::filter::{Belief, Lesson, STATES, Scalar, needs_care};
use crate::load::{BEHIND_LOOP, CHANNELS, CURRENT, HZ, I, P, V};
use crate::symmetric::Shadow;

/// Channels whose innovations are correlated: V, I, P.
pub const COUPLED: usize = 3;

/// A symmetric matrix of which only the lower triangle counts.
pub type Square<F> = [[F; COUPLED]; COUPLED];

/// What a belief says of the innovations of a sample, before it knows them.
#[derive(Clone, Copy, Debug)]
pub struct Innovations<F> {
    /// `P hᵢ`, by channel.
    shadows: [Shadow<F>; COUPLED],
    /// `H P Hᵀ + R`.
    covariance: Square<F>,
    /// Whether a measurement is so much surer than what was expected that rounding needs care.
    pub need_care: bool,
}

impl<F: Real> Innovations<F> {
    /// Of a sample, linearised wherever.
    #[inline(always)]
    pub fn of(belief: &Belief<F>, sample: &[Scalar<F>; CHANNELS]) -> Self {
        let [voltage, current, power] = [&sample[V].row, &sample[I].row, &sample[P].row];
        let shadows = [belief.along::<BEHIND_LOOP>(voltage), belief.along::<CURRENT>(current), belief.along::<BEHIND_LOOP>(power)];
        let of_voltage = |shadow: &Shadow<F>| shadow.dot::<BEHIND_LOOP>(voltage);
        let of_current = |shadow: &Shadow<F>| shadow.dot::<CURRENT>(current);
        let of_power = shadows[P].dot::<BEHIND_LOOP>(power);
        let expected = [of_voltage(&shadows[V]), of_current(&shadows[I]), of_power];
        let mut need_care = false;
        for i in 0..COUPLED {
            need_care |= needs_care(expected[i], sample[i].variance);
        }
        let variance = |i: usize| expected[i] + sample[i].variance;
        let covariance = [
            [variance(V), F::ZERO, F::ZERO],
            [of_voltage(&shadows[I]), variance(I), F::ZERO],
            [of_voltage(&shadows[P]), of_current(&shadows[P]), variance(P)],
        ];
        Self { shadows, covariance, need_care }
    }

    /// `H P Hᵀ + R`.
    pub fn covariance(&self) -> &Square<F> {
        &self.covariance
    }

    /// Variance of a channel's innovation.
    #[inline(always)]
    pub fn variance(&self, channel: usize) -> F {
        self.covariance[channel][channel]
    }

    /// Has a pupil taught by each of V, I and P but channel `without`, one after the other.
    #[inline(always)]
    fn teach(&self, sample: &[Scalar<F>; CHANNELS], without: Option<usize>, mut learn: impl FnMut(usize, &Lesson<F>)) {
        // The current first: its expectation is known before that of the others.
        let order = [I, V, P];
        let [of_voltage, of_current, of_power] = self.covariance;
        let mut s = [[of_current[I], F::ZERO, F::ZERO], [of_current[V], of_voltage[V], F::ZERO], [of_power[I], of_power[V], of_power[P]]];
        let mut shadows = [self.shadows[I], self.shadows[V], self.shadows[P]];
        let mut innovation = [sample[I].innovation, sample[V].innovation, sample[P].innovation];
        for k in 0..COUPLED {
            let inverse = if without == Some(order[k]) { F::ZERO } else { F::ONE / s[k][k] };
            learn(order[k], &Lesson { shadow: shadows[k], inverse, innovation: innovation[k] });
            for i in k + 1..COUPLED {
                let factor = s[i][k] * inverse;
                innovation[i] -= factor * innovation[k];
                shadows[i] = shadows[i].less(factor, &shadows[k]);
                for j in k + 1..=i {
                    s[i][j] -= factor * s[j][k];
                }
            }
        }
    }

    /// The belief after all channels but `without`, and each channel's share of the normalised innovation squared.
    #[inline(always)]
    pub fn learnt(&self, mut belief: Belief<F>, sample: &[Scalar<F>; CHANNELS], without: Option<usize>) -> (Belief<F>, [F; CHANNELS]) {
        let mut nis = [F::ZERO; CHANNELS];
        self.teach(sample, without, |channel, lesson| {
            belief.learn(lesson);
            nis[channel] = lesson.share();
        });
        if without != Some(HZ) {
            nis[HZ] = belief.absorb_loner(sample[HZ].innovation, sample[HZ].variance);
        }
        (belief, nis)
    }

    /// The mean after all channels but `without`, and but for the frequency, which is measured as it is.
    #[inline(always)]
    pub fn learnt_mean(&self, mut mean: [F; STATES], sample: &[Scalar<F>; CHANNELS], without: Option<usize>) -> [F; STATES] {
        self.teach(sample, without, |_, lesson| lesson.shadow.shift(&mut mean, lesson.innovation * lesson.inverse));
        mean
    }
}
