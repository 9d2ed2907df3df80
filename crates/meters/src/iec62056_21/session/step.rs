//! What the owner of the port has to do, and why there may be no reading.

use core::time::Duration;

use crate::iec62056_21::identification::Baud;
use crate::iec62056_21::message::Message;
use crate::iec62056_21::receiver::FrameError;

/// Why there is no reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoData {
    /// Not one byte came.
    #[error("meter is silent")]
    Silent,
    /// Something came that is no message.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message, but not the one that was due.
    #[error("meter said something else than {0}")]
    Unexpected(&'static str),
    /// It refused: the password, or the register.
    #[error("meter refused {0}")]
    Refused(&'static str),
    /// It knows no programming mode.
    #[error("meter reads out by itself only: it has no programming mode")]
    NoProgramming,
    /// The address, the password or a register's name is too long, or not ASCII, or holds a parenthesis.
    #[error("{0} is longer than 32 characters, or holds characters that the protocol has no place for")]
    Name(&'static str),
    /// It talks, but never ends.
    #[error("meter did not finish in time")]
    Late,
}

impl NoData {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Frame(error) => error.name(),
            Self::Unexpected(_) => "unexpected",
            Self::Refused(_) => "refused",
            Self::NoProgramming => "no_programming",
            Self::Name(_) => "name",
            Self::Late => "late",
        }
    }
}

/// What the owner of the port has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes, parity included, then poll again.
    Send(Message),
    /// Change the port's speed, then poll again.
    SetBaud(Baud),
    /// Read until then (same time as given to `poll`), push what comes, then poll again.
    Wait(Duration),
    /// Finished: see [`super::Session::text`].
    Done,
    /// Finished without.
    Failed(NoData),
}
