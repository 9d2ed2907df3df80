//! A stretch without readings: late ones may still fill it, and until they do its energy is estimated.

use contracts::intervals::Quality;
use measure::UnixMillis;

use super::days::Days;
use super::profile::Profile;
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

    /// The same with the energy where like days had it, if the gap is too long to be interpolated and there are some.
    pub fn estimate(&self, profile: &Profile, days: &mut Days, rules: &Rules) -> Option<Span> {
        let span = self.span(rules)?;
        let (from, to) = (span.from.time, span.to.time);
        let is_long = span.inner == Quality::Substituted;
        let curve = span.advance.filter(|_| is_long).and_then(|advance| profile.curve(from, to, advance, days, rules));
        Some(match curve {
            Some(curve) => span.shaped(curve),
            None => span,
        })
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
