//! adskalman: its transition is linear, so the mean is predicted in its stead; the observation is linearised at the prior. It updates in
//! Joseph form, its default.

use ::adskalman::{CovarianceUpdateMethod, ObservationModel, StateAndCovariance, TransitionModelLinearNoControl};
use estimator::Real;
use estimator::filter::{Belief, STATES};
use estimator::load::{self, CHANNELS};
use nalgebra::{Const, RealField, SMatrix, SVector};

use super::{Peer, next, transition};
use crate::moment::Moment;

type States = Const<STATES>;
type Channels = Const<CHANNELS>;

pub struct Adskalman<F: RealField> {
    belief: StateAndCovariance<F, States>,
    household: Household<F>,
}

struct Household<F> {
    transition: SMatrix<F, STATES, STATES>,
    transposed: SMatrix<F, STATES, STATES>,
    noise: SMatrix<F, STATES, STATES>,
}

struct Sensor<F> {
    jacobian: SMatrix<F, CHANNELS, STATES>,
    transposed: SMatrix<F, STATES, CHANNELS>,
    noise: SMatrix<F, CHANNELS, CHANNELS>,
}

impl<F: Real + RealField> TransitionModelLinearNoControl<F, States> for Household<F> {
    fn F(&self) -> &SMatrix<F, STATES, STATES> {
        &self.transition
    }

    fn FT(&self) -> &SMatrix<F, STATES, STATES> {
        &self.transposed
    }

    fn Q(&self) -> &SMatrix<F, STATES, STATES> {
        &self.noise
    }
}

impl<F: Real + RealField> ObservationModel<F, States, Channels> for Sensor<F> {
    fn predict_observation(&self, state: &SVector<F, STATES>) -> SVector<F, CHANNELS> {
        load::expected(&(*state).into()).into()
    }

    fn H(&self) -> &SMatrix<F, CHANNELS, STATES> {
        &self.jacobian
    }

    fn HT(&self) -> &SMatrix<F, STATES, CHANNELS> {
        &self.transposed
    }

    fn R(&self) -> &SMatrix<F, CHANNELS, CHANNELS> {
        &self.noise
    }
}

impl<F: Real + RealField> Peer<F> for Adskalman<F> {
    const NAME: &'static str = "adskalman";

    fn starting_at(belief: &Belief<F>) -> Self {
        let nothing = SMatrix::zeros();
        let covariance = SMatrix::from_fn(|i, j| belief.covariance[(i, j)]);
        Self {
            belief: StateAndCovariance::new(belief.mean.into(), covariance),
            household: Household { transition: nothing, transposed: nothing, noise: nothing },
        }
    }

    fn step(&mut self, moment: &Moment<F>) {
        let mean: [F; STATES] = (*self.belief.state()).into();
        self.household.transposed = SMatrix::from(transition(&mean));
        self.household.transition = self.household.transposed.transpose();
        self.household.noise = SMatrix::from(moment.plain_process_noise);
        let predicted = self.household.predict(&self.belief);
        let prior = StateAndCovariance::new(next(&mean).into(), *predicted.covariance());
        let transposed = SMatrix::<F, STATES, CHANNELS>::from(load::jacobian(&(*prior.state()).into()));
        let sensor = Sensor { jacobian: transposed.transpose(), transposed, noise: SMatrix::from_diagonal(&moment.noise.into()) };
        self.belief = sensor.update(&prior, &moment.measured.into(), CovarianceUpdateMethod::JosephForm).unwrap();
    }

    fn mean(&self) -> [F; STATES] {
        (*self.belief.state()).into()
    }
}
