//! How much an identity may send: token buckets as functions of time.
//!
//! A bucket is one instant: when it will be full again if nothing more is taken (the generic cell rate algorithm of ITU-T I.371). What was
//! taken is charged after the fact, so a bucket can be overdrawn by what came in one read of a socket; the socket is not read from
//! until that is made good. Nothing is lost and nothing refused by it: TCP tells the peer to slow down.

use std::time::{Duration, Instant};

use super::identity::Role;
use crate::config::{Limits, Rate};

const MINUTE: Duration = Duration::from_secs(60);

/// Binary digits behind the point of [`Pace::nanos`].
const FRACTION: u32 = 24;

/// So many units in so much time, and how many at once after a pause. Made once, so that a charge needs no division.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Nanoseconds that a unit takes to refill, rounded up.
    nanos: u128,
    /// How long it takes to fill an empty bucket.
    depth: Duration,
}

impl Pace {
    fn new(units: u64, time: Duration, burst: u64) -> Self {
        let nanos = (time.as_nanos() << FRACTION).div_ceil(u128::from(units.max(1)));
        let mut this = Self { nanos, depth: Duration::ZERO };
        this.depth = this.refill(burst);
        this
    }

    fn per_second(units: u64, burst: u64) -> Self {
        Self::new(units, Duration::from_secs(1), burst)
    }

    /// How long it takes to refill so many; the longest time there is instead of one beyond it.
    fn refill(&self, units: u64) -> Duration {
        let nanos = self.nanos.saturating_mul(u128::from(units)) >> FRACTION;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What an identity may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    messages: Pace,
    bytes: Pace,
    /// How long it may stay over that.
    patience: Duration,
}

/// What everybody may, by role.
#[derive(Debug)]
pub(crate) struct Allowances {
    meter: Allowance,
    service: Allowance,
    operator: Allowance,
    takeovers: Pace,
}

impl Allowances {
    /// As configured.
    pub(crate) fn new(limits: &Limits) -> Self {
        let allowance = |rate: &Rate| Allowance {
            messages: Pace::per_second(rate.messages_per_s, rate.messages_burst),
            bytes: Pace::per_second(rate.bytes_per_s, rate.bytes_burst),
            patience: Duration::from_secs(limits.over_rate_s),
        };
        Self {
            meter: allowance(&limits.meter),
            service: allowance(&limits.service),
            operator: allowance(&limits.operator),
            takeovers: Pace::new(limits.takeovers_per_minute, MINUTE, limits.takeovers_per_minute),
        }
    }

    /// What an identity in this role may send.
    pub(crate) fn of(&self, role: Role) -> &Allowance {
        match role {
            Role::Meter => &self.meter,
            Role::Service | Role::Canary => &self.service,
            Role::Operator => &self.operator,
        }
    }
}

/// A bucket of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// What is missing, as the time it takes to refill.
    fn missing(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now)
    }

    fn is_half_full(&self, pace: &Pace, now: Instant) -> bool {
        self.missing(now).saturating_mul(2) <= pace.depth
    }

    /// Takes units, more than there are if need be: how long until what was overdrawn is made good.
    fn take(&mut self, pace: &Pace, units: u64, now: Instant) -> Duration {
        let missing = self.missing(now).saturating_add(pace.refill(units));
        // Beyond what the clock can count nothing is added; that is centuries.
        self.full_at = now.checked_add(missing).unwrap_or(self.full_at);
        missing.saturating_sub(pace.depth)
    }

    /// Takes one if there is one.
    fn try_take(&mut self, pace: &Pace, now: Instant) -> bool {
        let mut after = *self;
        let taken = after.take(pace, 1, now).is_zero();
        if taken {
            *self = after;
        }
        taken
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Packets.
    Messages,
    /// Their bytes.
    Bytes,
}

/// What follows from what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Read on.
    Go,
    /// Read on at this instant.
    Wait(Instant, Measure),
    /// Over the rate for too long.
    Cut(Measure),
}

/// What the gate remembers of an identity for a while, whatever connections it opens and closes.
#[derive(Debug)]
pub(crate) struct Standing {
    messages: Bucket,
    bytes: Bucket,
    takeovers: Bucket,
    /// Since when neither bucket has been half full again after one was empty.
    over_since: Option<Instant>,
    /// When it was last told that takeovers are too many.
    told: Option<Instant>,
}

/// A newer session has replaced an older one of the same identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// As happens.
    Usual,
    /// More often than the limit.
    Contested {
        /// Not told in the last minute.
        news: bool,
    },
}

impl Standing {
    /// That of a stranger: everything is full.
    pub(crate) fn new(now: Instant) -> Self {
        let full = Bucket::full(now);
        Self { messages: full, bytes: full, takeovers: full, over_since: None, told: None }
    }

    /// Charges what was sent. After a verdict of `Cut` the patience begins anew.
    pub(crate) fn charge(&mut self, allowance: &Allowance, messages: u64, bytes: u64, now: Instant) -> Verdict {
        let Allowance { messages: of_messages, bytes: of_bytes, patience } = allowance;
        let is_over = self.over_since.is_some();
        if is_over && self.messages.is_half_full(of_messages, now) && self.bytes.is_half_full(of_bytes, now) {
            self.over_since = None;
        }
        let waits = (self.messages.take(of_messages, messages, now), self.bytes.take(of_bytes, bytes, now));
        let (wait, measure) = if waits.0 >= waits.1 { (waits.0, Measure::Messages) } else { (waits.1, Measure::Bytes) };
        if wait.is_zero() {
            return Verdict::Go;
        }
        let since = *self.over_since.get_or_insert(now);
        if now.saturating_duration_since(since) > *patience {
            self.over_since = None;
            return Verdict::Cut(measure);
        }
        now.checked_add(wait).map_or(Verdict::Cut(measure), |until| Verdict::Wait(until, measure))
    }

    /// Counts a takeover.
    pub(crate) fn take_over(&mut self, allowances: &Allowances, now: Instant) -> Takeover {
        if self.takeovers.try_take(&allowances.takeovers, now) {
            return Takeover::Usual;
        }
        let news = self.told.is_none_or(|told| now.saturating_duration_since(told) >= MINUTE);
        if news {
            self.told = Some(now);
        }
        Takeover::Contested { news }
    }

    /// Whether one takeover more would be too many.
    pub(crate) fn is_contested(&self, allowances: &Allowances, now: Instant) -> bool {
        !self.takeovers.clone().try_take(&allowances.takeovers, now)
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_forgotten(&self, now: Instant) -> bool {
        [self.messages, self.bytes, self.takeovers].iter().all(|bucket| bucket.missing(now).is_zero())
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
