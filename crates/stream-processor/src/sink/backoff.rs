//! How long a sink waits between two attempts.

use std::thread;
use std::time::{Duration, Instant};

use crate::transaction::Stop;

const FIRST_MS: u64 = 250;
const LAST_MS: u64 = 30_000;
/// How fast a request to stop is seen.
const STEP: Duration = Duration::from_millis(100);

/// From 250 ms to 30 s, doubling, each between half of that and all: many workers never knock at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It worked: the next wait is a short one.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits, unless it is to stop.
    pub(super) fn wait(&mut self, stop: &Stop) {
        let longest = self.next_ms();
        let pause = Duration::from_millis(rand::random_range(longest / 2..=longest));
        let begin = Instant::now();
        while !stop.requested() && begin.elapsed() < pause {
            thread::sleep(STEP.min(pause));
        }
    }

    fn next_ms(&mut self) -> u64 {
        let doubled = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LAST_MS);
        self.failures = self.failures.saturating_add(1);
        doubled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_again_after_a_success() {
        let mut backoff = Backoff::default();
        let first: Vec<u64> = (0..9).map(|_| backoff.next_ms()).collect();
        assert_eq!(first, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.next_ms(), 250);
    }
}
