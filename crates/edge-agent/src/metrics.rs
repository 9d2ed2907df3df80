//! What is counted. A registry per instance; no label names a meter.

use edge_core::counters::Counters;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why a connection ended or did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The broker could not be reached, or the connection broke.
    Network,
    /// No answer in time.
    Timeout,
    /// The certificates were not accepted, by us or by the broker.
    Tls,
    /// The broker knows us and does not let us in.
    Refused,
    /// The broker said something that MQTT does not allow here.
    Protocol,
}

/// One of a brain's counters.
type Of = fn(&Counters) -> u64;

impl Ended {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What the links count.
#[derive(Clone, Debug, Default)]
pub struct LinkMetrics {
    /// Links with a connection.
    pub connected: Gauge,
    /// Frames handed to a connection.
    pub frames: Counter,
    /// Frames that a connection had no room for.
    pub frames_dropped: Counter,
    /// Acknowledgements that cannot be read.
    pub bad_acks: Counter,
    ended: Family<Reason, Counter>,
}

impl LinkMetrics {
    /// A connection ended.
    pub fn ended(&self, reason: Ended) {
        self.ended.get_or_create(&Reason { reason: reason.name() }).inc();
    }
}

/// What the buses count.
#[derive(Clone, Debug, Default)]
pub struct BusMetrics {
    /// Bytes that belonged to no request.
    pub stale_bytes: Counter,
    /// Polls whose time passed while the bus was busy.
    pub polls_skipped: Counter,
    /// Samples that the brain had no room for.
    pub samples_dropped: Counter,
    faults: Family<Reason, Counter>,
}

impl BusMetrics {
    /// A poll failed.
    pub fn fault(&self, reason: &'static str) {
        self.faults.get_or_create(&Reason { reason }).inc();
    }
}

/// What chips count that measure by themselves.
#[derive(Clone, Debug, Default)]
pub struct ChipMetrics {
    /// Readings at the end of the front end's range.
    pub clipped: Counter,
    events: Family<Reason, Counter>,
}

impl ChipMetrics {
    /// A chip told of something.
    pub fn happened(&self, reason: &'static str) {
        self.events.get_or_create(&Reason { reason }).inc();
    }
}

/// What the journal's owner counts.
#[derive(Clone, Debug, Default)]
pub struct JournalMetrics {
    /// What rows take.
    pub bytes: Gauge,
    /// Rows that wait.
    pub rows: Gauge,
    /// Rows whose checksum was wrong.
    pub damaged_rows: Gauge,
    /// Transactions.
    pub commits: Counter,
    failures: Family<Reason, Counter>,
}

impl JournalMetrics {
    /// A transaction failed.
    pub fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Reason { reason }).inc();
    }
}

