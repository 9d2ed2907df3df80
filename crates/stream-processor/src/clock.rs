//! This machine's clock: the one place where services of this crate ask what time it is.

use measure::UnixMillis;

/// The time.
pub fn unix_now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
