//! What this instance counts. One registry per instance; no label names a meter.

mod label;

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::sink::metrics::SinkMetrics;
pub use label::{ActionRefused, Dropped, Ended, LeftOut, Undelivered, Unjudged, Unsent, Unused};
use label::{LeftOutBy, OfBroker, Outcome, Reason, RefusedBy, UndeliveredBy, UnjudgedBy, UnusedBy, What};

/// What is counted for one broker of the configuration; cheap to clone.
#[derive(Clone, Debug)]
pub struct BrokerMetrics {
    /// 1 while there is a connection.
    pub connected: Gauge,
    /// Frames that came from there.
    pub frames_received: Counter,
    /// Acknowledgements that went there.
    pub acks_sent: Counter,
}

/// Counters and gauges; cheap to clone.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the registry holds a help text for each")]
pub struct Metrics {
    registry: Arc<Registry>,
    pub records_accepted: Counter,
    pub records_committed: Counter,
    pub dead_letters: Counter,
    pub transaction_seconds: Histogram,
    pub rebuild_seconds: Histogram,
    pub partitions_owned: Gauge,
    pub brokers_connected: Gauge,
    pub streams: Gauge,
    pub readings_taken: Counter,
    pub readings_replayed: Counter,
    pub readings_unreadable: Counter,
    pub readings_never_shown: Counter,
    pub derived: Counter,
    pub topology_unreadable: Counter,
    pub feeder_intervals_taken: Counter,
    pub feeder_intervals_replayed: Counter,
    pub feeder_intervals_unreadable: Counter,
    pub feeder_states: Counter,
    pub feeder_states_unreadable: Counter,
    pub alerts: Counter,
    pub sinks: SinkMetrics,
    pub commands_sent: Counter,
    pub commands_answered: Counter,
    pub commands_waiting: Gauge,
    commands_undelivered: Family<UndeliveredBy, Counter>,
    pub meter_states_unreadable: Counter,
    pub feeder_events_taken: Counter,
    pub feeder_events_unused: Counter,
    readings_unjudged: Family<UnjudgedBy, Counter>,
    feeder_intervals_unused: Family<UnusedBy, Counter>,
    quarter_hours_left_out: Family<LeftOutBy, Counter>,
    actions_refused: Family<RefusedBy, Counter>,
    frames_dropped: Family<Reason, Counter>,
    transactions: Family<Outcome, Counter>,
    unsent: Family<What, Counter>,
    broker_connected: Family<OfBroker, Gauge>,
    frames_received: Family<OfBroker, Counter>,
    acks_sent: Family<OfBroker, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut it = Self {
            registry: Arc::default(),
            records_accepted: Counter::default(),
            records_committed: Counter::default(),
            dead_letters: Counter::default(),
            transaction_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            rebuild_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 14)),
            partitions_owned: Gauge::default(),
            brokers_connected: Gauge::default(),
            streams: Gauge::default(),
            readings_taken: Counter::default(),
            readings_replayed: Counter::default(),
            readings_unreadable: Counter::default(),
            readings_never_shown: Counter::default(),
            derived: Counter::default(),
            topology_unreadable: Counter::default(),
            feeder_intervals_taken: Counter::default(),
            feeder_intervals_replayed: Counter::default(),
            feeder_intervals_unreadable: Counter::default(),
            feeder_states: Counter::default(),
            feeder_states_unreadable: Counter::default(),
            alerts: Counter::default(),
            sinks: SinkMetrics::default(),
            commands_sent: Counter::default(),
            commands_answered: Counter::default(),
            commands_waiting: Gauge::default(),
            commands_undelivered: Family::default(),
            meter_states_unreadable: Counter::default(),
            feeder_events_taken: Counter::default(),
            feeder_events_unused: Counter::default(),
            readings_unjudged: Family::default(),
            feeder_intervals_unused: Family::default(),
            quarter_hours_left_out: Family::default(),
            actions_refused: Family::default(),
            frames_dropped: Family::default(),
            transactions: Family::default(),
            unsent: Family::default(),
            broker_connected: Family::default(),
            frames_received: Family::default(),
            acks_sent: Family::default(),
        };
        let mut registry = Registry::with_prefix("ferraris_processor");
        registry.register("frames_received", "Frames taken from MQTT, by broker", it.frames_received.clone());
        registry.register("frames_dropped", "Frames that left nothing in Kafka, or only a dead letter", it.frames_dropped.clone());
        registry.register("records_accepted", "Records that joined a transaction", it.records_accepted.clone());
        registry.register("records_committed", "Records in Kafka", it.records_committed.clone());
        registry.register("acks_sent", "Acknowledgements sent, by broker", it.acks_sent.clone());
        registry.register("dead_letters", "Frames kept aside in the dead letters", it.dead_letters.clone());
        registry.register("transactions", "Transactions by how they ended", it.transactions.clone());
        registry.register("unsent", "What was given up because its broker or queue took nothing", it.unsent.clone());
        registry.register_with_unit("transaction", "From begin to commit", Unit::Seconds, it.transaction_seconds.clone());
        registry.register_with_unit("rebuild", "From assignment to readiness", Unit::Seconds, it.rebuild_seconds.clone());
        registry.register("partitions_owned", "Partitions that frames are taken for", it.partitions_owned.clone());
        registry.register("broker_connected", "1 while there is a connection to the broker", it.broker_connected.clone());
        registry.register("brokers_connected", "Connections to MQTT brokers", it.brokers_connected.clone());
        registry.register("streams", "Streams remembered", it.streams.clone());
        registry.register("readings_taken", "Readings that something was derived from, for the first time", it.readings_taken.clone());
        registry.register(
            "readings_replayed",
            "Readings read again after a predecessor, to know what it knew",
            it.readings_replayed.clone(),
        );
        registry.register(
            "readings_unreadable",
            "Records of the readings' topic that are none, passed over",
            it.readings_unreadable.clone(),
        );
        registry.register(
            "readings_never_shown",
            "Readings in Kafka that are no live value: more than five minutes ahead, or of a channel beyond the sixteenth",
            it.readings_never_shown.clone(),
        );
        registry.register("derived", "Records derived from readings, in Kafka", it.derived.clone());
        it.register_feeders(&mut registry);
        it.sinks.register(&mut registry);
        it.register_commands(&mut registry);
        it.registry = Arc::new(registry);
        it
    }

    fn register_commands(&self, registry: &mut Registry) {
        registry.register("commands_sent", "Commands sent to meters, repetitions included", self.commands_sent.clone());
        registry.register("commands_answered", "Commands whose outcome came while they waited", self.commands_answered.clone());
        registry.register("commands_waiting", "Commands that wait for their meters", self.commands_waiting.clone());
        registry.register("commands_undelivered", "Commands that were not sent, by reason", self.commands_undelivered.clone());
    }

    /// A command was not sent.
    pub fn undelivered(&self, reason: Undelivered) {
        self.commands_undelivered.get_or_create(&UndeliveredBy { reason }).inc();
    }

    fn register_feeders(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, it: &Counter| registry.register(name, help, it.clone());
        counter("topology_unreadable", "Records of the topology that are none, passed over", &self.topology_unreadable);
        counter("feeder_intervals_taken", "Intervals of feeders' meters, for the first time", &self.feeder_intervals_taken);
        counter("feeder_intervals_replayed", "Intervals read again after a predecessor", &self.feeder_intervals_replayed);
        counter("feeder_intervals_unreadable", "Records of feeders' intervals that are none", &self.feeder_intervals_unreadable);
        counter("feeder_states", "States of feeders kept in Kafka", &self.feeder_states);
        counter("feeder_states_unreadable", "States that can't be read: their feeders are learned anew", &self.feeder_states_unreadable);
        counter("alerts", "Records of alerts in Kafka", &self.alerts);
        counter("meter_states_unreadable", "States of meters that can't be read: they begin anew", &self.meter_states_unreadable);
        counter("feeder_events_taken", "Events of feeders' meters, for the first time", &self.feeder_events_taken);
        counter("feeder_events_unused", "Events that are none, or of meters that no feeder has", &self.feeder_events_unused);
        let unjudged = self.readings_unjudged.clone();
        registry.register("readings_unjudged", "Readings that power quality was not derived from, by reason", unjudged);
        let unused = self.feeder_intervals_unused.clone();
        registry.register("feeder_intervals_unused", "Intervals that told nothing of a feeder, by reason", unused);
        let left_out = self.quarter_hours_left_out.clone();
        registry.register("quarter_hours_left_out", "Quarter hours of feeders that a test left out, by reason", left_out);
        registry.register("actions_refused", "Actions on alerts that changed nothing, by reason", self.actions_refused.clone());
    }

    /// A reading was not judged.
    pub fn unjudged(&self, reason: Unjudged) {
        self.readings_unjudged.get_or_create(&UnjudgedBy { reason }).inc();
    }

    /// A feeder's interval told nothing.
    pub fn unused(&self, reason: Unused) {
        self.feeder_intervals_unused.get_or_create(&UnusedBy { reason }).inc();
    }

    /// So many quarter hours of a feeder were left out.
    pub fn left_out(&self, reason: LeftOut, count: u64) {
        self.quarter_hours_left_out.get_or_create(&LeftOutBy { reason }).inc_by(count);
    }

    /// What somebody did changed nothing.
    pub fn refused(&self, reason: ActionRefused) {
        self.actions_refused.get_or_create(&RefusedBy { reason }).inc();
    }

    /// A frame was dropped.
    pub fn dropped(&self, reason: Dropped) {
        self.frames_dropped.get_or_create(&Reason { reason }).inc();
    }

    /// Frames dropped for a reason so far.
    pub fn dropped_count(&self, reason: Dropped) -> u64 {
        self.frames_dropped.get_or_create(&Reason { reason }).get()
    }

    /// A transaction ended.
    pub fn ended(&self, outcome: Ended) {
        self.transactions.get_or_create(&Outcome { outcome }).inc();
    }

    /// Transactions that ended so, so far.
    pub fn ended_count(&self, outcome: Ended) -> u64 {
        self.transactions.get_or_create(&Outcome { outcome }).get()
    }

    /// So many were given up.
    pub fn unsent(&self, what: Unsent, count: u64) {
        self.unsent.get_or_create(&What { what }).inc_by(count);
    }

    /// What is counted for a broker, beginning at zero. `name` is its address in the configuration, which bounds their number.
    pub fn of_broker(&self, name: &str) -> BrokerMetrics {
        let broker = OfBroker { broker: name.to_owned() };
        BrokerMetrics {
            connected: self.broker_connected.get_or_create(&broker).clone(),
            frames_received: self.frames_received.get_or_create(&broker).clone(),
            acks_sent: self.acks_sent.get_or_create(&broker).clone(),
        }
    }

    /// Everything in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
