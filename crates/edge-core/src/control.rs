//! The control patterns of the six-channel prepaid paper (table 1): four bits that switch a channel, or all.
//!
//! The table prints each pattern's value beside it as a decimal code, but 013 twice, and leaves 0000 and 1111 undefined: what may mean two
//! things, or nothing, switches nothing.

use measure::Channel as Number;

/// What a pattern asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// One channel, 0 (A) to 5 (F).
    One {
        /// Which.
        channel: Number,
        /// On or off.
        on: bool,
    },
    /// All of them.
    All {
        /// On or off.
        on: bool,
    },
}

/// Why a control pattern or code is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotControl {
    /// 0000 and 1111, which the table leaves undefined, and what has more than four bits.
    #[error("control pattern {0:#06b} is undefined")]
    Undefined(u8),
    /// 013, which the table prints beside both 1101 and 1110.
    #[error("control code 013 stands for both all on and all off: use the pattern")]
    Ambiguous,
    /// Not three digits of the table.
    #[error("control code {0} is not in the table")]
    Unknown(u16),
}

impl Operation {
    /// From the pattern.
    pub const fn from_pattern(pattern: u8) -> Result<Self, NotControl> {
        match pattern {
            1..=12 => Ok(Self::One { channel: pattern.saturating_sub(1) / 2, on: pattern % 2 == 1 }),
            13 => Ok(Self::All { on: true }),
            14 => Ok(Self::All { on: false }),
            _ => Err(NotControl::Undefined(pattern)),
        }
    }

    /// From the decimal code that is printed beside the pattern: its value, but for 013, which is printed twice.
    pub fn from_printed(code: u16) -> Result<Self, NotControl> {
        match code {
            1..=12 => u8::try_from(code).map_err(|_| NotControl::Unknown(code)).and_then(Self::from_pattern),
            13 => Err(NotControl::Ambiguous),
            _ => Err(NotControl::Unknown(code)),
        }
    }

    /// The pattern; none for channels that it cannot name.
    pub const fn pattern(self) -> Option<u8> {
        match self {
            Self::One { channel: channel @ 0..=5, on } => Some(channel.saturating_mul(2).saturating_add(if on { 1 } else { 2 })),
            Self::One { .. } => None,
            Self::All { on: true } => Some(13),
            Self::All { on: false } => Some(14),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_table_leads_back_and_its_misprints_are_refused() {
        for pattern in 1..=14 {
            assert_eq!(Operation::from_pattern(pattern).unwrap().pattern(), Some(pattern));
        }
        assert_eq!(Operation::from_pattern(0b0001), Ok(Operation::One { channel: 0, on: true }));
        assert_eq!(Operation::from_pattern(0b1100), Ok(Operation::One { channel: 5, on: false }));
        assert_eq!(Operation::from_pattern(0b1101), Ok(Operation::All { on: true }));
        for undefined in [0b0000, 0b1111, 16, 255] {
            assert_eq!(Operation::from_pattern(undefined), Err(NotControl::Undefined(undefined)));
        }
        assert_eq!(Operation::from_printed(12), Operation::from_pattern(0b1100));
        assert_eq!(Operation::from_printed(13), Err(NotControl::Ambiguous));
        assert_eq!(Operation::from_printed(14), Err(NotControl::Unknown(14)));
        assert_eq!(Operation::One { channel: 6, on: true }.pattern(), None);
    }
}
