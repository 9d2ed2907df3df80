//! Once per meter and interval, in bounded memory.

use std::collections::HashMap;

use measure::{MeterId, UnixMillis};

use super::meter::is_due;

/// Meters remembered at once; while so many are within their interval, others are not allowed anything.
const METERS_MAX: usize = 10_000;

/// Allows something once per meter and interval.
#[derive(Debug)]
pub(super) struct Throttle {
    interval_ms: i64,
    last: HashMap<MeterId, UnixMillis>,
}

impl Throttle {
    pub fn new(interval_ms: i64) -> Self {
        Self { interval_ms, last: HashMap::new() }
    }

    /// Whether it is allowed now; if so, it counts as done.
    pub fn allows(&mut self, meter: &MeterId, now: UnixMillis) -> bool {
        if self.last.get(meter).is_some_and(|last| !is_due(*last, now, self.interval_ms)) {
            return false;
        }
        if self.last.len() >= METERS_MAX {
            self.last.retain(|_, last| !is_due(*last, now, self.interval_ms));
        }
        if self.last.len() >= METERS_MAX {
            return false;
        }
        self.last.insert(meter.clone(), now);
        true
    }
}
