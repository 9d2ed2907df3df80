//! The register map: addresses, widths on the wire, signs.
//!
//! Registers of 24 bits travel as 32. "ZP" ones have zeros on top; "ZPSE" ones are sign-extended to 28 bits, with four zeros on top.
//! Energies are signed 32 bits. All travel most significant byte first.

/// How a register travels, and what of it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 8 bits, unsigned.
    Byte,
    /// 16 bits, unsigned.
    Word,
    /// 32 bits, unsigned.
    Long,
    /// 32 bits, signed.
    SignedLong,
    /// 24 bits, unsigned, as 32 (ZP).
    Padded,
    /// 24 bits, signed, as 32 (ZPSE).
    Extended,
}

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its address.
    pub address: u16,
    /// How it travels.
    pub shape: Shape,
}

/// What came is no value of the register: the bus is disturbed, or the chip is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("register {address:#06x} read as {word:#010x}, which it cannot hold: is the wiring short and the chip an ADE7816?")]
pub struct Impossible {
    /// Which register.
    pub address: u16,
    /// What came.
    pub word: u32,
}

/// A value that the register has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("register {address:#06x} cannot hold {value}")]
pub struct TooLarge {
    /// Which register.
    pub address: u16,
    /// The value.
    pub value: i64,
}

/// Bytes of a register on the wire.
pub type Bytes = heapless::Vec<u8, 4>;

const TOP_8: u32 = 0xff00_0000;
const TOP_4: u32 = 0xf000_0000;
/// Bits 23 to 27 of a sign-extended register: all alike.
const SIGNS: u32 = 0x0f80_0000;

impl Register {
    const fn new(address: u16, shape: Shape) -> Self {
        Self { address, shape }
    }

    /// Bytes that it takes on the wire.
    pub const fn width(self) -> usize {
        match self.shape {
            Shape::Byte => 1,
            Shape::Word => 2,
            Shape::Long | Shape::SignedLong | Shape::Padded | Shape::Extended => 4,
        }
    }

    /// The value in bytes that came.
    ///
    /// # Errors
    /// They hold bits that the register has not.
    pub fn decode(self, bytes: &[u8]) -> Result<i64, Impossible> {
        let word = bytes.iter().take(self.width()).fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let impossible = Impossible { address: self.address, word };
        match self.shape {
            _ if bytes.len() != self.width() => Err(impossible),
            Shape::Byte | Shape::Word | Shape::Long => Ok(word.into()),
            Shape::SignedLong => Ok(word.cast_signed().into()),
            Shape::Padded if word & TOP_8 == 0 => Ok(word.into()),
            Shape::Extended if word & TOP_4 == 0 && matches!(word & SIGNS, 0 | SIGNS) => Ok(((word << 8).cast_signed() >> 8).into()),
            Shape::Padded | Shape::Extended => Err(impossible),
        }
    }

    /// The bytes of a value.
    ///
    /// # Errors
    /// The register has no room for it.
    pub fn encode(self, value: i64) -> Result<Bytes, TooLarge> {
        let range = match self.shape {
            Shape::Byte => 0..=i64::from(u8::MAX),
            Shape::Word => 0..=i64::from(u16::MAX),
            Shape::Long => 0..=i64::from(u32::MAX),
            Shape::SignedLong => i64::from(i32::MIN)..=i64::from(i32::MAX),
            Shape::Padded => 0..=0x00ff_ffff,
            Shape::Extended => -0x0080_0000..=0x007f_ffff,
        };
        if !range.contains(&value) {
            return Err(TooLarge { address: self.address, value });
        }
        // In range, so the low 32 bits hold all of it.
        let word = (value & 0xffff_ffff) as u32;
        let word = if self.shape == Shape::Extended { word & !TOP_4 } else { word };
        Ok(word.to_be_bytes().into_iter().skip(4usize.saturating_sub(self.width())).collect())
    }
}

/// A channel's register in a row of them, `step` apart.
const fn row(first: u16, step: u16, channel: u8, shape: Shape) -> Register {
    // Six channels, two apart at the most: no address overflows.
    Register::new(first.saturating_add(step.saturating_mul(channel as u16)), shape)
}

