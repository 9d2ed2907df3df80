//! Modbus RTU: the bytes of a request, and whether what came back is the reply to it.
//!
//! ```text
//! request   address  function  register hi lo  count or value hi lo  CRC lo hi
//! reply     address  function  byte count  registers (big-endian)    CRC lo hi     to 0x03 and 0x04
//!           address  function  register hi lo  value hi lo           CRC lo hi     to 0x06: the request again
//! refusal   address  function | 0x80  exception                      CRC lo hi
//! ```
//!
//! Frames and CRC-16/MODBUS are those of the crate `modbus-core`.

use core::fmt;

use modbus_core::rtu::client::encode_request;
use modbus_core::rtu::{Header, RequestAdu, extract_frame};
use modbus_core::{Request, RequestPdu};

/// Longest frame that any command here sends or expects, with room to notice what is too much.
pub const FRAME_LEN_MAX: usize = 32;

/// The bytes of one frame.
pub type Frame = heapless::Vec<u8, FRAME_LEN_MAX>;

/// Bytes of a refusal: address, function, exception, CRC.
const REFUSAL_LEN: usize = 5;
/// Bytes of a reply to a read besides the registers: address, function, byte count, CRC.
const READ_OVERHEAD: usize = 5;
/// Bytes that every frame has: address, function, CRC.
const FRAME_LEN_MIN: usize = 4;
/// Set in the function code of a refusal.
const REFUSED: u8 = 0x80;

/// A device on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(u8);

/// A number that is no device's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address {0} is not that of one device: use 1 to 247, or 248 where the bus has a single one")]
pub struct InvalidAddress(pub u8);

impl Address {
    /// Every device answers to this, so it works only where the bus has a single one.
    pub const GENERAL: Self = Self(0xf8);

    /// 1 to 247, or 248 for [`Self::GENERAL`].
    ///
    /// # Errors
    /// Every other number; 0 is the broadcast, which nobody answers.
    pub const fn new(address: u8) -> Result<Self, InvalidAddress> {
        match address {
            1..=0xf8 => Ok(Self(address)),
            _ => Err(InvalidAddress(address)),
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}", self.0)
    }
}

/// What a device says when it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exception {
    /// Code 1.
    #[error("illegal function")]
    IllegalFunction,
    /// Code 2.
    #[error("illegal register address")]
    IllegalAddress,
    /// Code 3.
    #[error("illegal data")]
    IllegalData,
    /// Code 4: the device itself failed; the only one where trying again makes sense.
    #[error("device failure")]
    DeviceFailure,
    /// A code that the device's manual does not list.
    #[error("unknown exception {0}")]
    Unknown(u8),
}

impl Exception {
    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::IllegalFunction,
            2 => Self::IllegalAddress,
            3 => Self::IllegalData,
            4 => Self::DeviceFailure,
            other => Self::Unknown(other),
        }
    }
}

/// Why bytes are not the reply that was asked for. The first four are noise on the line; the others are whole frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The reply broke off.
    #[error("reply of {got} bytes broke off before {expected}")]
    Short {
        /// Bytes that came.
        got: usize,
        /// Bytes of the reply.
        expected: usize,
    },
    /// More bytes than the reply has, for example two replies in a row.
    #[error("{got} bytes where the reply has {expected}")]
    Long {
        /// Bytes that came; saturated at [`FRAME_LEN_MAX`].
        got: usize,
        /// Bytes of the reply.
        expected: usize,
    },
    /// The right number of bytes, but some of them are wrong.
    #[error("checksum is wrong")]
    Checksum,
    /// The device answered before it can have heard the whole request: the reply is to an earlier one.
    #[error("reply to an earlier request")]
    Stale,
    /// Another device answered.
    #[error("device {got} answered instead of {expected}", got = Hex(*got), expected = Hex(*expected))]
    Address {
        /// Who answered.
        got: u8,
        /// Who was asked.
        expected: u8,
    },
    /// The reply to another command.
    #[error("reply to function {got} instead of {expected}", got = Hex(*got), expected = Hex(*expected))]
    Function {
        /// What was answered.
        got: u8,
        /// What was asked.
        expected: u8,
    },
    /// The reply to a read of another number of registers, or a lying byte count.
    #[error("{got} bytes of registers instead of {expected}")]
    ByteCount {
        /// Bytes of registers announced.
        got: u8,
        /// Bytes of registers asked for.
        expected: u8,
    },
    /// A write was answered with something else than itself.
    #[error("write was not confirmed")]
    NotEcho,
    /// The device refused.
    #[error("device refused: {0}")]
    Refused(Exception),
    /// A whole reply with a value that the device cannot have measured.
    #[error("{0} is beyond what the device can measure")]
    Implausible(&'static str),
}

/// A byte for people who read manuals.
struct Hex(u8);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}", self.0)
    }
}

