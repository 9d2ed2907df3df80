//! All channels of one partition.

use std::collections::VecDeque;

use contracts::{MeterStateRecord, ReadingRecord};
use indexmap::IndexMap;
use indexmap::map::Entry;
use measure::{Channel as Number, MeterId, UnixMillis};

use super::Output;
use super::channel::{Channel, Context};
use super::days::Days;
use super::keep::{self, Keeper};
use super::profile::{Profile, Seal};
use super::rules::Rules;
use super::sample::{Sample, Unfit};

/// Channels of one partition: a bound for the memory. Readings of further ones are counted and make no intervals.
const CHANNELS_MAX: usize = 4_000_000;
/// A place to replay from is kept for each such stretch of the watermark.
const MARK_MS: i64 = 900_000;
/// Years 1970 to 9998: times that a calendar knows.
const TIMES: std::ops::Range<i64> = 0..253_370_764_800_000;

/// Where a successor begins to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowWater {
    /// The first reading that it takes.
    pub offset: u64,
    /// The head-end's time when that was the next one: the time that the successor begins at.
    pub now: UnixMillis,
}

/// What was done with readings, and what they showed. All count from the start of this instance, a replay included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings that were taken.
    pub taken: u64,
    /// Of these: filled a gap after their intervals had been closed.
    pub late: u64,
    /// Not taken: earlier than a horizon before the watermark.
    pub too_late: u64,
    /// Not taken: late, and where they belong is no gap.
    pub superfluous: u64,
    /// Not taken: the channel has one of that time already.
    pub duplicate: u64,
    /// Not taken: further ahead of the head-end's time than allowed.
    pub ahead: u64,
    /// Not taken: their time is an upper bound only.
    pub clock: u64,
    /// Not taken: rejected, or seen before, by the edge's filter.
    pub untrusted: u64,
    /// Not taken: a register is negative or beyond its range.
    pub register: u64,
    /// Not taken: too many channels.
    pub channels: u64,
    /// Gaps that were never filled.
    pub gaps: u64,
    /// Registers that began again at zero.
    pub rollovers: u64,
    /// Registers that fell otherwise: another meter.
    pub exchanges: u64,
    /// Registers that advanced faster than the channel can carry.
    pub jumps: u64,
    /// Interval records made.
    pub written: u64,
    /// Of these: revisions 2 and higher.
    pub revised: u64,
    /// Meters whose days gone by were kept and can't be read.
    pub unreadable: u64,
}

/// All channels of one partition: readings and time in, interval records out.
#[derive(Debug)]
pub struct Aggregator {
    rules: Rules,
    days: Days,
    counts: Counts,
    now: UnixMillis,
    next_offset: u64,
    /// In the order of their keys after each tick, so that records come in the same order whoever makes them.
    channels: IndexMap<(MeterId, Number), Box<Channel>>,
    is_sorted: bool,
    /// What a predecessor kept, before the first reading.
    restored: IndexMap<MeterId, Vec<(Number, Profile)>>,
    /// Days below this number have ended.
    sealed: u16,
    marks: VecDeque<LowWater>,
}

impl LowWater {
    /// For a partition that nothing is known of: from its first reading, at the head-end's time `now`.
    pub const fn beginning(now: UnixMillis) -> Self {
        Self { offset: 0, now }
    }
}

impl Aggregator {
    /// Begins at a low-water mark, with nothing: a beginning, or a predecessor's mark, from which the same readings and ticks must follow
    /// in the same order.
    pub fn new(rules: Rules, from: LowWater) -> Self {
        let mut days = Days::new(rules.calendar.clone(), from.now);
        let floor = rules.watermark(from.now).saturating_add(-rules.settings.horizon_ms);
        Self {
            sealed: days.day(floor).number,
            days,
            rules,
            counts: Counts::default(),
            now: from.now,
            next_offset: from.offset,
            channels: IndexMap::new(),
            is_sorted: true,
            restored: IndexMap::new(),
            marks: VecDeque::from([from]),
        }
    }

    /// What a predecessor kept of a meter, before anything is taken; the last one counts, and none takes it away.
    pub fn restore(&mut self, meter: MeterId, state: Option<&MeterStateRecord>) {
        let Some(state) = state else {
            self.restored.swap_remove(&meter);
            return;
        };
        match keep::load(&state.state) {
            Some(profiles) => _ = self.restored.insert(meter, profiles),
            None => self.counts.unreadable += 1,
        }
    }

