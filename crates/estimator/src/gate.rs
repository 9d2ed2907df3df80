//! Which explanation a surprising sample gets.
//!
//! A sample whose normalised innovation squared exceeds what noise explains once in a thousand is put to a test of hypotheses: a load was
//! switched, the supply shifted, both, one channel is bad data, or nothing of it makes sense. The most probable one a posteriori wins: the smallest
//! `νᵀ S⁻¹ ν + ln|S| - 2 ln prior`.

use crate::Real;
use crate::filter::{Belief, STATES, Scalar, Support, dot};
use crate::joint::{COUPLED, Square, innovation_covariance};
use crate::load::{self, ACTIVE, CHANNELS, FREQUENCY, HZ, RMS, SUPPLY};
use crate::real::ln;

/// 99.9 % of the samples of a healthy filter stay below: chi-square with four degrees of freedom.
pub const NIS_MAX: f64 = 18.467;

/// ln 0.02: loads are switched every minute.
const PRIOR_STEP: f64 = -3.912_023_005_428_146;
/// ln 0.0003.
const PRIOR_SHIFT: f64 = -8.111_728_083_308_073;
/// ln 0.000005, for each channel.
const PRIOR_BAD: f64 = -12.206_072_645_530_174;
/// ln 0.2: where the power factor contradicts the frame, one of its registers is known to be bad.
const PRIOR_BAD_CONTRADICTED: f64 = -1.609_437_912_434_100_3;
/// ln 0.0000001.
const PRIOR_REJECT: f64 = -16.118_095_650_958_32;

/// Deviation of bad data from the truth, by channel: V, A, W, Hz.
const BAD_DEVIATION: [f64; CHANNELS] = [30.0, 8.0, 2000.0, 1.0];

/// Score of a hypothesis whose covariance was lost to rounding: worse than any other, still a number.
const UNTENABLE: f64 = 1e30;

/// An explanation of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A load was switched.
    pub step: bool,
    /// The supply shifted.
    pub shift: bool,
    /// The loads answer to the shift: electronics draw less current, heaters more.
    pub answered: bool,
    /// This channel is bad data and is left out.
    pub bad: Option<usize>,
    /// The sample makes no sense and is left out.
    pub reject: bool,
}

impl Verdict {
    const NORMAL: Self = Self { step: false, shift: false, answered: false, bad: None, reject: false };
    const STEP: Self = Self { step: true, ..Self::NORMAL };
    const SHIFT: Self = Self { shift: true, ..Self::NORMAL };
    const ANSWERED: Self = Self { answered: true, ..Self::SHIFT };
    const BOTH: Self = Self { step: true, shift: true, ..Self::NORMAL };
    const REJECT: Self = Self { reject: true, ..Self::NORMAL };

    /// The belief with room made for what this verdict says has happened.
    pub fn widen<F: Real>(&self, belief: &mut Belief<F>) {
        if self.step {
            load::allow_step(belief);
        }
        if self.shift {
            load::allow_shift(belief);
        }
        if self.answered {
            load::allow_answer(belief);
        }
    }
}

/// The best explanation of `sample`, linearised at the mean of `prior`. `contradicted` says that the power factor contradicts P/(V I).
pub fn judge<F: Real>(prior: &Belief<F>, sample: &[Scalar<F>; CHANNELS], contradicted: bool) -> Verdict {
    const SOUND: [bool; COUPLED] = [false; COUPLED];
    let frequency = Frequency::of(prior, &sample[HZ]);
    let (_, usual) = innovation_covariance(prior, sample);
    let normal = score(&usual, sample, &SOUND);
    let mut best = Best { score: normal + frequency.sound, verdict: Verdict::NORMAL };
    let mut offer = |score: F, ln_prior: f64, verdict| best.offer(score - F::of(2.0 * ln_prior), verdict);
    let shift = room::<{ 1 << SUPPLY }, F>(Verdict::SHIFT, sample);
    let stepped = sum(&usual, &room::<{ 1 << ACTIVE | 1 << RMS }, F>(Verdict::STEP, sample));
    let step = score(&stepped, sample, &SOUND);
    offer(step + frequency.sound, PRIOR_STEP, Verdict::STEP);
    offer(score(&sum(&usual, &shift), sample, &SOUND) + frequency.sound, PRIOR_SHIFT, Verdict::SHIFT);
    offer(score(&sum(&stepped, &shift), sample, &SOUND) + frequency.sound, PRIOR_STEP + PRIOR_SHIFT, Verdict::BOTH);
    let prior_bad = if contradicted { PRIOR_BAD_CONTRADICTED } else { PRIOR_BAD };
    for channel in 0..CHANNELS {
        let without = |covariance: &Square<F>, sound: F| {
            if channel == HZ {
                sound + frequency.bad
            } else {
                score(covariance, sample, &core::array::from_fn(|i| i == channel)) + frequency.sound
            }
        };
        offer(without(&usual, normal), prior_bad, Verdict { bad: Some(channel), ..Verdict::NORMAL });
        // A frame that agrees with itself while a load is switched is an inrush, not bad data.
        if contradicted {
            offer(without(&stepped, step), prior_bad + PRIOR_STEP, Verdict { bad: Some(channel), ..Verdict::STEP });
        }
    }
    offer(score(&usual, sample, &[true; COUPLED]) + frequency.bad, PRIOR_REJECT, Verdict::REJECT);
    // Only against bad data: it would explain small steps as well, which are none of the supply's.
    if best.verdict.bad.is_some() || best.verdict.reject {
        let mut answered = *prior;
        Verdict::ANSWERED.widen(&mut answered);
        let (_, answered) = innovation_covariance(&answered, sample);
        let answered = score(&answered, sample, &SOUND) + frequency.sound;
        best.offer(answered - F::of(2.0 * PRIOR_SHIFT), Verdict::ANSWERED);
    }
    best.verdict
}

