//! One metering point: a sample in, an estimate out.

use measure::Flags;

use crate::Real;
use crate::energy::{Ledger, VARIANCE_UNTICKED};
use crate::filter::{ALL, Belief, Scalar, dot};
use crate::gate::{self, Verdict};
use crate::joint::Innovations;
use crate::load::{self, CHANNELS, ENERGY, FREQUENCY, HZ, I, LOOP, NoiseModel, P, RMS, V};
use crate::monitor::replay::TWO_HOURS;
use crate::monitor::{self, Monitors, Repetition};
use crate::real::{exp_near_zero, sqrt};
use crate::rounding::{self, Rounding};
use crate::sample::{Config, Estimate, Evidence, Sample};

/// Longest interval that is predicted over, in s. After a day without a sample only the slow states are worth anything, and they change no more.
const ELAPSED_MAX_S: f64 = 86_400.0;
/// Samples in dispute after one another after which the filter, and not the meter, is held to be wrong.
const DISPUTES_MAX: u32 = 5;
/// Samples after a step or shift from which nothing is learnt about restlessness.
const SETTLING_SAMPLES: u32 = 2;
/// So many quiet samples may pass before P is looked at again.
const UNCHECKED_MAX: u32 = 16;
/// Range of the restlessness, the factor on the diffusion of the currents.
const RESTLESSNESS: (f64, f64) = (0.05, 400.0);
/// How fast it adapts, and the normalised innovation squared it aims at.
const RESTLESSNESS_GAIN: f64 = 0.05;
const RESTLESSNESS_AIM: f64 = 0.95;
/// One sample's say in it is limited to this normalised innovation squared.
const RESTLESSNESS_SURPRISE_MAX: f64 = 4.0;

/// Verdicts under which nothing was learnt of the frequency, or all of it.
const FREQUENCY_UNUSED: Flags = Flags::BAD_FREQUENCY.union(Flags::REJECTED).union(Flags::RESTARTED);

/// The filter and the monitors of one metering point.
///
/// `HISTORY` is how many blocks of eight frames [`Replay`](monitor::replay::Replay) remembers, in 12 bytes each: two hours unless said
/// otherwise, and 0 for a device that has not so much memory and does not look for repetitions.
#[derive(Clone, Debug)]
pub struct Estimator<F, const HISTORY: usize = TWO_HOURS> {
    noise: NoiseModel<F>,
    /// Resolution of the frequency, where its rounding is understood as an interval.
    frequency_quantum: Option<F>,
    repetition: Repetition<F>,
    track: Option<Track<F>>,
    monitors: Monitors<F, HISTORY>,
}

/// Everything that exists only once a first sample has been seen.
#[derive(Clone, Copy, Debug)]
struct Track<F> {
    belief: Belief<F>,
    ledger: Ledger<F>,
    restlessness: F,
    since_event: u32,
    disputes: u32,
    /// Samples since P was found to be positive definite.
    unchecked: u32,
}

/// What one sample did: verdicts and surprise.
#[derive(Clone, Copy, Debug)]
struct Outcome<F> {
    flags: Flags,
    nis: [F; CHANNELS],
}

impl<F: Real> Estimator<F> {
    /// Knows nothing yet, and will remember two hours of frames.
    pub fn new(config: Config) -> Self {
        Self::with_history(config)
    }
}

/// What belongs to a sample that is compared: the interval before it, its channels, the variances of their noise, whether the power factor
/// contradicts them, and how much its current and power surprise.
#[derive(Clone, Copy)]
struct Surroundings<'a, F> {
    elapsed: F,
    z: &'a [F; CHANNELS],
    noise: &'a [F; CHANNELS],
    contradicted: bool,
    surprise: F,
}

impl<F: Real, const HISTORY: usize> Estimator<F, HISTORY> {
    /// Knows nothing yet, and will remember as many frames as the type says.
    pub fn with_history(config: Config) -> Self {
        Self {
            noise: NoiseModel::new(&config.noise),
            frequency_quantum: (config.frequency_rounding == Rounding::Interval).then_some(F::of(config.noise.quantum[HZ])),
            repetition: Repetition::default(),
            track: None,
            monitors: Monitors::new(config.loop_threshold),
        }
    }

    /// What is believed at the moment; `None` before the first plausible sample.
    pub fn belief(&self) -> Option<&Belief<F>> {
        self.track.as_ref().map(|track| &track.belief)
    }

    /// What the monitors' verdicts rest on.
    pub fn evidence(&self) -> Evidence<F> {
        self.monitors.evidence()
    }

