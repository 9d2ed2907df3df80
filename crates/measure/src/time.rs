//! Time as a value; nobody here reads a clock.

/// Milliseconds since 1970-01-01 UTC, without leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Later by `millis`; stays at the ends of the range.
    pub const fn saturating_add(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this; negative if that is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Start of the interval of `millis` (counted from 1970-01-01 UTC) that this lies in. `millis` must be positive.
    pub const fn interval_start(self, millis: i64) -> Self {
        match self.0.checked_rem_euclid(millis) {
            Some(into) => Self(self.0.saturating_sub(into)),
            None => self,
        }
    }
}

/// How far a time can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ClockQuality {
    /// The clock was synchronised when the record was made.
    #[default]
    Synchronised,
    /// The clock was synchronised earlier and has run on its own since.
    Holdover,
    /// Measured before the clock was known; the time was computed afterwards from the elapsed time of the same start.
    Repaired,
    /// Measured before the clock was known and not repairable: the time is an upper bound.
    Unknown,
}

impl ClockQuality {
    /// As a two-bit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Synchronised => 0,
            Self::Holdover => 1,
            Self::Repaired => 2,
            Self::Unknown => 3,
        }
    }

    /// From the two-bit code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Synchronised),
            1 => Some(Self::Holdover),
            2 => Some(Self::Repaired),
            3 => Some(Self::Unknown),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_hours_are_aligned_to_utc_before_1970_too() {
        const QUARTER: i64 = 15 * 60 * 1000;
        assert_eq!(UnixMillis(QUARTER + 1).interval_start(QUARTER), UnixMillis(QUARTER));
        assert_eq!(UnixMillis(-1).interval_start(QUARTER), UnixMillis(-QUARTER));
        assert_eq!(UnixMillis(7).interval_start(0), UnixMillis(7));
    }
}
