//! Interval data: what each channel registered in a minute, a quarter of an hour, half an hour, an hour and a day, from the differences of
//! its cumulative registers. Pure: readings and time in, records out; what the records mean is in docs/intervals.md.
//!
//! An [`Aggregator`] holds the channels of one Kafka partition.
//!
//! # Grammar
//!
//! 1. [`Aggregator::new`] with checked [`Rules`] and a [`LowWater`] mark: [`LowWater::beginning`], or the one that was kept with the last
//!    commit; then [`Aggregator::restore`] for each meter of which something was kept ([`Output::State`]).
//! 2. [`Aggregator::take`] for each reading, [`Aggregator::tick`] whenever time is known to have passed, in the order of the log. After a
//!    predecessor's mark the records are thrown away up to the place of its last commit, and written from there on.
//! 3. With each commit [`Aggregator::low_water`] is kept.
//!
//! # The same inputs give the same records
//!
//! No clock is read, no float added, no hash iterated over. Ticks are inputs as readings are: they must come at the same places in a
//! replay, for instance as the `received_ms` of each reading.
//!
//! The revision of a record is the number of times that its interval was written: when it closed, and after each tick at which late
//! readings had changed it. A successor counts the same, since an interval that may still change was written for the first time after
//! the low-water mark. That lies so far back ([`Rules::reach_ms`]) that whatever came before it has left no trace: readings are not taken
//! more than `ahead_ms` before their time nor more than `horizon_ms` after the watermark passed it; an interval that may still change
//! began at most a horizon and a day ago, and the gap that it begins in at most a horizon before that.
//! What like days registered reaches back for weeks. It is kept once a day, in the records' own transaction, and neither days that are not
//! final nor those that a replay makes again change what a gap finds in it: see `profile`.
//! Other rules or another version of the time zones' data make other records; change them between days.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "times lie within a horizon of the head-end's, registers are at most 1e15: checked where they come in"
)]

pub mod calendar;
pub mod rules;

mod aggregator;
mod channel;
mod curve;
mod days;
mod demand;
mod gap;
mod keep;
mod profile;
mod sample;
mod span;
mod window;

use contracts::{IntervalRecord, MeterStateRecord};
use measure::MeterId;
use serde::Serialize;

pub use aggregator::{Aggregator, Counts, LowWater};
pub use calendar::{Calendar, CalendarError};
pub use rules::{Rules, RulesError, Settings};

/// What follows from readings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub enum Output {
    /// A record of `meter.intervals.v1`.
    Interval(IntervalRecord),
    /// What is known of a meter's days gone by.
    State(MeterStateRecord),
    /// Nothing is any more.
    Gone(MeterId),
}

impl Output {
    /// The interval record, if it is one.
    pub fn interval(self) -> Option<IntervalRecord> {
        match self {
            Self::Interval(it) => Some(it),
            Self::State(_) | Self::Gone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
