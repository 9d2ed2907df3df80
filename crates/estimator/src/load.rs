//! The household model: what the filter is told about physics and about sensors.
//!
//! ```text
//! dVs = -(Vs - 230 V)/900 s dt + 0.15 V/√s dW       voltage behind the service loop, an Ornstein-Uhlenbeck process
//! dI  = √qI dW,  qI = s (3 mA)² + s (0.005 I)²      per second; s adapts to how restless this household is
//! dIa = √(qI (cos²φ + 0.02)) dW', corr(dIa, dI) = 0.95
//! df  = 2 mHz/√s dW,   dRs = 0.1 mΩ/√s dW
//! dE  = (Vs - Rs Ia) Ia dt                          (room `energy`)
//!
//! V = Vs - Rs Ia,   I,   P = (Vs - Rs Ia) Ia,   f   what the meter measures
//! ```
//!
//! The linear part is discretised exactly; the intensity qI is held over an interval (it changes by less than 1 % a second).

use crate::Real;
use crate::filter::{Belief, FOLLOWER, LONER, STATES, Scalar, Support};
use crate::joint::Innovations;
use crate::real::{one_minus_exp, reciprocal_sqrt};

/// Index of the voltage behind the service loop, in V.
pub const SUPPLY: usize = 0;
/// Index of the active current P/V, in A.
pub const ACTIVE: usize = 1;
/// Index of the service loop's resistance, in ohm.
pub const LOOP: usize = 2;
/// Index of the rms current, in A.
pub const RMS: usize = 3;
/// Index of the energy, in Wh above the anchor of room `energy`: no channel but the register depends on it.
pub const ENERGY: usize = FOLLOWER;
/// Index of the frequency, in Hz. Nothing in the model couples it with another state: they stay uncorrelated, and learn nothing from each other.
pub const FREQUENCY: usize = LONER;

/// Measured channels: V, I, P, f.
pub const CHANNELS: usize = 4;
/// Channel of the voltage.
pub const V: usize = 0;
/// Channel of the rms current.
pub const I: usize = 1;
/// Channel of the active power.
pub const P: usize = 2;
/// Channel of the frequency.
pub const HZ: usize = 3;

/// States that the voltage and the power behind the service loop depend on.
pub const BEHIND_LOOP: Support = 1 << SUPPLY | 1 << ACTIVE | 1 << LOOP;
/// The state that the rms current depends on.
pub const CURRENT: Support = 1 << RMS;

/// Time that the supply takes to return to its mean, in s.
const SUPPLY_TIME_S: f64 = 900.0;
/// Mean of the supply, in V.
const SUPPLY_MEAN_V: f64 = 230.0;
/// Diffusion of the supply, in V²/s. Logs of real meters show 0.07 to 0.27 V/√s.
const SUPPLY_DIFFUSION: f64 = 0.15 * 0.15;
/// Diffusion of the current that does not depend on it, in A²/s.
const CURRENT_DIFFUSION: f64 = 0.003 * 0.003;
/// Diffusion of the current relative to it, in 1/√s. Logs of real meters show 0.0016 to 0.03.
const CURRENT_WANDER: f64 = 0.005;
/// Correlation of the active with the rms current.
const CURRENT_CORRELATION: f64 = 0.95;
/// Diffusion of the frequency, in Hz²/s.
const FREQUENCY_DIFFUSION: f64 = 0.002 * 0.002;
/// Diffusion of the loop resistance, in ohm²/s.
const LOOP_DIFFUSION: f64 = 1e-4 * 1e-4;
/// Below this rms current the power factor is not known, in A.
const POWER_FACTOR_CURRENT_A: f64 = 0.02;

/// Deviation of a switched load's current, in A.
pub const STEP_A: f64 = 8.0;
/// Mean of the power factor of switched loads.
const STEP_FACTOR: f64 = 0.85;
/// Its deviation.
const STEP_FACTOR_DEVIATION: f64 = 0.2;
/// Deviation of a shift of the supply, in V: a tap changer, a neighbour's heavy load.
pub const SHIFT_V: f64 = 8.0;

/// By how much the active current may answer to a shift otherwise than the rms current, relative to it: non-active loads answer differently.
const ANSWER_APART: f64 = 0.005;

/// A longer interval than this holds more than one sample of the meter: loads may have been switched unseen, in s.
pub const GAP_S: f64 = 2.5;
/// How often loads are switched unseen, in 1/s.
const SWITCHING_RATE: f64 = 1.0 / 120.0;

