//! Frames on their way, and when to lose patience with them.

use alloc::collections::VecDeque;

use measure::{Seq, StreamId};
use rand_chacha::rand_core::Rng;

use super::Config;

/// Frames that were handed out and not acknowledged, and the one timer over all of them.
#[derive(Debug, Default)]
pub(super) struct Flight {
    frames: VecDeque<(StreamId, Seq)>,
    deadline_ms: Option<u64>,
    timeouts: u32,
}

impl Flight {
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// When the frames are to be sent again.
    pub const fn deadline_ms(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// A frame up to `last` went out.
    pub fn sent(&mut self, stream: StreamId, last: Seq, now_ms: u64, config: &Config, rng: &mut impl Rng) {
        self.frames.push_back((stream, last));
        if self.deadline_ms.is_none() {
            self.arm(now_ms, config, rng);
        }
    }

    /// The stream moved on: patience starts anew.
    pub fn progress(&mut self, stream: StreamId, through: Seq, now_ms: u64, config: &Config, rng: &mut impl Rng) {
        self.frames.retain(|(of, last)| *of != stream || *last > through);
        self.timeouts = 0;
        self.deadline_ms = None;
        if !self.frames.is_empty() {
            self.arm(now_ms, config, rng);
        }
    }

    /// Nothing is on its way any more; the next wait is as long as the last would have been.
    pub fn forget(&mut self) {
        self.frames.clear();
        self.deadline_ms = None;
    }

    /// A new connection: patience starts anew.
    pub fn reset(&mut self) {
        self.forget();
        self.timeouts = 0;
    }

    /// Whether the deadline is over; then everything is to be sent again, and the next wait is twice as long.
    pub fn times_out(&mut self, now_ms: u64) -> bool {
        let over = self.deadline_ms.is_some_and(|deadline| deadline <= now_ms);
        if over {
            self.forget();
            self.timeouts = self.timeouts.saturating_add(1);
        }
        over
    }

    /// Three to five quarters of the wait, so that meters that lost the same broker do not come back in step.
    fn arm(&mut self, now_ms: u64, config: &Config, rng: &mut impl Rng) {
        let doubled = 1u64.checked_shl(self.timeouts).map_or(u64::MAX, |factor| config.resend_first_ms.saturating_mul(factor));
        let wait = doubled.min(config.resend_max_ms);
        let jitter = rng.next_u64().checked_rem(wait.saturating_div(2).saturating_add(1)).unwrap_or(0);
        let wait = wait.saturating_sub(wait.saturating_div(4)).saturating_add(jitter);
        self.deadline_ms = Some(now_ms.saturating_add(wait));
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const S: StreamId = StreamId(1);

    #[test]
    fn waits_double_up_to_the_longest_and_progress_resets_them() {
        let (config, mut rng) = (Config::default(), ChaCha8Rng::from_seed([1; 32]));
        let mut flight = Flight::default();
        let mut now = 0;
        for expected in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            flight.sent(S, 1, now, &config, &mut rng);
            let wait = flight.deadline_ms().unwrap() - now;
            assert!((expected * 3 / 4..=expected * 5 / 4).contains(&wait), "{wait} for {expected}");
            assert!(!flight.times_out(now + wait - 1));
            now += wait;
            assert!(flight.times_out(now));
            assert_eq!(flight.len(), 0);
        }
        flight.sent(S, 1, now, &config, &mut rng);
        flight.sent(S, 2, now, &config, &mut rng);
        flight.progress(S, 1, now, &config, &mut rng);
        assert_eq!(flight.len(), 1);
        assert!(flight.deadline_ms().unwrap() - now <= 2_500);
        flight.progress(S, 2, now, &config, &mut rng);
        assert_eq!(flight.deadline_ms(), None);
    }

    #[test]
    fn a_thousand_timeouts_do_not_overflow() {
        let (config, mut rng) = (Config::default(), ChaCha8Rng::from_seed([1; 32]));
        let mut flight = Flight::default();
        for _ in 0..1_000 {
            flight.sent(S, 1, 0, &config, &mut rng);
            assert!(flight.times_out(u64::MAX));
        }
        flight.sent(S, 1, u64::MAX, &config, &mut rng);
        assert_eq!(flight.deadline_ms(), Some(u64::MAX));
    }
}
