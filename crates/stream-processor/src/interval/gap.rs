//! A stretch without readings: late ones may still fill it, and until they do its energy is estimated.

use measure::UnixMillis;

use super::rules::Rules;
use super::sample::Sample;
use super::span::Span;
use super::window::Window;

/// A stretch without readings, between two of them.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    /// The reading before it; none if none is known.
    pub from: Option<Sample>,
    /// The reading after it.
    pub to: Sample,
    /// How often the intervals were written that lie in it entirely.
    pub revision: u32,
    /// The watermark when it last changed.
    pub changed: UnixMillis,
    /// Whether its intervals were written since.
    pub settled: bool,
}

impl Gap {
    /// The span over it, if that is short enough for an estimate.
    pub fn span(&self, rules: &Rules) -> Option<Span> {
        let from = self.from.filter(|it| self.to.time.millis_since(it.time) <= rules.settings.horizon_ms)?;
        Some(Span::new(from, self.to, rules))
    }

    /// Whether it lies in the stretch from `start` to `end`, or in a part of it.
    pub fn overlaps(&self, start: UnixMillis, end: UnixMillis) -> bool {
        self.to.time > start && self.from.is_none_or(|it| it.time < end)
    }

    /// Whether `window` lies in it entirely: it begins after the reading before.
    pub fn holds(&self, window: &Window) -> bool {
        window.end <= self.to.time && self.from.is_none_or(|it| it.time < window.start)
    }

    /// Whether a late reading of that time falls into it.
    pub fn takes(&self, time: UnixMillis) -> bool {
        time < self.to.time && self.from.is_none_or(|it| it.time < time)
    }
}