/// Nothing is less certain than the range of a meter: V², A², ohm², A², Wh², Hz².
const VARIANCE_MAX: [f64; STATES] = [1e3, 1e3, 0.25, 1e3, 1e9, 1.0];
/// Largest believable loop resistance, in ohm.
const LOOP_MAX_OHM: f64 = 2.0;
/// Active current may exceed the rms current by gain errors only.
const ACTIVE_TO_RMS_MAX: f64 = 1.03;

/// White noise and resolution of a sensor, by channel V, I, P, f: variance `(relative z)² + absolute² + quantum²/12`.
///
/// Gain errors (a class of 0.5 %) are not noise: they can't be observed at one meter and are no part of the estimates' variances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SensorNoise {
    /// Deviation relative to the value.
    pub relative: [f64; CHANNELS],
    /// Deviation that does not depend on the value: V, A, W, Hz.
    pub absolute: [f64; CHANNELS],
    /// Resolution: V, A, W, Hz.
    pub quantum: [f64; CHANNELS],
}

impl SensorNoise {
    /// PZEM-004T v3: far less noise than its class suggests, from 51 real replies (deviation of P/(V I) 0.025 to 0.06 %).
    pub const PZEM_004T: Self =
        Self { relative: [1.5e-4, 3e-4, 4e-4, 0.0], absolute: [0.01, 5e-4, 0.05, 0.005], quantum: [0.1, 0.001, 0.1, 0.1] };

    /// A microcontroller's converter behind a voltage transformer and a clip-on current transformer.
    pub const NOISY: Self = Self { relative: [0.004, 0.008, 0.008, 0.0], absolute: [0.2, 0.02, 2.0, 0.02], quantum: [0.1, 0.01, 1.0, 0.1] };

    /// Variance of each channel's noise at the measurement `z`.
    pub fn variances<F: Real>(&self, z: &[F; CHANNELS]) -> [F; CHANNELS] {
        NoiseModel::new(self).variances(z)
    }
}

/// What of [`SensorNoise`] does not depend on the measurement, computed once and in the precision of the filter.
#[derive(Clone, Copy, Debug)]
pub struct NoiseModel<F> {
    relative: [F; CHANNELS],
    floor: [F; CHANNELS],
    rounding: [F; CHANNELS],
}

impl<F: Real> NoiseModel<F> {
    /// Of this sensor.
    pub fn new(sensor: &SensorNoise) -> Self {
        let SensorNoise { relative, absolute, quantum } = sensor;
        let floor = |i: usize| F::of(absolute[i] * absolute[i] + quantum[i] * quantum[i] * (1.0 / 12.0));
        Self {
            relative: relative.map(F::of),
            floor: core::array::from_fn(floor),
            rounding: quantum.map(|quantum| F::of(quantum * quantum / 12.0)),
        }
    }

    /// Variance of each channel's noise at the measurement `z`.
    #[inline(always)]
    pub fn variances(&self, z: &[F; CHANNELS]) -> [F; CHANNELS] {
        core::array::from_fn(|i| {
            let relative = self.relative[i] * z[i];
            relative * relative + self.floor[i]
        })
    }

    /// Variance of each channel's rounding, which is part of that.
    pub fn rounding(&self) -> &[F; CHANNELS] {
        &self.rounding
    }

    /// `variances` with a factor for each channel on all but the rounding.
    pub fn inflated(&self, variances: &[F; CHANNELS], factors: &[F; CHANNELS]) -> [F; CHANNELS] {
        core::array::from_fn(|i| (variances[i] - self.rounding[i]) * factors[i] + self.rounding[i])
    }
}

/// The belief after a first sample `z`, or after the filter was found to be elsewhere: the measurement, and what is known of the slow
/// states (`loop_ohm` and its variance, energy in Wh above the anchor and its variance).
pub fn starting_at<F: Real>(z: &[F; CHANNELS], (loop_ohm, loop_variance): (F, F), (energy, energy_variance): (F, F)) -> Belief<F> {
    let mut mean = [z[V], z[P] / z[V], loop_ohm, z[I], energy, z[HZ]];
    project(&mut mean);
    mean[SUPPLY] = z[V] + loop_ohm * mean[ACTIVE];
    let [supply, current, frequency] = [F::ONE, F::of(0.01), F::of(0.01)];
    Belief::independent(mean, [supply, current, loop_variance, current, energy_variance, frequency])
}

