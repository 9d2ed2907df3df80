//! One channel of a meter: readings that wait for their turn, what was made of those before, and the gaps between them.
//!
//! Readings are put in order of time while they wait for the watermark. Then each makes a [`Span`] with the one before, and every
//! interval gets its share. Where the span is a gap, no interval gets anything for good: the gap is kept, and its share is added to a
//! copy of the interval when that is written. A late reading splits the gap. So an interval is always the sum of the spans that are
//! known, however they came to be known; and only intervals that are open or touched by a gap are kept at all.

use contracts::intervals::{Checks, IntervalLength};
use measure::{Channel as Number, MeterId, UnixMillis};

use super::days::Days;
use super::demand::{Maximum, Minutes};
use super::gap::Gap;
use super::profile::{Kept, Profile, Seal};
use super::rules::Rules;
use super::sample::Sample;
use super::span::Span;
use super::window::Window;
use super::{Counts, Output};

/// Readings that wait, of one channel; the oldest goes on early when there are more.
const WAITING_MAX: usize = 4_096;
/// Gaps of one channel that late readings can fill; the oldest is closed when there are more.
const GAPS_MAX: usize = 32;

/// Intervals that are open while nothing is missing.
const WINDOWS_USUAL: usize = 5;

/// What is known of one channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Channel {
    /// Later than the watermark, by time.
    waiting: Vec<Sample>,
    /// The last that had its turn.
    last: Option<Sample>,
    /// By time.
    gaps: Vec<Gap>,
    /// By end, then length.
    windows: Vec<Window>,
    minutes: Minutes,
    profile: Profile,
}

/// What a channel works with.
pub(super) struct Context<'a> {
    pub rules: &'a Rules,
    pub days: &'a mut Days,
    pub counts: &'a mut Counts,
    /// Up to here, itself included, time is complete.
    pub watermark: UnixMillis,
    /// Up to here, itself included, nothing changes any more.
    pub floor: UnixMillis,
    pub meter: &'a MeterId,
    pub channel: Number,
    pub out: &'a mut Vec<Output>,
}

impl Channel {
    /// Takes a reading that is later than the floor.
    pub fn take(&mut self, sample: Sample, cx: &mut Context<'_>) {
        match self.last.map(|it| it.time) {
            Some(last) if sample.time == last => cx.counts.duplicate += 1,
            Some(last) if sample.time < last => self.fill(sample, cx),
            _ if sample.time <= cx.watermark => self.follow(sample, cx),
            _ => self.wait(sample, cx),
        }
    }

    /// Does what is due at a new watermark.
    pub fn advance(&mut self, cx: &mut Context<'_>) {
        let due = self.waiting.partition_point(|it| it.time <= cx.watermark);
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.drain(..due).for_each(|it| self.follow(it, cx));
        self.waiting = waiting;
        self.settle(cx);
        self.write_windows(cx);
        self.prune(cx);
        if self.is_idle(cx.floor) {
            // A successor knows no more of it either.
            *self = Self::of(std::mem::take(&mut self.profile).at_rest());
        }
        self.shrink();
    }

    /// Whether there is nothing left that a reading could depend on, and no gap could ask for.
    pub fn is_empty(&self, floor: UnixMillis) -> bool {
        self.is_idle(floor) && self.profile.is_empty()
    }

    /// Whether there is nothing left that a reading could depend on.
    fn is_idle(&self, floor: UnixMillis) -> bool {
        let idle = self.last.is_none_or(|it| it.time <= floor);
        idle && self.waiting.is_empty() && self.gaps.is_empty() && self.windows.is_empty()
    }

    /// A channel of which only days gone by are known.
    pub fn of(profile: Profile) -> Self {
        Self { profile, ..Self::default() }
    }

    /// Days end. Whether what is to be kept of them has changed.
    pub fn seal(&mut self, seal: Seal) -> bool {
        self.profile.seal(seal)
    }

