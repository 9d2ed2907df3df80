//! From bytes to messages: lines of identification, and blocks with their check character. One byte at a time, in bounded memory.
//!
//! ```text
//! identification   / X X X Z name CR LF
//! readout                            STX data sets, lines … ! CR LF ETX BCC
//! command          SOH letter digit [STX operand] ETX BCC
//! part of a reply                    STX data sets …             EOT BCC
//! push (mode D)    identification, then lines … ! CR LF
//! BCC = exclusive or of all bytes behind the first STX or SOH, ETX or EOT included
//! ```

use heapless::Vec;

use super::identification::{IDENTIFICATION_LEN_MAX, Identification};

/// Longest line in a block. The standard's has 78 characters; meters with long values take more.
pub const LINE_LEN_MAX: usize = 256;

pub(super) const SOH: u8 = 0x01;
pub(super) const STX: u8 = 0x02;
pub(super) const ETX: u8 = 0x03;
pub(super) const EOT: u8 = 0x04;
pub(super) const ACK: u8 = 0x06;
pub(super) const NAK: u8 = 0x15;
const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Behind `/` came something that no meter calls itself.
    #[error("identification is none: expected /, three letters, a speed, and a name")]
    Identification,
    /// A line without end: the device talks another protocol, or at another speed.
    #[error("line is longer than {LINE_LEN_MAX} characters")]
    Line,
    /// The meter says more than there is room for.
    #[error("message is longer than {0} bytes")]
    Text(usize),
    /// A byte that no message holds.
    #[error("byte 0x{0:02x} where text was expected")]
    Byte(u8),
    /// A byte whose parity is not even.
    #[error("parity of byte 0x{0:02x} is wrong: noise, or the line is not 7E1")]
    Parity(u8),
    /// The check character does not fit what came before.
    #[error("check character is 0x{got:02x} instead of 0x{expected:02x}")]
    Checksum {
        /// What came.
        got: u8,
        /// What it should be.
        expected: u8,
    },
    /// The meter stopped before its message was whole.
    #[error("message broke off after {0} bytes")]
    Truncated(usize),
}

impl FrameError {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Identification => "identification",
            Self::Line => "line",
            Self::Text(_) => "long",
            Self::Byte(_) => "byte",
            Self::Parity(_) => "parity",
            Self::Checksum { .. } => "checksum",
            Self::Truncated(_) => "short",
        }
    }
}

/// Something whole arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Who the meter is.
    Identification(Identification),
    /// Understood.
    Ack,
    /// Not understood: say it again.
    Nak,
    /// A block whose check character is right, or the end of a push; its text is the receiver's.
    Block {
        /// Letter and digit of a command, `P0` for example; none in a readout or a reply.
        command: Option<[u8; 2]>,
        /// Whether no other block follows.
        last: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages; what begins none is noise.
    Idle,
    Identification,
    /// Behind SOH.
    Header,
    /// Behind STX.
    Body,
    /// Behind ETX or EOT.
    Check {
        last: bool,
    },
    /// Lines without frame or check character.
    Push,
    /// In the line with the exclamation mark that ends a push.
    PushEnd,
}

/// Messages out of bytes, and the text of the blocks so far: at most `N` bytes of it.
#[derive(Debug)]
pub struct Receiver<const N: usize> {
    state: State,
    text: Vec<u8, N>,
    /// Where the text of the block under way begins.
    block: usize,
    line: usize,
    head: Vec<u8, IDENTIFICATION_LEN_MAX>,
    check: u8,
    noise: u32,
}

impl<const N: usize> Default for Receiver<N> {
    fn default() -> Self {
        Self { state: State::Idle, text: Vec::new(), block: 0, line: 0, head: Vec::new(), check: 0, noise: 0 }
    }
}

