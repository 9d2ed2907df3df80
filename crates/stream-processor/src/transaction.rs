//! One partition's transactional producer.
//!
//! Whatever is not certainly committed counts as lost here: the caller gives the partition up and gets it back, from this or another
//! instance, by a new assignment of the group. Three reasons against going on in place:
//! - Opening the producer again (`init_transactions`) fences whoever holds the partition by then. Only the group may grant that.
//! - Reading the ledger without opening the producer again may miss rows: Kafka answers a commit before its markers are in every
//!   partition's log, and a reader of committed records stops in front of them. `init_transactions` waits for the markers.
//! - It happens when Kafka itself is in trouble, where a second way of recovery would be the untested one.
//!
//! The price is that this instance's other partitions pause for a rebalance, about a second. What merely takes long is not lost: calls
//! that time out are repeated, and a commit repeated by the same producer is the same commit.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};

use crate::kafka::{Clients, Context, Group, REQUEST_RECORDS, Verdict, verdict};
use crate::metrics::Ended;
use crate::records::Outgoing;

/// Longest wait within one call, so that a request to stop is seen.
const STEP: Duration = Duration::from_millis(500);
/// Longest wait within one call of `init_transactions`. librdkafka looks for a coordinator when it is called and every 500 ms, and
/// before the first connection stands it finds none: asking again makes it look again.
const INIT_STEP: Duration = Duration::from_millis(25);
/// Shortest pause before the producer is asked again whether everything is delivered, or a call is repeated.
///
/// `flush` and the commit would ask, but only every 100 ms; a transaction takes 3. One that takes long is asked about less often: each
/// pause is an eighth of the time waited, as each wake-up takes processor time from what is waited for.
const PAUSE: Duration = Duration::from_micros(200);
const PAUSE_MAX: Duration = Duration::from_millis(50);
const PAUSE_SHARE: f64 = 0.125;

/// A request to stop, with the instant until which work may still be finished.
#[derive(Debug, Default)]
pub struct Stop(OnceLock<Instant>);

impl Stop {
    /// Asks to stop; only the first request counts.
    pub fn request(&self, deadline: Instant) {
        let _ = self.0.set(deadline);
    }

    /// Whether to stop.
    pub fn requested(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether the time for finishing is over.
    pub fn expired(&self) -> bool {
        self.0.get().is_some_and(|deadline| Instant::now() >= *deadline)
    }
}

/// Why a transaction is not known to be committed. The partition must be given up.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A record has no JSON form; nothing was handed to Kafka.
    #[error("record has no JSON form: {0}")]
    Encode(#[from] serde_json::Error),
    /// It is certainly not in Kafka.
    #[error("transaction aborted: {0}")]
    Aborted(KafkaError),
    /// Another instance has opened this partition's producer.
    #[error("fenced: {0}")]
    Fenced(KafkaError),
    /// Nobody knows before the ledger is read.
    #[error("fate unknown: {0}")]
    Unknown(KafkaError),
}

impl Failed {
    /// How the transaction ended.
    pub const fn ended(&self) -> Ended {
        match self {
            Self::Aborted(_) => Ended::Aborted,
            Self::Fenced(_) => Ended::Fenced,
            Self::Encode(_) | Self::Unknown(_) => Ended::Unknown,
        }
    }
}

/// The producer of a partition; see the module.
///
/// It is polled by whoever waits for it: a thread that does only that takes a hundredth of a processor for each producer, also of an
/// idle one.
pub struct Transactor {
    producer: BaseProducer<Context>,
    partition: i32,
}

impl Transactor {
    /// Opens the producer: from now on every earlier one of this partition is fenced, and their transactions are decided.
    pub fn open(clients: &Clients, group: Group, partition: i32, stop: &Stop) -> Result<Self, Failed> {
        let producer = clients.transactional(group, partition).create_with_context(Context).map_err(Failed::Unknown)?;
        let it = Self { producer, partition };
        it.repeat(|producer| producer.init_transactions(INIT_STEP), || stop.requested())?;
        Ok(it)
    }

    /// Hands `records` to Kafka in one transaction, up to the commit.
    pub fn write<'a>(&self, records: impl Iterator<Item = Outgoing<'a>>, stop: &Stop) -> Result<(), Failed> {
        self.producer.begin_transaction().map_err(failed)?;
        let (mut topic, mut sent) = ("", 0_usize);
        for record in records {
            sent = if record.topic == topic { sent.saturating_add(1) } else { 1 };
            topic = record.topic;
            self.send(&record, stop)?;
            if sent >= REQUEST_RECORDS {
                self.deliver(stop)?;
                sent = 0;
            }
        }
        self.deliver(stop)
    }

    fn deliver(&self, stop: &Stop) -> Result<(), Failed> {
        if self.delivered(|| stop.expired()) { Ok(()) } else { Err(self.abort(timed_out())) }
    }