    /// What is to be kept of the days that have ended.
    pub fn keep(&self) -> Option<Kept> {
        self.profile.keep()
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let demands = self.windows.iter().filter_map(|it| it.demand.as_deref()).map(size_of_val).sum::<usize>();
        let waiting = self.waiting.capacity() * size_of::<Sample>();
        waiting
            + self.gaps.capacity() * size_of::<Gap>()
            + self.windows.capacity() * size_of::<Window>()
            + self.minutes.bytes()
            + self.profile.bytes()
            + demands
    }

    /// Bytes of the days gone by.
    pub fn profile_bytes(&self) -> usize {
        size_of::<Profile>() + self.profile.bytes()
    }

    fn wait(&mut self, sample: Sample, cx: &mut Context<'_>) {
        let place = self.waiting.partition_point(|it| it.time < sample.time);
        if self.waiting.get(place).is_some_and(|it| it.time == sample.time) {
            cx.counts.duplicate += 1;
            return;
        }
        self.waiting.insert(place, sample);
        if self.waiting.len() > WAITING_MAX {
            let first = self.waiting.remove(0);
            self.follow(first, cx);
        }
    }

    /// The next reading in the order of time.
    fn follow(&mut self, sample: Sample, cx: &mut Context<'_>) {
        cx.counts.taken += 1;
        let before = self.last.replace(sample);
        self.count(&sample, 0, cx);
        self.join(before, sample, 0, cx);
    }

    /// A late reading, before the last: only gaps have room for it.
    fn fill(&mut self, sample: Sample, cx: &mut Context<'_>) {
        let place = self.gaps.partition_point(|it| it.to.time < sample.time);
        if self.gaps.get(place).is_none_or(|it| !it.takes(sample.time)) {
            cx.counts.superfluous += 1;
            return;
        }
        cx.counts.taken += 1;
        cx.counts.late += 1;
        let gap = self.gaps.remove(place);
        self.count(&sample, gap.revision, cx);
        self.join(gap.from, sample, gap.revision, cx);
        // A backlog comes in order of time: however little is left of the gap, the next may fall into it.
        self.open_gap(Gap { from: Some(sample), changed: cx.watermark, settled: false, ..gap }, cx);
    }

    /// From one reading to the next; intervals that lie there entirely were written `revision` times.
    fn join(&mut self, from: Option<Sample>, to: Sample, revision: u32, cx: &mut Context<'_>) {
        let gap = Gap { from, to, revision, changed: cx.watermark, settled: false };
        match gap.span(cx.rules).filter(|it| !it.is_gap()) {
            Some(span) => self.add(&span, revision, cx),
            None => self.open_gap(gap, cx),
        }
    }

    fn open_gap(&mut self, gap: Gap, cx: &mut Context<'_>) {
        self.windows.iter_mut().filter(|it| gap.overlaps(it.start, it.end)).for_each(|it| it.dirty = true);
        let place = self.gaps.partition_point(|it| it.to.time < gap.to.time);
        self.gaps.insert(place, gap);
        if self.gaps.len() > GAPS_MAX {
            self.close_gap(0, cx);
        }
    }

    /// No late reading can fill it any more: what is estimated stays so.
    fn close_gap(&mut self, place: usize, cx: &mut Context<'_>) {
        let mut gap = self.gaps.remove(place);
        let span = gap.estimate(&self.profile, cx.days, cx.rules);
        if let Some(span) = span.as_ref().filter(|it| !it.is_gap()) {
            return self.add(span, gap.revision, cx);
        }
        write_held(&mut gap, &self.profile, cx);
        cx.counts.gaps += 1;
        cx.counts.see(span.as_ref().map_or(Checks::empty(), |it| it.checks));
        for window in self.windows.iter_mut().filter(|it| gap.overlaps(it.start, it.end)) {
            match &span {
                Some(span) => window.add(span, cx.days, cx.rules),
                None => window.add_void(),
            }
        }
    }

