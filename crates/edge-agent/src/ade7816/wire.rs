//! A chip's port: a device of Linux, or whatever somebody hands over.

use std::fmt::Display;
use std::io;
use std::path::Path;

use linux_embedded_hal::spidev::{SpiModeFlags, Spidev, SpidevOptions};
use linux_embedded_hal::{I2cdev, SpidevDevice};
use meters::ade7816::port::PortError;
use meters::ade7816::{I2cPort, Port, Register, SpiPort};

use crate::config::Interface;

/// The chip can do 2.5 MHz; short wires are not everybody's.
const SPI_HZ: u32 = 1_000_000;

/// A port of either kind, whose errors are texts.
pub struct Wire(Box<dyn Port<Error = String> + Send>);

/// Opens a chip's port, again and again.
pub type Open = Box<dyn FnMut() -> io::Result<Wire> + Send>;

impl Wire {
    /// Any port.
    pub fn new<P: Port<Error: Display> + Send + 'static>(port: P) -> Self {
        Self(Box::new(Named(port)))
    }

    /// A device of Linux.
    ///
    /// # Errors
    /// It is not there, is something else, or may not be opened.
    pub fn open(path: &Path, interface: Interface) -> io::Result<Self> {
        Ok(match interface {
            Interface::I2c => Self::new(I2cPort(I2cdev::new(path).map_err(io::Error::from)?)),
            Interface::Spi => {
                let mut device = Spidev::open(path)?;
                let options = SpidevOptions::new().bits_per_word(8).max_speed_hz(SPI_HZ).mode(SpiModeFlags::SPI_MODE_3).build();
                device.configure(&options)?;
                Self::new(SpiPort(SpidevDevice(device)))
            }
        })
    }
}

impl Port for Wire {
    type Error = String;

    fn write(&mut self, register: Register, value: i64) -> Result<(), PortError<String>> {
        self.0.write(register, value)
    }

    fn read(&mut self, register: Register) -> Result<i64, PortError<String>> {
        self.0.read(register)
    }

    fn lock(&mut self) -> Result<(), PortError<String>> {
        self.0.lock()
    }
}

struct Named<P>(P);

impl<P: Port<Error: Display>> Port for Named<P> {
    type Error = String;

    fn write(&mut self, register: Register, value: i64) -> Result<(), PortError<String>> {
        self.0.write(register, value).map_err(named)
    }

    fn read(&mut self, register: Register) -> Result<i64, PortError<String>> {
        self.0.read(register).map_err(named)
    }

    fn lock(&mut self) -> Result<(), PortError<String>> {
        self.0.lock().map_err(named)
    }
}

fn named<E: Display>(error: PortError<E>) -> PortError<String> {
    match error {
        PortError::Bus(cause) => PortError::Bus(cause.to_string()),
        PortError::Impossible(cause) => PortError::Impossible(cause),
        PortError::TooLarge(cause) => PortError::TooLarge(cause),
    }
}
