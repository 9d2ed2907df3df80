//! The Kafka topics that Ferraris writes: one table for everyone who creates, checks, writes or reads them.

/// What Kafka does with old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Deletes them after the retention time.
    Delete,
    /// Keeps the last record of each key.
    Compact,
}

impl Cleanup {
    /// Value of `cleanup.policy`.
    pub const fn policy(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        }
    }
}

/// A Kafka topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaTopic {
    /// Its name, without the installation's prefix.
    pub name: &'static str,
    /// What the records' keys are.
    pub key: &'static str,
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// Whether it is Ferraris' own state, and no interface for others.
    pub internal: bool,
    /// Whether others write it and Ferraris reads it.
    pub taken: bool,
    /// Further settings that the topic must have, by Kafka's names.
    pub settings: &'static [(&'static str, &'static str)],
    /// What it holds, in a sentence.
    pub description: &'static str,
}

impl KafkaTopic {
    /// Its name in an installation with `prefix` (which may be empty).
    pub fn name_with(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.name)
    }
}

/// Of a compacted topic that is read from start to end before work begins: segments are small and compaction is prompt.
const PROMPTLY_COMPACTED: [(&str, &str); 4] =
    [("segment.bytes", "16777216"), ("segment.ms", "600000"), ("min.cleanable.dirty.ratio", "0.1"), ("max.compaction.lag.ms", "600000")];

/// Each accepted reading, once.
pub const READINGS: KafkaTopic = KafkaTopic {
    name: "meter.readings.v1",
    key: "meter",
    cleanup: Cleanup::Delete,
    internal: false,
    taken: false,
    settings: &[],
    description: "Each accepted reading, once: estimates with standard deviations, raw measurements, energy registers.",
};

/// Events, gaps and hellos.
pub const EVENTS: KafkaTopic = KafkaTopic {
    name: "meter.events.v1",
    key: "meter",
    cleanup: Cleanup::Delete,
    internal: false,
    taken: false,
    settings: &[],
    description: "What meters have to say besides readings, outcomes of commands included, and power quality and silence derived of these.",
};

/// What each channel registered in each interval.
pub const INTERVALS: KafkaTopic = KafkaTopic {
    name: "meter.intervals.v1",
    key: "meter",
    cleanup: Cleanup::Delete,
    internal: false,
    taken: false,
    settings: &[],
    description: "What each channel registered in each interval: differences of registers, means, demand, quality, revision.",
};

/// Quarter hours of the meters on a feeder, in one place.
pub const FEEDER_INTERVALS: KafkaTopic = KafkaTopic {
    name: "feeder.intervals.v1",
    key: "feeder",
    cleanup: Cleanup::Delete,
    internal: true,
    taken: false,
    // Longer than any outage of the analytics; they keep what they need of it.
    settings: &[("retention.ms", "2592000000")],
    description: "Quarter hours of all meters of a feeder: meter.intervals.v1 keyed by feeder.",
};

/// What happens at the meters on a feeder, in one place.
pub const FEEDER_EVENTS: KafkaTopic = KafkaTopic {
    name: "feeder.events.v1",
    key: "feeder",
    cleanup: Cleanup::Delete,
    internal: true,
    taken: false,
    // Evidence counts for a week; longer than any outage of the analytics.
    settings: &[("retention.ms", "2592000000")],
    description: "Silence, interruptions and signs of tampering at all meters of a feeder.",
};

/// What power quality is derived from besides new readings.
pub const METER_STATE: KafkaTopic = KafkaTopic {
    name: "meter.state.v1",
    key: "meter",
    cleanup: Cleanup::Compact,
    internal: true,
    taken: false,
    settings: &PROMPTLY_COMPACTED,
    description: "What is known of each meter's power quality, up to an offset: what a successor goes on from.",
};

/// What long gaps are estimated by.
pub const METER_PROFILES: KafkaTopic = KafkaTopic {
    name: "meter.profiles.v1",
    key: "meter",
    cleanup: Cleanup::Compact,
    internal: true,
    taken: false,
    settings: &PROMPTLY_COMPACTED,
    description: "What each meter's channels registered by the time of the day, a few days of each kind: what long gaps are estimated by.",
};

/// Bytes of the longest record of [`FEEDER_STATE`]: a feeder of 256 houses.
pub const FEEDER_STATE_BYTES_MAX: &str = "8388608";