    /// Counts a reading in each interval that it lies in.
    fn count(&mut self, sample: &Sample, revision: u32, cx: &mut Context<'_>) {
        for length in IntervalLength::ALL {
            let bounds = cx.days.bounds(length, sample.time);
            if let Some(window) = self.window(length, bounds, revision, cx.floor) {
                window.count(sample);
            }
        }
    }

    /// Gives each interval its share of a span without a gap.
    fn add(&mut self, span: &Span, revision: u32, cx: &mut Context<'_>) {
        cx.counts.see(span.checks);
        for length in IntervalLength::ALL {
            let mut at = span.from.time;
            while at < span.to.time {
                let bounds = cx.days.bounds(length, at);
                if let Some(window) = self.window(length, bounds, revision, cx.floor) {
                    window.add(span, cx.days, cx.rules);
                }
                (_, at) = bounds;
            }
        }
    }

    /// That interval, which is about to change; none if nothing about it changes any more. One that is not kept lies in a gap entirely,
    /// where it was written `revision` times, or is new.
    fn window(
        &mut self,
        length: IntervalLength,
        bounds: (UnixMillis, UnixMillis),
        revision: u32,
        floor: UnixMillis,
    ) -> Option<&mut Window> {
        let key = (bounds.1, length);
        let place = self.windows.partition_point(|it| (it.end, it.length) < key);
        if self.windows.get(place).is_none_or(|it| (it.end, it.length) != key) {
            if bounds.1 <= floor {
                return None;
            }
            // Doubled, the room of one more would cost a kilobyte.
            self.windows.reserve_exact(1);
            self.windows.insert(place, Window::new(length, bounds, if length == IntervalLength::Minute { 0 } else { revision }));
        }
        let window = self.windows.get_mut(place)?;
        window.dirty = true;
        Some(window)
    }

    /// Writes the estimates of gaps that were left alone for long enough, and closes those that are none any more.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let mut place = 0;
        while let Some(gap) = self.gaps.get_mut(place) {
            let is_due = !gap.settled && cx.watermark.millis_since(gap.changed) >= cx.rules.settings.settle_ms;
            if is_due && gap.span(cx.rules).is_some_and(|it| !it.is_gap()) {
                self.close_gap(place, cx);
                continue;
            }
            if is_due {
                write_held(gap, &self.profile, cx);
            }
            place += 1;
        }
    }

    /// Writes the intervals that have changed and whose end is known, the shorter before the longer: a day needs its blocks.
    fn write_windows(&mut self, cx: &mut Context<'_>) {
        let Some(last) = self.last.map(|it| it.time) else { return };
        for place in 0..self.windows.len() {
            let Some(window) = self.windows.get_mut(place).filter(|it| it.dirty) else { continue };
            let settled = |gap: &Gap| gap.settled || !gap.overlaps(window.start, window.end);
            let due = window.end <= last && self.gaps.iter().all(settled);
            if !due && window.end > cx.floor {
                continue;
            }
            let mut now = with_gaps(window, &self.gaps, &self.profile, cx);
            if now.length == IntervalLength::Day
                && let Some(usual) = self.profile.usual(now.start, cx.days, cx.rules)
            {
                now.compare(&usual);
            }
            cx.write(&now);
            window.dirty = false;
            window.revision = window.revision.saturating_add(1);
            if now.is_measured() {
                self.demand(&now, cx.rules);
                if now.length == IntervalLength::Hour {
                    self.profile.hour(cx.days.day(now.start), now.start, now.energy());
                }
            }
        }
    }

    /// Takes a measured interval into the demand of its day.
    fn demand(&mut self, measured: &Window, rules: &Rules) {
        let length = measured.length;
        if length == rules.settings.demand_block {
            let millis = measured.end.millis_since(measured.start);
            if let Some(day) = day_of(&mut self.windows, measured.start, measured.end) {
                day.demand.get_or_insert_default().block(Maximum::new(measured.import(), millis, measured.end));
            }
        }
        if length == IntervalLength::Minute {
            for period in self.minutes.insert(measured.start, measured.import()) {
                if let Some(day) = day_of(&mut self.windows, period.start(), period.end) {
                    day.demand.get_or_insert_default().sliding(period);
                }
            }
        }
    }

    /// Forgets what nothing can change any more.
    fn prune(&mut self, cx: &mut Context<'_>) {
        while self.gaps.first().is_some_and(|it| it.to.time <= cx.floor) {
            self.close_gap(0, cx);
        }
        let last = self.last.map_or(cx.floor, |it| it.time);
        let gaps = &self.gaps;
        let is_open = |start, end| end > last || gaps.iter().any(|it| it.overlaps(start, end));
        self.windows.retain(|it| it.end > cx.floor && (it.dirty || is_open(it.start, it.end)));
        self.minutes.prune(is_open);
    }

    /// Gives back the memory that a gap, a backlog or the turn of an hour took.
    fn shrink(&mut self) {
        if self.waiting.capacity() > 4 * self.waiting.len().max(4) {
            self.waiting.shrink_to(2 * self.waiting.len());
        }
        if self.gaps.is_empty() {
            self.gaps = Vec::new();
        }
        self.windows.shrink_to(WINDOWS_USUAL);
        self.minutes.shrink();
    }
}

