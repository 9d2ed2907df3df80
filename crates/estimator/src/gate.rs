//! Which explanation a surprising sample gets.
//!
//! A sample whose normalised innovation squared exceeds what noise explains once in a thousand is put to a test of hypotheses: a load was
//! switched, the supply shifted, both, one channel is bad data, or nothing of it makes sense. The most probable one a posteriori wins: the smallest
//! `νᵀ S⁻¹ ν + ln|S| - 2 ln prior`.

use crate::Real;
use crate::filter::{Belief, STATES, Scalar, Support};
use crate::joint::{COUPLED, Innovations, Square};
use crate::load::{self, ACTIVE, CHANNELS, FREQUENCY, HZ, RMS, SUPPLY};
use crate::real::ln;
use crate::symmetric::{CORE, Lanes, lanes};

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
    let frequency = Frequency::of(prior, &sample[HZ]);
    let innovations = Innovations::of(prior, sample);
    let usual = innovations.covariance();
    let shift = room::<{ 1 << SUPPLY }, F>(Verdict::SHIFT, sample);
    let step = room::<{ 1 << ACTIVE | 1 << RMS }, F>(Verdict::STEP, sample);
    let [normal, stepped, shifted, both] = scores(sample, |i, j| {
        let stepped = usual[i][j] + step[i][j];
        [usual[i][j], stepped, usual[i][j] + shift[i][j], stepped + shift[i][j]]
    });
    let mut best = Best { score: normal + frequency.sound, verdict: Verdict::NORMAL };
    let mut offer = |score: F, ln_prior: f64, verdict| best.offer(score - F::of(2.0 * ln_prior), verdict);
    offer(stepped + frequency.sound, PRIOR_STEP, Verdict::STEP);
    offer(shifted + frequency.sound, PRIOR_SHIFT, Verdict::SHIFT);
    offer(both + frequency.sound, PRIOR_STEP + PRIOR_SHIFT, Verdict::BOTH);
    let bad = scores(sample, |i, j| spoilt(usual[i][j], i, j));
    if contradicted {
        // A frame that agrees with itself while a load is switched is an inrush, not bad data.
        let bad_in_step = scores(sample, |i, j| spoilt(usual[i][j] + step[i][j], i, j));
        for channel in 0..CHANNELS {
            let (quiet, busy) = if channel == HZ {
                (normal + frequency.bad, stepped + frequency.bad)
            } else {
                (bad[channel] + frequency.sound, bad_in_step[channel] + frequency.sound)
            };
            offer(quiet, PRIOR_BAD_CONTRADICTED, Verdict { bad: Some(channel), ..Verdict::NORMAL });
            offer(busy, PRIOR_BAD_CONTRADICTED + PRIOR_STEP, Verdict { bad: Some(channel), ..Verdict::STEP });
        }
    } else {
        for channel in 0..CHANNELS {
            let score = if channel == HZ { normal + frequency.bad } else { bad[channel] + frequency.sound };
            offer(score, PRIOR_BAD, Verdict { bad: Some(channel), ..Verdict::NORMAL });
        }
    }
    let [.., all_bad] = bad;
    offer(all_bad + frequency.bad, PRIOR_REJECT, Verdict::REJECT);
    // Only against bad data: it would explain small steps as well, which are none of the supply's.
    if best.verdict.bad.is_some() || best.verdict.reject {
        let mut answered = *prior;
        Verdict::ANSWERED.widen(&mut answered);
        let innovations = Innovations::of(&answered, sample);
        let [answered, ..] = scores(sample, |i, j| [innovations.covariance()[i][j]; 4]);
        best.offer(answered + frequency.sound - F::of(2.0 * PRIOR_SHIFT), Verdict::ANSWERED);
    }
    best.verdict
}

/// An entry of a covariance where V, I or P is bad data, and where all of them are.
#[inline(always)]
fn spoilt<F: Real>(entry: F, i: usize, j: usize) -> Lanes<F> {
    let bad = if i == j { entry + F::of(BAD_DEVIATION[i] * BAD_DEVIATION[i]) } else { entry };
    lanes(|channel| if channel == i || channel == COUPLED { bad } else { entry })
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

/// What a verdict adds to the covariance of the innovations: `H Q Hᵀ` of the room that it makes for these states.
fn room<const SUPPORT: Support, F: Real>(verdict: Verdict, sample: &[Scalar<F>; CHANNELS]) -> Square<F> {
    let mut belief = Belief::independent([F::ZERO; STATES], [F::ZERO; STATES]);
    verdict.widen(&mut belief);
    let mut room = [[F::ZERO; COUPLED]; COUPLED];
    for i in 0..COUPLED {
        let shadow = belief.along::<SUPPORT>(&sample[i].row);
        for j in 0..COUPLED {
            room[i][j] = shadow.dot::<SUPPORT>(&sample[j].row);
        }
    }
    room
}

/// `νᵀ S⁻¹ ν + ln|S|` by the decomposition `S = L D Lᵀ`, for four hypotheses at once: `covariance` says what entry each has for S.
#[inline(always)]
fn scores<F: Real>(sample: &[Scalar<F>; CHANNELS], covariance: impl Fn(usize, usize) -> Lanes<F>) -> Lanes<F> {
    let nothing = [F::ZERO; CORE];
    let mut s = [
        [covariance(0, 0), nothing, nothing],
        [covariance(1, 0), covariance(1, 1), nothing],
        [covariance(2, 0), covariance(2, 1), covariance(2, 2)],
    ];
    let mut residual = [[sample[0].innovation; CORE], [sample[1].innovation; CORE], [sample[2].innovation; CORE]];
    let (mut nis, mut determinant) = (nothing, [F::ONE; CORE]);
    let mut tenable = [true; CORE];
    for k in 0..COUPLED {
        let pivot = s[k][k];
        for hypothesis in 0..CORE {
            tenable[hypothesis] &= pivot[hypothesis] > F::ZERO;
        }
        determinant = lanes(|h| determinant[h] * pivot[h]);
        let inverse = lanes(|h| F::ONE / pivot[h]);
        nis = lanes(|h| nis[h] + residual[k][h] * residual[k][h] * inverse[h]);
        for i in k + 1..COUPLED {
            let factor = lanes(|h| s[i][k][h] * inverse[h]);
            residual[i] = lanes(|h| residual[i][h] - factor[h] * residual[k][h]);
            for j in k + 1..=i {
                s[i][j] = lanes(|h| s[i][j][h] - factor[h] * s[j][k][h]);
            }
        }
    }
    let logarithm = lanes(|h| ln(determinant[h]));
    lanes(|h| if tenable[h] { nis[h] + logarithm[h] } else { F::of(UNTENABLE) })
}
