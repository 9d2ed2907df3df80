//! Readings and intervals once more in Avro, in topics of their own, exactly once.
//!
//! Schemas are registered before anything is written, by whoever is assigned a partition; a registry that is away afterwards is not missed.
//! What is written, and how far was read, is one transaction of Kafka.

mod encode;
mod registry;

use std::time::{Duration, Instant};

use contracts::topics::{INTERVALS_AVRO, KafkaTopic, READINGS_AVRO};
use rdkafka::Message;
use rdkafka::error::KafkaError;

use super::backoff::Backoff;
use super::http::HttpSetupError;
use super::log::Log;
use super::metrics::Sink;
use super::source::Source;
use crate::config;
use crate::derive::source::after;
use crate::kafka::{Clients, Group};
use crate::metrics::Metrics;
use crate::ownership::{Lost, Work};
use crate::records::Outgoing;
use crate::transaction::{Failed, Stop, Transactor};
use encode::Form;
pub use encode::SchemaError;
use registry::Registry;

/// Longest sleep of a worker with nothing to do; a request to stop is seen as fast.
const IDLE: Duration = Duration::from_millis(100);
/// Records of one transaction.
const RECORDS_MAX: usize = 4_000;

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AvroSetupError {
    /// The registry.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    /// A schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// The topics that it writes.
pub const TOPICS: [KafkaTopic; 2] = [READINGS_AVRO, INTERVALS_AVRO];

/// The group's work.
pub struct Avro {
    clients: Clients,
    registry: Registry,
    forms: [Form; 2],
    commit_interval: Duration,
    metrics: Metrics,
}

impl Avro {
    /// The work as `[avro]` says. The registry is not asked yet.
    pub fn new(config: &config::Avro, clients: &Clients, metrics: &Metrics) -> Result<Self, AvroSetupError> {
        Ok(Self {
            clients: clients.clone(),
            registry: Registry::new(config)?,
            forms: [Form::of(Log::Readings)?, Form::of(Log::Intervals)?],
            commit_interval: Duration::from_millis(config.commit_interval_ms),
            metrics: metrics.clone(),
        })
    }

    const fn target(log: Log) -> KafkaTopic {
        match log {
            Log::Readings => READINGS_AVRO,
            Log::Intervals => INTERVALS_AVRO,
        }
    }

    /// The forms with their ids and the topics they are for; `None` if it is to stop.
    fn register(&self, partition: i32, stop: &Stop) -> Option<Vec<Target<'_>>> {
        let (mut backoff, mut health) = (Backoff::default(), self.metrics.sinks.health(Sink::Avro));
        let mut targets = Vec::new();
        for form in &self.forms {
            let topic = self.clients.topic(&Self::target(form.log));
            let id = loop {
                if stop.requested() {
                    return None;
                }
                match self.registry.register(&topic, &form.text) {
                    Ok(id) => break id,
                    Err(error) => {
                        self.metrics.sinks.failed(Sink::Avro, error.failure());
                        if health.failed(error.failure()) {
                            tracing::warn!(partition, %error, "no id for a schema; Kafka keeps the records");
                        }
                        backoff.wait(stop);
                    }
                }
            };
            targets.push(Target { form, id, topic });
        }
        Some(targets)
    }
}

struct Target<'a> {
    form: &'a Form,
    id: u32,
    topic: String,
}

impl Work for Avro {
    fn group(&self) -> Group {
        Group::AVRO
    }

