//! Registers over I²C or SPI.
//!
//! ```text
//! I²C  write   0x70  register hi lo  data …
//!      read    0x70  register hi lo  (repeated start)  0x71  data …
//! SPI  write   0x00  register hi lo  data …       mode 3, one select for all of it
//!      read    0x01  register hi lo  data …
//! ```

use embedded_hal::i2c::I2c;
use embedded_hal::spi::{Operation, SpiDevice};

use super::register::{CONFIG2, DUMMY, Impossible, Register, TooLarge};

/// The chip's address, 7 bits.
pub const ADDRESS: u8 = 0x38;
/// Bit 1 of CONFIG2.
const I2C_LOCK: i64 = 1 << 1;

/// The bus failed, or what came over it can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError<E> {
    /// The bus itself.
    #[error("the bus failed")]
    Bus(E),
    /// What was read.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// What was to be written.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// Carries registers.
pub trait Port {
    /// What the bus says when it fails.
    type Error;

    /// Writes a register.
    ///
    /// # Errors
    /// See [`PortError`]. A write that broke off leaves the register undefined.
    fn write(&mut self, register: Register, value: i64) -> Result<(), PortError<Self::Error>>;

    /// Reads a register.
    ///
    /// # Errors
    /// See [`PortError`].
    fn read(&mut self, register: Register) -> Result<i64, PortError<Self::Error>>;

    /// Makes the chip listen to this port only, until it is reset.
    ///
    /// # Errors
    /// See [`PortError`].
    fn lock(&mut self) -> Result<(), PortError<Self::Error>>;
}

/// Register, and up to four bytes of data.
fn message<const N: usize, E>(head: &[u8], register: Register, value: i64) -> Result<heapless::Vec<u8, N>, PortError<E>> {
    let data = register.encode(value)?;
    Ok(head.iter().copied().chain(register.address.to_be_bytes()).chain(data).take(N).collect())
}

/// The chip on an I²C bus.
#[derive(Debug)]
pub struct I2cPort<I>(pub I);

impl<I: I2c> Port for I2cPort<I> {
    type Error = I::Error;

    fn write(&mut self, register: Register, value: i64) -> Result<(), PortError<I::Error>> {
        let message = message::<6, _>(&[], register, value)?;
        self.0.write(ADDRESS, &message).map_err(PortError::Bus)
    }

    fn read(&mut self, register: Register) -> Result<i64, PortError<I::Error>> {
        let mut data = [0; 4];
        let data = data.get_mut(..register.width()).unwrap_or_default();
        self.0.write_read(ADDRESS, &register.address.to_be_bytes(), data).map_err(PortError::Bus)?;
        Ok(register.decode(data)?)
    }

    fn lock(&mut self) -> Result<(), PortError<I::Error>> {
        // After a reset it listens to I²C already.
        self.write(CONFIG2, I2C_LOCK)
    }
}

/// The chip on an SPI bus, which must be in mode 3.
#[derive(Debug)]
pub struct SpiPort<S>(pub S);

const WRITE: u8 = 0x00;
const READ: u8 = 0x01;

impl<S: SpiDevice> Port for SpiPort<S> {
    type Error = S::Error;

    fn write(&mut self, register: Register, value: i64) -> Result<(), PortError<S::Error>> {
        let message = message::<7, _>(&[WRITE], register, value)?;
        self.0.write(&message).map_err(PortError::Bus)
    }

    fn read(&mut self, register: Register) -> Result<i64, PortError<S::Error>> {
        let [high, low] = register.address.to_be_bytes();
        let mut data = [0; 4];
        let data = data.get_mut(..register.width()).unwrap_or_default();
        self.0.transaction(&mut [Operation::Write(&[READ, high, low]), Operation::Read(data)]).map_err(PortError::Bus)?;
        Ok(register.decode(data)?)
    }

    fn lock(&mut self) -> Result<(), PortError<S::Error>> {
        // The select line has to go low three times before the chip listens to SPI.
        for _ in 0..3 {
            self.write(DUMMY, 0)?;
        }
        self.write(CONFIG2, 0)
    }
}
