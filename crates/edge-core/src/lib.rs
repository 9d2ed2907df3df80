//! One meter's brain: report on change, journal, numbering, windows; no sockets, files or clocks.
//!
//! The Linux agent and the firmware share it. Time, randomness and the journal are arguments; what it wants sent it hands out.
//!
//! The rooms, from the bottom:
//! - [`journal`]: what a store of rows must do, and one in memory;
//! - [`clock`]: UTC where it is known, and times repaired where it was not;
//! - [`outbox`]: rows on their way: streams, numbers, windows, going back; what a full or failed journal loses;
//! - [`report`]: which readings are worth sending;
//! - `channel`: one channel's filter, states and events;
//! - [`edge`]: the machine that a shell drives, and the order of its calls;
//! - [`counters`]: what was dropped and ignored.
#![no_std]

extern crate alloc;

mod channel;
pub mod clock;
pub mod counters;
pub mod edge;
pub mod journal;
pub mod outbox;
pub mod report;

pub use channel::{Config as ChannelConfig, Registers, Sample};
pub use clock::{Now, Wall};
pub use counters::Counters;
pub use edge::{Config, Edge, NoData};
pub use outbox::Transmit;
