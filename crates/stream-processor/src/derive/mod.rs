//! From readings to what follows from them, exactly once: consume, transform, produce.
//!
//! A second consumer group, whose members share the partitions of `meter.readings.v1`. What is derived of a partition is a function of its
//! records alone, in the order of their offsets ([`Transform`]): no clock, no random number, nothing from elsewhere. So it does not matter
//! who computes it, nor how often. A [`worker`] writes what follows and how far it has read in one transaction.
//!
//! The state is kept nowhere. Beside the offset that was read up to, a commit holds the one from which whatever is not finished can be
//! computed anew ([`Transform::low_water`]); a successor reads from there, silently as far as its predecessor had come, and goes on. That
//! writes nothing and reads each record twice at worst, where a changelog would write each open interval with every transaction.
//!
//! A group whose state reaches back further, or depends on time passing, has a topic of states besides ([`Derive::states`]): a state per
//! meter, written in the same transactions. What time changes is a fact, written once and never computed again (decision 0015).

mod intervals;
mod quality;
pub(crate) mod source;
mod worker;

use std::sync::Arc;

use contracts::topics::KafkaTopic;
use contracts::{MeterStateRecord, ReadingRecord};
use measure::{MeterId, UnixMillis};
use serde::Serialize;

use crate::kafka::{Clients, Group};
use crate::metrics::Metrics;
use crate::observer::Observer;
use crate::ownership::{Lost, Work};
use crate::transaction::Stop;

/// A place in a partition's readings that a state can be computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The first reading that is taken.
    pub offset: i64,
    /// What time it was at the head-end there.
    pub now: UnixMillis,
}

impl Mark {
    /// Where a partition begins that nothing is known of.
    pub const BEGINNING: Self = Self { offset: 0, now: UnixMillis(0) };
}

/// A function of one partition's readings, in the order of their offsets.
pub trait Transform: Send {
    /// What follows from readings.
    type Output: Serialize;

    /// Takes the reading at `offset` and appends what follows from it, and from those before, to `out`.
    fn take(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<Self::Output>);

    /// A place before everything that what is to follow still depends on: one that begins there and takes the same readings gives the
    /// same from now on.
    fn low_water(&self) -> Mark;

    /// The meter that an output is about: its key.
    fn meter(output: &Self::Output) -> &MeterId;

    /// Where an output is written.
    fn place(_output: &Self::Output) -> Place {
        Place::Target
    }

    /// Takes a reading again whose consequences a predecessor wrote; what is appended to `out` is thrown away.
    fn replay(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<Self::Output>) {
        self.take(offset, reading, out);
    }

    /// What a predecessor kept of a meter, before anything is taken; the last one counts.
    fn restore(&mut self, _meter: MeterId, _state: Option<&MeterStateRecord>) {}

    /// It is `now`, and if `is_idle` there was no further reading just now. What this changes is never computed again: it must be in the
    /// outputs, as a state. Called about once a second where the group has a topic of states.
    fn tick(&mut self, _now: UnixMillis, _is_idle: bool, _out: &mut Vec<Self::Output>) {}
}

/// Where an output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the group's target.
    Target,
    /// Into its topic of states.
    State,
    /// There, as a tombstone.
    StateGone,
    /// Nowhere but where [`Copies`] says.
    CopyOnly,
}

/// Says what is to be written besides an output.
pub trait Copies<O>: Send + Sync {
    /// The output once more; none if nobody needs it.
    fn copy(&self, output: &O) -> Option<Copied>;
}

/// An output once more, for whoever needs it under another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Where.
    pub topic: Arc<str>,
    /// On which partition.
    pub partition: i32,
    /// Under which key.
    pub key: String,
    /// With which value.
    pub value: Vec<u8>,
}

/// A group's work: which transform, from where to where.
pub struct Derive<T: Transform> {
    /// Makes its clients.
    pub clients: Clients,
    /// Which group.
    pub group: Group,
    /// Where what follows is written, on the partition of the readings.
    pub target: KafkaTopic,
    /// Makes the transform of a partition, which knows nothing yet and is to begin at this mark.
    pub transform: Arc<dyn Fn(Mark) -> T + Send + Sync>,
    /// Where states are kept, on the partition of the readings; none if the log is all of it.
    pub states: Option<KafkaTopic>,
    /// What is written besides, under another key, in the same transaction.
    pub copy: Option<Arc<dyn Copies<T::Output>>>,
    /// Counters.
    pub metrics: Metrics,
    /// Looks on.
    pub observer: Arc<dyn Observer>,
    /// Least time between the starts of two transactions of a partition.
    pub commit_interval: std::time::Duration,
}

impl<T: Transform + 'static> Work for Derive<T> {
    fn group(&self) -> Group {
        self.group
    }

    fn topic(&self) -> KafkaTopic {
        contracts::topics::READINGS
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn work(&self, partition: i32, stop: &Stop) -> Result<(), Lost> {
        worker::work(self, partition, stop)
    }

    /// It looks for itself, several times a second.
    fn close(&self, _: i32) {}
}