    /// Takes the reading at `offset`; offsets grow. Whatever it holds, it does no more than be counted.
    ///
    /// Records are appended to `out`; most come with the next tick.
    pub fn take(&mut self, offset: u64, reading: &ReadingRecord, out: &mut Vec<Output>) {
        self.settle_in();
        self.next_offset = offset.saturating_add(1);
        let sample = match Sample::new(reading, &self.rules) {
            Ok(sample) => sample,
            Err(Unfit::Clock) => return self.counts.clock += 1,
            Err(Unfit::Untrusted) => return self.counts.untrusted += 1,
            Err(Unfit::Register) => return self.counts.register += 1,
        };
        if sample.time > self.now.saturating_add(self.rules.settings.ahead_ms) {
            return self.counts.ahead += 1;
        }
        let (watermark, floor) = self.limits();
        if sample.time <= floor {
            return self.counts.too_late += 1;
        }
        let is_full = self.channels.len() >= CHANNELS_MAX;
        let channel = match self.channels.entry((reading.meter.clone(), reading.channel)) {
            Entry::Occupied(it) => it.into_mut(),
            Entry::Vacant(_) if is_full => return self.counts.channels += 1,
            Entry::Vacant(it) => {
                self.is_sorted = false;
                it.insert(Box::default())
            }
        };
        let Self { rules, days, counts, .. } = self;
        let mut context = Context { rules, days, counts, watermark, floor, meter: &reading.meter, channel: reading.channel, out };
        channel.take(sample, &mut context);
    }

    /// Time passes: it is `now` at the head-end. A time that is not later than the one before changes nothing.
    ///
    /// What is due is done once a minute of `now` less the lateness; other ticks cost nothing.
    pub fn tick(&mut self, now: UnixMillis, out: &mut Vec<Output>) {
        if now <= self.now || !TIMES.contains(&now.0) {
            return;
        }
        self.settle_in();
        let (before, _) = self.limits();
        // After a long pause, what waits and what settles has its turn before it is too old.
        let soon = self.now.saturating_add(self.rules.patience_ms());
        if soon < now {
            self.pass(soon, out);
        }
        self.pass(now, out);
        self.mark(before);
    }

    /// From where a successor must replay to come to the state of this instance, as far as that makes a difference: see [`super`].
    pub fn low_water(&self) -> LowWater {
        self.marks.front().copied().unwrap_or(LowWater { offset: self.next_offset, now: self.now })
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Channels that are kept.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Bytes that all channels take, the table they are in included.
    pub fn bytes(&self) -> usize {
        // Besides its entry, a channel has a hash in that and a place in the table.
        let entry = size_of::<(MeterId, Number)>() + size_of::<Box<Channel>>() + 2 * size_of::<usize>();
        self.channels.capacity() * entry + self.channels.values().map(|it| size_of::<Channel>() + it.bytes()).sum::<usize>()
    }

    /// Of these, bytes of the days that long gaps are estimated by.
    pub fn profile_bytes(&self) -> usize {
        self.channels.values().map(|it| it.profile_bytes()).sum()
    }

    fn pass(&mut self, now: UnixMillis, out: &mut Vec<Output>) {
        let (before, _) = self.limits();
        self.now = now;
        let (watermark, floor) = self.limits();
        if watermark == before {
            return;
        }
        if !self.is_sorted {
            self.channels.sort_unstable_keys();
            self.is_sorted = true;
        }
        let Self { rules, days, counts, .. } = self;
        let seal = Seal::at(watermark, floor, days, rules);
        let a_day_ends = seal.sealed > self.sealed;
        self.sealed = seal.sealed;
        let mut keeper = Keeper::new(self.next_offset);
        self.channels.retain(|(meter, channel), state| {
            state.advance(&mut Context { rules, days, counts, watermark, floor, meter, channel: *channel, out });
            if a_day_ends {
                let has_changed = state.seal(seal);
                keeper.see(meter, *channel, has_changed, state.keep());
            }
            !state.is_empty(floor)
        });
        out.extend(keeper.close());
    }

    /// Takes what was restored as its own.
    fn settle_in(&mut self) {
        for (meter, profiles) in std::mem::take(&mut self.restored) {
            for (number, profile) in profiles {
                self.channels.insert((meter.clone(), number), Box::new(Channel::of(profile)));
                self.is_sorted = false;
            }
        }
    }

    /// The watermark, and the floor below it.
    fn limits(&self) -> (UnixMillis, UnixMillis) {
        let watermark = self.rules.watermark(self.now);
        (watermark, watermark.saturating_add(-self.rules.settings.horizon_ms))
    }

    /// Remembers this place now and then, and drops those that are further back than the state reaches, but one.
    fn mark(&mut self, before: UnixMillis) {
        let (watermark, _) = self.limits();
        if before.interval_start(MARK_MS) != watermark.interval_start(MARK_MS) {
            self.marks.push_back(LowWater { offset: self.next_offset, now: self.now });
        }
        let reached = watermark.saturating_add(-self.rules.reach_ms());
        while self.marks.get(1).is_some_and(|it| it.now <= reached) {
            self.marks.pop_front();
        }
    }
}
