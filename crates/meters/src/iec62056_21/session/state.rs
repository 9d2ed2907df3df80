//! Where a conversation stands.

use core::time::Duration;

use crate::iec62056_21::identification::Baud;
use crate::iec62056_21::message::Then;

/// Something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    WakeUp,
    Request,
    Option(Baud, Then),
    Password,
    Register(usize),
    Again,
    Continue,
    End,
}

/// Something to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hear {
    Identification,
    Readout,
    Operand,
    Accepted,
    Register(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Something is to be said at that time.
    Pause {
        until: Duration,
        say: Say,
    },
    /// What was said is on its way out; then the speed changes.
    Leaving {
        until: Duration,
        baud: Baud,
    },
    /// The speed is to change now.
    Switch(Baud),
    /// The answer has until then to go on.
    Listen {
        until: Duration,
    },
    /// The meter ignores acknowledgements: back to 300 baud, and once it is quiet for so long, from the beginning.
    Hush {
        until: Duration,
        switched: bool,
    },
    /// The last word is on its way out.
    Closing {
        until: Duration,
    },
    Ended,
}

impl Hear {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identification => "its identification",
            Self::Readout => "its readout",
            Self::Operand => "the invitation to a password",
            Self::Accepted => "whether the password is right",
            Self::Register(_) => "the register",
        }
    }
}