/// What is known of a service loop before anything was measured: mean in ohm and variance.
pub fn loop_prior<F: Real>() -> (F, F) {
    (F::of(0.2), F::of(0.04))
}

/// Predicts over `elapsed` seconds (not negative). `restlessness` multiplies the diffusion of the currents.
#[inline(always)]
pub fn predict<F: Real>(belief: &mut Belief<F>, elapsed: F, restlessness: F) {
    let loss = one_minus_exp(elapsed / F::of(SUPPLY_TIME_S));
    let kept = F::ONE - loss;
    let mean = F::of(SUPPLY_MEAN_V);
    let wander = F::of(CURRENT_WANDER) * belief.mean[RMS];
    let mut diffusion = (F::of(CURRENT_DIFFUSION) + wander * wander) * restlessness;
    if elapsed > F::of(GAP_S) {
        diffusion += F::of(STEP_A * STEP_A * SWITCHING_RATE);
    }
    let rms = diffusion * elapsed;
    let share = power_factor(belief);
    let share = share * share + F::of(0.02);

    belief.mean[SUPPLY] = mean + kept * (belief.mean[SUPPLY] - mean);
    belief.scale(SUPPLY, kept);
    // The exact variance of an Ornstein-Uhlenbeck process: q τ/2 (1 - exp(-2 dt/τ)).
    belief.add_variance(SUPPLY, F::of(SUPPLY_DIFFUSION * SUPPLY_TIME_S * 0.5) * (loss * (F::ONE + kept)));
    belief.add_variance(ACTIVE, rms * share);
    belief.add_variance(RMS, rms);
    // x/sqrt(x): what a root lacks in digits here, no correlation has.
    belief.add_covariance(ACTIVE, RMS, F::of(CURRENT_CORRELATION) * rms * (share * reciprocal_sqrt(share)));
    belief.add_variance(FREQUENCY, F::of(FREQUENCY_DIFFUSION) * elapsed);
    belief.add_variance(LOOP, F::of(LOOP_DIFFUSION) * elapsed);
}

/// Power factor of the state; a typical one where there is hardly any current.
fn power_factor<F: Real>(belief: &Belief<F>) -> F {
    if belief.mean[RMS] > F::of(POWER_FACTOR_CURRENT_A) {
        (belief.mean[ACTIVE] / belief.mean[RMS]).within(-F::ONE, F::ONE)
    } else {
        F::of(0.8)
    }
}

/// The measurement that the state `x` leads to: V, I, P, f.
#[inline(always)]
pub fn expected<F: Real>(x: &[F; STATES]) -> [F; CHANNELS] {
    let voltage = x[SUPPLY] - x[LOOP] * x[ACTIVE];
    [voltage, x[RMS], voltage * x[ACTIVE], x[FREQUENCY]]
}

/// Derivative of [`expected`] by the state, at `x`.
#[inline(always)]
pub fn jacobian<F: Real>(x: &[F; STATES]) -> [[F; STATES]; CHANNELS] {
    let (zero, one) = (F::ZERO, F::ONE);
    let (supply, active, loop_ohm) = (x[SUPPLY], x[ACTIVE], x[LOOP]);
    [
        [one, -loop_ohm, -active, zero, zero, zero],
        [zero, zero, zero, one, zero, zero],
        [active, supply - F::of(2.0) * loop_ohm * active, -(active * active), zero, zero, zero],
        [zero, zero, zero, zero, zero, one],
    ]
}

/// The measurement `z` with noise variances `noise`, linearised at the belief's mean.
#[inline(always)]
pub fn linearise<F: Real>(belief: &Belief<F>, z: &[F; CHANNELS], noise: &[F; CHANNELS]) -> [Scalar<F>; CHANNELS] {
    let rows = jacobian(&belief.mean);
    let expected = expected(&belief.mean);
    let scalar = |i: usize| Scalar { row: rows[i], innovation: z[i] - expected[i], variance: noise[i] };
    [scalar(V), scalar(I), scalar(P), scalar(HZ)]
}

/// Variances of the voltage and the active power, at the mean.
///
/// P = V Ia, so that `∂P = Ia ∂V + V ∂Ia`: what is known of P follows from what is known of V and Ia.
#[inline(always)]
pub fn variances_behind_loop<F: Real>(belief: &Belief<F>) -> [F; 2] {
    let [row, ..] = jacobian(&belief.mean);
    let [voltage, ..] = expected(&belief.mean);
    let active = belief.mean[ACTIVE];
    let shadow = belief.along::<BEHIND_LOOP>(&row);
    let of_voltage = shadow.dot::<BEHIND_LOOP>(&row);
    let crossed = voltage * shadow.core[ACTIVE];
    let of_power = active * (active * of_voltage + F::of(2.0) * crossed) + voltage * voltage * belief.covariance[(ACTIVE, ACTIVE)];
    [of_voltage, of_power]
}

