//! A channel's relay: what opens it, what must come before, and what closes it again. Pure.
//!
//! A relay is closed unless somebody has a reason for it to be open: the supplier by a command, the consumer at the keypad, the
//! consumer's own limit, or want of credit. Each reason has its own way back. Want of credit opens it only after a warning, when the grace
//! has passed, and never in protected hours; more credit takes it away at once. All of this is decided here, by the meter, with or
//! without a connection.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use measure::{EventKind, UnixMillis, Watts};

/// Offsets from UTC that are believed, in minutes.
const OFFSET_MIN: RangeInclusive<i16> = -1_440..=1_440;
const DAY_MIN: i64 = 24 * 60;

/// When a channel may be cut, and when not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Time between the warning that credit is used up and the cut, in ms.
    pub grace_ms: u64,
    /// Hours in which want of credit cuts nobody off.
    pub protected: Vec<Hours>,
    /// Time above the limit before the cut, in ms; its beginning is the warning.
    pub limit_delay_ms: u64,
}

/// A part of each day, in minutes from midnight: `from` included, `to` not. It may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from_min: u16,
    to_min: u16,
    utc_offset_min: i16,
}

impl Hours {
    /// From and to are 0 to 1,440; the offset is that of the clock by which people live, 60 for one hour ahead of UTC. None if one is
    /// out of range.
    pub fn new(from_min: u16, to_min: u16, utc_offset_min: i16) -> Option<Self> {
        let sane = i64::from(from_min.max(to_min)) <= DAY_MIN && OFFSET_MIN.contains(&utc_offset_min);
        sane.then_some(Self { from_min, to_min, utc_offset_min })
    }

    /// Whether an instant lies in it.
    pub fn contains(&self, at: UnixMillis) -> bool {
        let minute = at.0.div_euclid(60_000).saturating_add(self.utc_offset_min.into()).rem_euclid(DAY_MIN);
        let (from, to) = (i64::from(self.from_min), i64::from(self.to_min));
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

/// Why a relay is open; more than one may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// The supplier has switched it off.
    pub supplier: bool,
    /// The consumer has.
    pub consumer: bool,
    /// The consumer's own limit was exceeded; the consumer re-arms it.
    pub limit: bool,
    /// There is no credit.
    pub credit: bool,
}

impl Reasons {
    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        !(self.supplier || self.consumer || self.limit || self.credit)
    }

    pub(crate) const fn to_bits(self) -> u8 {
        self.supplier as u8 | (self.consumer as u8) << 1 | (self.limit as u8) << 2 | (self.credit as u8) << 3
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self { supplier: bits & 1 != 0, consumer: bits & 2 != 0, limit: bits & 4 != 0, credit: bits & 8 != 0 }
    }
}

/// A channel's light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Indicator {
    /// The relay is open.
    Dark,
    /// It is closed.
    Lit,
    /// It is closed and will not stay so: credit is low or used up, or the limit is exceeded.
    Blinking,
}

/// What the relay must know of this instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub monotonic_ms: u64,
    /// None while the time is not known.
    pub utc: Option<UnixMillis>,
}

/// What is left of the credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The channel needs none, or has enough.
    Good,
    Low,
    UsedUp,
}

/// Something to tell.
pub(crate) type News = (EventKind, i64);

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relay {
    pub reasons: Reasons,
    /// The consumer was warned that credit is used up: when by UTC, if that was known.
    pub warned: Option<Option<UnixMillis>>,
    pub low_told: bool,
    pub limit: Option<Watts>,
    /// By the clock of this start; a restart gives the grace anew only while the time is not known.
    pub warned_ms: Option<u64>,
    /// Since when the channel takes more than its limit.
    pub above_since_ms: Option<u64>,
    /// Credit is low, or used up.
    pub standing_low: bool,
}

impl Relay {
    pub const fn is_closed(&self) -> bool {
        self.reasons.is_none()
    }

    pub const fn indicator(&self) -> Indicator {
        match (self.is_closed(), self.standing_low || self.above_since_ms.is_some()) {
            (false, _) => Indicator::Dark,
            (true, false) => Indicator::Lit,
            (true, true) => Indicator::Blinking,
        }
    }