    /// Takes a sample, `elapsed_s` seconds after the one before it (the last call of `step`, whatever came of it).
    ///
    /// `None` as long as no plausible sample has been seen: nothing is known then. A time that is negative or not a number counts as 0,
    /// one of more than a day as a day. An implausible sample changes nothing but the time and is flagged `REJECTED`.
    pub fn step(&mut self, elapsed_s: F, sample: &Sample<F>) -> Option<Estimate<F>> {
        let z = sample.channels();
        let plausible = monitor::is_plausible(&z);
        let (elapsed, track) = match &mut self.track {
            Some(track) => {
                let elapsed = bounded(elapsed_s);
                load::predict(&mut track.belief, elapsed, track.restlessness);
                (elapsed, track)
            }
            // The first sample closes the second before it.
            empty @ None if plausible => (F::ONE, empty.insert(Track::starting_at(&z, sample.energy_wh))),
            None => return None,
        };
        let repeated = if plausible { self.repetition.count(&z) } else { 0 };
        if plausible {
            self.monitors.see(&z);
        }
        let mut outcome = if !plausible {
            Outcome::unseen(Flags::REJECTED)
        } else if repeated > 0 {
            track.since_event = track.since_event.saturating_add(1);
            let stuck = if repeated >= monitor::STUCK_FRAMES { Flags::STUCK } else { Flags::empty() };
            Outcome::unseen(Flags::DUPLICATE | stuck)
        } else {
            let variances = self.noise.variances(&z);
            let believed = match self.monitors.inflation() {
                Some(factors) => self.noise.inflated(&variances, &factors),
                None => variances,
            };
            let frequency = (track.belief.mean[FREQUENCY], track.belief.covariance[(FREQUENCY, FREQUENCY)]);
            let outcome = track.take(elapsed, &z, &believed, monitor::power_factor_contradicts(sample));
            self.monitors.weigh(&z, &variances, self.noise.rounding(), outcome.flags);
            if let Some(quantum) = self.frequency_quantum
                && !outcome.flags.intersects(FREQUENCY_UNUSED)
            {
                let white = believed[HZ] - self.noise.rounding()[HZ];
                track.refine_frequency(rounding::update(frequency, z[HZ], white, quantum));
            }
            outcome
        };
        outcome.flags |= self.monitors.flags();
        Some(track.conclude(elapsed, plausible.then_some(sample.energy_wh), outcome))
    }

    /// What is to be expected `elapsed_s` seconds after the last call of [`Estimator::step`], for a poll that brought nothing. Changes
    /// nothing: the next `step` covers the whole gap. `None` before the first plausible sample.
    pub fn predict_only(&self, elapsed_s: F) -> Option<Estimate<F>> {
        let mut track = self.track?;
        let elapsed = bounded(elapsed_s);
        load::predict(&mut track.belief, elapsed, track.restlessness);
        track.ledger.integrate(&mut track.belief, elapsed);
        load::settle(&mut track.belief);
        Some(track.estimate(Outcome::unseen(Flags::empty())))
    }
}

impl<F: Real> Track<F> {
    fn starting_at(z: &[F; CHANNELS], register_wh: u64) -> Self {
        Self {
            belief: load::starting_at(z, load::loop_prior(), (F::ZERO, F::of(VARIANCE_UNTICKED))),
            ledger: Ledger::starting_at(register_wh, z[P]),
            restlessness: F::ONE,
            since_event: u32::MAX,
            disputes: 0,
            unchecked: 0,
        }
    }

    /// Compares a fresh, plausible sample with the prediction, finds the best explanation of it, and learns from it.
    fn take(&mut self, elapsed: F, z: &[F; CHANNELS], noise: &[F; CHANNELS], contradicted: bool) -> Outcome<F> {
        let sample = load::linearise(&self.belief, z, noise);
        let innovations = Innovations::of(&self.belief, &sample);
        let surprise = surprise(&innovations, &sample);
        let surroundings = Surroundings { elapsed, z, noise, contradicted, surprise };
        // Apart, so that what is mostly done has the update's result at hand and not in memory.
        if innovations.need_care {
            return self.take_carefully(sample, &surroundings);
        }
        let learnt = innovations.learnt(self.belief, &sample, None);
        self.decide(learnt, &surroundings)
    }

    #[inline(never)]
    fn take_carefully(&mut self, sample: [Scalar<F>; CHANNELS], surroundings: &Surroundings<'_, F>) -> Outcome<F> {
        self.unchecked = UNCHECKED_MAX;
        let learnt = load::updated_carefully(self.belief, sample, None);
        self.decide(learnt, surroundings)
    }

