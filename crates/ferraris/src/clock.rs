//! The wall clock, at the rim.

use std::time::{SystemTime, UNIX_EPOCH};

use measure::UnixMillis;

/// Now.
pub fn now() -> UnixMillis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}