    /// The credit is as it is: warns, cuts, reconnects.
    pub fn handle_credit(&mut self, now: Instant, config: &Config, standing: Standing, news: &mut Vec<News>) {
        self.standing_low = standing != Standing::Good;
        match standing {
            Standing::Good => self.low_told = false,
            Standing::Low | Standing::UsedUp if !self.low_told => {
                self.low_told = true;
                news.push((EventKind::CreditLow, 0));
            }
            _ => {}
        }
        if standing != Standing::UsedUp {
            (self.warned, self.warned_ms) = (None, None);
            self.change(news, |reasons| reasons.credit = false);
        } else if self.warned.is_none() {
            (self.warned, self.warned_ms) = (Some(now.utc), Some(now.monotonic_ms));
            news.push((EventKind::DisconnectWarning, i64::try_from(config.grace_ms).unwrap_or(i64::MAX)));
        } else if self.may_cut(now, config) {
            self.change(news, |reasons| reasons.credit = true);
        }
    }

    fn may_cut(&mut self, now: Instant, config: &Config) -> bool {
        let since_start = now.monotonic_ms.saturating_sub(*self.warned_ms.get_or_insert(now.monotonic_ms));
        let since_warning = match (self.warned.flatten(), now.utc) {
            (Some(warned), Some(utc)) => u64::try_from(utc.millis_since(warned)).unwrap_or(0).max(since_start),
            _ => since_start,
        };
        let protected = match now.utc {
            Some(utc) => config.protected.iter().any(|hours| hours.contains(utc)),
            // It may be one of these hours.
            None => !config.protected.is_empty(),
        };
        since_warning >= config.grace_ms && !protected
    }

    /// The channel takes this power: trips the limit after the delay.
    pub fn handle_power(&mut self, now: Instant, config: &Config, power: Watts, news: &mut Vec<News>) {
        let above = self.limit.is_some_and(|limit| power.deciwatts().saturating_abs() > limit.deciwatts());
        if !above || !self.is_closed() {
            self.above_since_ms = None;
            return;
        }
        match self.above_since_ms {
            None => {
                self.above_since_ms = Some(now.monotonic_ms);
                news.push((EventKind::LimitExceeded, i64::from(power.deciwatts())));
            }
            Some(since) if now.monotonic_ms.saturating_sub(since) >= config.limit_delay_ms => {
                self.above_since_ms = None;
                self.change(news, |reasons| reasons.limit = true);
            }
            Some(_) => {}
        }
    }

    /// The supplier switches.
    pub fn handle_supplier(&mut self, on: bool, news: &mut Vec<News>) {
        self.change(news, |reasons| reasons.supplier = !on);
    }

    /// The consumer switches; on also re-arms the limit.
    pub fn handle_consumer(&mut self, on: bool, news: &mut Vec<News>) {
        self.change(news, |reasons| {
            reasons.consumer = !on;
            reasons.limit &= !on;
        });
    }

    /// The consumer's limit is another one, or none, which re-arms it.
    pub fn set_limit(&mut self, limit: Option<Watts>, news: &mut Vec<News>) {
        (self.limit, self.above_since_ms) = (limit, None);
        if limit.is_none() {
            self.change(news, |reasons| reasons.limit = false);
        }
    }

