//! Kafka's clients as this program sets them up, and what their errors mean for it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use crate::config;

/// A consumer group of the processors. Its members share the partitions of a topic, and its name is in their producers' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(&'static str);

impl Group {
    /// Takes frames to Kafka; shares the ledger's partitions.
    pub const INGEST: Self = Self("ferraris-ingest");
    /// Makes intervals of readings.
    pub const INTERVALS: Self = Self("ferraris-intervals");
    /// Makes power quality of readings, and notices their absence.
    pub const QUALITY: Self = Self("ferraris-quality");
    /// Takes commands to meters.
    pub const COMMANDS: Self = Self("ferraris-commands");
    /// Finds alerts on feeders.
    pub const ANALYTICS: Self = Self("ferraris-analytics");
    /// Makes rows of PostgreSQL.
    pub const POSTGRES: Self = Self("ferraris-postgres");
    /// Writes readings and intervals once more, in Avro.
    pub const AVRO: Self = Self("ferraris-avro");
    /// Tells an Alertmanager of alerts.
    pub const WEBHOOK: Self = Self("ferraris-webhook");
}

/// Why the Kafka settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KafkaSetupError {
    /// The user's options set what this program must set itself.
    #[error("kafka.options sets {0:?}, which this program sets itself; remove it")]
    Reserved(String),
    /// librdkafka refuses a setting.
    #[error("kafka settings: {0}; correct kafka.options")]
    Client(#[from] KafkaError),
}

/// Records that a transactional producer sends to one topic before it waits for their delivery: with a request full, it goes at once.
pub const REQUEST_RECORDS: usize = 1000;

/// Settings that decide whether records are lost or doubled.
const RESERVED: [&str; 15] = [
    "bootstrap.servers",
    "group.id",
    "transactional.id",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "isolation.level",
    "enable.auto.commit",
    "auto.offset.reset",
    "enable.partition.eof",
    "partitioner",
    "delivery.report.only.error",
    "transaction.timeout.ms",
    "message.timeout.ms",
    "partition.assignment.strategy",
];

/// Makes clients of one Kafka.
#[derive(Clone, Debug)]
pub struct Clients {
    base: ClientConfig,
    prefix: String,
    session_timeout_ms: u32,
    transaction_timeout_ms: u32,
    /// Longest wait for one answer.
    pub request_timeout: Duration,
}

impl Clients {
    /// For the Kafka that the configuration names. Nothing is connected yet.
    pub fn new(config: &config::Kafka) -> Result<Self, KafkaSetupError> {
        if let Some(reserved) = config.options.keys().find(|key| RESERVED.contains(&key.as_str())) {
            return Err(KafkaSetupError::Reserved(reserved.clone()));
        }
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", &config.bootstrap_servers)
            .set("client.id", "ferraris-processor")
            // The defaults (100 ms to 10 s) are longer than what a session or a test waits for.
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.nagle.disable", "true");
        for (key, value) in &config.options {
            base.set(key, value);
        }
        base.create_native_config()?;
        Ok(Self {
            base,
            prefix: config.topic_prefix.clone(),
            session_timeout_ms: config.session_timeout_ms,
            transaction_timeout_ms: config.transaction_timeout_ms,
            request_timeout: config.request_timeout(),
        })
    }

    /// For administration.
    pub fn admin(&self) -> ClientConfig {
        self.base.clone()
    }

    /// A group's name in this installation.
    pub fn group(&self, group: Group) -> String {
        format!("{}{}", self.prefix, group.0)
    }

    /// The member of a group that partitions are assigned to. It reads nothing.
    pub fn member(&self, group: Group) -> ClientConfig {
        let session = self.session_timeout_ms;
        let mut config = self.base.clone();
        config
            .set("group.id", self.group(group))
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 4).clamp(100, 3_000).to_string())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest");
        config
    }

    /// A reader of committed records that joins no group; `group` is whose progress it may ask for.
    pub fn reader(&self, group: Group) -> ClientConfig {
        let mut config = self.base.clone();
        config
            .set("group.id", self.group(group))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            // An empty answer at the end of a partition is what a reader waits for.
            .set("fetch.wait.max.ms", "10")
            // A full queue is looked at again after a second otherwise, and is empty long before.
            .set("fetch.queue.backoff.ms", "10");
        config
    }

    /// A group's transactional producer of a partition. Its name is the fence: only the last one opened can commit.
    pub fn transactional(&self, group: Group, partition: i32) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("transactional.id", format!("{}-{partition}", self.group(group)))
            .set("transaction.timeout.ms", self.transaction_timeout_ms.to_string())
            // The commit tells whether all is delivered; a report for each record would be most of what sending it costs.
            .set("delivery.report.only.error", "true")
            .set("message.max.bytes", contracts::topics::FEEDER_STATE_BYTES_MAX)
            // As long as a record waits longer than that for the request in front of it, librdkafka's thread asks without a pause whether
            // it may be sent. So a request takes all there is, or as many as whoever sends them waits for.
            .set("linger.ms", "2")
            .set("batch.num.messages", REQUEST_RECORDS.to_string());
        config
    }

    /// The producer of values that may be repeated or behind.
    pub fn plain(&self) -> ClientConfig {
        let mut config = self.producer();
        config.set("queue.buffering.max.messages", "20000").set("linger.ms", "20");
        config
    }

    fn producer(&self) -> ClientConfig {
        let mut config = self.base.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", self.transaction_timeout_ms.to_string());
        // Readings repeat themselves: compressed they cost the way to Kafka and Kafka itself less than compressing costs.
        if ["compression.type", "compression.codec"].iter().all(|chosen| config.get(chosen).is_none()) {
            config.set("compression.type", "lz4");
        }
        config
    }

    /// A topic's name in this installation.
    pub fn topic(&self, topic: &contracts::topics::KafkaTopic) -> String {
        topic.name_with(&self.prefix)
    }
}

/// Sends librdkafka's words to the log. Losing a connection is its everyday business, so that is no error here.
#[derive(Clone, Copy, Debug)]
pub struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
    }
}

/// See [`Context`].
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, message);
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, message),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "librdkafka", facility, message);
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    // A transaction with a record that was not delivered can't be committed: the commit tells.
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            tracing::debug!(target: "librdkafka", %error, "record not delivered");
        }
    }
}

/// What to do about an error of a transactional producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is decided: the same call again.
    Retry,
    /// The transaction can only be aborted.
    Abort,
    /// Somebody else opened this partition's producer, or the broker gave this one up.
    Fenced,
    /// This producer is of no use any longer, and the transaction's fate is unknown.
    Broken,
}

/// Sorts an error of a transactional call.
pub fn verdict(error: &KafkaError) -> Verdict {
    match error {
        KafkaError::Transaction(inner) if inner.is_retriable() => Verdict::Retry,
        KafkaError::Transaction(inner) if inner.txn_requires_abort() => Verdict::Abort,
        KafkaError::Transaction(inner) if is_fence(inner.code()) => Verdict::Fenced,
        // The wait before a commit timed out; the commit has not begun.
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => Verdict::Retry,
        _ => Verdict::Broken,
    }
}

fn is_fence(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch)
}