    /// All topics have as many partitions, and a meter lies on the same of each.
    fn topic(&self) -> KafkaTopic {
        contracts::topics::READINGS
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn work(&self, partition: i32, stop: &Stop) -> Result<(), Lost> {
        let Some(targets) = self.register(partition, stop) else { return Ok(()) };
        let transactor = match Transactor::open(&self.clients, Group::AVRO, partition, stop) {
            Err(_) if stop.requested() => return Ok(()),
            opened => opened?,
        };
        let unreadable = |source| Lost::Source { topic: self.clients.topic(&self.topic()), source };
        let logs = [Log::Readings, Log::Intervals].map(|log| (log, self.clients.topic(&log.topic())));
        let (source, expired) = Source::open_committed(&self.clients, Group::AVRO, partition, &logs).map_err(unreadable)?;
        self.metrics.sinks.skipped(Sink::Avro, super::metrics::Skipped::Expired, expired);
        let mut worker =
            Worker { avro: self, partition, transactor, source, targets, bytes: Vec::new(), records: Vec::new(), next: [None; 2] };
        while !stop.requested() {
            worker.fill(stop).map_err(unreadable)?;
            worker.commit(stop)?;
        }
        Ok(())
    }

    /// It looks for itself, several times a second.
    fn close(&self, _: i32) {}
}

/// A record to be written: of which target, under which key, and where its key and value end among the bytes.
struct Written {
    target: usize,
    key_end: usize,
    end: usize,
}

struct Worker<'a> {
    avro: &'a Avro,
    partition: i32,
    transactor: Transactor,
    source: Source<Log>,
    targets: Vec<Target<'a>>,
    bytes: Vec<u8>,
    records: Vec<Written>,
    /// How far each log is taken, if further than committed.
    next: [Option<i64>; 2],
}

impl Worker<'_> {
    /// Takes what there is, until a transaction's worth is there or nothing has come for a while.
    fn fill(&mut self, stop: &Stop) -> Result<(), KafkaError> {
        let begin = Instant::now();
        while self.records.len() < RECORDS_MAX && !stop.requested() {
            let Some((log, message)) = self.source.next(IDLE)? else {
                if begin.elapsed() >= self.avro.commit_interval {
                    return Ok(());
                } else {
                    continue;
                };
            };
            let Some(at) = self.targets.iter().position(|it| it.form.log == log) else { continue };
            if let Some(next) = self.next.get_mut(at) {
                *next = Some(after(&message));
            }
            let Some(target) = self.targets.get(at) else { continue };
            let start = self.bytes.len();
            self.bytes.extend_from_slice(message.key().unwrap_or_default());
            let key_end = self.bytes.len();
            match target.form.encode(target.id, message.payload().unwrap_or_default(), &mut self.bytes) {
                Ok(()) => self.records.push(Written { target: at, key_end, end: self.bytes.len() }),
                Err(reason) => {
                    self.bytes.truncate(start);
                    self.avro.metrics.sinks.skipped(Sink::Avro, reason, 1);
                    tracing::warn!(topic = log.topic().name, offset = message.offset(), ?reason, "passed over: no Avro can be made of it");
                }
            }
            if begin.elapsed() >= self.avro.commit_interval {
                return Ok(());
            }
        }
        Ok(())
    }

    fn commit(&mut self, stop: &Stop) -> Result<(), Lost> {
        if self.next.iter().all(Option::is_none) {
            return Ok(());
        }
        let begin = Instant::now();
        let mut start = 0;
        let records = self.records.iter().filter_map(|it| {
            let (key, value) = (self.bytes.get(start..it.key_end)?, self.bytes.get(it.key_end..it.end)?);
            start = it.end;
            Some(Outgoing { topic: &self.targets.get(it.target)?.topic, key, value: Some(value), headers: None, partition: None })
        });
        self.transactor.write(records, stop)?;
        let next: Vec<(Log, i64)> = self.targets.iter().zip(self.next).filter_map(|(it, next)| Some((it.form.log, next?))).collect();
        let (offsets, group) = self.source.offsets(self.partition, &next).map_err(Failed::Unknown)?;
        self.transactor.send_offsets(&offsets, &group, stop)?;
        self.transactor.commit(stop)?;
        let count = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        self.avro.metrics.sinks.delivered(Sink::Avro, count, begin.elapsed().as_secs_f64());
        self.bytes.clear();
        self.records.clear();
        self.next = [None; 2];
        Ok(())
    }
}
