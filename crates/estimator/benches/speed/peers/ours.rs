//! Our filter without anything that the peers don't have: no gate, no monitors, no register.

use estimator::Real;
use estimator::filter::{Belief, STATES};
use estimator::load::{self, BEHIND_LOOP, CHANNELS, ENERGY, P};

use super::{Peer, gradient};
use crate::moment::Moment;

pub struct Ours<F>(Belief<F>);

impl<F: Real> Peer<F> for Ours<F> {
    const NAME: &'static str = "plain filter";

    fn starting_at(belief: &Belief<F>) -> Self {
        Self(*belief)
    }

    fn step(&mut self, moment: &Moment<F>) {
        step(&mut self.0, &moment.measured, &moment.noise);
    }

    fn mean(&self) -> [F; STATES] {
        self.0.mean
    }
}

/// Predicts over a second and updates.
pub fn step<F: Real>(belief: &mut Belief<F>, measured: &[F; CHANNELS], noise: &[F; CHANNELS]) {
    let energy = load::expected(&belief.mean)[P] / F::of(3600.0);
    belief.integrate::<BEHIND_LOOP>(&gradient(&belief.mean));
    belief.mean[ENERGY] += energy;
    load::predict(belief, F::ONE, F::ONE);
    let sample = load::linearise(belief, measured, noise);
    (*belief, _) = load::updated(belief, &sample, None);
    load::settle(belief);
}
