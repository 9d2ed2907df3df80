//! Power quality and silence: what each channel of a meter measured beyond its limits, and which meters are not heard. Pure: readings and
//! time in, records out; what the records mean is in docs/quality.md.
//!
//! | room | says |
//! |---|---|
//! | [`excursion`] | when a value was beyond a limit, with hysteresis and delays |
//! | [`mean`] | means of ten seconds and ten minutes |
//! | [`week`] | ten-minute means against EN 50160 |
//! | [`channel`], [`meter`] | all of that for one meter, the signs of tampering that its readings bear, and whether it is heard |
//! | [`watch`] | the meters of one Kafka partition, and what is kept of them |
//!
//! # Grammar
//!
//! 1. [`watch::Watch::new`], then [`watch::Watch::restore`] for each state that was kept.
//! 2. [`watch::Watch::replay`] for readings that a predecessor took, from the low-water mark on; then [`watch::Watch::take`] for new ones.
//! 3. [`watch::Watch::tick`] when time has passed. It is never repeated: whatever it changes is written as a record and as a state.
//!
//! All values are integers, so that a state comes back to the last digit.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "times are within the years 1970 to 9998 and values are 32 bits: checked where they come in"
)]

pub mod channel;
pub mod excursion;
pub mod mean;
pub mod meter;
pub mod rules;
pub mod watch;
pub mod week;

use contracts::feeders::FeederEventKind;
use contracts::{EventRecord, MeterStateRecord};
use measure::{MeterId, UnixMillis};
use serde::Serialize;

pub use rules::{Rules, RulesError, Settings};
pub use watch::Watch;

/// What follows from readings and time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// A record of `meter.events.v1`.
    Event(EventRecord),
    /// For those who watch the meter's feeder.
    Sign(Sign),
    /// What is known of the meter now.
    State(MeterStateRecord),
    /// The meter is forgotten.
    Gone(MeterId),
}

/// What happened at a meter, for those who watch its feeder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sign {
    /// The meter.
    pub meter: MeterId,
    /// What.
    pub kind: FeederEventKind,
    /// Since when.
    pub since: UnixMillis,
    /// When the head-end knew.
    pub at: UnixMillis,
}

#[cfg(test)]
mod tests;
