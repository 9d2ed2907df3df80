//! What a channel registered on days gone by, for gaps that are too long to be interpolated: the mean of like days tells their shape. And it
//! tells how much of a day is usual.
//!
//! A day has twelve slots of two hours; that is the longest gap of which a straight line is believed, so a slot needs no shape inside. Days
//! are alike that are working days both, or both are not (weekends and the calendar's holidays). The rule (the mean of three days of the same
//! type, scaled to the difference of the registers) is that of the Californian VEE standard; `metering` calls it the proxy day.
//!
//! # The same for whoever estimates
//!
//! What is known of the past must not depend on when somebody asks, or a successor that takes the log again would make other records. So a
//! gap asks for days that ended a horizon before it began: when it is estimated they are final, and all of them are kept for as long as a
//! gap may ask for them. What comes later changes nothing.

use std::ops::RangeInclusive;

use measure::UnixMillis;
use serde::{Deserialize, Serialize};

use super::calendar::Day;
use super::curve::Curve;
use super::days::Days;
use super::rules::Rules;

const HOUR_MS: i64 = 3_600_000;
/// Length of a slot, but for the last of a day in which the clocks are changed.
const SLOT_MS: i64 = 2 * HOUR_MS;
const SLOTS: usize = 12;
/// Days that a mean is made of.
const LIKE_DAYS: usize = 3;
/// Older days are of another season.
const AGE_DAYS: u16 = 35;
/// More than is ever kept of a channel: days of which a week's horizon asks, those of both kinds before them, twice for export.
const SHAPES_MAX: usize = 128;
/// A slot of which nothing is known.
const MISSING: u8 = u8::MAX;

const IMPORT: u8 = 0;
const EXPORT: u8 = 1;

/// What a register advanced in each slot of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
struct Shape {
    /// Number of the day ([`Day::number`]).
    day: u16,
    register: u8,
    is_workday: bool,
    /// See [`code`]. Of an import [`MISSING`] is possible; a day without export has no shape of it.
    slots: [u8; SLOTS],
}

/// A shape as it is kept, without the names.
type Row = (u16, u8, bool, [u8; SLOTS]);

/// The first half of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Half {
    day: u16,
    hour: u8,
    energy: [u32; 2],
}

/// The days of one channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    /// By day, then register.
    shapes: Vec<Shape>,
    half: Option<Half>,
    /// Days below this number are final.
    sealed: u16,
}

/// The final days of one channel, as they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    sealed: u16,
    shapes: Vec<Shape>,
}

/// Which days are final, and which can be asked for, at some watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// Days below this number are final.
    pub sealed: u16,
    /// No gap asks for the days below a lower number than this.
    asked: u16,
}

impl Seal {
    /// At this watermark, with this floor.
    pub fn at(watermark: UnixMillis, floor: UnixMillis, days: &mut Days, rules: &Rules) -> Self {
        let oldest_gap = watermark.saturating_add(-rules.reach_ms());
        // The day before the one that it lies in has ended.
        Self { sealed: days.day(floor).number, asked: days_before(oldest_gap, days, rules) }
    }
}

impl Profile {
    /// Takes what a measured hour of that day brought, in 0.01 Wh.
    pub fn hour(&mut self, day: &Day, start: UnixMillis, energy: [i64; 2]) {
        let first = self.half.take();
        let Ok(hour) = u8::try_from(start.millis_since(day.start) / HOUR_MS) else { return };
        // What does not fit is more than 40 MWh in an hour.
        let energy = energy.map(|it| u32::try_from(it).unwrap_or(if it < 0 { 0 } else { u32::MAX }));
        if day.number < self.sealed {
            return;
        }
        if hour.is_multiple_of(2) {
            self.half = Some(Half { day: day.number, hour, energy });
            return;
        }
        let Some(first) = first.filter(|it| it.day == day.number && it.hour + 1 == hour) else { return };
        let slot = usize::from(hour / 2);
        for ((register, first), second) in [IMPORT, EXPORT].into_iter().zip(first.energy).zip(energy) {
            self.set(day, register, slot, code(u64::from(first) + u64::from(second)));
        }
    }

