//! The verdicts of the gate against all its hypotheses, scored by dense linear algebra.

use estimator::filter::{Belief, STATES, Scalar};
use estimator::gate::{Verdict, judge};
use estimator::load::{self, ACTIVE, CHANNELS, LOOP, RMS, SUPPLY};
use estimator::symmetric::Symmetric;
use nalgebra::{SMatrix, SVector};

const NORMAL: Verdict = Verdict { step: false, shift: false, answered: false, bad: None, reject: false };
const STEP: Verdict = Verdict { step: true, ..NORMAL };
const SHIFT: Verdict = Verdict { shift: true, ..NORMAL };
const BOTH: Verdict = Verdict { step: true, ..SHIFT };
const ANSWERED: Verdict = Verdict { answered: true, ..SHIFT };
const REJECT: Verdict = Verdict { reject: true, ..NORMAL };

/// Standard deviation of bad data: V, A, W, Hz.
const BAD: [f64; CHANNELS] = [30.0, 8.0, 2_000.0, 1.0];

type Square = SMatrix<f64, CHANNELS, CHANNELS>;

/// `H P Hᵀ + R`, room made for what the verdict says has happened.
fn covariance(belief: &Belief<f64>, sample: &[Scalar<f64>; CHANNELS], verdict: Verdict) -> Square {
    let mut belief = *belief;
    verdict.widen(&mut belief);
    let p = SMatrix::<f64, STATES, STATES>::from_fn(|i, j| belief.covariance[(i, j)]);
    let h = SMatrix::<f64, CHANNELS, STATES>::from_fn(|i, j| sample[i].row[j]);
    h * p * h.transpose() + Square::from_diagonal(&SVector::from_fn(|i, _| sample[i].variance))
}

/// The hypothesis of the least `νᵀ S⁻¹ ν + ln|S| - 2 ln prior`, and by how much it is less than the next one.
fn most_probable(belief: &Belief<f64>, sample: &[Scalar<f64>; CHANNELS], contradicted: bool) -> (Verdict, f64) {
    let innovation = SVector::<f64, CHANNELS>::from_fn(|i, _| sample[i].innovation);
    let score = |mut s: Square, bad: &[usize], prior: f64| {
        bad.iter().for_each(|channel| s[(*channel, *channel)] += BAD[*channel] * BAD[*channel]);
        let inverse = s.try_inverse().expect("S is positive definite");
        innovation.dot(&(inverse * innovation)) + s.determinant().ln() - 2.0 * prior.ln()
    };
    let (step, shift, bad) = (0.02, 0.0003, if contradicted { 0.2 } else { 0.000_005 });
    let [usual, stepped] = [NORMAL, STEP].map(|verdict| covariance(belief, sample, verdict));
    let room = |verdict, prior| (score(covariance(belief, sample, verdict), &[], prior), verdict);
    let mut scores = vec![
        (score(usual, &[], 1.0), NORMAL),
        (score(stepped, &[], step), STEP),
        room(SHIFT, shift),
        room(BOTH, step * shift),
        (score(usual, &[0, 1, 2, 3], 0.000_000_1), REJECT),
    ];
    for channel in 0..CHANNELS {
        scores.push((score(usual, &[channel], bad), Verdict { bad: Some(channel), ..NORMAL }));
        if contradicted {
            scores.push((score(stepped, &[channel], bad * step), Verdict { bad: Some(channel), ..STEP }));
        }
    }
    let best = |scores: &mut Vec<(f64, Verdict)>| {
        scores.sort_by(|a, b| a.0.total_cmp(&b.0));
        (scores[0].1, scores[1].0 - scores[0].0)
    };
    let (verdict, lead) = best(&mut scores);
    if verdict.bad.is_none() && !verdict.reject {
        return (verdict, lead);
    }
    scores.push(room(ANSWERED, shift));
    let (verdict, next) = best(&mut scores);
    (verdict, lead.min(next))
}

/// Seeded numbers, uniform between -1 and 1.
struct Dice(u64);

impl Dice {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn one_of<const N: usize>(&mut self, values: [f64; N]) -> f64 {
        values[((self.draw() + 1.0) * 0.5 * N as f64) as usize % N]
    }
}

/// A household to which something happens, and what is measured then.
fn case(dice: &mut Dice) -> (Belief<f64>, [Scalar<f64>; CHANNELS]) {
    let mut mean = [231.0, 0.0, 0.2, 10.0 + 9.0 * dice.draw(), 0.5, 50.0];
    mean[ACTIVE] = mean[RMS] * (0.75 + 0.2 * dice.draw());
    let deviation = [0.3, 0.05, 0.05, 0.06, 0.1, 0.01];
    let (active_rms, supply_active) = (0.9 * dice.draw(), 0.5 * dice.draw());
    let mut covariance = Symmetric::diagonal(deviation.map(|deviation| deviation * deviation));
    for (i, j, correlation) in [(RMS, ACTIVE, active_rms), (ACTIVE, SUPPLY, supply_active), (LOOP, SUPPLY, 0.3)] {
        covariance.set(i, j, correlation * deviation[i] * deviation[j]);
    }
    let mut moved = mean;
    let step = dice.one_of([0.0, 0.0, 0.2, 3.0, 10.0]) * dice.draw();
    moved[RMS] += step;
    moved[ACTIVE] += step * (0.85 + 0.2 * dice.draw());
    let shift = dice.one_of([0.0, 0.0, 2.0, 10.0]) * dice.draw();
    moved[SUPPLY] += shift;
    let answer = 1.0 + shift / 230.0 * dice.one_of([0.0, 1.0, -1.0]);
    moved[RMS] *= answer;
    moved[ACTIVE] *= answer;
    let mut z = load::expected(&moved);
    let spoilt = [0, 1, 2, 3].map(|_| dice.one_of([0.0, 0.0, 0.0, 0.1, 1.0]) * dice.draw());
    let noise = [0.05, 1e-5, 0.5, 1e-4];
    for channel in 0..CHANNELS {
        z[channel] += 2.0 * BAD[channel] * spoilt[channel] + 1.5 * f64::sqrt(noise[channel]) * dice.draw();
    }
    let belief = Belief { mean, covariance };
    (belief, load::linearise(&belief, &z, &noise))
}

#[test]
fn the_most_probable_explanation_wins() {
    let mut dice = Dice(1);
    let mut seen = Vec::new();
    for round in 0..600 {
        let (belief, sample) = case(&mut dice);
        let contradicted = round % 2 == 0;
        let (verdict, lead) = most_probable(&belief, &sample, contradicted);
        if lead > 1e-6 {
            assert_eq!(judge(&belief, &sample, contradicted), verdict, "round {round}");
            seen.push(verdict);
        }
    }
    let bad = (0..CHANNELS).flat_map(|channel| [NORMAL, STEP].map(|verdict| Verdict { bad: Some(channel), ..verdict }));
    for verdict in [NORMAL, STEP, SHIFT, BOTH, ANSWERED, REJECT].into_iter().chain(bad) {
        assert!(seen.contains(&verdict), "never seen: {verdict:?}");
    }
}

#[test]
fn a_covariance_that_was_lost_to_rounding_explains_nothing() {
    let (belief, mut sample) = case(&mut Dice(2));
    // Not even noise: only with a bad or wandering voltage S remains definite.
    sample[load::V].variance = -1e3;
    assert_eq!(judge(&belief, &sample, false), NORMAL, "the first of equals");
}