/// Everything an agent counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The links together.
    pub link: LinkMetrics,
    /// The buses together.
    pub bus: BusMetrics,
    /// The chips together.
    pub chip: ChipMetrics,
    /// The journal.
    pub journal: JournalMetrics,
    /// Relays and lights that could not be moved.
    pub relays_failed: Counter,
    /// Files of the meter's condition that could not be read.
    pub condition_unreadable: Counter,
    /// Characters of keypads that are no key.
    pub keys_unknown: Counter,
    /// Times that a display could not be written.
    pub displays_failed: Counter,
    samples: Counter,
    rows: Counter,
    streams: Counter,
    resends: Counter,
    no_data: Family<Reason, Counter>,
    samples_ignored: Family<Reason, Counter>,
    rows_dropped: Family<Reason, Counter>,
    events_held_back: Counter,
    acks: Family<Reason, Counter>,
    commands: Family<Reason, Counter>,
    frames: Family<Reason, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut this = Self {
            registry: Registry::with_prefix("ferraris_agent"),
            link: LinkMetrics::default(),
            bus: BusMetrics::default(),
            chip: ChipMetrics::default(),
            journal: JournalMetrics::default(),
            relays_failed: Counter::default(),
            condition_unreadable: Counter::default(),
            keys_unknown: Counter::default(),
            displays_failed: Counter::default(),
            samples: Counter::default(),
            rows: Counter::default(),
            streams: Counter::default(),
            resends: Counter::default(),
            no_data: Family::default(),
            samples_ignored: Family::default(),
            rows_dropped: Family::default(),
            events_held_back: Counter::default(),
            acks: Family::default(),
            commands: Family::default(),
            frames: Family::default(),
        };
        this.register();
        this
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("samples", "Samples of all channels", self.samples.clone());
        r.register("no_data", "Polls without a sample, by cause", self.no_data.clone());
        r.register("samples_ignored", "Samples that made no reading, by reason", self.samples_ignored.clone());
        r.register("events_held_back", "Events told less than a minute before", self.events_held_back.clone());
        r.register("journal_rows_appended", "Rows given to the journal", self.rows.clone());
        r.register("journal_rows_dropped", "Rows given up or lost, by reason; each is counted in a gap", self.rows_dropped.clone());
        r.register("journal_rows", "Rows that wait for their acknowledgement", self.journal.rows.clone());
        r.register("journal_bytes", "What these rows take", self.journal.bytes.clone());
        r.register("journal_rows_damaged", "Rows whose checksum was wrong, each replaced by a gap", self.journal.damaged_rows.clone());
        r.register("journal_commits", "Transactions", self.journal.commits.clone());
        r.register("journal_failures", "Transactions that failed, by reason", self.journal.failures.clone());
        r.register("streams_opened", "Streams of numbers", self.streams.clone());
        r.register("frames", "Frames made, by kind", self.frames.clone());
        r.register("resends", "Times that no acknowledgement came in time", self.resends.clone());
        r.register("acks", "Acknowledgements, by outcome", self.acks.clone());
        r.register("commands", "Commands, by what became of them", self.commands.clone());
        r.register("relays_failed", "Relays and lights that could not be moved; they are tried again", self.relays_failed.clone());
        r.register("condition_unreadable", "Files of the meters' condition that could not be read", self.condition_unreadable.clone());
        r.register("keys_unknown", "Characters of keypads that are no key", self.keys_unknown.clone());
        r.register("displays_failed", "Times that a display could not be written; it is tried again", self.displays_failed.clone());
        r.register("acks_unreadable", "Acknowledgements that cannot be read", self.link.bad_acks.clone());
        r.register("frames_published", "Frames handed to a connection", self.link.frames.clone());
        r.register("frames_unpublished", "Frames that a connection had no room for; they are sent again", self.link.frames_dropped.clone());
        r.register("links_connected", "Meters with a connection", self.link.connected.clone());
        r.register("connections_ended", "Connections that ended or did not come about, by reason", self.link.ended.clone());
        r.register("bus_faults", "Polls that failed on the bus, by what came back", self.bus.faults.clone());
        r.register("chip_events", "Polls at which a chip told of this, by what", self.chip.events.clone());
        r.register("chip_readings_clipped", "Readings at the end of the front end's range", self.chip.clipped.clone());
        r.register("bus_stale_bytes", "Bytes that belonged to no request", self.bus.stale_bytes.clone());
        r.register("bus_polls_skipped", "Polls whose time passed while the bus was busy", self.bus.polls_skipped.clone());
        r.register("samples_dropped", "Samples that came while the journal could not keep up", self.bus.samples_dropped.clone());
    }

    /// A brain's counters went from `before` to `after`.
    pub fn absorb(&self, before: &Counters, after: &Counters) {
        let plain = |counter: &Counter, of: Of| {
            counter.inc_by(of(after).saturating_sub(of(before)));
        };
        plain(&self.samples, |c| c.samples);
        plain(&self.rows, |c| c.rows_appended);
        plain(&self.streams, |c| c.streams_opened);
        plain(&self.resends, |c| c.resend_timeouts);
        plain(&self.events_held_back, |c| c.events_repeated);
        let family = |family: &Family<Reason, Counter>, reasons: &[(&'static str, Of)]| {
            for (reason, of) in reasons {
                family.get_or_create(&Reason { reason }).inc_by(of(after).saturating_sub(of(before)));
            }
        };
        family(
            &self.no_data,
            &[
                ("timeout", |c| c.no_data_timeout),
                ("damaged", |c| c.no_data_damaged),
                ("refused", |c| c.no_data_refused),
                ("unavailable", |c| c.no_data_unavailable),
            ],
        );
        family(
            &self.samples_ignored,
            &[
                ("unchanged", |c| c.samples_unsent),
                ("unknown_channel", |c| c.samples_of_unknown_channel),
                ("implausible", |c| c.samples_implausible),
                ("out_of_range", |c| c.samples_out_of_range),
            ],
        );
        family(
            &self.rows_dropped,
            &[
                ("reading_full", |c| c.readings_dropped_full),
                ("snapshot_full", |c| c.snapshots_dropped_full),
                ("event_full", |c| c.events_dropped_full),
                ("failed", |c| c.rows_dropped_failed),
                ("missing", |c| c.rows_missing),
            ],
        );
        family(
            &self.acks,
            &[
                ("applied", |c| c.acks_applied),
                ("repeated", |c| c.acks_repeated),
                ("stale", |c| c.acks_stale),
                ("unknown_stream", |c| c.acks_unknown_stream),
                ("beyond_given", |c| c.acks_beyond_given),
                ("old_incarnation", |c| c.acks_old_incarnation),
                ("ledger_restored", |c| c.ledgers_restored),
            ],
        );
        for verdict in measure::Verdict::ALL {
            let more = after.of_commands(*verdict).saturating_sub(before.of_commands(*verdict));
            self.commands.get_or_create(&Reason { reason: verdict.name() }).inc_by(more);
        }
        family(&self.frames, &[("new", |c| c.frames_sent), ("repeated", |c| c.frames_repeated)]);
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_many_brains_add_up() {
        let metrics = Metrics::new();
        let after = Counters { samples: 5, acks_stale: 2, ..Counters::default() };
        metrics.absorb(&Counters::default(), &after);
        metrics.absorb(&after, &Counters { samples: 7, ..after });
        metrics.link.ended(Ended::Tls);
        let text = metrics.encode();
        for line in [
            "ferraris_agent_samples_total 7",
            "ferraris_agent_acks_total{reason=\"stale\"} 2",
            "ferraris_agent_connections_ended_total{reason=\"tls\"} 1",
            "ferraris_agent_no_data_total{reason=\"timeout\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
