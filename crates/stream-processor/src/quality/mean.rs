//! Means of values that stand until the next one, over windows that are aligned to the clock.

use measure::UnixMillis;
use serde::{Deserialize, Serialize};

/// A window that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its start.
    pub start: UnixMillis,
    /// The mean of what is known of it.
    pub mean: i64,
}

/// The window that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mean {
    start: UnixMillis,
    sum: i64,
    known_ms: i64,
}

impl Mean {
    /// A value stood from `from` to `to`, which are no further apart than a few windows of `length_ms`; `each` gets the windows that are over by
    /// that and of which half or more is known.
    pub fn push(&mut self, length_ms: i64, from: UnixMillis, to: UnixMillis, value: i64, mut each: impl FnMut(Window)) {
        let mut from = from;
        while from < to {
            let start = from.interval_start(length_ms);
            if start != self.start {
                self.close(length_ms, &mut each);
                *self = Self { start, ..Self::default() };
            }
            let until = start.saturating_add(length_ms).min(to);
            let stood = until.millis_since(from);
            self.sum = self.sum.saturating_add(value.saturating_mul(stood));
            self.known_ms += stood;
            from = until;
        }
        // What ends with the window closes it: the next value may be long in coming.
        if to.interval_start(length_ms) != self.start {
            self.close(length_ms, &mut each);
            *self = Self { start: to.interval_start(length_ms), ..Self::default() };
        }
    }

    fn close(&self, length_ms: i64, each: &mut impl FnMut(Window)) {
        if self.known_ms >= length_ms / 2
            && let Some(mean) = self.sum.checked_div(self.known_ms)
        {
            each(Window { start: self.start, mean });
        }
    }
}