impl<const N: usize> Receiver<N> {
    /// Takes one byte, without parity. After an error the receiver waits for another message, and the text of the bad one is gone.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn push(&mut self, byte: u8) -> Result<Option<Received>, FrameError> {
        let result = self.take(byte);
        if result.is_err() {
            self.discard();
        }
        result
    }

    /// Forgets the message under way, but not the blocks before it.
    pub fn discard(&mut self) {
        self.text.truncate(self.block);
        self.head.clear();
        self.state = State::Idle;
    }

    /// Lines without frame follow, up to one with an exclamation mark.
    pub const fn expect_push(&mut self) {
        self.state = State::Push;
        self.line = 0;
    }

    /// Whether a message is under way.
    pub const fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Bytes between messages that belonged to none.
    pub const fn noise(&self) -> u32 {
        self.noise
    }

    /// Notes a byte between messages.
    pub const fn count_noise(&mut self) {
        self.noise = self.noise.saturating_add(1);
    }

    /// The error for a message that ends here.
    pub fn truncated(&self) -> FrameError {
        FrameError::Truncated(self.text.len().saturating_sub(self.block).saturating_add(self.head.len()))
    }

    /// The text of all whole blocks, one behind the other.
    pub fn text(&self) -> &str {
        // Only ASCII is let in, so this never fails.
        self.text.get(..self.block).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Length of that text.
    pub(super) const fn len(&self) -> usize {
        self.block
    }

    /// Takes back the text behind `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.text.truncate(len.min(self.block));
        self.block = self.text.len();
    }

    /// Puts text at `at`, which the meter left out.
    pub(super) fn insert(&mut self, at: usize, text: &str) -> Result<(), FrameError> {
        for (offset, byte) in text.bytes().enumerate() {
            self.text.insert(at.saturating_add(offset).min(self.text.len()), byte).map_err(|_| FrameError::Text(N))?;
        }
        self.block = self.text.len();
        Ok(())
    }

    fn take(&mut self, byte: u8) -> Result<Option<Received>, FrameError> {
        match self.state {
            State::Idle => Ok(self.begin(byte)),
            State::Identification => self.identification(byte),
            State::Header => self.header(byte),
            State::Body => self.body(byte),
            State::Check { last } => self.check(byte, last).map(Some),
            State::Push => self.push_line(byte),
            State::PushEnd => Ok((byte == LF).then(|| self.block(true))),
        }
    }

    fn begin(&mut self, byte: u8) -> Option<Received> {
        self.head.clear();
        (self.line, self.check) = (0, 0);
        match byte {
            b'/' => self.state = State::Identification,
            SOH => self.state = State::Header,
            STX => self.state = State::Body,
            ACK => return Some(Received::Ack),
            NAK => return Some(Received::Nak),
            _ => self.count_noise(),
        }
        None
    }

    fn identification(&mut self, byte: u8) -> Result<Option<Received>, FrameError> {
        match byte {
            LF => {
                self.state = State::Idle;
                let identification = Identification::parse(&self.head).ok_or(FrameError::Identification)?;
                Ok(Some(Received::Identification(identification)))
            }
            CR => Ok(None),
            other => self.head.push(other).map(|()| None).map_err(|_| FrameError::Identification),
        }
    }

    fn header(&mut self, byte: u8) -> Result<Option<Received>, FrameError> {
        self.check ^= byte;
        match byte {
            STX if self.head.len() == 2 => self.state = State::Body,
            ETX if self.head.len() == 2 => self.state = State::Check { last: true },
            letter if letter.is_ascii_alphanumeric() && self.head.len() < 2 => {
                let _ = self.head.push(letter);
            }
            other => return Err(FrameError::Byte(other)),
        }
        Ok(None)
    }

    fn body(&mut self, byte: u8) -> Result<Option<Received>, FrameError> {
        self.check ^= byte;
        match byte {
            ETX => self.state = State::Check { last: true },
            EOT => self.state = State::Check { last: false },
            other => self.keep(other)?,
        }
        Ok(None)
    }

    fn check(&mut self, got: u8, last: bool) -> Result<Received, FrameError> {
        if got == self.check { Ok(self.block(last)) } else { Err(FrameError::Checksum { got, expected: self.check }) }
    }

    fn push_line(&mut self, byte: u8) -> Result<Option<Received>, FrameError> {
        if byte == b'!' && self.line == 0 {
            self.state = State::PushEnd;
        }
        self.keep(byte).map(|()| None)
    }

    fn keep(&mut self, byte: u8) -> Result<(), FrameError> {
        self.line = match byte {
            CR | LF => 0,
            0x20..0x7f => self.line.saturating_add(1),
            other => return Err(FrameError::Byte(other)),
        };
        if self.line > LINE_LEN_MAX {
            return Err(FrameError::Line);
        }
        self.text.push(byte).map_err(|_| FrameError::Text(N))
    }

    fn block(&mut self, last: bool) -> Received {
        self.state = State::Idle;
        self.block = self.text.len();
        Received::Block { command: self.head.first_chunk().copied().filter(|_| self.head.len() == 2), last }
    }
}
