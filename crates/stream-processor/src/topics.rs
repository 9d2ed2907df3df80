//! The Kafka topics: created with the right settings if missing, checked if present.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::ledger::IncarnationRow;
use contracts::topics::{ALERT_ACTIONS, ALL, DEAD_LETTERS, EVENTS, INTERVALS, INTERVALS_AVRO, KafkaTopic, READINGS, READINGS_AVRO};
use contracts::{LedgerKey, LedgerRecord};
use measure::UnixMillis;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config;
use crate::kafka::{Clients, Context, Group};
use crate::ledger::{self, LedgerError};
use crate::records::Outgoing;
use crate::shard::{Rebuild, Row};
use crate::transaction::{Failed, Stop, Transactor};

/// The setting that decides whether records are kept.
const CLEANUP: &str = "cleanup.policy";

/// Why the topics can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// Nobody answers there.
    #[error("no Kafka answers at {servers} ({source}); start it or correct kafka.bootstrap_servers")]
    Unreachable {
        /// The address that was tried.
        servers: String,
        /// What librdkafka says.
        source: KafkaError,
    },
    /// Kafka refused.
    #[error("kafka topic {topic}: {problem}")]
    Refused {
        /// Which topic.
        topic: String,
        /// What it says.
        problem: String,
    },
    /// It is not there and was not to be created.
    #[error("kafka topic {0} is missing; set topics.manage, or create it")]
    Missing(String),
    /// It was created with another number of partitions.
    #[error("kafka topic {topic} has {found} partitions, topics.partitions says {expected}; they can't be changed under a live ledger")]
    Partitions {
        /// Which topic.
        topic: String,
        /// What it has.
        found: usize,
        /// What it should have.
        expected: u16,
    },
    /// Kafka would throw away what must be kept.
    #[error("kafka topic {topic} has {key}={found}, which must be {expected}; change it, or records are lost")]
    Setting {
        /// Which topic.
        topic: String,
        /// Which setting.
        key: String,
        /// What it has.
        found: String,
        /// What it must have.
        expected: String,
    },
}

/// What was done and what was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Topics that were missing and were created.
    pub created: Vec<String>,
    /// Settings that differ from the configuration without endangering anything.
    pub differences: Vec<String>,
}

impl Report {
    /// What was done besides.
    pub fn append(&mut self, mut other: Self) {
        self.created.append(&mut other.created);
        self.differences.append(&mut other.differences);
    }
}

/// Creates what is missing (if the configuration says so) and checks the rest.
pub async fn ensure(clients: &Clients, config: &config::Topics) -> Result<Report, TopicsError> {
    ensure_these(clients, config, &ALL).await
}

/// The same for these topics only.
pub async fn ensure_these(clients: &Clients, config: &config::Topics, topics: &[KafkaTopic]) -> Result<Report, TopicsError> {
    let admin: AdminClient<Context> = clients.admin().create_with_context(Context).map_err(|source| unreachable(clients, source))?;
    let (brokers, present) = present(clients, &admin, topics)?;
    let mut report = Report::default();
    let missing: Vec<&KafkaTopic> = topics.iter().filter(|topic| !present.contains_key(&clients.topic(topic))).collect();
    if let (Some(topic), false) = (missing.first(), config.manage) {
        return Err(TopicsError::Missing(clients.topic(topic)));
    }
    let durability = Durability::new(config, brokers);
    for topic in missing {
        create(clients, &admin, config, &durability, topic).await?;
        report.created.push(clients.topic(topic));
    }
    if !report.created.is_empty() {
        wait_for(clients, &admin, topics, &report.created).await?;
    }
    for (topic, found) in present {
        if found != usize::from(config.partitions) {
            return Err(TopicsError::Partitions { topic, found, expected: config.partitions });
        }
    }
    if config.manage {
        report.differences = check(clients, &admin, config, &durability, topics).await?;
    }
    Ok(report)
}

/// Makes the ledger count as new: for whoever has put Kafka back to an earlier state. All processors must be stopped.
/// Blocks. The number of the new incarnation.
pub fn new_ledger(clients: &Clients, config: &config::Topics, now: UnixMillis) -> Result<u64, NewLedgerError> {
    let stop = Stop::default();
    let partitions = 0..i32::from(config.partitions);
    // All producers first: from here on no processor that was left running can commit.
    let producers: Vec<Transactor> =
        partitions.clone().map(|partition| Transactor::open(clients, Group::INGEST, partition, &stop)).collect::<Result<_, _>>()?;
    let mut highest = Rebuild::FIRST_INCARNATION;
    ledger::read(
        clients,
        config.partitions,
        partitions,
        || false,
        |entry| {
            if let Row::Incarnation(number) = entry.row {
                highest = highest.max(number);
            }
        },
    )?;
    // The time, because the backup may be older than an incarnation that meters know already.
    let incarnation = highest.saturating_add(1).max(u64::try_from(now.0).unwrap_or_default());
    let row = LedgerRecord::Incarnation(IncarnationRow { incarnation, updated_ms: now });
    let value = serde_json::to_vec(&row).map_err(Failed::Encode)?;
    let topic = clients.topic(&contracts::topics::LEDGER);
    for producer in producers {
        let key = LedgerKey::Incarnation.to_string();
        let record = Outgoing { topic: &topic, key: key.as_bytes(), value: Some(&value), headers: None, partition: None };
        producer.write(std::iter::once(record), &stop)?;
        producer.commit(&stop)?;
    }
    Ok(incarnation)
}

