//! Recognises currents that are measured too small: a shunted current transformer, a load that bypasses the meter in part.
//!
//! A switched load takes the current `ΔIa` and costs the voltage `-ΔV = r ΔIa`, where `r` is the resistance of the service loop. If only a
//! share of the current is measured, the voltage does not know, and `r` seems to have risen. The first [`LEARNING`] steps, and more where they
//! say little, give the loop's resistance `r0` by least squares and the variance `σ²` of what the supply adds by itself. Then a cumulative sum (Page, *Continuous
//! inspection schemes*, Biometrika 1954) adds up the logarithm of the likelihood ratio of `r1 = r0/0.8` to `r0`:
//!
//! ```text
//! S = max(0, S + ((ΔV + r0 ΔIa)² - (ΔV + r1 ΔIa)²) / (2 σ²))
//! ```
//!
//! It can't see a current that was shunted before it learnt, and it forgets what it learnt with the rest of the state. A loop that really
//! has more resistance, by a corroding contact, looks the same.

use measure::Flags;

use crate::Real;

/// Steps from which the loop's resistance is learnt at least.
const LEARNING: u32 = 40;
/// Information from which it is compared with, the square of its value over its deviation: 8 %.
const INFORMATION_MIN: f64 = 150.0;
/// Information from which it is held to be known, 3 %; until then steps that do not look suspicious go on teaching it, or a resistance
/// that was learnt too small by chance would be what seems to rise.
const INFORMATION_ENOUGH: f64 = 900.0;
/// Steps below this say little, in A.
const STEP_MIN_A: f64 = 1.5;
/// Samples that are averaged on either side of a step.
const AVERAGED: u32 = 2;
/// A meter's window and the inrush spread a step over so many samples at most.
const TRANSITION_MAX: u32 = 3;
/// Share of the current that is measured under the alternative.
const MEASURED_SHARE: f64 = 0.8;
/// One step's say, whichever way: coincidences of a switched load with a shifted supply exist.
const EVIDENCE_MAX: f64 = 16.0;
/// Least deviation of the voltage between both sides, in V: the resolution of a meter.
const DEVIATION_MIN_V: f64 = 0.05;
/// Weight of the steps before a new one in the recent resistance.
const FORGETTING: f64 = 0.6;

/// The threshold for one meter that is looked at by itself: a false alarm in some weeks.
pub const THRESHOLD_SINGLE: f64 = 12.0;
/// The threshold for one of many.
pub const THRESHOLD_FLEET: f64 = 20.0;

/// Verdicts on a sample that is part of a switching.
const SWITCHING: Flags = Flags::STEP.union(Flags::VOLTAGE_SHIFT);

/// The monitor of one service loop.
#[derive(Clone, Copy, Debug)]
pub struct LoopResistance<F> {
    threshold: F,
    phase: Phase<F>,
    learnt: u32,
    all: Sums<F>,
    recent: Sums<F>,
    statistic: F,
}

/// Where in a step the meter is.
#[derive(Clone, Copy, Debug)]
enum Phase<F> {
    /// No step is in sight: the last calm samples.
    Calm(Side<F>, u32),
    /// Something was switched in so many samples.
    Switching(Side<F>, u32),
    /// It was switched, and since then it is calm: before and so far after.
    After(Side<F>, Side<F>, u32),
}

/// Voltage (V) and active current (A) on one side of a step: the last sample and the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Side<F> {
    last: (F, F),
    before: (F, F),
}

/// Sums of products over steps: `ΔIa²`, `-ΔV ΔIa`, `ΔV²`.
#[derive(Clone, Copy, Debug, Default)]
struct Sums<F> {
    current: F,
    mixed: F,
    voltage: F,
}

impl<F: Real> LoopResistance<F> {
    /// Nothing seen yet. The alarm is raised where the sum exceeds `threshold`.
    pub fn new(threshold: F) -> Self {
        let nothing = Sums { current: F::ZERO, mixed: F::ZERO, voltage: F::ZERO };
        Self { threshold, phase: Phase::Calm(Side::default(), 0), learnt: 0, all: nothing, recent: nothing, statistic: F::ZERO }
    }

