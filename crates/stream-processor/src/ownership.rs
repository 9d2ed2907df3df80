//! Which partitions are this instance's: membership in a consumer group.
//!
//! A thread of its own polls the group, because librdkafka calls back from there when partitions come and go. A partition that comes gets
//! a worker: a thread that does the group's [`Work`]. When it goes, the callback stops the worker in reverse order (its source closed; what was
//! taken from it committed, or aborted; producer dropped) and returns only then: the group gives the partition to nobody
//! before. Should the callback come too late, the next owner's producer has fenced ours, and nothing is written twice.
//!
//! Assignment is cooperative: with several instances only partitions that move are stopped, and each stop costs a rebuild. The code
//! would be the same with the eager protocol, which stops all of them whenever anybody comes or goes.
//!
//! A worker that loses its partition otherwise (fenced, aborted, fate unknown) ends the membership: the instance leaves the group, drops
//! everything and joins anew, so that producers are opened by assignment only. Two instances never fence each other in turns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use contracts::topics::KafkaTopic;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;

use crate::kafka::{self, Clients, Group};
use crate::ledger::LedgerError;
use crate::transaction::{Failed, Stop};

/// How often the group is asked for news, and how fast a request to end is seen.
const POLL: Duration = Duration::from_millis(100);
/// A membership that lasted this long counts as sound: the next one after it begins without a pause.
const SOUND: Duration = Duration::from_secs(60);
/// Longest pause before joining again, in ms.
const PAUSE_MAX_MS: u64 = 10_000;

/// What the members of a group do with the partitions that they are given.
pub trait Work: Send + Sync + 'static {
    /// Which group.
    fn group(&self) -> Group;
    /// Whose partitions the group shares.
    fn topic(&self) -> KafkaTopic;
    /// Makes the member.
    fn clients(&self) -> &Clients;
    /// Works a partition until it is asked to stop (`Ok`) or has lost it.
    fn work(&self, partition: i32, stop: &Stop) -> Result<(), Lost>;
    /// A worker was asked to stop: it gets nothing more to do, and is woken if it waits.
    fn close(&self, partition: i32);
}

/// Why a worker ended without having been asked to.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The partition must be assigned anew.
    #[error(transparent)]
    Transaction(#[from] Failed),
    /// The ledger can't be read, or must not be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What the partition's records are derived from can't be read.
    #[error("can't read {topic}: {source}")]
    Source {
        /// Which topic.
        topic: String,
        /// Why.
        source: KafkaError,
    },
}

impl Lost {
    /// Whether only a person can put it right: another assignment would end the same way.
    fn is_fatal(&self) -> bool {
        matches!(self, Self::Ledger(LedgerError::Misplaced { .. } | LedgerError::Row { .. }))
    }
}

/// How a membership is to end.
#[derive(Debug, Default)]
pub struct Ending {
    requested: AtomicBool,
    fatal: OnceLock<String>,
}

impl Ending {
    /// Asks to leave the group for good.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// Why it ended without being asked to: something that only a person can put right.
    pub fn fatal(&self) -> Option<&str> {
        self.fatal.get().map(String::as_str)
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.requested.load(Ordering::Acquire) || self.fatal.get().is_some()
    }
}

/// Joins the group, again and again, until the end is requested. Returns with everything committed or aborted and the group left.
pub fn run<W: Work>(group: &Arc<W>, ending: &Arc<Ending>, revoke_timeout: Duration) {
    let mut pause_ms = 0_u64;
    while !ending.is_over() {
        let start = Instant::now();
        if let Err(error) = membership(group, ending, revoke_timeout) {
            tracing::warn!(%error, "no membership in the group");
        }
        pause_ms = if start.elapsed() > SOUND { 0 } else { pause_ms.saturating_mul(2).clamp(250, PAUSE_MAX_MS) };
        let until = Instant::now().checked_add(Duration::from_millis(rand::random_range(pause_ms / 2..=pause_ms)));
        while !ending.is_over() && until.is_some_and(|until| Instant::now() < until) {
            thread::sleep(POLL.min(Duration::from_millis(pause_ms)));
        }
    }
}