    /// Takes what librdkafka has to tell: until then it counts as on its way. That may be many errors, after a night without Kafka.
    fn take_reports(&self) {
        let mut before = i32::MAX;
        loop {
            let now = self.producer.in_flight_count();
            if now == 0 || now >= before {
                return;
            }
            before = now;
            self.producer.poll(Duration::ZERO);
        }
    }

    /// Waits until nothing is on its way to Kafka, or until it gives up, and says whether nothing is.
    fn delivered(&self, give_up: impl Fn() -> bool) -> bool {
        let begin = Instant::now();
        loop {
            self.take_reports();
            if self.producer.in_flight_count() == 0 {
                return true;
            }
            if give_up() {
                return false;
            }
            pause(begin);
        }
    }

    /// Adds to the open transaction how far a group's reading has come.
    pub fn send_offsets(&self, offsets: &TopicPartitionList, of: &ConsumerGroupMetadata, stop: &Stop) -> Result<(), Failed> {
        self.repeat(|producer| producer.send_offsets_to_transaction(offsets, of, STEP), || stop.expired())
    }

    /// Commits what [`Self::write`] has written.
    pub fn commit(&self, stop: &Stop) -> Result<(), Failed> {
        self.repeat(|producer| producer.commit_transaction(STEP), || stop.expired())
    }

    fn send(&self, record: &Outgoing<'_>, stop: &Stop) -> Result<(), Failed> {
        let begin = Instant::now();
        loop {
            let mut message: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(record.topic).partition(record.partition.unwrap_or(self.partition)).key(record.key);
            message.payload = record.value;
            message.headers = record.headers.cloned();
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) if !stop.expired() => {
                    self.take_reports();
                    pause(begin);
                }
                Err((error, _)) => return Err(self.abort(error)),
            }
        }
    }

    /// Repeats a call while nothing is decided.
    fn repeat(&self, call: impl Fn(&BaseProducer<Context>) -> Result<(), KafkaError>, give_up: impl Fn() -> bool) -> Result<(), Failed> {
        let begin = Instant::now();
        loop {
            self.take_reports();
            let Err(error) = call(&self.producer) else { return Ok(()) };
            match verdict(&error) {
                Verdict::Retry if give_up() => return Err(Failed::Unknown(error)),
                Verdict::Retry => pause(begin),
                Verdict::Abort => return Err(self.abort(error)),
                Verdict::Fenced | Verdict::Broken => return Err(failed(error)),
            }
        }
    }

    /// Aborts, so that readers of committed records need not wait for the time-out. That it failed so far is certain either way.
    fn abort(&self, why: KafkaError) -> Failed {
        let begin = Instant::now();
        self.producer.purge(PurgeConfig::default().queue());
        // An abort waits for the reports of what was purged, which nobody else takes.
        self.delivered(|| begin.elapsed() >= STEP);
        match self.producer.abort_transaction(STEP) {
            Ok(()) => Failed::Aborted(why),
            Err(error) if verdict(&error) == Verdict::Fenced => Failed::Fenced(error),
            Err(_) => Failed::Unknown(why),
        }
    }
}

fn pause(begin: Instant) {
    thread::sleep(begin.elapsed().mul_f64(PAUSE_SHARE).clamp(PAUSE, PAUSE_MAX));
}

fn failed(error: KafkaError) -> Failed {
    if verdict(&error) == Verdict::Fenced { Failed::Fenced(error) } else { Failed::Unknown(error) }
}

fn timed_out() -> KafkaError {
    KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::config::Config;

    /// Addresses where no Kafka is. librdkafka tells of each once, and then not before 30 s: one that is away for a test is not enough.
    const AWAY: i32 = 40;
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn errors_that_nobody_took_hold_up_no_transaction() {
        let mut config = Config::parse("", "test", []).unwrap().kafka;
        config.bootstrap_servers = (1..=AWAY).map(|number| format!("127.0.1.{number}:1")).collect::<Vec<_>>().join(",");
        // All are tried, not only one that is needed.
        config.options.insert("enable.sparse.connections".to_owned(), "false".to_owned());
        let producer = Clients::new(&config).unwrap().transactional(Group::INGEST, 0).create_with_context(Context).unwrap();
        let idle = Transactor { producer, partition: 0 };
        let begin = Instant::now();
        while idle.producer.in_flight_count() < AWAY {
            assert!(begin.elapsed() < PATIENCE, "only {} errors have come", idle.producer.in_flight_count());
            thread::sleep(STEP / 50);
        }
        // Some may come only now; but none is waited for that has come.
        let pauses = Cell::new(0);
        let is_too_long = || pauses.replace(pauses.get() + 1) >= AWAY / 2;
        assert!(idle.delivered(is_too_long), "{} reports are left after {} pauses", idle.producer.in_flight_count(), pauses.get());
    }
}
