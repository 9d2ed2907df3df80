//! SML: what the optical port of German meters says unasked, each second or each four, at 9600 baud 8N1.
//!
//! A transmission (`1b1b1b1b 01010101 … 1b1b1b1b 1a`, padding, CRC) holds messages; that of type GetList.Res holds the registers, each with
//! an OBIS code, a number, a power of ten and a unit. Source: BSI TR-03109-1, annex IV, "Feinspezifikation Drahtgebundene LMN-Schnittstelle,
//! Teil b" (SML 1.04); units: IEC 62056-62, table of units.
//!
//! Framing and structure are read by the crate `sml-rs`. Two of its sums overflow on bytes that no meter sends, and are kept from it
//! here: the count of bytes before a start ([`QUIET_MAX`]), and the length of a list near 2^32 ([`DataError::List`]).

use heapless::Vec;
use measure::Obis;
use sml_rs::parser::ParseError;
use sml_rs::parser::common::{ListEntry, ListType, Time, Value as Raw};
use sml_rs::parser::streaming::{MessageBody, ParseEvent, Parser};
use sml_rs::transport::{DecodeErr, Decoder};
use sml_rs::util::ArrayBuf;

use crate::decimal::{Decimal, Quantity};

/// Entries of one transmission at most: meters send a dozen, those with every phase thirty.
pub const ENTRIES_MAX: usize = 64;
/// Bytes without a transmission after which the search starts anew: half of what `sml-rs` counts them in.
const QUIET_MAX: u16 = 1 << 15;
/// The tail of a list's length from 2^32 - 2 up, to which `sml-rs` adds 2; without its last byte.
const ENDLESS_LIST: [u8; 6] = [0x8f; 6];

/// Why bytes are no transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Damaged on its way.
    #[error("check sum is {got:04x}, the transmission's is {expected:04x}")]
    Checksum {
        /// As computed.
        expected: u16,
        /// As received.
        got: u16,
    },
    /// An escape sequence that means nothing, or an end in the wrong place.
    #[error("escape sequence in the wrong place")]
    Escape,
    /// Longer than the room for it.
    #[error("transmission is longer than {0} bytes")]
    Long(usize),
}

/// Why a transmission holds no registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The transmission's check sum was right and a message's is not: the meter is ill.
    #[error("check sum of a message is wrong")]
    Checksum,
    /// A message ends before its parts do.
    #[error("message breaks off")]
    Truncated,
    /// A list that claims four thousand million entries.
    #[error("list is longer than any transmission")]
    List,
    /// A part of another type than SML has there.
    #[error("message is not built as SML has it")]
    Structure,
    /// More than can be kept.
    #[error("more than {ENTRIES_MAX} entries")]
    TooMany,
}

impl FrameError {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Checksum { .. } => "checksum",
            Self::Escape => "escape",
            Self::Long(_) => "long",
        }
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, exactly.
    Number(Decimal),
    /// Text, a name or a signature.
    Bytes(&'a [u8]),
    /// Yes or no.
    Flag(bool),
    /// Seconds of the meter's life.
    Seconds(u32),
    /// A number that 18 digits can't hold.
    Beyond,
}

/// One register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name, as sent.
    pub name: &'a [u8],
    /// Its meaning, where the name is an OBIS code.
    pub code: Option<Obis>,
    /// What it says.
    pub value: Value<'a>,
    /// Its unit; empty where it has none, or none that is known here.
    pub unit: &'static str,
}

impl Entry<'_> {
    /// As a number with one of the house's units; `None` if it is not one.
    pub fn quantity(&self) -> Option<Quantity> {
        match self.value {
            Value::Number(number) => Quantity::new(number, self.unit),
            _ => None,
        }
    }
}

/// What a transmission says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readout<'a> {
    /// The meter's identification, as bytes; on most meters 0a 01, three letters, and its number.
    pub server: &'a [u8],
    entries: Vec<Entry<'a>, ENTRIES_MAX>,
}

impl<'a> Readout<'a> {
    /// Reads the messages of a transmission.
    ///
    /// # Errors
    /// See [`DataError`].
    pub fn parse(transmission: &'a [u8]) -> Result<Self, DataError> {
        let endless = |window: &[u8]| window.starts_with(&ENDLESS_LIST) && matches!(window.last(), Some(0x0e | 0x0f));
        if transmission.windows(ENDLESS_LIST.len().saturating_add(1)).any(endless) {
            return Err(DataError::List);
        }
        let mut readout = Self { server: &[], entries: Vec::new() };
        for event in Parser::new(transmission) {
            match event.map_err(data_error)? {
                ParseEvent::MessageStart(message) => {
                    if let MessageBody::GetListResponse(list) = message.message_body {
                        readout.server = list.server_id;
                    }
                }
                ParseEvent::ListEntry(it) => readout.entries.push(entry(&it)).map_err(|_| DataError::TooMany)?,
                ParseEvent::GetListResponseEnd(_) => {}
            }
        }
        Ok(readout)
    }