    /// Believes what was learnt from a sample, if nothing else explains it better.
    #[inline(always)]
    fn decide(&mut self, (learnt, nis): (Belief<F>, [F; CHANNELS]), surroundings: &Surroundings<'_, F>) -> Outcome<F> {
        let Surroundings { elapsed, z, noise, contradicted, surprise } = *surroundings;
        let checksum = if contradicted { Flags::POWER_FACTOR } else { Flags::empty() };
        let mut verdicts = Flags::empty();
        if nis[V] + nis[I] + nis[P] + nis[HZ] > F::of(gate::NIS_MAX) {
            verdicts = self.explain(z, noise, contradicted);
        } else {
            self.disputes = 0;
            if elapsed > F::of(load::GAP_S) {
                self.relinearise(z, noise, None);
            } else {
                self.belief = learnt;
            }
        }
        if verdicts.is_empty() && self.since_event > SETTLING_SAMPLES {
            self.adapt(surprise);
        }
        load::project(&mut self.belief.mean);
        self.since_event = self.since_event.saturating_add(1);
        Outcome { flags: checksum | verdicts, nis }
    }

    /// Replaces what the linear update learnt of the frequency, which no other state is correlated with.
    fn refine_frequency(&mut self, refined: Option<(F, F)>) {
        if let Some((mean, variance)) = refined {
            self.belief.mean[FREQUENCY] = mean;
            self.belief.covariance.set(FREQUENCY, FREQUENCY, variance);
        }
    }

    /// Explains a sample that noise does not. One that the filter starts anew from is believed, and so not called bad. Not `cold`, for then it
    /// is compiled for size, and one sample in sixteen comes here.
    #[inline(never)]
    fn explain(&mut self, z: &[F; CHANNELS], noise: &[F; CHANNELS], contradicted: bool) -> Flags {
        let sample = load::linearise(&self.belief, z, noise);
        let verdict = gate::judge(&self.belief, &sample, contradicted);
        let flags = flags_of(&verdict);
        if verdict.step || verdict.shift {
            self.since_event = 0;
        }
        // A frame that contradicts itself is bad however often it comes; one that is consistent and still does not fit may be the truth.
        if verdict.reject || (verdict.bad.is_some() && !contradicted) {
            self.disputes += 1;
        } else if verdict.bad.is_none() {
            self.disputes = 0;
        }
        if self.disputes >= DISPUTES_MAX {
            self.restart(z);
            let sample = load::linearise(&self.belief, z, noise);
            (self.belief, _) = load::updated(&self.belief, &sample, None);
            return Flags::RESTARTED;
        }
        if !verdict.reject {
            self.learn(&verdict, z, noise, &sample);
        }
        flags
    }

    /// Updates with what the verdict leaves of the sample.
    fn learn(&mut self, verdict: &Verdict, z: &[F; CHANNELS], noise: &[F; CHANNELS], sample: &[Scalar<F>; CHANNELS]) {
        verdict.widen(&mut self.belief);
        if verdict.step || verdict.shift {
            self.relinearise(z, noise, verdict.bad);
        } else {
            (self.belief, _) = load::updated(&self.belief, sample, verdict.bad);
        }
    }

    /// Updates three times, the second and third time linearised at the result of the one before (Gauss-Newton): after a step, a shift or a gap
    /// the state moves so far that P = V Ia is not linear on the way. Only the last update has a covariance.
    #[inline(never)]
    fn relinearise(&mut self, z: &[F; CHANNELS], noise: &[F; CHANNELS], bad: Option<usize>) {
        let prior = self.belief;
        for _ in 0..2 {
            let sample = self.linearised_from(&prior, z, noise);
            self.belief.mean = Innovations::of(&prior, &sample).learnt_mean(prior.mean, &sample, bad);
        }
        let sample = self.linearised_from(&prior, z, noise);
        (self.belief, _) = load::updated(&prior, &sample, bad);
    }

    /// The sample, linearised at the mean of now, for an update of `prior`.
    #[inline(always)]
    fn linearised_from(&self, prior: &Belief<F>, z: &[F; CHANNELS], noise: &[F; CHANNELS]) -> [Scalar<F>; CHANNELS] {
        let moved = core::array::from_fn(|i| self.belief.mean[i] - prior.mean[i]);
        let mut sample = load::linearise(&self.belief, z, noise);
        for scalar in &mut sample {
            scalar.innovation += dot::<ALL, F>(&scalar.row, &moved);
        }
        sample
    }