    fn change(&mut self, news: &mut Vec<News>, change: impl FnOnce(&mut Reasons)) {
        let before = self.is_closed();
        change(&mut self.reasons);
        match (before, self.is_closed()) {
            (true, false) => news.push((EventKind::Disconnected, self.reasons.to_bits().into())),
            (false, true) => news.push((EventKind::Reconnected, 0)),
            _ => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(ms: u64, utc: i64) -> Instant {
        Instant { monotonic_ms: ms, utc: Some(UnixMillis(utc)) }
    }

    fn config() -> Config {
        Config { grace_ms: 1_000, protected: vec![Hours::new(22 * 60, 6 * 60, 60).unwrap()], limit_delay_ms: 10_000 }
    }

    fn kinds(news: &mut Vec<News>) -> Vec<EventKind> {
        news.drain(..).map(|(kind, _)| kind).collect()
    }

    #[test]
    fn protected_hours_go_over_midnight_and_follow_the_local_clock() {
        let hours = Hours::new(22 * 60, 6 * 60, 60).unwrap();
        let at = |hour: i64| hours.contains(UnixMillis(hour * HOUR));
        assert_eq!([20, 21, 23, 0, 4, 5, 12].map(at), [false, true, true, true, true, false, false]);
        assert!(Hours::new(0, 1_440, 0).unwrap().contains(UnixMillis(-1)), "all day, before 1970 too");
        assert_eq!(Hours::new(1_441, 0, 0), None);
    }

    #[test]
    fn a_cut_comes_after_warning_and_grace_and_not_at_night() {
        let (mut relay, mut news, noon) = (Relay::default(), Vec::new(), 12 * HOUR);
        relay.handle_credit(at(0, noon), &config(), Standing::Low, &mut news);
        assert_eq!((kinds(&mut news), relay.indicator()), (vec![EventKind::CreditLow], Indicator::Blinking));
        relay.handle_credit(at(1, noon + 1), &config(), Standing::UsedUp, &mut news);
        assert_eq!(kinds(&mut news), [EventKind::DisconnectWarning]);
        relay.handle_credit(at(1_000, noon + 1_000), &config(), Standing::UsedUp, &mut news);
        assert!(relay.is_closed() && news.is_empty());
        let night = 23 * HOUR;
        relay.handle_credit(at(2_000, night), &config(), Standing::UsedUp, &mut news);
        assert!(relay.is_closed(), "protected");
        relay.handle_credit(Instant { monotonic_ms: 3_000, utc: None }, &config(), Standing::UsedUp, &mut news);
        assert!(relay.is_closed(), "it may be night");
        relay.handle_credit(at(4_000, noon), &config(), Standing::UsedUp, &mut news);
        assert_eq!((kinds(&mut news), relay.indicator()), (vec![EventKind::Disconnected], Indicator::Dark));
        relay.handle_credit(at(5_000, night), &config(), Standing::Good, &mut news);
        assert_eq!((kinds(&mut news), relay.indicator()), (vec![EventKind::Reconnected], Indicator::Lit));
    }

    #[test]
    fn the_limit_trips_after_its_delay_and_only_the_consumer_re_arms_it() {
        let (mut relay, mut news) = (Relay { limit: Some(Watts::from_deciwatts(20_000)), ..Relay::default() }, Vec::new());
        let power = |watts: i32| Watts::from_deciwatts(watts * 10);
        relay.handle_power(at(0, 0), &config(), power(2_001), &mut news);
        assert_eq!((kinds(&mut news), relay.indicator()), (vec![EventKind::LimitExceeded], Indicator::Blinking));
        relay.handle_power(at(5_000, 0), &config(), power(1_999), &mut news);
        relay.handle_power(at(6_000, 0), &config(), power(2_001), &mut news);
        relay.handle_power(at(15_999, 0), &config(), power(2_001), &mut news);
        assert!(relay.is_closed());
        relay.handle_power(at(16_000, 0), &config(), power(2_001), &mut news);
        assert!(!relay.is_closed() && relay.reasons.limit);
        relay.handle_supplier(true, &mut news);
        relay.handle_credit(at(16_001, 0), &config(), Standing::Good, &mut news);
        assert!(!relay.is_closed(), "nobody else's business");
        relay.handle_consumer(true, &mut news);
        assert!(relay.is_closed());
    }

    proptest! {
        /// Whatever happens: no cut for want of credit without a warning before, within the grace, or in protected hours.
        #[test]
        fn no_cut_without_warning_grace_and_daylight(steps in prop::collection::vec((0..3u8, 0..2_000_000u64, any::<bool>()), 0..200)) {
            let (mut relay, mut news, mut clock) = (Relay::default(), Vec::new(), 0_u64);
            let mut warned = None;
            for (standing, later, knows) in steps {
                clock += later;
                let utc = UnixMillis(12 * HOUR + clock as i64);
                let now = Instant { monotonic_ms: clock, utc: knows.then_some(utc) };
                let standing = [Standing::Good, Standing::Low, Standing::UsedUp][usize::from(standing)];
                relay.handle_credit(now, &config(), standing, &mut news);
                for (kind, _) in news.drain(..) {
                    match kind {
                        EventKind::DisconnectWarning => warned = Some(clock),
                        EventKind::Disconnected => {
                            prop_assert!(warned.is_some_and(|warned| clock - warned >= 1_000));
                            prop_assert!(knows && !config().protected[0].contains(utc));
                        }
                        EventKind::Reconnected => prop_assert!(standing != Standing::UsedUp),
                        _ => {}
                    }
                }
                prop_assert!(relay.is_closed() || standing == Standing::UsedUp);
            }
        }
    }
}
