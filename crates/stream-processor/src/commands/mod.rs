//! Commands to meters: from `meter.commands.v1` to their topics on MQTT, until `meter.events.v1` has their outcomes.
//!
//! A group of its own shares the partitions. Nothing is kept but in Kafka: a successor reads the commands that are kept, and the
//! outcomes since the oldest of them that has not expired. Sending twice is harmless, for a meter answers each number once. What a
//! command says is between its authority and its meter: a processor that was broken into can delay commands and not make any.

pub mod desk;

mod source;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contracts::topics::KafkaTopic;
use contracts::{CommandRecord, EventRecord};
use measure::{MeterId, UnixMillis};
use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use wire::topic::Shard;

use crate::kafka::{Clients, Group};
use crate::links::Links;
use crate::metrics::{Metrics, Undelivered};
use crate::ownership::{Lost, Work};
use crate::transaction::Stop;

use desk::{Desk, Now, Pauses, Undeliverable};
use source::{Log, Source, appended};

/// Longest sleep of a worker; a meter that comes online waits no longer for its commands.
const IDLE: Duration = Duration::from_millis(100);
/// Meters that may have come online meanwhile; the others are sent to when their pauses are over.
const ONLINE_MAX: usize = 4_096;
/// Records taken before commands are sent again.
const RECORDS_PER_TURN: usize = 1_000;

/// Tells the workers of partitions which meters came online.
#[derive(Debug)]
pub struct Heralds {
    partitions: u16,
    queues: RwLock<BTreeMap<i32, flume::Sender<MeterId>>>,
}

impl Heralds {
    /// Nobody listens yet.
    pub fn new(partitions: u16) -> Self {
        Self { partitions, queues: RwLock::default() }
    }

    /// A meter came online.
    pub fn online(&self, meter: MeterId) {
        let partition = Shard::of(&meter).partition(self.partitions);
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        // Who is not told now is sent to a little later.
        let _ = queues.get(&partition).map(|queue| queue.try_send(meter));
    }

    fn open(&self, partition: i32, queue: flume::Sender<MeterId>) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).insert(partition, queue);
    }

    fn close(&self, partition: i32) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }
}

/// The group's work.
pub struct Commands {
    /// Makes clients.
    pub clients: Clients,
    /// Where commands go.
    pub links: Links,
    /// Who tells of meters that come online.
    pub heralds: Arc<Heralds>,
    /// Counters.
    pub metrics: Metrics,
    /// Before a command is sent again.
    pub pauses: Pauses,
}

impl Work for Commands {
    fn group(&self) -> Group {
        Group::COMMANDS
    }

    fn topic(&self) -> KafkaTopic {
        contracts::topics::COMMANDS
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn work(&self, partition: i32, stop: &Stop) -> Result<(), Lost> {
        let (sender, online) = flume::bounded(ONLINE_MAX);
        self.heralds.open(partition, sender);
        let worked = Worker::new(self, partition).and_then(|mut worker| worker.serve(&online, stop));
        self.heralds.close(partition);
        worked.map_err(|source| Lost::Source { topic: self.clients.topic(&contracts::topics::COMMANDS), source })
    }

    fn close(&self, partition: i32) {
        self.heralds.close(partition);
    }
}

struct Worker<'a> {
    commands: &'a Commands,
    source: Source,
    desk: Desk,
    began: Instant,
    counted: i64,
}

impl<'a> Worker<'a> {
    fn new(commands: &'a Commands, partition: i32) -> Result<Self, KafkaError> {
        let source = Source::open(&commands.clients, partition)?;
        Ok(Self { commands, source, desk: Desk::new(commands.pauses), began: Instant::now(), counted: 0 })
    }

    fn serve(&mut self, online: &flume::Receiver<MeterId>, stop: &Stop) -> Result<(), KafkaError> {
        let (desk, commands, started) = (&mut self.desk, self.commands, now(self.began));
        let take = |message: &BorrowedMessage<'_>| commands.take(desk, message, started);
        let Some(next) = self.source.drain(Log::Commands, None, stop, take)? else { return Ok(()) };
        // Nothing is sent before all answers are known that are there.
        let events = match self.desk.oldest() {
            None => Some(self.source.end(Log::Events)?),
            Some(oldest) => {
                let desk = &mut self.desk;
                self.source.drain(Log::Events, Some(oldest), stop, |message| _ = Commands::answer(desk, message, started))?
            }
        };
        let Some(events) = events else { return Ok(()) };
        self.source.follow(next, events)?;
        tracing::info!(waiting = self.desk.waiting(), "commands of the partition taken over");
        while !stop.requested() {
            self.read()?;
            let now = now(self.began);
            online.try_iter().for_each(|meter| self.desk.online(&meter, now));
            for (meter, bytes) in self.desk.take_due(now) {
                self.commands.send(&meter, &bytes);
            }
            self.count(self.desk.waiting());
        }
        self.count(0);
        Ok(())
    }

    /// Takes what there is, or waits a little.
    fn read(&mut self) -> Result<(), KafkaError> {
        let mut wait = IDLE;
        for _ in 0..RECORDS_PER_TURN {
            let Some((log, message)) = self.source.next(wait)? else { return Ok(()) };
            let now = now(self.began);
            match log {
                Log::Commands => self.commands.take(&mut self.desk, &message, now),
                Log::Events => {
                    if Commands::answer(&mut self.desk, &message, now) {
                        self.commands.metrics.commands_answered.inc();
                    }
                }
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn count(&mut self, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.commands.metrics.commands_waiting.inc_by(waiting.saturating_sub(self.counted));
        self.counted = waiting;
    }
}

impl Commands {
    fn take(&self, desk: &mut Desk, message: &BorrowedMessage<'_>, now: Now) {
        let record = serde_json::from_slice::<CommandRecord>(message.payload().unwrap_or_default());
        let taken = record.map_err(|_| Undeliverable::Malformed).and_then(|it| desk.command(&it, appended(message), now));
        let reason = match taken {
            Ok(()) => return,
            Err(Undeliverable::Malformed) => Undelivered::Malformed,
            Err(Undeliverable::Expired) => Undelivered::Expired,
            Err(Undeliverable::Answered) => Undelivered::Answered,
            Err(Undeliverable::Full) => Undelivered::Full,
        };
        if matches!(reason, Undelivered::Malformed | Undelivered::Full) {
            tracing::warn!(partition = message.partition(), offset = message.offset(), ?reason, "command not taken");
        }
        self.metrics.undelivered(reason);
    }

    /// Whether an event is the answer to a command that waits.
    fn answer(desk: &mut Desk, message: &BorrowedMessage<'_>, now: Now) -> bool {
        // Records that a newer version writes are no outcomes that this one could wait for.
        match serde_json::from_slice::<EventRecord>(message.payload().unwrap_or_default()) {
            Ok(EventRecord::Outcome(outcome)) => desk.outcome(&outcome.meter, outcome.number, now),
            _ => false,
        }
    }

    fn send(&self, meter: &MeterId, bytes: &[u8]) {
        if self.links.command(meter, bytes) {
            self.metrics.commands_sent.inc();
        } else {
            self.metrics.undelivered(Undelivered::NoBroker);
        }
    }
}

fn now(began: Instant) -> Now {
    let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Now { monotonic_ms: millis(began.elapsed()), utc: UnixMillis(i64::try_from(millis(utc)).unwrap_or(i64::MAX)) }
}
