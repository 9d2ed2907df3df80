//! The vocabulary of Ferraris: units, identifiers, time, readings, events.
//!
//! Values are fixed point: what a meter journals, what travels and what Kafka holds is the same number to the last digit.
//! Nothing here allocates, reads a clock or touches a device. With the feature `serde` every value has a human-readable form
//! (decimal numbers, names) for JSON; the wire has a form of its own (crate `wire`).
#![no_std]

pub mod derived;
pub mod event;
pub mod id;
pub mod obis;
pub mod outcome;
pub mod reading;
pub mod record;
pub mod time;
pub mod unit;

pub use event::{Event, EventKind, Gap, GapReason, Hello, Text};
pub use id::{Account, CHANNELS_MAX, Channel, FeederId, InvalidId, MeterId, Seq, StreamId};
pub use obis::{NotObis, Obis, Period};
pub use outcome::{ActionKind, Outcome, Verdict};
pub use reading::{Deviations, Flags, Raw, Reading, Register};
pub use record::{Record, RowKind};
pub use time::{ClockQuality, UnixMillis};
pub use unit::{Amperes, Deviation, Hertz, NormalisedInnovation, PowerFactor, Vars, Volts, WattHours, Watts};