/// What is believed after the measurement `sample` but for channel `without`, and each channel's share of the normalised innovation squared.
#[inline(always)]
pub fn updated<F: Real>(prior: &Belief<F>, sample: &[Scalar<F>; CHANNELS], without: Option<usize>) -> (Belief<F>, [F; CHANNELS]) {
    let innovations = Innovations::of(prior, sample);
    // Each channel makes the next one's expectation surer, so what the first needs is the most care that they may need.
    if innovations.need_care {
        return updated_carefully(*prior, *sample, without);
    }
    innovations.learnt(*prior, sample, without)
}

/// The same with care, one channel after the other. Whether it was enough is for [`settle`] to see: of a million meters that show anything at all
/// one is beyond it. By value: what is handed over by reference, be it once an hour, is in memory always.
#[inline(never)]
pub fn updated_carefully<F: Real>(
    mut belief: Belief<F>,
    sample: [Scalar<F>; CHANNELS],
    without: Option<usize>,
) -> (Belief<F>, [F; CHANNELS]) {
    let mut nis = [F::ZERO; CHANNELS];
    let mut sequence = belief.sequence();
    if without != Some(I) {
        nis[I] = sequence.absorb::<CURRENT>(&sample[I]);
    }
    if without != Some(V) {
        nis[V] = sequence.absorb::<BEHIND_LOOP>(&sample[V]);
    }
    if without != Some(P) {
        nis[P] = sequence.absorb::<BEHIND_LOOP>(&sample[P]);
    }
    if without != Some(HZ) {
        nis[HZ] = belief.absorb_loner(sample[HZ].innovation, sample[HZ].variance);
    }
    (belief, nis)
}

/// Keeps a belief within what a household can be, and restores what rounding may have cost.
pub fn settle<F: Real>(belief: &mut Belief<F>) {
    belief.bound(&VARIANCE_MAX);
    belief.ensure_definite(&VARIANCE_MAX);
}

/// Makes room for a switched load: in both currents, correlated through the power factors of typical loads.
pub fn allow_step<F: Real>(belief: &mut Belief<F>) {
    const VARIANCE: f64 = STEP_A * STEP_A;
    belief.add_variance(ACTIVE, F::of(VARIANCE * (STEP_FACTOR * STEP_FACTOR + STEP_FACTOR_DEVIATION * STEP_FACTOR_DEVIATION)));
    belief.add_variance(RMS, F::of(VARIANCE));
    belief.add_covariance(ACTIVE, RMS, F::of(VARIANCE * STEP_FACTOR));
}

/// Makes room for a shift of the supply voltage.
pub fn allow_shift<F: Real>(belief: &mut Belief<F>) {
    belief.add_variance(SUPPLY, F::of(SHIFT_V * SHIFT_V));
}

/// Makes room for what loads do when the supply shifts: with a constant power their current falls as the voltage rises, that of a resistance
/// rises with it. Both currents alike but for [`ANSWER_APART`]: an active current that moves alone is no load's.
pub fn allow_answer<F: Real>(belief: &mut Belief<F>) {
    const SHARE: f64 = SHIFT_V / SUPPLY_MEAN_V;
    let (active, rms) = (F::of(SHARE) * belief.mean[ACTIVE], F::of(SHARE) * belief.mean[RMS]);
    let apart = F::of(ANSWER_APART) * belief.mean[ACTIVE];
    belief.add_variance(ACTIVE, active * active + apart * apart);
    belief.add_variance(RMS, rms * rms);
    belief.add_covariance(ACTIVE, RMS, active * rms);
}

/// Back into what is physically possible: no negative rms current or resistance, no active current beyond the rms current.
pub fn project<F: Real>(x: &mut [F; STATES]) {
    x[RMS] = x[RMS].greater(F::ZERO);
    let limit = x[RMS] * F::of(ACTIVE_TO_RMS_MAX);
    x[ACTIVE] = x[ACTIVE].within(-limit, limit);
    x[LOOP] = x[LOOP].within(F::ZERO, F::of(LOOP_MAX_OHM));
}