/// What the analytics know of each feeder.
pub const FEEDER_STATE: KafkaTopic = KafkaTopic {
    name: "feeder.state.v1",
    key: "feeder",
    cleanup: Cleanup::Compact,
    internal: true,
    taken: false,
    settings: &{
        let [bytes, time, ratio, lag] = PROMPTLY_COMPACTED;
        [("max.message.bytes", FEEDER_STATE_BYTES_MAX), bytes, time, ratio, lag]
    },
    description: "What the analytics have learned of each feeder, up to an offset: what a successor goes on from.",
};

/// The life of alerts.
pub const ALERTS: KafkaTopic = KafkaTopic {
    name: "alerts.v1",
    key: "alert, on the partition of its feeder",
    cleanup: Cleanup::Compact,
    internal: false,
    taken: false,
    settings: &[],
    description: "The life of alerts: raised, acknowledged, shelved, cleared; evidence. Only the analytics write it.",
};

/// What people do to alerts.
pub const ALERT_ACTIONS: KafkaTopic = KafkaTopic {
    name: "alerts.actions.v1",
    key: "feeder",
    cleanup: Cleanup::Delete,
    internal: false,
    taken: true,
    settings: &[],
    description: "What people do to alerts: acknowledge, shelve, clear.",
};

/// Feeders, poles, meters.
pub const TOPOLOGY: KafkaTopic = KafkaTopic {
    name: "grid.topology.v1",
    key: "feeder",
    cleanup: Cleanup::Compact,
    internal: false,
    taken: true,
    settings: &[],
    description: "Feeders with their poles, line-side meters and houses.",
};

/// Signed commands on their way to meters.
pub const COMMANDS: KafkaTopic = KafkaTopic {
    name: "meter.commands.v1",
    key: "meter",
    cleanup: Cleanup::Delete,
    internal: false,
    taken: true,
    // Longer than the longest life of a command (31 days).
    settings: &[("retention.ms", "3024000000")],
    description: "Signed commands on their way to meters; what became of each is in meter.events.v1.",
};

/// The last reading of each channel.
pub const LATEST: KafkaTopic = KafkaTopic {
    name: "meter.latest.v1",
    key: "meter, or account of any channel but 0, on the partition of its meter",
    cleanup: Cleanup::Compact,
    internal: false,
    taken: false,
    settings: &[],
    description: "The last reading of each channel of each meter by event time.",
};

/// How far each stream is committed.
///
/// The processor reads it from start to end before it takes a frame.
pub const LEDGER: KafkaTopic = KafkaTopic {
    name: "meter.ledger.v1",
    key: "meter/stream, or incarnation",
    cleanup: Cleanup::Compact,
    internal: true,
    taken: false,
    settings: &PROMPTLY_COMPACTED,
    description: "How far each stream of each meter is committed: the state that makes writing exactly once.",
};

/// What could not be read.
pub const DEAD_LETTERS: KafkaTopic = KafkaTopic {
    name: "dead-letter.v1",
    key: "meter, if known",
    cleanup: Cleanup::Delete,
    internal: false,
    taken: false,
    settings: &[],
    description: "Payloads that could not be read, byte for byte; the reason is in the headers.",
};

/// [`READINGS`] in Avro, where that is switched on.
pub const READINGS_AVRO: KafkaTopic =
    KafkaTopic { name: "meter.readings.v1.avro", description: "meter.readings.v1 in Avro, in Confluent's wire format.", ..READINGS };

/// [`INTERVALS`] in Avro, where that is switched on.
pub const INTERVALS_AVRO: KafkaTopic =
    KafkaTopic { name: "meter.intervals.v1.avro", description: "meter.intervals.v1 in Avro, in Confluent's wire format.", ..INTERVALS };

/// All topics, but for those in Avro.
pub const ALL: [KafkaTopic; 15] = [
    READINGS,
    EVENTS,
    INTERVALS,
    FEEDER_INTERVALS,
    FEEDER_EVENTS,
    FEEDER_STATE,
    METER_STATE,
    METER_PROFILES,
    ALERTS,
    ALERT_ACTIONS,
    TOPOLOGY,
    COMMANDS,
    LATEST,
    LEDGER,
    DEAD_LETTERS,
];
