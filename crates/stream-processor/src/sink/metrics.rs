//! What sinks count.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Sink {
    /// Rows of PostgreSQL.
    Postgres,
    /// Alerts to an Alertmanager.
    Webhook,
    /// Readings and intervals once more, in Avro.
    Avro,
}

impl Sink {
    const ALL: [Self; 3] = [Self::Postgres, Self::Webhook, Self::Avro];
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "postgres",
            Self::Webhook => "webhook",
            Self::Avro => "avro",
        })
    }
}

/// Why a record of Kafka never arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Skipped {
    /// It is none of its topic's.
    Unreadable,
    /// It holds a time or number that the other end has no place for.
    Unstorable,
    /// Kafka deleted it before this sink came to it.
    Expired,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Failure {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The other end said no.
    Refused,
    /// Another instance has taken the same records meanwhile.
    Overtaken,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    sink: Sink,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SkippedBy {
    sink: Sink,
    reason: Skipped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailedBy {
    sink: Sink,
    reason: Failure,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    sink: Sink,
    partition: i32,
}

/// Counters and gauges of all sinks; cheap to clone.
#[derive(Clone, Debug)]
pub struct SinkMetrics {
    delivered: Family<Of, Counter>,
    skipped: Family<SkippedBy, Counter>,
    failures: Family<FailedBy, Counter>,
    stuck: Family<Of, Gauge>,
    seconds: Family<Of, Histogram>,
    delay_ms: Family<Place, Gauge>,
}

impl Default for SinkMetrics {
    fn default() -> Self {
        Self {
            delivered: Family::default(),
            skipped: Family::default(),
            failures: Family::default(),
            stuck: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            delay_ms: Family::default(),
        }
    }
}

impl SinkMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("sink_records", "Records of Kafka that a sink has delivered", self.delivered.clone());
        registry.register("sink_records_skipped", "Records of Kafka that a sink never delivers, by reason", self.skipped.clone());
        registry.register("sink_failures", "Attempts of a sink that failed and are repeated, by reason", self.failures.clone());
        registry.register("sink_partitions_stuck", "Partitions whose last attempt failed", self.stuck.clone());
        registry.register("sink_delivery_seconds", "How long a delivery takes", self.seconds.clone());
        let delay = "From a record's commit in Kafka to its delivery, of the last one of each partition";
        registry.register("sink_delay_milliseconds", delay, self.delay_ms.clone());
    }

    /// So many records have arrived.
    pub fn delivered(&self, sink: Sink, records: u64, seconds: f64) {
        self.delivered.get_or_create(&Of { sink }).inc_by(records);
        self.seconds.get_or_create(&Of { sink }).observe(seconds);
    }

    /// How old the last one was.
    pub fn delay(&self, sink: Sink, partition: i32, ms: i64) {
        self.delay_ms.get_or_create(&Place { sink, partition }).set(ms);
    }

    /// So many records never arrive.
    pub fn skipped(&self, sink: Sink, reason: Skipped, records: u64) {
        self.skipped.get_or_create(&SkippedBy { sink, reason }).inc_by(records);
    }

    /// An attempt failed.
    pub fn failed(&self, sink: Sink, reason: Failure) {
        self.failures.get_or_create(&FailedBy { sink, reason }).inc();
    }

    /// Sinks with partitions that get no further, and how many.
    pub fn stuck(&self) -> Vec<(Sink, i64)> {
        let of = |sink| (sink, self.stuck.get_or_create(&Of { sink }).get());
        Sink::ALL.map(of).into_iter().filter(|(_, partitions)| *partitions > 0).collect()
    }

    /// For one partition.
    pub(super) fn health(&self, sink: Sink) -> Health {
        Health { stuck: self.stuck.get_or_create(&Of { sink }).clone(), failure: None }
    }
}

/// Whether a partition gets on. Given up in whatever way, it is stuck no longer.
pub(super) struct Health {
    stuck: Gauge,
    failure: Option<Failure>,
}

impl Health {
    /// The last attempt failed; whether the one before it failed otherwise, or not at all.
    pub(super) fn failed(&mut self, why: Failure) -> bool {
        if self.failure.is_none() {
            self.stuck.inc();
        }
        self.failure.replace(why) != Some(why)
    }

    /// The other end answers: what kept it from that is over.
    pub(super) fn connected(&mut self) {
        if self.failure.is_some_and(|why| why != Failure::Refused) {
            self.delivered();
        }
    }

    /// Something has arrived; whether it had been stuck before.
    pub(super) fn delivered(&mut self) -> bool {
        let was_stuck = self.failure.take().is_some();
        if was_stuck {
            self.stuck.dec();
        }
        was_stuck
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.delivered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_partitions_are_counted_once_and_not_for_ever() {
        let metrics = SinkMetrics::default();
        let (mut one, mut other) = (metrics.health(Sink::Postgres), metrics.health(Sink::Postgres));
        assert!(one.failed(Failure::Unreachable) && !one.failed(Failure::Unreachable) && other.failed(Failure::Refused));
        assert_eq!(metrics.stuck(), [(Sink::Postgres, 2)]);
        one.connected();
        other.connected();
        assert_eq!(metrics.stuck(), [(Sink::Postgres, 1)], "a refusal is not over when the connection stands");
        drop(other);
        assert_eq!(metrics.stuck(), []);
    }
}
