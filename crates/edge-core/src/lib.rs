//! One meter's brain: report on change, journal, numbering, windows; no sockets, files or clocks.
//!
//! The Linux agent and the firmware share it. Time, randomness and the journal are arguments; what it wants sent it hands out.
//!
//! The rooms, from the bottom:
//! - [`journal`]: what a store of rows must do, and one in memory;
//! - [`clock`]: UTC where it is known, and times repaired where it was not;
//! - [`outbox`]: rows on their way: streams, numbers, windows, going back; what a full or failed journal loses;
//! - [`report`]: which readings are worth sending;
//! - [`calibration`]: gains against a reference instrument;
//! - `command`: which commands are believed, and which were answered; `settings`: what they have set;
//! - [`condition`]: heat, battery and supply of the meter itself;
//! - [`control`]: the paper's control patterns; [`keypad`]: which key is pressed, and what a row of keys asks for;
//! - [`relay`], [`credit`], [`code`]: what opens a channel's relay, what is left of its credit, and top-up codes; `prepaid`: all of them for a
//!   meter;
//! - `channel`: one channel's filter, states and events;
//! - [`edge`]: the machine that a shell drives, and the order of its calls;
//! - [`counters`]: what was dropped and ignored.
#![no_std]

extern crate alloc;

pub mod calibration;
mod channel;
pub mod clock;
pub mod code;
mod command;
pub mod condition;
pub mod control;
pub mod counters;
pub mod credit;
pub mod edge;
pub mod journal;
pub mod keypad;
pub mod outbox;
mod prepaid;
pub mod relay;
pub mod report;
mod settings;

pub use channel::{Config as ChannelConfig, Registers, Sample};
pub use clock::{Now, Wall};
pub use command::Config as CommandConfig;
pub use counters::Counters;
pub use edge::{Config, Edge, NoData};
pub use outbox::Transmit;
pub use prepaid::Config as PrepaidConfig;
