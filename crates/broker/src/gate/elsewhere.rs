//! Sessions that meters have at other gates, as services tell: of two sessions of a meter the newer one stays, wherever it is.
//!
//! Gates' clocks differ. So a session here begins later than every one that this gate has heard of, whatever the clock says, and a
//! meter that moved back and forth is where it came last.

use std::collections::HashMap;
use std::sync::Mutex;

use measure::{MeterId, UnixMillis};

use crate::presence::Full;
use crate::sync::lock;

/// Starts of the newest sessions at other gates.
pub(crate) struct Elsewhere {
    since: Mutex<HashMap<MeterId, UnixMillis>>,
    len_max: usize,
}

impl Elsewhere {
    /// Nothing is heard yet; it remembers at most `len_max` meters.
    pub(crate) fn new(len_max: usize) -> Self {
        Self { since: Mutex::default(), len_max }
    }

    /// Another gate has, or had, a session of the meter that began then.
    pub(crate) fn heard(&self, meter: &MeterId, since: UnixMillis) -> Result<(), Full> {
        let mut known = lock(&self.since);
        if let Some(latest) = known.get_mut(meter) {
            *latest = since.max(*latest);
            return Ok(());
        }
        if known.len() >= self.len_max {
            return Err(Full);
        }
        known.insert(meter.clone(), since);
        Ok(())
    }

    /// The start of a session of the meter that begins `now`.
    pub(crate) fn begin(&self, meter: &MeterId, now: UnixMillis) -> UnixMillis {
        lock(&self.since).get(meter).map_or(now, |latest| latest.saturating_add(1).max(now))
    }

    /// Whether the meter has come to another gate after that.
    pub(crate) fn is_later(&self, meter: &MeterId, since: UnixMillis) -> bool {
        lock(&self.since).get(meter).is_some_and(|latest| *latest > since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_begins_after_all_others_whatever_the_clock_says() {
        let (it, meter) = (Elsewhere::new(1), "m1".parse().unwrap());
        assert_eq!(it.begin(&meter, UnixMillis(5)), UnixMillis(5));
        assert_eq!(it.heard(&meter, UnixMillis(100)), Ok(()));
        assert_eq!(it.heard(&meter, UnixMillis(90)), Ok(()));
        assert_eq!([5, 100, 500].map(|now| it.begin(&meter, UnixMillis(now))), [101, 101, 500].map(UnixMillis));
        assert_eq!([99, 100, 101].map(|since| it.is_later(&meter, UnixMillis(since))), [true, false, false]);
        assert_eq!(it.heard(&meter, UnixMillis(i64::MAX)), Ok(()));
        let since = it.begin(&meter, UnixMillis(5));
        assert!(!it.is_later(&meter, since), "a clock at its end must not keep a meter out");
        assert_eq!(it.heard(&"m2".parse().unwrap(), UnixMillis(1)), Err(Full));
    }
}