impl ReplyError {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Short { .. } => "short",
            Self::Long { .. } => "long",
            Self::Checksum => "checksum",
            Self::Stale => "stale",
            Self::Address { .. } => "address",
            Self::Function { .. } => "function",
            Self::ByteCount { .. } => "byte_count",
            Self::NotEcho => "not_echo",
            Self::Refused(_) => "refused",
            Self::Implausible(_) => "implausible",
        }
    }
}

/// The bytes of `request` to the device at `address`.
#[expect(clippy::expect_used, reason = "no command here has more than five bytes between address and CRC")]
pub fn request(address: Address, request: Request<'_>) -> Frame {
    let mut bytes = [0; FRAME_LEN_MAX];
    let adu = RequestAdu { hdr: Header { slave: address.get() }, pdu: RequestPdu(request) };
    let len = encode_request(adu, &mut bytes).expect("the request fits its buffer");
    bytes.iter().copied().take(len).collect()
}

/// What the reply to a command looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Who was asked.
    pub address: Address,
    /// The function asked for.
    pub function: u8,
    /// Bytes between function and CRC, the byte count of a read included.
    pub data_len: usize,
}

impl Expected {
    /// Bytes of the whole reply.
    pub const fn frame_len(&self) -> usize {
        FRAME_LEN_MIN.saturating_add(self.data_len)
    }

    const fn is_read(&self) -> bool {
        matches!(self.function, 0x03 | 0x04)
    }

    /// Whether so many bytes have come that nothing more is due, be they right or wrong.
    pub fn is_complete(&self, bytes: &[u8]) -> bool {
        let due = match *bytes {
            [_, function, ..] if function & REFUSED != 0 => REFUSAL_LEN,
            [_, function, count, ..] if self.is_read() && function == self.function => READ_OVERHEAD.saturating_add(count.into()),
            _ => self.frame_len(),
        };
        bytes.len() >= due.min(self.frame_len())
    }

    /// The bytes between function and CRC, if `bytes` are exactly the reply.
    ///
    /// # Errors
    /// A frame with a good checksum is judged by what it says; anything else by its length, and if that is right it is
    /// [`ReplyError::Checksum`]. So each error means one thing, and none of them hides another.
    pub fn check<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], ReplyError> {
        let Some((slave, function, data)) = frame(bytes) else {
            return Err(match bytes.len() {
                got if got < self.frame_len() => ReplyError::Short { got, expected: self.frame_len() },
                got if got > self.frame_len() => ReplyError::Long { got, expected: self.frame_len() },
                _ => ReplyError::Checksum,
            });
        };
        if slave != self.address.get() {
            return Err(ReplyError::Address { got: slave, expected: self.address.get() });
        }
        if function != self.function {
            return Err(match data {
                [code] if function == self.function | REFUSED => ReplyError::Refused(Exception::from_code(*code)),
                _ => ReplyError::Function { got: function, expected: self.function },
            });
        }
        if self.is_read() {
            let announced = data.first().copied().unwrap_or(0);
            let expected = u8::try_from(self.data_len.saturating_sub(1)).unwrap_or(u8::MAX);
            if announced != expected {
                return Err(ReplyError::ByteCount { got: announced, expected });
            }
        }
        match data.len() {
            got if got < self.data_len => Err(ReplyError::Short { got: bytes.len(), expected: self.frame_len() }),
            got if got > self.data_len => Err(ReplyError::Long { got: bytes.len(), expected: self.frame_len() }),
            _ => Ok(data),
        }
    }
}

/// Address, function and data, if `bytes` as a whole carry their checksum.
fn frame(bytes: &[u8]) -> Option<(u8, u8, &[u8])> {
    if bytes.len() < FRAME_LEN_MIN {
        return None;
    }
    let pdu_len = bytes.len().saturating_sub(3);
    let frame = extract_frame(bytes, pdu_len).ok().flatten()?;
    let (function, data) = frame.pdu.split_first()?;
    Some((frame.slave, *function, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_one_device() {
        assert_eq!(Address::new(0), Err(InvalidAddress(0)));
        assert_eq!(Address::new(0xf9), Err(InvalidAddress(0xf9)));
        assert_eq!(Address::new(0xf8), Ok(Address::GENERAL));
        assert_eq!(Address::new(1).map(Address::get), Ok(1));
    }

    #[test]
    fn errors_say_what_came_and_what_was_due() {
        let error = ReplyError::Address { got: 2, expected: 1 };
        assert_eq!(std_format(&error).as_str(), "device 0x02 answered instead of 0x01");
        assert_eq!(std_format(&ReplyError::Refused(Exception::IllegalData)).as_str(), "device refused: illegal data");
    }

    fn std_format(value: &impl fmt::Display) -> heapless::String<64> {
        let mut text = heapless::String::new();
        fmt::Write::write_fmt(&mut text, format_args!("{value}")).expect("short enough");
        text
    }
}