    /// Starts anew from a sample; what is known of the slow states stays, the loop's resistance less certain than before.
    fn restart(&mut self, z: &[F; CHANNELS]) {
        let loop_variance = self.belief.covariance[(LOOP, LOOP)] + F::of(0.01);
        let energy = (self.belief.mean[ENERGY], self.belief.covariance[(ENERGY, ENERGY)]);
        self.belief = load::starting_at(z, (self.belief.mean[LOOP], loop_variance), energy);
        self.disputes = 0;
    }

    /// Matches the currents' process noise to how much I and P surprise.
    fn adapt(&mut self, surprise: F) {
        let excess = surprise.lesser(F::of(RESTLESSNESS_SURPRISE_MAX)) - F::of(RESTLESSNESS_AIM);
        let (least, most) = RESTLESSNESS;
        self.restlessness = (self.restlessness * exp_near_zero(F::of(RESTLESSNESS_GAIN) * excess)).within(F::of(least), F::of(most));
    }

    /// Integrates the energy, reads the register, restores the invariants and sums up.
    #[inline(always)]
    fn conclude(&mut self, elapsed: F, register_wh: Option<u64>, mut outcome: Outcome<F>) -> Estimate<F> {
        self.ledger.integrate(&mut self.belief, elapsed);
        if let Some(register_wh) = register_wh
            && self.ledger.read(&mut self.belief, register_wh, elapsed)
        {
            outcome.flags |= Flags::REGISTER_ANCHORED;
        }
        self.settle(elapsed, outcome.flags);
        self.estimate(outcome)
    }

    /// Rounding costs definiteness where the prior variance exceeds the noise by orders of magnitude: with an event or a gap, and little by
    /// little otherwise.
    #[inline(always)]
    fn settle(&mut self, elapsed: F, flags: Flags) {
        self.unchecked += 1;
        let quiet = flags.is_empty() && elapsed <= F::of(load::GAP_S) && self.since_event > SETTLING_SAMPLES;
        if !quiet || self.unchecked >= UNCHECKED_MAX {
            load::settle(&mut self.belief);
            self.unchecked = 0;
        }
    }

    fn estimate(&self, outcome: Outcome<F>) -> Estimate<F> {
        let Belief { mean, covariance } = &self.belief;
        let [voltage, current, active_power, frequency] = load::expected(mean);
        let [voltage_variance, active_power_variance] = load::variances_behind_loop(&self.belief);
        let apparent = voltage * current;
        Estimate {
            voltage,
            current,
            active_power,
            non_active_power: sqrt(apparent * apparent - active_power * active_power),
            power_factor: (active_power / apparent.greater(F::of(1e-6))).within(-F::ONE, F::ONE),
            frequency,
            energy: self.ledger.energy(&self.belief),
            voltage_variance,
            current_variance: covariance[(RMS, RMS)],
            active_power_variance,
            frequency_variance: covariance[(FREQUENCY, FREQUENCY)],
            energy_variance: covariance[(ENERGY, ENERGY)],
            nis: outcome.nis[V] + outcome.nis[I] + outcome.nis[P],
            nis_frequency: outcome.nis[HZ],
            flags: outcome.flags,
        }
    }
}

impl<F: Real> Outcome<F> {
    /// No fresh sample was compared.
    fn unseen(flags: Flags) -> Self {
        Self { flags, nis: [F::ZERO; CHANNELS] }
    }
}

/// Mean of the normalised innovations squared of I and P, each alone.
#[inline(always)]
fn surprise<F: Real>(innovations: &Innovations<F>, sample: &[Scalar<F>; CHANNELS]) -> F {
    let alone = |channel: usize| sample[channel].innovation * sample[channel].innovation / innovations.variance(channel);
    F::of(0.5) * (alone(I) + alone(P))
}

fn flags_of(verdict: &Verdict) -> Flags {
    const BAD: [Flags; CHANNELS] = [Flags::BAD_VOLTAGE, Flags::BAD_CURRENT, Flags::BAD_POWER, Flags::BAD_FREQUENCY];
    let mut flags = verdict.bad.map_or(Flags::empty(), |channel| BAD[channel]);
    flags.set(Flags::STEP, verdict.step);
    flags.set(Flags::VOLTAGE_SHIFT, verdict.shift);
    flags.set(Flags::REJECTED, verdict.reject);
    flags
}

fn bounded<F: Real>(elapsed_s: F) -> F {
    elapsed_s.within(F::ZERO, F::of(ELAPSED_MAX_S))
}