    /// Days end: what is known of them is final. Whether that changes what a successor must know.
    pub fn seal(&mut self, seal: Seal) -> bool {
        if seal.sealed <= self.sealed {
            return false;
        }
        let is_new = self.shapes.iter().any(|it| (self.sealed..seal.sealed).contains(&it.day));
        self.sealed = seal.sealed;
        let before = self.shapes.len();
        // Whoever asks for the days before `asked` or later finds the same as if nothing had been forgotten.
        let oldest = |is_workday| {
            let mut alike = self.shapes.iter().rev().filter(|it| it.is_like(is_workday) && it.day < seal.asked);
            alike.nth(LIKE_DAYS - 1).map_or(0, |it| it.day)
        };
        let (of_workdays, of_others) = (oldest(true), oldest(false));
        self.shapes.retain(|it| {
            let oldest = if it.is_workday { of_workdays } else { of_others };
            it.day >= seal.asked || (it.day >= oldest && it.day.saturating_add(AGE_DAYS) >= seal.asked)
        });
        self.shapes.shrink_to_fit();
        is_new || self.shapes.len() != before
    }

    /// How registers that advanced by `advance` from `from` to `to` did so, by like days. None if there are none for a part of it, or if a
    /// register never moved on them.
    pub fn curve(&self, from: UnixMillis, to: UnixMillis, advance: [i64; 2], days: &mut Days, rules: &Rules) -> Option<Curve> {
        let before = days_before(from, days, rules);
        let mut weights = Vec::new();
        let mut at = from;
        while at < to {
            let day = days.day(at);
            let slot = usize::try_from(at.millis_since(day.start) / SLOT_MS).unwrap_or_default().min(SLOTS - 1);
            // The last slot of a day is longer or shorter when the clocks are changed.
            let end = if slot == SLOTS - 1 { day.end } else { day.start.saturating_add((slot as i64 + 1) * SLOT_MS) };
            let mean = self.mean(before, day.is_workday, slot)?;
            let end = end.min(to);
            weights.push((end, mean.map(|it| u128::from(it) * u128::from(end.millis_since(at).unsigned_abs()))));
            at = end;
        }
        Curve::new(from, weights, advance)
    }

    /// What may be called usual of the day that begins at `start`, as import in 0.01 Wh: half to one and a half of the mean of like days before
    /// it (the high/low test of VEE). None unless enough of them are known in full.
    pub fn usual(&self, start: UnixMillis, days: &mut Days, rules: &Rules) -> Option<RangeInclusive<i64>> {
        let before = days_before(start, days, rules);
        let (mut sum, mut count) = (0, 0);
        for it in self.like_days(before, days.day(start).is_workday) {
            if it.slots.contains(&MISSING) {
                return None;
            }
            // A code is rounded down by a sixteenth in the mean.
            sum += it.slots.iter().map(|code| energy(*code)).sum::<u64>() * 17 / 16;
            count += 1;
        }
        let (mean, half) = (i64::try_from(sum / LIKE_DAYS as u64).ok()?, i64::try_from(sum / (2 * LIKE_DAYS as u64)).ok()?);
        (count == LIKE_DAYS).then_some(half..=mean + half)
    }

    /// The channel is forgotten but for this: no hour of it follows on another.
    pub fn at_rest(self) -> Self {
        Self { half: None, ..self }
    }

    /// Nothing is known that a gap could ask for.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// The final days; none if there are none.
    pub fn keep(&self) -> Option<Kept> {
        let shapes: Vec<Shape> = self.shapes.iter().filter(|it| it.day < self.sealed).cloned().collect();
        (!shapes.is_empty()).then_some(Kept { sealed: self.sealed, shapes })
    }

    /// As it was kept; none if that can't be.
    pub fn load(kept: Kept) -> Option<Self> {
        let Kept { sealed, shapes } = kept;
        let is_sorted = shapes.is_sorted_by(|one, other| (one.day, one.register) < (other.day, other.register));
        let sound = |it: &Shape| it.day < sealed && it.register <= EXPORT;
        let sound = is_sorted && shapes.len() <= SHAPES_MAX && shapes.iter().all(sound);
        sound.then_some(Self { shapes, half: None, sealed })
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.shapes.capacity() * size_of::<Shape>()
    }

