//! kfilter: its extended filter, with system and measurement as its traits want them. It updates by `(I - K H) P` and symmetrises.

use ::kfilter::measurement::{LinearisableMeasurement, Measurement};
use ::kfilter::system::{LinearisableSystem, NoInputSystem, System};
use ::kfilter::{Kalman, KalmanFilter, KalmanPredict, KalmanUpdate};
use estimator::Real;
use estimator::filter::{Belief, STATES};
use estimator::load::{self, CHANNELS};
use nalgebra_of_kfilter::{RealField, SMatrix, SVector};

use super::{Peer, next, transition};
use crate::moment::Moment;

pub struct Kfilter<F: RealField>(Kalman<F, STATES, 0, Household<F>>);

struct Household<F> {
    state: SVector<F, STATES>,
    transition: SMatrix<F, STATES, STATES>,
    transposed: SMatrix<F, STATES, STATES>,
    noise: SMatrix<F, STATES, STATES>,
}

struct Sensed<F> {
    measured: SVector<F, CHANNELS>,
    noise: SMatrix<F, CHANNELS, CHANNELS>,
    jacobian: SMatrix<F, CHANNELS, STATES>,
    transposed: SMatrix<F, STATES, CHANNELS>,
}

impl<F: Real + RealField> System<F, STATES, 0> for Household<F> {
    fn covariance(&self) -> &SMatrix<F, STATES, STATES> {
        &self.noise
    }

    fn state(&self) -> &SVector<F, STATES> {
        &self.state
    }

    fn state_mut(&mut self) -> &mut SVector<F, STATES> {
        &mut self.state
    }
}

impl<F: Real + RealField> LinearisableSystem<F, STATES, 0> for Household<F> {
    fn transition(&self) -> &SMatrix<F, STATES, STATES> {
        &self.transition
    }

    fn transition_transpose(&self) -> &SMatrix<F, STATES, STATES> {
        &self.transposed
    }
}

impl<F: Real + RealField> NoInputSystem<F, STATES> for Household<F> {
    fn predict(&self, state: &SVector<F, STATES>) -> SVector<F, STATES> {
        next(&(*state).into()).into()
    }
}

impl<F: Real + RealField> Measurement<F, STATES, CHANNELS> for Sensed<F> {
    fn covariance(&self) -> &SMatrix<F, CHANNELS, CHANNELS> {
        &self.noise
    }

    fn measurement(&self) -> &SVector<F, CHANNELS> {
        &self.measured
    }

    fn set_measurement(&mut self, measured: SVector<F, CHANNELS>) {
        self.measured = measured;
    }

    fn predict(&self, state: &SVector<F, STATES>) -> SVector<F, CHANNELS> {
        load::expected(&(*state).into()).into()
    }
}

impl<F: Real + RealField> LinearisableMeasurement<F, STATES, CHANNELS> for Sensed<F> {
    fn observation(&self) -> &SMatrix<F, CHANNELS, STATES> {
        &self.jacobian
    }

    fn observation_transpose(&self) -> &SMatrix<F, STATES, CHANNELS> {
        &self.transposed
    }
}

impl<F: Real + RealField> Peer<F> for Kfilter<F> {
    const NAME: &'static str = "kfilter";

    fn starting_at(belief: &Belief<F>) -> Self {
        let nothing = SMatrix::zeros();
        let system = Household { state: belief.mean.into(), transition: nothing, transposed: nothing, noise: nothing };
        Self(Kalman::new_custom(system, SMatrix::from_fn(|i, j| belief.covariance[(i, j)])))
    }

    fn step(&mut self, moment: &Moment<F>) {
        let system = &mut self.0.system;
        system.transposed = SMatrix::from(transition(&system.state.into()));
        system.transition = system.transposed.transpose();
        system.noise = SMatrix::from(moment.plain_process_noise);
        self.0.predict().unwrap();
        let transposed = SMatrix::<F, STATES, CHANNELS>::from(load::jacobian(&(*self.0.state()).into()));
        let sensed = Sensed {
            measured: moment.measured.into(),
            noise: SMatrix::from_diagonal(&moment.noise.into()),
            jacobian: transposed.transpose(),
            transposed,
        };
        self.0.update(&sensed).unwrap();
    }

    fn mean(&self) -> [F; STATES] {
        (*self.0.state()).into()
    }
}