impl Context<'_> {
    /// Writes an interval, if its length is wanted.
    fn write(&mut self, window: &Window) {
        if self.rules.settings.lengths.contains(&window.length) {
            self.out.push(Output::Interval(window.record(self.meter, self.channel, self.rules)));
            self.counts.written += 1;
            self.counts.revised += u64::from(window.revision > 0);
        }
    }
}

/// The interval with what its gaps are estimated to hold.
fn with_gaps(window: &Window, gaps: &[Gap], profile: &Profile, cx: &mut Context<'_>) -> Window {
    let mut whole = window.clone();
    for gap in gaps.iter().filter(|it| it.overlaps(window.start, window.end)) {
        match gap.estimate(profile, cx.days, cx.rules) {
            Some(span) => whole.add(&span, cx.days, cx.rules),
            None => whole.add_void(),
        }
    }
    whole
}

/// Writes the intervals that lie in the gap entirely, if it changed and can be estimated. Minutes of it would say nothing.
fn write_held(gap: &mut Gap, profile: &Profile, cx: &mut Context<'_>) {
    if gap.settled {
        return;
    }
    gap.settled = true;
    let (Some(span), Some(from)) = (gap.estimate(profile, cx.days, cx.rules), gap.from) else { return };
    for length in IntervalLength::ALL.into_iter().filter(|it| *it != IntervalLength::Minute) {
        let (_, mut at) = cx.days.bounds(length, from.time);
        while at < gap.to.time {
            let bounds = cx.days.bounds(length, at);
            let mut window = Window::new(length, bounds, gap.revision);
            // Below the floor the neighbours stay as they are; only what was never written is.
            if gap.holds(&window) && (window.end > cx.floor || gap.revision == 0) {
                window.add(&span, cx.days, cx.rules);
                cx.write(&window);
            }
            (_, at) = bounds;
        }
    }
    gap.revision = gap.revision.saturating_add(1);
}

fn day_of(windows: &mut [Window], start: UnixMillis, end: UnixMillis) -> Option<&mut Window> {
    windows.iter_mut().find(|it| it.length == IntervalLength::Day && it.start <= start && end <= it.end)
}

impl Counts {
    fn see(&mut self, checks: Checks) {
        self.rollovers += u64::from(checks.contains(Checks::ROLLOVER));
        self.exchanges += u64::from(checks.contains(Checks::EXCHANGE));
        self.jumps += u64::from(checks.contains(Checks::HIGH));
    }
}
