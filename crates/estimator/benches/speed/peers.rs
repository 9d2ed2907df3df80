//! Other crates' filters on the same model: an extended Kalman filter of six states and four measurements, predict and update;
//! the energy is integrated, and its register not read.
//!
//! They get for nothing what our own filter computes within its time: the process noise, and the noise of the sensor. Each is used as its
//! documentation suggests, in the form it has by default.

mod adskalman;
mod kfilter;
mod minikalman;
mod ours;

pub use adskalman::Adskalman;
pub use kfilter::Kfilter;
pub use minikalman::Minikalman;
pub use ours::{Ours, step};

use estimator::filter::{Belief, STATES};
use estimator::real::one_minus_exp;
use estimator::{Real, load};

use crate::moment::Moment;

/// Mean that the supply returns to, in V.
const SUPPLY_MEAN_V: f64 = 230.0;
/// Time that it takes, in s.
const SUPPLY_TIME_S: f64 = 900.0;

/// A filter under comparison.
pub trait Peer<F> {
    /// The crate.
    const NAME: &'static str;
    /// Believes this.
    fn starting_at(belief: &Belief<F>) -> Self;
    /// Predicts over a second and updates.
    fn step(&mut self, moment: &Moment<F>);
    /// What it believes now.
    fn mean(&self) -> [F; STATES];
}

/// Decay of the supply's deviation in a second.
fn kept<F: Real>() -> F {
    F::ONE - one_minus_exp(F::of(1.0 / SUPPLY_TIME_S))
}

/// The state `x` a second later.
fn next<F: Real>(x: &[F; STATES]) -> [F; STATES] {
    let mut next = *x;
    next[load::SUPPLY] = F::of(SUPPLY_MEAN_V) + kept::<F>() * (x[load::SUPPLY] - F::of(SUPPLY_MEAN_V));
    next[load::ENERGY] += load::expected(x)[load::P] / F::of(3600.0);
    next
}

/// Derivative of the energy a second later by the state, but for the energy's own.
fn gradient<F: Real>(x: &[F; STATES]) -> [F; STATES] {
    load::jacobian(x)[load::P].map(|watts| watts / F::of(3600.0))
}

/// Derivative of [`next`], by rows.
fn transition<F: Real>(x: &[F; STATES]) -> [[F; STATES]; STATES] {
    let mut rows = [[F::ZERO; STATES]; STATES];
    for (state, row) in rows.iter_mut().enumerate() {
        row[state] = F::ONE;
    }
    rows[load::SUPPLY][load::SUPPLY] = kept();
    rows[load::ENERGY] = gradient(x);
    rows[load::ENERGY][load::ENERGY] = F::ONE;
    rows
}

/// Ends the measurement unless a peer computes what we do: otherwise its time says nothing.
pub fn agree<P: Peer<f64>>(moments: &[Moment<f64>]) {
    let Some(first) = moments.first() else { return };
    let (mut ours, mut theirs) = (Ours::starting_at(&first.posterior), P::starting_at(&first.posterior));
    for (second, moment) in moments.iter().enumerate() {
        ours.step(moment);
        theirs.step(moment);
        for (state, (our, their)) in ours.mean().into_iter().zip(theirs.mean()).enumerate() {
            assert!((our - their).abs() <= 1e-6, "{}: state {state} is {their} in second {second}, ours {our}", P::NAME);
        }
    }
}
