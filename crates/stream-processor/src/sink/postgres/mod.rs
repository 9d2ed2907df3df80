//! Readings, intervals, alerts and the topology as rows of PostgreSQL, exactly once.
//!
//! A partition's worker takes committed records from offsets that the database keeps, makes rows of them ([`batch`]), and stores them with the offsets that it has
//! come to in one transaction of PostgreSQL ([`database`]). PostgreSQL, not Kafka, knows how far it has come: whatever happens to either
//! side of a commit, rows and offsets agree, and a database that is brought back from a backup gets what it lacks. A worker that was
//! replaced without knowing it finds the offset moved, and stores nothing.

mod batch;
mod columns;
mod database;
mod grid;
mod log;
mod migrations;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::topics::KafkaTopic;
use measure::UnixMillis;
use rdkafka::Message;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio_postgres::config::SslMode;

use super::backoff::Backoff;
use super::metrics::{Failure, Health, Sink, Skipped};
use super::source::Source;
use crate::config;
use crate::kafka::{Clients, Group};
use crate::metrics::Metrics;
use crate::observer::{Observer, Phase};
use crate::ownership::{Lost, Work};
use crate::tls::{TlsError, authority};
use crate::transaction::Stop;
use batch::Batch;
use database::{Database, DatabaseError};
use log::Log;

/// Longest sleep of a worker with nothing to do; a request to stop is seen as fast.
const IDLE: Duration = Duration::from_millis(100);

