//! When a fault is on.

use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Stream, random};

/// When a fault is on, in seconds of the simulation. Seconds are asked for in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    window: Range<u64>,
    again: Option<Again>,
}

/// Windows that come again.
#[derive(Clone, Debug)]
struct Again {
    random: ChaCha8Rng,
    pause_s: Range<u64>,
    lasts_s: u64,
}

impl Schedule {
    /// Once.
    pub fn once(window: Range<u64>) -> Self {
        Self { window, again: None }
    }

    /// For `lasts_s` seconds, again and again, after pauses drawn from `pause_s` (not empty), the first one included.
    pub fn repeated(seed: u64, pause_s: Range<u64>, lasts_s: u64) -> Self {
        let mut again = Again { random: random(seed, Stream::Schedule), pause_s, lasts_s };
        Self { window: again.after(0), again: Some(again) }
    }

    /// Whether the fault is on in this second.
    pub fn is_on(&mut self, second: u64) -> bool {
        while second >= self.window.end
            && let Some(again) = &mut self.again
        {
            self.window = again.after(self.window.end);
        }
        self.window.contains(&second)
    }

    /// First second of the present window, or of the next.
    pub fn begins(&self) -> u64 {
        self.window.start
    }
}

impl Again {
    fn after(&mut self, end: u64) -> Range<u64> {
        let start = end.saturating_add(self.random.random_range(self.pause_s.clone())).saturating_add(1);
        start..start.saturating_add(self.lasts_s.max(1))
    }
}
