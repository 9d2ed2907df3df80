//! From a feeder's intervals and events to alerts, exactly once.
//!
//! A third consumer group shares the partitions of `feeder.intervals.v1`. Whoever owns one owns the same partition of `alerts.actions.v1`,
//! `grid.topology.v1`, `feeder.state.v1` and `alerts.v1`: all of them lie by their feeder. A [`worker`] writes alerts, what it has learned, and
//! how far it has read of intervals and actions in one transaction.
//!
//! What is learned of a feeder depends on everything since its beginning, so reading the intervals again from a low-water mark, as for
//! meters' intervals, would never be shorter. (What is lost, and signs of tampering, reach back a week at most: `feeder.events.v1` is read again
//! from a low-water mark of its own.) Each feeder's [`mind`] is kept in `feeder.state.v1` once for each day of its meters; a
//! successor takes it, and reads again what came since ([`partition`]). Open alerts it takes from `alerts.v1` itself.

pub mod assembly;
pub mod desk;
pub mod mind;
pub mod pairs;
pub mod partition;
pub mod signs;

mod source;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use contracts::topics::KafkaTopic;

use crate::kafka::{Clients, Group};
use crate::links::Links;
use crate::metrics::Metrics;
use crate::observer::Observer;
use crate::ownership::{Lost, Work};
use crate::transaction::Stop;

/// The group's work.
pub struct Analytics {
    /// Makes its clients.
    pub clients: Clients,
    /// Where alerts are published after the commit.
    pub links: Links,
    /// Counters.
    pub metrics: Metrics,
    /// Looks on.
    pub observer: Arc<dyn Observer>,
    /// Least time between the starts of two transactions of a partition.
    pub commit_interval: Duration,
    /// How long a feeder's quarter of an hour waits for meters that have not told it, in ms of their time.
    pub settle_ms: i64,
    /// How long a lost supply waits for others of its feeder, in ms.
    pub storm_ms: i64,
}

impl Work for Analytics {
    fn group(&self) -> Group {
        Group::ANALYTICS
    }

    fn topic(&self) -> KafkaTopic {
        contracts::topics::FEEDER_INTERVALS
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
