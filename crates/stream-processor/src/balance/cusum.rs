//! A one-sided cumulative sum: says when something has become larger than it was, and since when.

use measure::UnixMillis;
use serde::{Deserialize, Serialize};

/// The rule of a [`Cusum`]. Its sum is max(0, sum + min(value, clip) - slack) (Page, "Continuous inspection schemes", Biometrika 1954).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What a value may be without being held against it, in standard deviations.
    pub slack: f64,
    /// Above this sum it is an alarm; below half of it the alarm is over.
    pub threshold: f64,
    /// No single value counts for more: one wrong register is no theft.
    pub clip: f64,
}

/// A sum and what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    sum: f64,
    since: UnixMillis,
    alarming: bool,
}

/// What a value changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The alarm began.
    Raised,
    /// It is over.
    Cleared,
}

impl Cusum {
    /// Takes the value of the interval that began at `start`. A value that is not a number is passed over.
    pub fn push(&mut self, rule: &Rule, start: UnixMillis, value: f64) -> Option<Change> {
        if value.is_nan() {
            return None;
        }
        if self.sum <= 0.0 {
            self.since = start;
        }
        // Twice the threshold is enough: from higher up the way back would be long after the thief has gone.
        self.sum = (self.sum + value.min(rule.clip) - rule.slack).clamp(0.0, 2.0 * rule.threshold);
        match (self.alarming, self.sum > rule.threshold, self.sum < rule.threshold / 2.0) {
            (false, true, _) => {
                self.alarming = true;
                Some(Change::Raised)
            }
            (true, _, true) => {
                self.alarming = false;
                Some(Change::Cleared)
            }
            _ => None,
        }
    }

    /// The sum, in standard deviations.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Start of the interval with which the sum began to grow: when whatever it is began, as far as the sum can tell.
    pub fn since(&self) -> UnixMillis {
        self.since
    }

    /// Whether it is so far up that what it watches must not be learned from.
    pub fn is_suspicious(&self, rule: &Rule) -> bool {
        self.alarming || self.sum > rule.threshold / 2.0
    }

    /// Whether the alarm is on.
    pub fn is_alarming(&self) -> bool {
        self.alarming
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { slack: 0.5, threshold: 4.0, clip: 3.0 };

    fn run(values: &[f64]) -> (Cusum, Vec<Option<Change>>) {
        let mut cusum = Cusum::default();
        let changes = (0..).zip(values).map(|(at, value)| cusum.push(&RULE, UnixMillis(at), *value)).collect();
        (cusum, changes)
    }

    #[test]
    fn sums_by_hand() {
        let (cusum, changes) = run(&[-1.0, 2.0, 1.0, f64::NAN, 2.5, -9.0, -9.0]);
        // 0, 1.5, 2.0, 2.0, 4.0 (not above), 0, 0
        assert_eq!(changes, [None; 7]);
        assert_eq!(cusum.sum(), 0.0);
        let (cusum, changes) = run(&[-1.0, 2.0, 2.0, 2.0]);
        assert_eq!((cusum.sum(), cusum.since(), changes[3]), (4.5, UnixMillis(1), Some(Change::Raised)));
    }

    #[test]
    fn one_value_alone_raises_nothing_and_the_way_back_is_bounded() {
        let (cusum, changes) = run(&[f64::INFINITY]);
        assert_eq!((cusum.sum(), changes[0]), (2.5, None));
        let (cusum, _) = run(&[9.0; 100]);
        assert_eq!(cusum.sum(), 8.0);
        let mut values = vec![9.0; 100];
        values.extend([0.0; 13]);
        assert_eq!(run(&values).1.last(), Some(&Some(Change::Cleared)));
    }
}
