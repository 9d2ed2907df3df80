//! minikalman: its extended filter with the buffers of its builder. It updates by `P - K (H P)`.

use ::minikalman::extended::builder::{KalmanFilterBuilder, KalmanFilterObservationType, KalmanFilterType};
use ::minikalman::prelude::*;
use estimator::Real;
use estimator::filter::{Belief, STATES};
use estimator::load::{self, CHANNELS};

use super::{Peer, next, transition};
use crate::moment::{Moment, rows};

pub struct Minikalman<F> {
    filter: KalmanFilterType<STATES, F>,
    sensor: KalmanFilterObservationType<STATES, CHANNELS, F>,
}

impl<F: Real + MatrixDataType> Peer<F> for Minikalman<F> {
    const NAME: &'static str = "minikalman";

    fn starting_at(belief: &Belief<F>) -> Self {
        let builder = KalmanFilterBuilder::<STATES, F>::default();
        let (mut filter, sensor) = (builder.build(), builder.observations().build::<CHANNELS>());
        filter.state_vector_mut().as_mut_slice().copy_from_slice(&belief.mean);
        filter.estimate_covariance_mut().as_mut_slice().copy_from_slice(rows(belief).as_flattened());
        Self { filter, sensor }
    }

    fn step(&mut self, moment: &Moment<F>) {
        self.filter.direct_process_noise_mut().as_mut_slice().copy_from_slice(moment.plain_process_noise.as_flattened());
        let transition = transition(&self.mean());
        self.filter.state_transition_jacobian_mut().as_mut_slice().copy_from_slice(transition.as_flattened());
        self.filter.predict_nonlinear(|state, predicted| predicted.as_mut_slice().copy_from_slice(&next(&array(state.as_slice()))));
        let jacobian = load::jacobian(&self.mean());
        self.sensor.observation_jacobian_matrix_mut().as_mut_slice().copy_from_slice(jacobian.as_flattened());
        self.sensor.measurement_vector_mut().as_mut_slice().copy_from_slice(&moment.measured);
        self.sensor.measurement_noise_covariance_mut().apply(|matrix| {
            for (channel, variance) in moment.noise.into_iter().enumerate() {
                matrix.set_at(channel, channel, variance);
            }
        });
        self.filter.correct_nonlinear(&mut self.sensor, |state, expected| {
            expected.as_mut_slice().copy_from_slice(&load::expected(&array(state.as_slice())));
        });
    }

    fn mean(&self) -> [F; STATES] {
        array(self.filter.state_vector().as_slice())
    }
}

/// A state vector's numbers.
fn array<F: Real>(state: &[F]) -> [F; STATES] {
    core::array::from_fn(|i| state[i])
}
