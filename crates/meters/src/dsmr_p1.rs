//! DSMR P1: what the consumer's port of Dutch, Belgian, Swedish and Finnish meters says unasked, each second or each ten.
//!
//! ```text
//! /XXX5identification CR LF
//! CR LF
//! data sets, a line each
//! !CRC CR LF
//! ```
//!
//! 115,200 baud, 8N1. The data sets are those of IEC 62056-21 ([`crate::iec62056_21::readout`]); the four hexadecimal digits are the
//! CRC-16/ARC of everything from `/` to `!`. Source: Netbeheer Nederland, "P1 Companion Standard" 5.0.2, sections 5.2 and 6.
//! Meters before DSMR 4 send no check sum, at 9600 baud 7E1: these telegrams are refused. Encrypted ones (Luxembourg, Austria) are noise.

use crc::{CRC_16_ARC, Crc};
use heapless::Vec;

use crate::iec62056_21::identification::IDENTIFICATION_LEN_MAX;
use crate::iec62056_21::readout::{DataError, Readout};

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);

/// Why bytes are no telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another one began within it, or it broke off.
    #[error("telegram breaks off after {0} bytes")]
    Truncated(usize),
    /// Not ASCII: the speed is wrong, the line is not inverted, or the telegram is encrypted.
    #[error("byte {0:#04x} within a telegram: is the speed right, the line inverted, the telegram not encrypted?")]
    Character(u8),
    /// Longer than the room for it.
    #[error("telegram is longer than {0} bytes")]
    Long(usize),
    /// No four hexadecimal digits behind the exclamation mark.
    #[error("telegram has no check sum: meters before DSMR 4 send none, and are not read")]
    NoChecksum,
    /// Damaged on its way.
    #[error("check sum is {got:04X}, the telegram's is {expected:04X}")]
    Checksum {
        /// As computed.
        expected: u16,
        /// As received.
        got: u16,
    },
    /// No line with the meter's name, or no empty line behind it.
    #[error("telegram has no identification")]
    Identification,
}

impl FrameError {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Truncated(_) => "truncated",
            Self::Character(_) => "character",
            Self::Long(_) => "long",
            Self::NoChecksum => "no_checksum",
            Self::Checksum { .. } => "checksum",
            Self::Identification => "identification",
        }
    }
}

/// What a meter told, its check sum verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telegram<'a> {
    /// The first line without `/`: manufacturer, `5`, and the meter's name.
    pub identification: &'a str,
    /// The data sets with the exclamation mark behind them.
    pub text: &'a str,
}

impl<'a> Telegram<'a> {
    /// The registers.
    ///
    /// # Errors
    /// The first data set that is none.
    pub fn readout(&self) -> Result<Readout<'a>, DataError> {
        Readout::parse_telegram(self.text)
    }
}

/// Finds telegrams of at most `N` bytes in a stream that may begin anywhere.
#[derive(Debug)]
pub struct Receiver<const N: usize> {
    telegram: Vec<u8, N>,
    check: Vec<u8, 4>,
    phase: Phase,
    noise: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For a `/`.
    Waiting,
    /// Up to the `!`.
    Telegram,
    /// Four digits.
    Check,
}

impl<const N: usize> Default for Receiver<N> {
    fn default() -> Self {
        Self { telegram: Vec::new(), check: Vec::new(), phase: Phase::Waiting, noise: 0 }
    }
}

impl<const N: usize> Receiver<N> {
    /// Bytes between telegrams.
    pub const fn noise(&self) -> u32 {
        self.noise
    }

    /// Whether a telegram has begun.
    pub fn is_busy(&self) -> bool {
        self.phase != Phase::Waiting
    }

    /// The next byte; a telegram once it is whole and sound.
    ///
    /// # Errors
    /// See [`FrameError`]; the next telegram is looked for.
    pub fn push(&mut self, byte: u8) -> Result<Option<Telegram<'_>>, FrameError> {
        match self.phase {
            Phase::Waiting if byte == b'/' => {
                self.begin();
                Ok(None)
            }
            Phase::Waiting => {
                self.noise = self.noise.saturating_add(u32::from(!matches!(byte, b'\r' | b'\n')));
                Ok(None)
            }
            // A data set never begins so: this is the next telegram.
            Phase::Telegram if byte == b'/' && self.telegram.last() == Some(&b'\n') => {
                let len = self.telegram.len();
                self.begin();
                Err(FrameError::Truncated(len))
            }
            Phase::Telegram => {
                if !matches!(byte, 0x20..0x7f | b'\r' | b'\n') {
                    return self.fail(FrameError::Character(byte));
                }
                if self.telegram.push(byte).is_err() {
                    return self.fail(FrameError::Long(N));
                }
                if byte == b'!' {
                    self.phase = Phase::Check;
                }
                Ok(None)
            }
            Phase::Check => {
                if !byte.is_ascii_hexdigit() || self.check.push(byte).is_err() {
                    return self.fail(FrameError::NoChecksum);
                }
                if self.check.len() < 4 {
                    return Ok(None);
                }
                self.phase = Phase::Waiting;
                self.judge().map(Some)
            }
        }
    }

    fn begin(&mut self) {
        self.telegram.clear();
        self.check.clear();
        // Room for one byte there is in anything that could hold a telegram.
        let _ = self.telegram.push(b'/');
        self.phase = Phase::Telegram;
    }

    fn fail(&mut self, error: FrameError) -> Result<Option<Telegram<'_>>, FrameError> {
        self.phase = Phase::Waiting;
        Err(error)
    }

    fn judge(&self) -> Result<Telegram<'_>, FrameError> {
        let digits = core::str::from_utf8(&self.check).map_err(|_| FrameError::NoChecksum)?;
        let got = u16::from_str_radix(digits, 16).map_err(|_| FrameError::NoChecksum)?;
        let expected = CRC.checksum(&self.telegram);
        if got != expected {
            return Err(FrameError::Checksum { expected, got });
        }
        let text = core::str::from_utf8(&self.telegram).map_err(|_| FrameError::Identification)?;
        let (line, text) = text.split_once("\r\n\r\n").ok_or(FrameError::Identification)?;
        let identification = line.strip_prefix('/').filter(|it| (5..=IDENTIFICATION_LEN_MAX).contains(&it.len()) && !it.contains('\n'));
        Ok(Telegram { identification: identification.ok_or(FrameError::Identification)?, text })
    }
}
