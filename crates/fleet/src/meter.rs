//! A household, its sensor, and what goes wrong with it, second by second: what meters say beside what is true.

use crate::faults::{Fault, Reply};
use crate::household::{Household, HouseholdConfig, Physics, Truth};
use crate::sensor::{Condition, Profile, Sensor};

/// One second: the truth and what a poll after it brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Second {
    /// Its number, from 0.
    pub number: u64,
    /// What happened in the household.
    pub physics: Physics,
    /// The truth as a sound sensor of these gains would show it without noise.
    pub truth: Truth,
    /// The reply to the poll, and what is wrong with it.
    pub reply: Reply,
}

/// A meter that is polled once a second, for ever.
pub struct Meter {
    household: Household,
    sensor: Sensor,
    faults: Vec<Box<dyn Fault>>,
    number: u64,
}

impl Meter {
    /// The same seed, household and profile give the same meter.
    pub fn new(seed: u64, household: &HouseholdConfig, profile: Profile) -> Self {
        Self { household: Household::new(seed, household), sensor: Sensor::new(seed, profile), faults: Vec::new(), number: 0 }
    }

    /// The same with one more fault, after those that it has.
    #[must_use]
    pub fn with(mut self, fault: impl Fault + 'static) -> Self {
        self.faults.push(Box::new(fault));
        self
    }
}

impl Iterator for Meter {
    type Item = Second;

    fn next(&mut self) -> Option<Second> {
        let number = self.number;
        let mut condition = Condition::default();
        for fault in &mut self.faults {
            fault.condition(number, &mut condition);
        }
        let physics = self.household.second();
        let mut reply = Reply { sample: Some(self.sensor.sample_in(&condition, &physics)), wrong: Vec::new() };
        for fault in &mut self.faults {
            fault.disturb(number, &mut reply);
        }
        self.number = number.saturating_add(1);
        Some(Second { number, physics, truth: self.sensor.as_sensed(&physics.truth()), reply })
    }
}
