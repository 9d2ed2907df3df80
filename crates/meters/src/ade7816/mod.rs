//! ADE7816: six currents and one voltage on one chip, over I²C or SPI.
//!
//! [`register`] is the map with widths and signs, [`port`] carries registers over either bus, [`driver`] starts the chip and reads it,
//! [`front_end`] makes volts and amperes of counts, [`event`] says what an interrupt means.
//!
//! Sources: Analog Devices, "ADE7816 Six Current Channels, One Voltage Channel Energy Metering IC", data sheet Rev. A, tables 12 to 16, and for
//! what it leaves out the ADE7878's, its relative. Where the data sheet contradicts itself, what computes is taken: the period counts at
//! 256 kHz; the waveform's full scale is 5,928,256 (one page has 5,989,256); the phase coefficient for 50 Hz is 0x400CA4 (the table has
//! 0x400C4A). No traffic of a real chip was at hand: the tests are synthetic words on a mock bus.

pub mod driver;
pub mod event;
pub mod front_end;
pub mod port;
pub mod register;

pub use driver::{Ade7816, Reading, Settings, StartError, Totals};
pub use event::Events;
pub use front_end::FrontEnd;
pub use port::{I2cPort, Port, SpiPort};
pub use register::Register;

/// Current channels, A to F.
pub const CHANNELS: usize = 6;