    /// Takes the voltage and the active current P/V of a fresh sample, and the filter's verdicts on it.
    pub fn take(&mut self, voltage: F, active_current: F, verdicts: Flags) {
        let sample = (voltage, active_current);
        let calm = verdicts.difference(Flags::REGISTER_ANCHORED).is_empty();
        let switching = !calm && verdicts.contains(Flags::STEP) && SWITCHING.contains(verdicts.difference(Flags::REGISTER_ANCHORED));
        self.phase = match self.phase {
            Phase::Calm(side, count) if calm => Phase::Calm(side.with(sample), count.saturating_add(1)),
            Phase::Calm(side, count) if switching && count >= AVERAGED => Phase::Switching(side, 1),
            Phase::Switching(side, count) if switching && count < TRANSITION_MAX => Phase::Switching(side, count + 1),
            Phase::Switching(side, _) if calm => Phase::After(side, Side::default().with(sample), 1),
            Phase::After(side, after, count) if calm => {
                let after = after.with(sample);
                if count + 1 == AVERAGED {
                    self.weigh(side.mean(), after.mean());
                    Phase::Calm(after, AVERAGED)
                } else {
                    Phase::After(side, after, count + 1)
                }
            }
            // Not an isolated step.
            _ => Phase::Calm(Side::default(), 0),
        };
    }

    /// A step from one pair of voltage and current to another.
    fn weigh(&mut self, (voltage, current): (F, F), (voltage_after, current_after): (F, F)) {
        let (dv, di) = (voltage_after - voltage, current_after - current);
        if di.magnitude() < F::of(STEP_MIN_A) {
            return;
        }
        self.recent.fade(F::of(FORGETTING));
        self.recent.add(dv, di);
        if self.has_learnt() {
            self.accuse(dv, di);
        }
        let suspicious = self.statistic > F::of(0.5) * self.threshold;
        if !(self.has_learnt() && (suspicious || self.is_known_within(INFORMATION_ENOUGH))) {
            self.all.add(dv, di);
            self.learnt = self.learnt.saturating_add(1);
        }
    }

    /// Adds up what a step says about the resistance having risen.
    fn accuse(&mut self, dv: F, di: F) {
        let reference = self.all.resistance();
        let alternative = reference / F::of(MEASURED_SHARE);
        let (usual, raised) = (dv + reference * di, dv + alternative * di);
        let evidence = (usual * usual - raised * raised) / (F::of(2.0) * self.variance());
        let evidence = evidence.within(F::of(-EVIDENCE_MAX), F::of(EVIDENCE_MAX));
        // Bounded above, so that the alarm ends some time after its cause.
        self.statistic = (self.statistic + evidence).within(F::ZERO, F::of(2.0) * self.threshold);
    }

    /// Whether the loop's resistance is known well enough to be compared with.
    fn has_learnt(&self) -> bool {
        self.learnt >= LEARNING && self.is_known_within(INFORMATION_MIN)
    }

    fn is_known_within(&self, information: f64) -> bool {
        let resistance = self.all.resistance();
        resistance * resistance * self.all.current >= F::of(information) * self.variance()
    }

    /// Variance of the voltage that the resistance does not explain.
    fn variance(&self) -> F {
        let unexplained = self.all.voltage - self.all.mixed * self.all.resistance();
        (unexplained / F::from_count(i64::from(self.learnt) - 1)).greater(F::of(DEVIATION_MIN_V * DEVIATION_MIN_V))
    }

    /// Whether the sum exceeds the threshold.
    pub fn is_raised(&self) -> bool {
        self.statistic > self.threshold
    }

    /// The sum.
    pub fn statistic(&self) -> F {
        self.statistic
    }

    /// Resistance that was learnt, in ohm; 0 before.
    pub fn reference(&self) -> F {
        if self.has_learnt() { self.all.resistance() } else { F::ZERO }
    }

    /// Resistance of the last few steps, in ohm; 0 before the first.
    pub fn recent(&self) -> F {
        self.recent.resistance()
    }
}

impl<F: Real> Side<F> {
    fn with(self, sample: (F, F)) -> Self {
        Self { last: sample, before: self.last }
    }

    fn mean(&self) -> (F, F) {
        let half = F::of(0.5);
        ((self.last.0 + self.before.0) * half, (self.last.1 + self.before.1) * half)
    }
}

impl<F: Real> Sums<F> {
    fn add(&mut self, dv: F, di: F) {
        self.current += di * di;
        self.mixed -= dv * di;
        self.voltage += dv * dv;
    }

    fn fade(&mut self, factor: F) {
        *self = Self { current: self.current * factor, mixed: self.mixed * factor, voltage: self.voltage * factor };
    }

    /// By least squares; never negative.
    fn resistance(&self) -> F {
        if self.current > F::ZERO { (self.mixed / self.current).greater(F::ZERO) } else { F::ZERO }
    }
}

#[cfg(test)]
mod tests;
