//! Days of sound meters: what the filter gains, and what it says although there is nothing to say. Accuracy, consistency and false alarms
//! are figures of the same days.

use std::collections::VecDeque;

use estimator::Estimate;
use fleet::household::{HouseholdConfig, Truth};
use fleet::meter::{Meter, Second};
use fleet::sensor::SensedSample;
use measure::Flags;

use crate::run::{DAY_S, Kind, LAGGING, NOISY, PZEM, Watch, all, pairs};

/// Quantities that are compared with the truth.
pub const QUANTITIES: [&str; 6] = ["voltage", "current", "active power", "non-active power", "frequency", "power factor"];

/// Verdicts that call data bad.
pub const BAD: Flags = Flags::BAD_VOLTAGE
    .union(Flags::BAD_CURRENT)
    .union(Flags::BAD_POWER)
    .union(Flags::BAD_FREQUENCY)
    .union(Flags::REJECTED)
    .union(Flags::POWER_FACTOR)
    .union(Flags::STUCK);

/// Verdicts that last, and how they are called in figures.
pub const WATCHED: [(&str, Flags); 5] = [
    ("stuck", Flags::STUCK),
    ("replay", Flags::REPLAY),
    ("noise", Flags::NOISE),
    ("loop resistance", Flags::LOOP_RESISTANCE),
    ("restarted", Flags::RESTARTED),
];

/// An appliance of this power is a step that a filter must see, in W.
const APPLIANCE_W: f64 = 50.0;

/// One day of one meter.
#[derive(Clone, Debug, Default)]
pub struct Day {
    /// The sensor's kind.
    pub kind: &'static str,
    squares: [(f64, f64); QUANTITIES.len()],
    seconds: f64,
    /// Sum of NIS (V, I, P) over unflagged samples, and their number.
    pub nis: (f64, f64),
    /// Samples that were called bad.
    pub bad: f64,
    /// Of them those in which, or right before which, an appliance was switched.
    pub bad_at_step: f64,
    /// Step verdicts where nothing was switched.
    pub false_steps: f64,
    /// Switched appliances, and those of them that got a step verdict.
    pub switched: (f64, f64),
    /// How often each of the watched verdicts came up.
    pub alarms: [f64; WATCHED.len()],
}

impl Day {
    /// Root mean square errors, raw and filtered.
    pub fn errors(&self) -> [(f64, f64); QUANTITIES.len()] {
        self.squares.map(|(raw, filtered)| ((raw / self.seconds).sqrt(), (filtered / self.seconds).sqrt()))
    }

    fn compare(&mut self, truth: &Truth, raw: &SensedSample, estimate: &Estimate<f64>) {
        let sensed = [raw.voltage, raw.current, raw.active_power, non_active(raw), raw.frequency, raw.power_factor];
        let Estimate { voltage, current, active_power, non_active_power, frequency, power_factor, .. } = *estimate;
        let estimates = [voltage, current, active_power, non_active_power, frequency, power_factor];
        let Truth { voltage, current, active_power, non_active_power, frequency, .. } = *truth;
        let power_factor = (active_power / (voltage * current)).min(1.0);
        let truths = [voltage, current, active_power, non_active_power, frequency, power_factor];
        for (square, ((raw, filtered), truth)) in self.squares.iter_mut().zip(sensed.into_iter().zip(estimates).zip(truths)) {
            square.0 += (raw - truth).powi(2);
            square.1 += (filtered - truth).powi(2);
        }
        self.seconds += 1.0;
    }

    /// `switched_w` is the largest appliance that was switched in this second or the one before.
    fn judge(&mut self, estimate: &Estimate<f64>, switched_w: f64) {
        if estimate.flags.is_empty() {
            self.nis.0 += estimate.nis;
            self.nis.1 += 1.0;
        }
        if estimate.flags.intersects(BAD) {
            self.bad += 1.0;
            self.bad_at_step += f64::from(u8::from(switched_w >= APPLIANCE_W));
        }
        if estimate.flags.contains(Flags::STEP) && switched_w == 0.0 {
            self.false_steps += 1.0;
        }
    }
}

fn non_active(raw: &SensedSample) -> f64 {
    ((raw.voltage * raw.current).powi(2) - raw.active_power.powi(2)).max(0.0).sqrt()
}

/// Days of all kinds of sensors, so many of each, each in a household of its own from `seed` on.
pub fn days(what: &str, seed: u64, count: u64, household: impl Fn(u64) -> HouseholdConfig + Sync) -> Vec<Day> {
    all(what, &pairs(&[PZEM, NOISY, LAGGING], seed, count), |(kind, seed)| day(*kind, *seed, &household(*seed)))
}

fn day(kind: Kind, seed: u64, household: &HouseholdConfig) -> Day {
    let mut day = Day { kind: kind.name, ..Day::default() };
    // A switch shows in the second it happens in and in the next; a lagging sensor shows it up to two seconds later.
    let shows_s = if kind.profile.refresh_ms > 1000 { 3 } else { 2 };
    let mut recent = VecDeque::from(vec![0.0; shows_s]);
    let mut pending = false;
    let mut before = Flags::empty();
    let meter = Meter::new(seed, household, kind.profile);
    for (second, estimate) in Watch::new(meter, kind.noise).take(DAY_S) {
        let (Second { reply, truth, physics, .. }, Some(estimate)) = (&second, estimate) else { continue };
        let Some(sample) = &reply.sample else { continue };
        day.compare(truth, sample, &estimate);
        recent.pop_front();
        recent.push_back(physics.switched_w);
        let switched_w = recent.iter().copied().fold(0.0, f64::max);
        day.judge(&estimate, switched_w);
        let appeared = estimate.flags.difference(std::mem::replace(&mut before, estimate.flags));
        for (count, (_, flag)) in day.alarms.iter_mut().zip(WATCHED) {
            *count += f64::from(u8::from(appeared.contains(flag)));
        }
        // A switch counts as seen if a step verdict comes while it is recent.
        if physics.switched_w >= APPLIANCE_W && !pending {
            day.switched.0 += 1.0;
            pending = true;
        }
        if pending && estimate.flags.contains(Flags::STEP) {
            day.switched.1 += 1.0;
            pending = false;
        } else if switched_w < APPLIANCE_W {
            pending = false;
        }
    }
    day
}