    /// The registers, in the meter's order.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// The first current register of quantity C, processing D and tariff E, of any medium and channel.
    pub fn find(&self, quantity: u8, processing: u8, tariff: u8) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.code.is_some_and(|code| code.names(quantity, processing, tariff)))
    }
}

fn data_error(error: ParseError) -> DataError {
    match error {
        ParseError::CrcMismatch => DataError::Checksum,
        ParseError::UnexpectedEOF => DataError::Truncated,
        ParseError::LeftoverInput
        | ParseError::InvalidTlf(_)
        | ParseError::TlfMismatch(_)
        | ParseError::MsgEndMismatch
        | ParseError::UnexpectedVariant => DataError::Structure,
    }
}

fn entry<'a>(it: &ListEntry<'a>) -> Entry<'a> {
    let scaler = it.scaler.unwrap_or(0);
    let number = |mantissa: i64| scaled(mantissa, scaler).map_or(Value::Beyond, Value::Number);
    let value = match it.value {
        Raw::Bool(flag) => Value::Flag(flag),
        Raw::Bytes(bytes) => Value::Bytes(bytes),
        Raw::I8(it) => number(it.into()),
        Raw::I16(it) => number(it.into()),
        Raw::I32(it) => number(it.into()),
        Raw::I64(it) => number(it),
        Raw::U8(it) => number(it.into()),
        Raw::U16(it) => number(it.into()),
        Raw::U32(it) => number(it.into()),
        Raw::U64(it) => i64::try_from(it).map_or(Value::Beyond, number),
        Raw::List(ListType::Time(Time::SecIndex(seconds))) => Value::Seconds(seconds),
    };
    Entry { name: it.obj_name, code: it.obj_name.try_into().ok().map(Obis::from_bytes), value, unit: it.unit.map_or("", unit) }
}

/// `mantissa` times ten to the `scaler`, where 18 digits hold it.
fn scaled(mantissa: i64, scaler: i8) -> Option<Decimal> {
    let Ok(up) = u32::try_from(scaler) else {
        return Some(Decimal { mantissa, scale: scaler.unsigned_abs() }).filter(|it| it.scale <= 18);
    };
    Some(Decimal { mantissa: mantissa.checked_mul(10i64.checked_pow(up)?)?, scale: 0 })
}

/// Codes of IEC 62056-62.
const fn unit(code: u8) -> &'static str {
    match code {
        8 => "°",
        27 => "W",
        28 => "VA",
        29 => "var",
        30 => "Wh",
        31 => "VAh",
        32 => "varh",
        33 => "A",
        35 => "V",
        44 => "Hz",
        _ => "",
    }
}

/// Finds transmissions of at most `N` bytes in a stream that may begin anywhere.
pub struct Receiver<const N: usize> {
    decoder: Decoder<ArrayBuf<N>>,
    quiet: u16,
    noise: u32,
}

impl<const N: usize> Default for Receiver<N> {
    fn default() -> Self {
        Self { decoder: Decoder::new(), quiet: 0, noise: 0 }
    }
}

impl<const N: usize> Receiver<N> {
    /// Bytes that belonged to no transmission.
    pub const fn noise(&self) -> u32 {
        self.noise
    }

    /// The next byte; what a transmission holds, for [`Readout::parse`], once it is whole and sound.
    ///
    /// # Errors
    /// See [`FrameError`]; the next transmission is looked for.
    pub fn push(&mut self, byte: u8) -> Result<Option<&[u8]>, FrameError> {
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet >= QUIET_MAX {
            self.noise = self.noise.saturating_add(self.quiet.into());
            self.quiet = 0;
            self.decoder.reset();
        }
        match self.decoder.push_byte(byte) {
            Ok(None) => Ok(None),
            Ok(Some(transmission)) => {
                self.quiet = 0;
                Ok(Some(transmission))
            }
            Err(DecodeErr::DiscardedBytes(count)) => {
                self.quiet = 0;
                self.noise = self.noise.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                Ok(None)
            }
            Err(error) => {
                self.quiet = 0;
                Err(match error {
                    DecodeErr::InvalidMessage { checksum_mismatch: (got, expected), .. } if got != expected => {
                        FrameError::Checksum { expected, got }
                    }
                    DecodeErr::OutOfMemory => FrameError::Long(N),
                    _ => FrameError::Escape,
                })
            }
        }
    }
}
