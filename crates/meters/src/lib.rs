//! Drivers: one metering device a file.
//!
//! A driver has two halves, both without input and output. The device's file turns commands into request bytes and reply bytes into
//! values with units, or into an error that says what was wrong with them. [`transaction::Transaction`] is one exchange on a bus that
//! several devices may share: it says what to send and how long to wait, is told what arrived and when, and ends in a value or in a
//! typed [`transaction::NoData`], never in a made-up zero. Whoever owns the serial port drives it.
#![no_std]

pub mod ade7816;
pub mod calibration;
pub mod decimal;
pub mod dsmr_p1;
pub mod iec62056_21;
pub mod modbus;
pub mod pzem004t;
pub mod sml;
pub mod transaction;