/// One membership, until it is over, a worker has lost its partition, or the client is broken.
fn membership<W: Work>(group: &Arc<W>, ending: &Arc<Ending>, revoke_timeout: Duration) -> Result<(), KafkaError> {
    let lost = Arc::new(AtomicBool::new(false));
    let member =
        Member { group: Arc::clone(group), ending: Arc::clone(ending), lost: Arc::clone(&lost), revoke_timeout, workers: Mutex::default() };
    let consumer: BaseConsumer<Member<W>> = group.clients().member(group.group()).create_with_context(member)?;
    let topic = group.clients().topic(&group.topic());
    consumer.subscribe(&[&topic])?;
    let (mut result, mut told) = (Ok(()), None);
    while !ending.is_over() && !lost.load(Ordering::Acquire) && result.is_ok() {
        // Partitions are paused, so all that comes is errors; the client gets over most of them by itself.
        let Some(Err(error)) = consumer.poll(POLL) else { continue };
        if told.as_ref() != Some(&error) {
            tracing::warn!(%error, "consumer group");
            told = Some(error.clone());
        }
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            result = Err(error);
        }
    }
    let context = Arc::clone(consumer.context());
    // Leaves the group, by way of the callback.
    drop(consumer);
    context.stop(None);
    result
}

struct Member<W> {
    group: Arc<W>,
    ending: Arc<Ending>,
    lost: Arc<AtomicBool>,
    revoke_timeout: Duration,
    workers: Mutex<BTreeMap<i32, Worker>>,
}

/// A worker that panics must not leave its partition assigned and unworked.
struct LostByPanic(Arc<AtomicBool>);

impl Drop for LostByPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

struct Worker {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

impl<W: Work> ClientContext for Member<W> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
    }
}

impl<W: Work> ConsumerContext for Member<W> {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) => self.stop(Some(partitions)),
            Rebalance::Error(error) => {
                tracing::warn!(%error, "rebalance failed");
                self.stop(None);
            }
            Rebalance::Assign(_) => {}
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(partitions) = rebalance else { return };
        // The member stands for ownership only; workers read by clients of their own.
        if let Err(error) = consumer.pause(partitions) {
            tracing::debug!(%error, "pausing the member");
        }
        for partition in numbers(partitions) {
            self.start(partition);
        }
    }
}

impl<W: Work> Member<W> {
    fn start(&self, partition: i32) {
        let stop = Arc::new(Stop::default());
        let (group, ending, lost) = (Arc::clone(&self.group), Arc::clone(&self.ending), Arc::clone(&self.lost));
        let thread = thread::Builder::new().name(format!("partition-{partition}")).spawn({
            let stop = Arc::clone(&stop);
            move || {
                let _lost_by_panic = LostByPanic(Arc::clone(&lost));
                tracing::info!(partition, "partition assigned");
                let Err(why) = group.work(partition, &stop) else { return };
                if why.is_fatal() {
                    tracing::error!(partition, %why, "the ledger must not be used");
                    let _ = ending.fatal.set(why.to_string());
                }
                tracing::warn!(partition, %why, "partition lost");
                lost.store(true, Ordering::Release);
            }
        });
        match thread {
            Ok(thread) => {
                self.workers.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, Worker { stop, thread });
            }
            Err(error) => {
                tracing::error!(partition, %error, "no thread for the partition");
                self.lost.store(true, Ordering::Release);
            }
        }
    }

    /// Stops the workers of some partitions, or of all, side by side, and waits for them.
    fn stop(&self, partitions: Option<&TopicPartitionList>) {
        let stopping: Vec<(i32, Worker)> = {
            let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
            let which: Vec<i32> = partitions.map_or_else(|| workers.keys().copied().collect(), |list| numbers(list).collect());
            which.into_iter().filter_map(|partition| workers.remove_entry(&partition)).collect()
        };
        let now = Instant::now();
        let deadline = now.checked_add(self.revoke_timeout).unwrap_or(now);
        for (partition, worker) in &stopping {
            worker.stop.request(deadline);
            self.group.close(*partition);
        }
        for (partition, worker) in stopping {
            if worker.thread.join().is_err() {
                tracing::error!(partition, "worker panicked");
            }
            tracing::info!(partition, "partition given up");
        }
    }
}

fn numbers(list: &TopicPartitionList) -> impl Iterator<Item = i32> {
    list.elements().into_iter().map(|element| element.partition()).collect::<Vec<_>>().into_iter()
}
