//! One meter's brain: report on change, journal, numbering, windows; no sockets, files or clocks.
//!
//! The Linux agent and the firmware share it. Time, randomness and the journal are arguments; what it wants sent it hands out.
#![no_std]

extern crate alloc;

pub mod journal;
