//! The clocks of this process: a monotonic one, and the system's if it can be believed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use edge_core::clock::{Now, Wall};
use measure::{ClockQuality, UnixMillis};

/// 2024-01-01: no agent was built before. A system whose clock shows less has not been told the time yet.
pub const EARLIEST: UnixMillis = UnixMillis(1_704_067_200_000);

/// No deadline is waited for any longer.
const HOUR_MS: u64 = 3_600_000;

/// Where UTC comes from: milliseconds since 1970, or nothing while it is not known.
pub type WallClock = Box<dyn Fn() -> Option<UnixMillis> + Send + Sync>;

/// The system's clock, if it has been set.
pub fn system() -> Option<UnixMillis> {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let now = UnixMillis(i64::try_from(elapsed.as_millis()).ok()?);
    (now >= EARLIEST).then_some(now)
}

/// Relates instants to what the brain calls now.
pub struct Clock {
    epoch: Instant,
    wall: WallClock,
}

impl Clock {
    /// Starts counting.
    pub fn new(wall: WallClock) -> Self {
        Self { epoch: Instant::now(), wall }
    }

    /// UTC, if it is known.
    pub fn utc(&self) -> Option<UnixMillis> {
        (self.wall)()
    }

    /// This instant.
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// Another instant near this one, at the pace of the monotonic clock.
    pub fn at(&self, instant: Instant) -> Now {
        let now = Instant::now();
        let ahead = millis(instant.saturating_duration_since(now));
        let ago = millis(now.saturating_duration_since(instant));
        let shift = i64::try_from(ahead).unwrap_or(0).saturating_sub(i64::try_from(ago).unwrap_or(0));
        let wall = self.utc().map(|utc| Wall { time: utc.saturating_add(shift), quality: ClockQuality::Synchronised });
        Now { monotonic_ms: millis(instant.saturating_duration_since(self.epoch)), wall }
    }

    /// The instant of a moment on the brain's monotonic clock; an hour from now if that is sooner.
    pub fn instant(&self, monotonic_ms: u64) -> Instant {
        let from_now = monotonic_ms.saturating_add(1).saturating_sub(self.now().monotonic_ms).min(HOUR_MS);
        let now = Instant::now();
        now.checked_add(Duration::from_millis(from_now)).unwrap_or(now)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_not_believed() {
        let clock = Clock::new(Box::new(|| None));
        assert_eq!(clock.now().wall, None);
        assert!(system().is_some(), "this machine knows the time");
    }

    #[test]
    fn an_instant_ago_has_the_time_it_had() {
        let clock = Clock::new(Box::new(|| Some(UnixMillis(2_000_000_000_000))));
        let before = Instant::now().checked_sub(Duration::from_millis(500)).expect("the machine runs longer than that");
        let ago = 2_000_000_000_000 - clock.at(before).wall.expect("known").time.0;
        assert!(ago >= 500 && u128::from(ago.unsigned_abs()) <= before.elapsed().as_millis(), "{ago}");
    }

    #[test]
    fn deadlines_come_back_as_instants() {
        let clock = Clock::new(Box::new(|| None));
        let now = clock.now().monotonic_ms;
        assert!(clock.at(clock.instant(now + 250)).monotonic_ms > now + 250);
        assert!(clock.instant(u64::MAX) > Instant::now());
    }
}
