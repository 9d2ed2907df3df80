//! What is wanted of a meter, and how to talk to it.

use core::time::Duration;

use crate::iec62056_21::identification::Baud;
use crate::iec62056_21::message::NAME_LEN_MAX;

/// What is wanted of the meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task<'a> {
    /// Everything that it reads out by itself.
    Readout,
    /// These registers, in programming mode.
    Registers {
        /// The password that opens it, where the meter wants one.
        password: Option<&'a str>,
        /// How they are asked for.
        command: ReadCommand,
        /// Their names.
        names: &'a [&'a str],
    },
    /// What it says unasked (mode D), at 2400 baud.
    Push,
}

/// A command that reads a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadCommand {
    /// R1.
    Ascii,
    /// R5.
    Formatted,
}

impl ReadCommand {
    pub(super) const fn name(self) -> [u8; 2] {
        match self {
            Self::Ascii => *b"R1",
            Self::Formatted => *b"R5",
        }
    }
}

/// The eighth bit of each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Even parity: the standard.
    Even,
    /// None: something between here and the meter has taken it away.
    None,
}

/// How to talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// The meter's address; empty for whichever is in front of the optical head.
    pub address: &'a str,
    /// The fastest speed to agree to.
    pub baud_max: Baud,
    /// The eighth bit.
    pub parity: Parity,
    /// Whether the meter must be woken up first: those on batteries sleep.
    pub wake_up: bool,
    /// How long everything may take.
    pub timing: Timing,
}

/// How long everything may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the end of what is sent to the first byte of the answer. The standard's longest is 1.5 s.
    pub reply: Duration,
    /// Between two bytes of an answer. The standard's longest is 1.5 s.
    pub gap: Duration,
    /// Before something is sent, for the meter to be ready. The standard's shortest is 200 ms.
    pub pause: Duration,
    /// From the last byte sent to the change of speed: what the adapter needs to get it out.
    pub leave: Duration,
    /// How often a question without a good answer is asked.
    pub attempts: u8,
    /// Everything together. 4 KiB at 300 baud take 140 s.
    pub deadline: Duration,
}

impl Timing {
    /// What the standard asks of meters, with room for slow adapters.
    pub const STANDARD: Self = Self {
        reply: Duration::from_millis(2_000),
        gap: Duration::from_millis(1_500),
        pause: Duration::from_millis(250),
        leave: Duration::from_millis(10),
        attempts: 2,
        deadline: Duration::from_secs(180),
    };
}

impl Options<'_> {
    /// Any meter at any speed.
    pub const STANDARD: Self = Self { address: "", baud_max: Baud::B19200, parity: Parity::Even, wake_up: false, timing: Timing::STANDARD };
}

/// Which of the names the protocol has no place for.
pub(super) fn bad_name(task: Task<'_>, address: &str) -> Option<&'static str> {
    let bad = |text: &str| {
        text.len() > NAME_LEN_MAX || text.bytes().any(|byte| !(0x20..0x7f).contains(&byte) || matches!(byte, b'(' | b')' | b'!' | b'/'))
    };
    if bad(address) {
        return Some("the address");
    }
    match task {
        Task::Registers { password: Some(password), .. } if bad(password) => Some("the password"),
        Task::Registers { names, .. } if names.iter().any(|name| bad(name)) => Some("a register's name"),
        _ => None,
    }
}
