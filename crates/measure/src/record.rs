//! What a meter sends: one of these under each number.

use crate::{Event, Flags, Gap, Hello, Outcome, Reading, UnixMillis};

/// One record of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Record 1 of the stream, and no other.
    Hello(Hello),
    /// A reading.
    Reading(Reading),
    /// An event.
    Event(Event),
    /// Records that are missing for good.
    Gap(Gap),
    /// What became of a command.
    Outcome(Outcome),
}

/// What a journal must know of a row to decide which goes first and which is given up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// A reading between snapshots: the first to be given up.
    Reading,
    /// A register snapshot: billing rests on it.
    Snapshot,
    /// An event that waits its turn, or a gap.
    Event,
    /// An event that goes ahead of everything that waits, or the outcome of a command.
    Urgent,
}

impl Record {
    /// The record's own time; a gap's is its end.
    pub const fn time(&self) -> UnixMillis {
        match self {
            Self::Hello(hello) => hello.time,
            Self::Reading(reading) => reading.time,
            Self::Event(event) => event.time,
            Self::Gap(gap) => gap.to,
            Self::Outcome(outcome) => outcome.time,
        }
    }

    /// Its place in a journal.
    pub const fn kind(&self) -> RowKind {
        match self {
            Self::Reading(reading) if reading.flags.contains(Flags::SNAPSHOT) => RowKind::Snapshot,
            Self::Reading(_) => RowKind::Reading,
            Self::Event(event) if event.kind.is_urgent() => RowKind::Urgent,
            Self::Outcome(_) => RowKind::Urgent,
            Self::Hello(_) | Self::Event(_) | Self::Gap(_) => RowKind::Event,
        }
    }
}
