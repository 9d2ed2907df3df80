//! Sets of sequence numbers, kept as runs: a stream of a million records without a hole is one run.

use std::collections::BTreeMap;
use std::fmt;

use measure::Seq;

/// Numbers from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    /// The first.
    pub first: Seq,
    /// The last; not before the first.
    pub last: Seq,
}

impl Run {
    /// How many numbers it holds.
    pub const fn len(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// A set of numbers as disjoint, non-adjacent runs.
#[derive(Clone, Debug, Default)]
pub struct Runs(BTreeMap<Seq, Seq>);

impl Runs {
    /// Adds one number; whether it was not there before.
    pub fn insert(&mut self, seq: Seq) -> bool {
        let before = self.0.range(..=seq).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| seq <= last) {
            return false;
        }
        let first = before.filter(|&(_, last)| last.checked_add(1) == Some(seq)).map_or(seq, |(first, _)| first);
        let last = seq.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(seq);
        self.0.insert(first, last);
        true
    }

    /// The runs, in order.
    pub fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.0.iter().map(|(&first, &last)| Run { first, last })
    }

    /// The highest number.
    pub fn last(&self) -> Option<Seq> {
        self.0.values().next_back().copied()
    }

    /// How many numbers it holds.
    pub fn len(&self) -> u64 {
        self.iter().map(Run::len).fold(0, u64::saturating_add)
    }

    /// The numbers from `from` to `to` that are not in the set.
    pub fn missing(&self, from: Seq, to: Seq) -> Vec<Run> {
        let mut missing = Vec::new();
        let mut next = from;
        for run in self.iter().filter(|run| run.last >= from) {
            if run.first > to || next > to {
                break;
            }
            if next < run.first {
                missing.push(Run { first: next, last: run.first.saturating_sub(1) });
            }
            match run.last.checked_add(1) {
                Some(after) => next = after,
                None => return missing,
            }
        }
        if next <= to {
            missing.push(Run { first: next, last: to });
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(numbers in prop::collection::vec(0u64..40, 0..60), from in 0u64..45, to in 0u64..45) {
            let (mut runs, mut plain) = (Runs::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(runs.insert(number), plain.insert(number));
            }
            prop_assert_eq!(runs.iter().flat_map(|run| run.first..=run.last).collect::<Vec<_>>(), plain.iter().copied().collect::<Vec<_>>());
            prop_assert!(runs.iter().zip(runs.iter().skip(1)).all(|(a, b)| a.last.saturating_add(1) < b.first));
            prop_assert_eq!(runs.len(), plain.len() as u64);
            let missing: Vec<_> = runs.missing(from, to).into_iter().flat_map(|run| run.first..=run.last).collect();
            prop_assert_eq!(missing, (from..=to).filter(|number| !plain.contains(number)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_ends_of_the_range_are_safe() {
        let mut runs = Runs::default();
        assert!(runs.insert(u64::MAX) && runs.insert(u64::MAX - 1) && !runs.insert(u64::MAX));
        assert_eq!(runs.iter().collect::<Vec<_>>(), [Run { first: u64::MAX - 1, last: u64::MAX }]);
        assert_eq!(runs.missing(u64::MAX, u64::MAX), []);
    }
}
