//! How old readings are when a consumer sees them. Pure.

use measure::UnixMillis;

/// Ages seen so far, in ms: exact, because a demo's are few.
#[derive(Clone, Debug, Default)]
pub struct Ages(Vec<i64>);

impl Ages {
    /// A reading of `measured` arrived at `seen`.
    pub fn add(&mut self, measured: UnixMillis, seen: UnixMillis) {
        self.0.push(seen.millis_since(measured));
    }

    /// The age that `percent` of the readings do not exceed (nearest rank); `None` before the first.
    pub fn percentile(&self, percent: u8) -> Option<i64> {
        let mut ages = self.0.clone();
        let rank = ages.len().saturating_mul(usize::from(percent.min(100))).div_ceil(100);
        let index = rank.saturating_sub(1);
        if index >= ages.len() {
            return None;
        }
        Some(*ages.select_nth_unstable(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let mut ages = Ages::default();
        assert_eq!(ages.percentile(50), None);
        for age in (1..=200).rev() {
            ages.add(UnixMillis(1_000), UnixMillis(1_000 + age));
        }
        assert_eq!(
            (ages.percentile(50), ages.percentile(99), ages.percentile(100), ages.percentile(0)),
            (Some(100), Some(198), Some(200), Some(1))
        );
    }
}
