//! One meter's brain: report on change, journal, numbering, windows; no sockets, files or clocks.
//!
//! The Linux agent and the firmware share it. Time, randomness and the journal are arguments; what it wants sent it hands out.
#![no_std]

extern crate alloc;

mod channel;
pub mod clock;
pub mod counters;
pub mod edge;
pub mod journal;
pub mod outbox;
pub mod report;

pub use channel::{Config as ChannelConfig, Sample};
pub use clock::{Now, Wall};
pub use counters::Counters;
pub use edge::{Config, Edge, NoData};
pub use outbox::Transmit;