/// Why no new incarnation was written, or not on every partition: stop all processors and repeat it.
#[derive(Debug, thiserror::Error)]
pub enum NewLedgerError {
    /// Writing failed.
    #[error("new ledger: {0}; stop all processors and repeat")]
    Write(#[from] Failed),
    /// Reading failed.
    #[error("new ledger: {0}")]
    Read(#[from] LedgerError),
}

/// Copies of each record, and how many must be written before it counts.
struct Durability {
    replication: u16,
    min_insync: String,
}

impl Durability {
    fn new(config: &config::Topics, brokers: usize) -> Self {
        let (replication, min_insync) = if brokers >= 3 { (3, 2) } else { (1, 1) };
        let chosen = |configured: u16, default: u16| if configured == 0 { default } else { configured };
        let replication = chosen(config.replication, replication);
        Self { replication, min_insync: chosen(config.min_insync_replicas, min_insync).min(replication).to_string() }
    }
}

fn unreachable(clients: &Clients, source: KafkaError) -> TopicsError {
    TopicsError::Unreachable { servers: clients.admin().get("bootstrap.servers").unwrap_or_default().to_owned(), source }
}

/// Number of brokers, and the partitions of those of our topics that are there.
fn present(
    clients: &Clients,
    admin: &AdminClient<Context>,
    topics: &[KafkaTopic],
) -> Result<(usize, BTreeMap<String, usize>), TopicsError> {
    let metadata = admin.inner().fetch_metadata(None, clients.request_timeout).map_err(|source| unreachable(clients, source))?;
    let ours: Vec<String> = topics.iter().map(|topic| clients.topic(topic)).collect();
    let topics = metadata.topics().iter().filter(|topic| ours.iter().any(|name| name == topic.name()));
    Ok((metadata.brokers().len(), topics.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect()))
}

async fn wait_for(clients: &Clients, admin: &AdminClient<Context>, topics: &[KafkaTopic], names: &[String]) -> Result<(), TopicsError> {
    let start = Instant::now();
    loop {
        let (_, present) = present(clients, admin, topics)?;
        let missing = names.iter().find(|name| present.get(*name).is_none_or(|partitions| *partitions == 0));
        let Some(missing) = missing else { return Ok(()) };
        if start.elapsed() > clients.request_timeout {
            return Err(TopicsError::Missing(missing.clone()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Settings by Kafka's names, besides [`CLEANUP`].
fn settings(topic: &KafkaTopic, config: &config::Topics, durability: &Durability) -> Vec<(String, String)> {
    let mut settings = vec![
        // Event time as the record's time would let retention delete backfilled data at once.
        ("message.timestamp.type".to_owned(), "LogAppendTime".to_owned()),
        ("min.insync.replicas".to_owned(), durability.min_insync.clone()),
    ];
    settings.extend(topic.settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let retention_ms = match topic.name {
        name if name == READINGS.name || name == READINGS_AVRO.name => Some(config.readings_retention_ms),
        name if name == EVENTS.name || name == ALERT_ACTIONS.name => Some(config.events_retention_ms),
        name if name == INTERVALS.name || name == INTERVALS_AVRO.name => Some(config.intervals_retention_ms),
        name if name == DEAD_LETTERS.name => Some(config.dead_letter_retention_ms),
        _ => None,
    };
    settings.extend(retention_ms.map(|ms| ("retention.ms".to_owned(), ms.to_string())));
    settings
}

async fn create(
    clients: &Clients,
    admin: &AdminClient<Context>,
    config: &config::Topics,
    durability: &Durability,
    topic: &KafkaTopic,
) -> Result<(), TopicsError> {
    let name = clients.topic(topic);
    let settings = settings(topic, config, durability);
    let replication = TopicReplication::Fixed(durability.replication.into());
    let new = NewTopic::new(&name, config.partitions.into(), replication);
    let new = new.set(CLEANUP, topic.cleanup.policy());
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    let refused = |problem: String| TopicsError::Refused { topic: name.clone(), problem };
    let results = admin.create_topics([&new], &options(clients)).await.map_err(|error| refused(error.to_string()))?;
    match results.into_iter().next() {
        // Another instance was faster.
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) | None => Ok(()),
        Some(Err((_, code))) => Err(refused(format!("can't be created: {code}"))),
    }
}

/// Compares settings with the configuration; what endangers records is an error.
async fn check(
    clients: &Clients,
    admin: &AdminClient<Context>,
    config: &config::Topics,
    durability: &Durability,
    topics: &[KafkaTopic],
) -> Result<Vec<String>, TopicsError> {
    let mut differences = Vec::new();
    for topic in topics {
        let name = clients.topic(topic);
        let refused = |problem: String| TopicsError::Refused { topic: name.clone(), problem };
        let described = admin.describe_configs([&ResourceSpecifier::Topic(&name)], &options(clients)).await;
        let described = described.map_err(|error| refused(error.to_string()))?.into_iter().next();
        let resource = described.ok_or_else(|| refused("is not described".to_owned()))?.map_err(|code| refused(code.to_string()))?;
        let (found, expected) = (value(&resource, CLEANUP), topic.cleanup.policy());
        if found != expected {
            return Err(TopicsError::Setting { topic: name, key: CLEANUP.to_owned(), found, expected: expected.to_owned() });
        }
        for (key, expected) in settings(topic, config, durability) {
            let found = value(&resource, &key);
            if found != expected {
                differences.push(format!("{name}: {key} is {found}, the configuration says {expected}"));
            }
        }
    }
    Ok(differences)
}

fn value(resource: &ConfigResource, key: &str) -> String {
    resource.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default()
}

fn options(clients: &Clients) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(clients.request_timeout)).operation_timeout(Some(clients.request_timeout))
}
