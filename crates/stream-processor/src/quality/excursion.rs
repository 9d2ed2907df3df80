//! A value beyond a limit, with hysteresis and delays on and off.
//!
//! Meters report changes, so a value stands until the next one. An excursion counts when it has lasted for the delay on, and is over when the
//! value has been back behind limit and hysteresis for the delay off; then it ended when it came back. One that is over before it counts is a
//! short one: a dip or swell.

use measure::UnixMillis;
use serde::{Deserialize, Serialize};

/// Which side of the limit is the wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Below it.
    Below,
    /// Above it.
    Above,
}

/// A limit, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Beyond this it begins.
    pub threshold: i64,
    /// So far back behind it must be to be over.
    pub hysteresis: i64,
    /// Which side is the wrong one.
    pub side: Side,
    /// How long it must last to count, in ms.
    pub on_ms: i64,
    /// How long it must be back to be over, in ms.
    pub off_ms: i64,
}

impl Limit {
    fn is_beyond(&self, value: i64) -> bool {
        match self.side {
            Side::Below => value < self.threshold,
            Side::Above => value > self.threshold,
        }
    }

    fn is_back(&self, value: i64) -> bool {
        match self.side {
            Side::Below => value > self.threshold + self.hysteresis,
            Side::Above => value < self.threshold - self.hysteresis,
        }
    }

    fn farther(&self, one: i64, other: i64) -> i64 {
        match self.side {
            Side::Below => one.min(other),
            Side::Above => one.max(other),
        }
    }
}

/// What is known of an excursion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excursion {
    /// When it began.
    pub start: UnixMillis,
    /// When it was over, if it is.
    pub end: Option<UnixMillis>,
    /// Whether that was not seen: values are missing from `end` on.
    pub cut: bool,
    /// The value farthest beyond the limit.
    pub extreme: i64,
    /// The mean, weighted with time.
    pub mean: i64,
    /// Values in it.
    pub samples: u32,
}

/// What a value changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An excursion counts now.
    Begun(Excursion),
    /// One that counted is over.
    Ended(Excursion),
    /// One was over before it counted.
    Short(Excursion),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    start: UnixMillis,
    /// Since when the value that stands now stands, and that value.
    since: UnixMillis,
    value: i64,
    extreme: i64,
    weighted: i64,
    samples: u32,
    counts: bool,
    back: Option<UnixMillis>,
}

/// Watches one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor(Option<Open>);

impl Monitor {
    /// From `time` on the value is `value`; the one before stood until then. Times grow.
    pub fn push(&mut self, limit: &Limit, time: UnixMillis, value: i64) -> Option<Change> {
        let change = self.0.and_then(|open| self.pass(open, limit, time));
        let Some(open) = &mut self.0 else {
            if limit.is_beyond(value) {
                let (start, since) = (time, time);
                self.0 = Some(Open { start, since, value, extreme: value, weighted: 0, samples: 1, counts: false, back: None });
            }
            return change;
        };
        if limit.is_back(value) {
            if !open.counts {
                let short = Change::Short(open.told(Some(time), false));
                self.0 = None;
                return Some(short);
            }
            open.back = open.back.or(Some(time));
        } else {
            open.back = None;
            (open.value, open.samples) = (value, open.samples.saturating_add(1));
            open.extreme = limit.farther(open.extreme, value);
        }
        change
    }

    /// Values are missing from `time` on, the time of the last one. One that counts is over with it, so far as is known; what a short one would
    /// have become nobody knows.
    pub fn cut(&mut self, time: UnixMillis) -> Option<Change> {
        let open = self.0.take().filter(|it| it.counts)?;
        Some(Change::Ended(open.told(Some(open.back.unwrap_or(time)), open.back.is_none())))
    }

    /// Whether a value is beyond the limit now, however short.
    pub fn is_open(&self) -> bool {
        self.0.is_some_and(|it| it.back.is_none())
    }

    /// Time passes up to `time`.
    fn pass(&mut self, mut open: Open, limit: &Limit, time: UnixMillis) -> Option<Change> {
        if open.back.is_none() {
            open.weighted = open.weighted.saturating_add(open.value.saturating_mul(time.millis_since(open.since)));
        }
        open.since = time;
        let mut change = None;
        if let Some(back) = open.back.filter(|back| time.millis_since(*back) >= limit.off_ms) {
            self.0 = None;
            return Some(Change::Ended(open.told(Some(back), false)));
        }
        if !open.counts && time.millis_since(open.start) >= limit.on_ms {
            open.counts = true;
            change = Some(Change::Begun(open.told(None, false)));
        }
        self.0 = Some(open);
        change
    }
}

impl Open {
    fn told(&self, end: Option<UnixMillis>, cut: bool) -> Excursion {
        let until = self.back.unwrap_or(self.since);
        let mean = self.weighted.checked_div(until.millis_since(self.start)).unwrap_or(self.value);
        Excursion { start: self.start, end, cut, extreme: self.extreme, mean, samples: self.samples }
    }
}