    fn set(&mut self, day: &Day, register: u8, slot: usize, code: u8) {
        let key = (day.number, register);
        let place = self.shapes.partition_point(|it| (it.day, it.register) < key);
        if self.shapes.get(place).is_none_or(|it| (it.day, it.register) != key) {
            if register == EXPORT && code == 0 {
                return;
            }
            let slots = if register == IMPORT { [MISSING; SLOTS] } else { [0; SLOTS] };
            self.shapes.reserve_exact(1);
            self.shapes.insert(place, Shape { day: day.number, register, is_workday: day.is_workday, slots });
        }
        if let Some(known) = self.shapes.get_mut(place).and_then(|it| it.slots.get_mut(slot)) {
            *known = code;
        }
    }

    /// Import and export in a slot of like days before that one, in 0.01 Wh times six, the multiple of all counts of days.
    fn mean(&self, before: u16, is_workday: bool, slot: usize) -> Option<[u64; 2]> {
        let (mut sums, mut count) = ([0; 2], 0);
        for it in self.like_days(before, is_workday) {
            let Some(code) = it.slots.get(slot).filter(|it| **it != MISSING) else { continue };
            let export = self.export(it.day, slot);
            for (sum, code) in sums.iter_mut().zip([*code, export]) {
                *sum += energy(code);
            }
            count += 1;
        }
        (count > 0).then(|| sums.map(|it| it * 6 / count))
    }

    /// The last days of that kind before that one, if they are of the season.
    fn like_days(&self, before: u16, is_workday: bool) -> impl Iterator<Item = &Shape> {
        let is_of_the_season = move |it: &&Shape| it.day < before && it.day.saturating_add(AGE_DAYS) >= before;
        self.shapes.iter().rev().filter(move |it| it.is_like(is_workday)).filter(is_of_the_season).take(LIKE_DAYS)
    }

    fn export(&self, day: u16, slot: usize) -> u8 {
        let place = self.shapes.partition_point(|it| (it.day, it.register) < (day, EXPORT));
        let shape = self.shapes.get(place).filter(|it| (it.day, it.register) == (day, EXPORT));
        shape.and_then(|it| it.slots.get(slot)).copied().unwrap_or_default()
    }
}

impl From<Row> for Shape {
    fn from((day, register, is_workday, slots): Row) -> Self {
        Self { day, register, is_workday, slots }
    }
}

impl From<Shape> for Row {
    fn from(Shape { day, register, is_workday, slots }: Shape) -> Self {
        (day, register, is_workday, slots)
    }
}

impl Shape {
    fn is_like(&self, is_workday: bool) -> bool {
        self.register == IMPORT && self.is_workday == is_workday
    }
}

/// The days that a gap or a day that begins at `from` asks for lie below this number: they ended a horizon before.
fn days_before(from: UnixMillis, days: &mut Days, rules: &Rules) -> u16 {
    days.day(from.saturating_add(-rules.settings.horizon_ms)).number
}

/// Days since 1970 as a number; those after 2149 are one.
pub(super) fn number(days: i64) -> u16 {
    u16::try_from(days.max(0)).unwrap_or(u16::MAX)
}

/// An energy in a byte: five bits of exponent and three of mantissa, as a float is made, rounded down by an eighth at most. The shape of
/// a day needs no more, and what is estimated is scaled to the registers.
fn code(energy: u64) -> u8 {
    const TOP: u8 = MISSING - 1;
    let exponent = (u64::BITS - energy.leading_zeros()).saturating_sub(4);
    let mantissa = energy >> exponent;
    // With an exponent of 0 the mantissa has all four bits, and above that its first is always set.
    let code = u64::from(exponent) * 8 + mantissa;
    u8::try_from(code).map_or(TOP, |it| it.min(TOP))
}

/// The least energy that has this code, in 0.01 Wh.
fn energy(code: u8) -> u64 {
    let (exponent, rest) = (code.saturating_sub(8) / 8, u64::from(code));
    (rest - 8 * u64::from(exponent)) << exponent
}

#[cfg(test)]
mod tests;