/// The best hypothesis yet; an earlier one wins a tie.
struct Best<F> {
    score: F,
    verdict: Verdict,
}

impl<F: Real> Best<F> {
    fn offer(&mut self, score: F, verdict: Verdict) {
        if score < self.score {
            *self = Self { score, verdict };
        }
    }
}

/// What the frequency, which knows nothing of the others, adds to a score.
struct Frequency<F> {
    sound: F,
    bad: F,
}

impl<F: Real> Frequency<F> {
    fn of(prior: &Belief<F>, scalar: &Scalar<F>) -> Self {
        let variance = prior.covariance[(FREQUENCY, FREQUENCY)] + scalar.variance;
        let score = |variance: F| scalar.innovation * scalar.innovation / variance + ln(variance);
        Self { sound: score(variance), bad: score(variance + F::of(BAD_DEVIATION[HZ] * BAD_DEVIATION[HZ])) }
    }
}

fn sum<F: Real>(a: &Square<F>, b: &Square<F>) -> Square<F> {
    let mut sum = *a;
    for i in 0..COUPLED {
        for j in 0..COUPLED {
            sum[i][j] += b[i][j];
        }
    }
    sum
}

/// What a verdict adds to the covariance of the innovations: `H Q Hᵀ` of the room that it makes for these states.
fn room<const SUPPORT: Support, F: Real>(verdict: Verdict, sample: &[Scalar<F>; CHANNELS]) -> Square<F> {
    let mut belief = Belief::independent([F::ZERO; STATES], [F::ZERO; STATES]);
    verdict.widen(&mut belief);
    let mut room = [[F::ZERO; COUPLED]; COUPLED];
    for i in 0..COUPLED {
        let shadow = belief.along::<SUPPORT>(&sample[i].row);
        for j in 0..COUPLED {
            room[i][j] = dot::<SUPPORT, F>(&shadow, &sample[j].row);
        }
    }
    room
}

/// `νᵀ S⁻¹ ν + ln|S|` by the decomposition `S = L D Lᵀ`; `bad` channels have the variance of bad data added.
fn score<F: Real>(covariance: &Square<F>, sample: &[Scalar<F>; CHANNELS], bad: &[bool; COUPLED]) -> F {
    let mut s = *covariance;
    for i in 0..COUPLED {
        if bad[i] {
            s[i][i] += F::of(BAD_DEVIATION[i] * BAD_DEVIATION[i]);
        }
    }
    let mut residual: [F; COUPLED] = core::array::from_fn(|i| sample[i].innovation);
    let (mut nis, mut determinant) = (F::ZERO, F::ONE);
    for k in 0..COUPLED {
        let pivot = s[k][k];
        if pivot <= F::ZERO {
            return F::of(UNTENABLE);
        }
        determinant = determinant * pivot;
        let inverse = F::ONE / pivot;
        nis += residual[k] * residual[k] * inverse;
        for i in k + 1..COUPLED {
            let factor = s[i][k] * inverse;
            residual[i] -= factor * residual[k];
            for j in k + 1..=i {
                s[i][j] -= factor * s[j][k];
            }
        }
    }
    nis + ln(determinant)
}