/// Gain of the voltage: 1 + value / 2^23.
pub const VGAIN: Register = Register::new(0x4380, Shape::Extended);
/// Gain of a channel's current, alike.
pub const fn current_gain(channel: u8) -> Register {
    row(0x4381, 1, channel, Shape::Extended)
}
/// Gain of a channel's active power, alike.
pub const fn power_gain(channel: u8) -> Register {
    row(0x4391, 2, channel, Shape::Extended)
}
/// Upper and lower half of the threshold that one count of active energy takes.
pub const WTHR1: Register = Register::new(0x43ab, Shape::Padded);
/// See [`WTHR1`].
pub const WTHR0: Register = Register::new(0x43ac, Shape::Padded);
/// Coefficient of a channel's phase filter; [`crate::calibration::phase_coefficient`].
pub const fn phase(channel: u8) -> Register {
    row(0x43b1, 1, channel, Shape::Extended)
}
/// Rms voltage, in counts.
pub const VRMS: Register = Register::new(0x43c0, Shape::Padded);
/// Rms current of a channel, in counts.
pub const fn current_rms(channel: u8) -> Register {
    row(0x43c1, 1, channel, Shape::Padded)
}
/// Starts and stops the signal processor.
pub const RUN: Register = Register::new(0xe228, Shape::Word);
/// Active energy of a channel, in counts; wraps.
pub const fn active_energy(channel: u8) -> Register {
    row(0xe400, 1, channel, Shape::SignedLong)
}
/// Reactive energy of a channel, in counts; wraps.
pub const fn reactive_energy(channel: u8) -> Register {
    row(0xe406, 1, channel, Shape::SignedLong)
}
/// Largest current of the last half cycles; the value is in the low 24 bits.
pub const IPEAK: Register = Register::new(0xe500, Shape::Long);
/// Largest voltage, alike.
pub const VPEAK: Register = Register::new(0xe501, Shape::Long);
/// What happened, by bits; cleared by writing ones.
pub const STATUS0: Register = Register::new(0xe502, Shape::Long);
/// What happened, by bits; cleared by writing ones.
pub const STATUS1: Register = Register::new(0xe503, Shape::Long);
/// Current above which it is over-current, in counts of the waveform.
pub const OILVL: Register = Register::new(0xe507, Shape::Padded);
/// Voltage above which it is over-voltage, alike.
pub const OVLVL: Register = Register::new(0xe508, Shape::Padded);
/// Voltage whose peaks below it are a sag, alike.
pub const SAGLVL: Register = Register::new(0xe509, Shape::Padded);
/// Which bits of [`STATUS1`] pull the line IRQ1.
pub const MASK1: Register = Register::new(0xe50b, Shape::Long);
/// Which bits of [`STATUS0`] pull the line IRQ0.
pub const MASK0: Register = Register::new(0xe50a, Shape::Long);
/// Length of a mains period: (value + 1) / 256,000 s.
pub const PERIOD: Register = Register::new(0xe607, Shape::Word);
/// General settings; bit 7 resets the chip.
pub const CONFIG: Register = Register::new(0xe618, Shape::Word);
/// How energy is accumulated; bit 6 clears it with each read.
pub const LCYCMODE: Register = Register::new(0xe702, Shape::Byte);
/// Half cycles over which a peak is looked for.
pub const PEAKCYC: Register = Register::new(0xe703, Shape::Byte);
/// Half cycles that a sag lasts before it is one.
pub const SAGCYC: Register = Register::new(0xe704, Shape::Byte);
/// Version of the chip.
pub const VERSION: Register = Register::new(0xe707, Shape::Byte);
/// A place that nothing depends on: writes to it choose SPI.
pub const DUMMY: Register = Register::new(0xebff, Shape::Byte);
/// The choice of the serial port; bit 1 locks I²C, any write by SPI locks that.
pub const CONFIG2: Register = Register::new(0xec01, Shape::Byte);