/// Why the settings can't be used; correct the key that it names.
#[derive(Debug, thiserror::Error)]
pub enum PostgresSetupError {
    /// The address.
    #[error("postgres.url: {0}; write postgresql://user@host:port/database")]
    Url(tokio_postgres::Error),
    /// The password's file.
    #[error("postgres.password_file {path}: {source}")]
    Password {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The authority's file.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How the database is spoken to.
#[derive(Clone)]
struct Settings {
    server: tokio_postgres::Config,
    tls: Option<tls::Tls>,
    schema: String,
    timeout: Duration,
}

/// The group's work.
pub struct Postgres {
    clients: Clients,
    settings: Settings,
    logs: Vec<Log>,
    rows_max: usize,
    commit_interval: Duration,
    metrics: Metrics,
    observer: Arc<dyn Observer>,
    runtime: Handle,
}

/// Why a session with the database ended.
enum Ended {
    /// It is to stop.
    Stopped,
    /// The partition can't be worked any longer.
    Lost(Lost),
    /// The database is in trouble: the next session takes it up where rows and offsets agree.
    Trouble(DatabaseError),
}

impl Postgres {
    /// The work as `[postgres]` says. The database is not asked yet: it may be down.
    pub fn new(
        config: &config::Postgres,
        clients: &Clients,
        metrics: &Metrics,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, PostgresSetupError> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let mut server: tokio_postgres::Config = config.url.parse().map_err(PostgresSetupError::Url)?;
        server.application_name("ferraris-processor").connect_timeout(timeout).tcp_user_timeout(timeout);
        if !config.password_file.as_os_str().is_empty() {
            let path = &config.password_file;
            let read = std::fs::read_to_string(path).map_err(|source| PostgresSetupError::Password { path: path.clone(), source })?;
            server.password(read.trim_end_matches(['\r', '\n']));
        }
        let tls = if config.ca_file.as_os_str().is_empty() {
            server.ssl_mode(SslMode::Disable);
            None
        } else {
            server.ssl_mode(SslMode::Require);
            Some(tls::Tls::new(authority("postgres.ca_file", &config.ca_file)?))
        };
        let logs = [
            (Log::Readings, config.readings),
            (Log::Intervals, config.intervals),
            (Log::Alerts, config.alerts),
            (Log::Topology, config.topology),
        ];
        Ok(Self {
            clients: clients.clone(),
            settings: Settings { server, tls, schema: config.schema.clone(), timeout },
            logs: logs.into_iter().filter_map(|(log, wanted)| wanted.then_some(log)).collect(),
            rows_max: config.batch_rows_max,
            commit_interval: Duration::from_millis(config.commit_interval_ms),
            metrics: metrics.clone(),
            observer,
            runtime: Handle::current(),
        })
    }

    /// From the connection to its end.
    fn session(&self, partition: i32, stop: &Stop, health: &mut Health, backoff: &mut Backoff) -> Ended {
        let topics: Vec<(Log, String)> = self.logs.iter().map(|log| (*log, self.clients.topic(&log.topic()))).collect();
        let opened = self.asked(stop, async {
            let database = Database::open(&self.settings).await?;
            let offsets = database.offsets(partition, topics.iter().map(|(_, topic)| topic.as_str())).await?;
            Ok((database, offsets))
        });
        let (mut database, offsets) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ended::Trouble(error),
        };
        health.connected();
        let lost = |source: KafkaError| Ended::Lost(Lost::Source { topic: self.clients.topic(&self.topic()), source });
        let starts: Vec<_> = topics.into_iter().zip(offsets).map(|((log, topic), next)| (log, topic, next)).collect();
        let source = match Source::open(&self.clients, Group::POSTGRES, partition, &starts) {
            Ok((source, expired)) => {
                self.metrics.sinks.skipped(Sink::Postgres, Skipped::Expired, expired);
                source
            }
            Err(error) => return lost(error),
        };
        tracing::info!(partition, ?starts, "PostgreSQL takes the partition");
        let mut batch = Batch::new(&starts);
        while !stop.requested() {
            if let Err(error) = self.fill(&mut batch, &source, stop) {
                return lost(error);
            }
            if batch.is_empty() {
                if database.is_closed() {
                    return Ended::Trouble(DatabaseError::Closed);
                }
                continue;
            }
            let begin = Instant::now();
            self.observer.phase(partition, Phase::BeforeProduce);
            let before_commit = || self.observer.phase(partition, Phase::BeforeCommit);
            if let Err(error) = self.asked(stop, database.store(partition, &batch, before_commit)) {
                return Ended::Trouble(error);
            }
            self.observer.phase(partition, Phase::AfterCommitBeforeAck);
            self.stored(partition, &batch, begin.elapsed());
            if health.delivered() {
                tracing::info!(partition, "PostgreSQL takes rows again");
            }
            backoff.reset();
            batch.clear();
        }
        Ended::Stopped
    }

    /// Takes what there is, until a transaction's worth is there or nothing has come for a while.
    fn fill(&self, batch: &mut Batch, source: &Source<Log>, stop: &Stop) -> Result<(), KafkaError> {
        let mut begin = None;
        loop {
            let left = begin.map_or(IDLE, |begin: Instant| self.commit_interval.saturating_sub(begin.elapsed()));
            let Some((log, message)) = source.next(left.min(IDLE))? else {
                match begin {
                    Some(begin) if begin.elapsed() < self.commit_interval && !stop.requested() => continue,
                    _ => return Ok(()),
                }
            };
            begin.get_or_insert_with(Instant::now);
            let written = message.timestamp().to_millis().map(UnixMillis);
            let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            if let Err(reason) = batch.take(log, message.offset(), written, key, value) {
                self.metrics.sinks.skipped(Sink::Postgres, reason, 1);
                tracing::warn!(topic = log.topic().name, offset = message.offset(), ?reason, "passed over: no row can be made of it");
            }
            if batch.len() >= self.rows_max || begin.is_some_and(|begin| begin.elapsed() >= self.commit_interval) {
                return Ok(());
            }
        }
    }

    /// Waits for the database as long as it may take, and no longer than a request to stop allows.
    fn asked<T>(&self, stop: &Stop, question: impl Future<Output = Result<T, DatabaseError>>) -> Result<T, DatabaseError> {
        let begin = Instant::now();
        self.runtime.block_on(async {
            let mut question = std::pin::pin!(question);
            loop {
                match tokio::time::timeout(IDLE, &mut question).await {
                    Ok(answer) => return answer,
                    Err(_) if begin.elapsed() >= self.settings.timeout || stop.expired() => return Err(DatabaseError::TimedOut),
                    Err(_) => {}
                }
            }
        })
    }

    fn stored(&self, partition: i32, batch: &Batch, took: Duration) {
        let sinks = &self.metrics.sinks;
        sinks.delivered(Sink::Postgres, u64::try_from(batch.taken()).unwrap_or(u64::MAX), took.as_secs_f64());
        if let Some(UnixMillis(written)) = batch.newest() {
            sinks.delay(Sink::Postgres, partition, crate::clock::unix_now().0.saturating_sub(written).max(0));
        }
    }
}

impl Work for Postgres {
    fn group(&self) -> Group {
        Group::POSTGRES
    }

    /// All topics have as many partitions, and a meter lies on the same of each.
    fn topic(&self) -> KafkaTopic {
        contracts::topics::READINGS
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn work(&self, partition: i32, stop: &Stop) -> Result<(), Lost> {
        let (mut backoff, mut health) = (Backoff::default(), self.metrics.sinks.health(Sink::Postgres));
        while !stop.requested() {
            match self.session(partition, stop, &mut health, &mut backoff) {
                Ended::Stopped => break,
                Ended::Lost(lost) => return Err(lost),
                Ended::Trouble(error) => {
                    let reason = error.failure();
                    self.metrics.sinks.failed(Sink::Postgres, reason);
                    // Once an outage, not with every attempt.
                    if health.failed(reason) && !stop.requested() {
                        if reason == Failure::Refused {
                            tracing::error!(partition, error = %error.told(), "PostgreSQL refuses; Kafka keeps the records");
                        } else {
                            tracing::warn!(partition, error = %error.told(), "no PostgreSQL; Kafka keeps the records");
                        }
                    }
                    backoff.wait(stop);
                }
            }
        }
        Ok(())
    }

    /// It looks for itself, several times a second.
    fn close(&self, _: i32) {}
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("schema", &self.settings.schema).field("logs", &self.logs).finish_non_exhaustive()
    }
}
