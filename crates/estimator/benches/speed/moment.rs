//! What the rooms of a filter are handed, computed before the clock starts.

use estimator::filter::{Belief, STATES, Scalar};
use estimator::load::{self, CHANNELS};
use estimator::{Real, Sample};

use crate::meter::Meter;
use crate::peers;

/// One second within a filter.
pub struct Moment<F> {
    /// What was believed before.
    pub posterior: Belief<F>,
    /// What the second adds to the covariance of a filter without a gate.
    pub plain_process_noise: [[F; STATES]; STATES],
    /// What was expected.
    pub prior: Belief<F>,
    /// What came.
    pub sample: Sample<F>,
    /// Its independent channels.
    pub measured: [F; CHANNELS],
    /// Variances of their noise.
    pub noise: [F; CHANNELS],
    /// The sample, linearised at what was expected.
    pub linearised: [Scalar<F>; CHANNELS],
}

impl<F: Real> Moment<F> {
    /// Those of a meter's first samples, but for the very first.
    pub fn of(meter: &Meter, seconds: usize) -> Vec<Self> {
        let mut estimator = meter.estimator();
        let mut plain = None;
        let moment = |sample| {
            let posterior = estimator.belief().copied();
            estimator.step(F::ONE, sample);
            posterior.map(|posterior| Self::new(meter, posterior, plain.get_or_insert(posterior), sample))
        };
        meter.samples(seconds).iter().filter_map(moment).collect()
    }

    /// `plain` is believed by a filter without a gate, and steps with it.
    fn new(meter: &Meter, posterior: Belief<F>, plain: &mut Belief<F>, sample: &Sample<F>) -> Self {
        let measured = sample.channels();
        let noise = meter.noise.variances(&measured);
        let mut process = Belief::independent(plain.mean, [F::ZERO; STATES]);
        load::predict(&mut process, F::ONE, F::ONE);
        peers::step(plain, &measured, &noise);
        let mut prior = posterior;
        load::predict(&mut prior, F::ONE, F::ONE);
        let linearised = load::linearise(&prior, &measured, &noise);
        Self { posterior, plain_process_noise: rows(&process), prior, sample: *sample, measured, noise, linearised }
    }
}

/// A covariance in full.
pub fn rows<F: Real>(belief: &Belief<F>) -> [[F; STATES]; STATES] {
    core::array::from_fn(|i| core::array::from_fn(|j| belief.covariance[(i, j)]))
}
