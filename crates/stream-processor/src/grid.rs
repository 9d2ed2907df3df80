//! Which meter is on which feeder, for those who see meters and not feeders: the whole of `grid.topology.v1`.
//!
//! Read to its end before anything is made of readings, and followed from then on. An interval that is written while a change is on its
//! way may still go to the old feeder: what a feeder's analytics are a function of is `feeder.intervals.v1`, as it was written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use contracts::topics::TOPOLOGY;
use contracts::{FeederEventRecord, FeederIntervalRecord, FeederRecord};
use measure::{FeederId, MeterId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde::Serialize;
use tokio::sync::watch;
use wire::topic::Shard;

use crate::balance::topology::Feeder;
use crate::derive::{Copied, Copies};
use crate::interval;
use crate::kafka::{Clients, Context, Group};
use crate::metrics::Metrics;
use crate::quality::watch::Contracts;
use crate::quality::{Output, Sign};

/// How fast a request to end is seen.
const POLL: Duration = Duration::from_millis(200);

/// Where a meter is, and what power its house's contract allows, in W.
#[derive(Clone, Debug)]
struct Place {
    feeder: FeederId,
    contract_power_w: Option<f64>,
}

type Table = HashMap<MeterId, Place>;

/// The table as it is now; cheap to clone.
#[derive(Clone, Debug)]
pub struct Grid {
    table: watch::Receiver<Arc<Table>>,
    intervals: Arc<str>,
    events: Arc<str>,
    partitions: u16,
}

impl Grid {
    fn feeder(&self, meter: &MeterId) -> Option<FeederId> {
        Some(self.table.borrow().get(meter)?.feeder.clone())
    }

    fn copied(&self, topic: &Arc<str>, feeder: &FeederId, record: &impl Serialize) -> Option<Copied> {
        let (partition, key) = (Shard::of_feeder(feeder).partition(self.partitions), feeder.to_string());
        Some(Copied { topic: Arc::clone(topic), partition, key, value: serde_json::to_vec(record).ok()? })
    }
}

impl Contracts for Grid {
    fn power_w(&self, meter: &MeterId) -> Option<f64> {
        self.table.borrow().get(meter)?.contract_power_w
    }
}

impl Copies<Output> for Grid {
    /// What happened at a meter, for its feeder; none if the topology does not know the meter.
    fn copy(&self, output: &Output) -> Option<Copied> {
        let Output::Sign(Sign { meter, kind, since, at }) = output else { return None };
        let feeder = self.feeder(meter)?;
        let record = FeederEventRecord { feeder: feeder.clone(), meter: meter.clone(), kind: *kind, since_ms: *since, at_ms: *at };
        self.copied(&self.events, &feeder, &record)
    }
}

impl Copies<interval::Output> for Grid {
    /// For its feeder; none if the topology does not know its meter, or it is no quarter of an hour.
    fn copy(&self, output: &interval::Output) -> Option<Copied> {
        let interval::Output::Interval(interval) = output else { return None };
        if interval.length != contracts::intervals::IntervalLength::QuarterHour {
            return None;
        }
        let feeder = self.feeder(&interval.meter)?;
        let record = FeederIntervalRecord { feeder: feeder.clone(), interval: interval.clone() };
        self.copied(&self.intervals, &feeder, &record)
    }
}

/// Reads the topology and keeps a [`Grid`] up to date.
pub struct Follower {
    consumer: BaseConsumer<Context>,
    feeders: BTreeMap<Vec<u8>, Vec<(MeterId, Place)>>,
    table: watch::Sender<Arc<Table>>,
    metrics: Metrics,
}

impl Follower {
    /// Reads everything that is there. Blocks.
    pub fn open(clients: &Clients, partitions: u16, metrics: Metrics) -> Result<(Self, Grid), KafkaError> {
        let consumer: BaseConsumer<Context> = clients.reader(Group::INTERVALS).create_with_context(Context)?;
        let topic = clients.topic(&TOPOLOGY);
        let mut assignment = TopicPartitionList::new();
        for partition in 0..i32::from(partitions) {
            assignment.add_partition_offset(&topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        let (table, receiver) = watch::channel(Arc::default());
        let mut it = Self { consumer, feeders: BTreeMap::new(), table, metrics };
        let mut open: BTreeSet<i32> = (0..i32::from(partitions)).collect();
        while !open.is_empty() {
            match it.consumer.poll(clients.request_timeout) {
                Some(Ok(message)) => take(&mut it.feeders, &it.metrics, &message),
                Some(Err(KafkaError::PartitionEOF(partition))) => _ = open.remove(&partition),
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut)),
            }
        }
        it.publish();
        let topic = |topic| clients.topic(topic).into();
        let (intervals, events) = (topic(&contracts::topics::FEEDER_INTERVALS), topic(&contracts::topics::FEEDER_EVENTS));
        Ok((it, Grid { table: receiver, intervals, events, partitions }))
    }

    /// Follows until `is_over`. Blocks. Errors are the client's to get over: the table stays as it was.
    pub fn follow(mut self, is_over: impl Fn() -> bool) {
        while !is_over() {
            match self.consumer.poll(POLL) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => continue,
                Some(Ok(message)) => take(&mut self.feeders, &self.metrics, &message),
                Some(Err(error)) => {
                    tracing::debug!(%error, "topology");
                    continue;
                }
            }
            self.publish();
        }
    }

    fn publish(&self) {
        self.table.send_replace(Arc::new(self.feeders.values().flatten().cloned().collect()));
    }
}

fn take(feeders: &mut BTreeMap<Vec<u8>, Vec<(MeterId, Place)>>, metrics: &Metrics, message: &BorrowedMessage<'_>) {
    let key = message.key().unwrap_or_default().to_vec();
    let feeder = match message.payload() {
        None => None,
        Some(bytes) => read_feeder(&key, bytes).inspect_err(|error| unreadable(metrics, error)).ok(),
    };
    match feeder {
        Some(feeder) => _ = feeders.insert(key, places(&feeder)),
        // What can't be so counts as taken away: nobody knows where its meters are.
        None => _ = feeders.remove(&key),
    }
}

fn places(feeder: &Feeder) -> Vec<(MeterId, Place)> {
    let contract = |meter: &MeterId| feeder.houses.iter().find(|it| it.meter == *meter).and_then(|it| it.contract_power_w);
    let place = |meter: &MeterId| (meter.clone(), Place { feeder: feeder.id.clone(), contract_power_w: contract(meter) });
    feeder.meters().map(place).collect()
}

fn unreadable(metrics: &Metrics, error: &str) {
    metrics.topology_unreadable.inc();
    tracing::warn!(%error, "no feeder: passed over");
}

/// A feeder from a record of the topology's topic; its key must be its id.
pub(crate) fn read_feeder(key: &[u8], value: &[u8]) -> Result<Feeder, String> {
    let record: FeederRecord = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    let feeder = Feeder::of(record).map_err(|error| error.to_string())?;
    if feeder.id.as_str().as_bytes() == key { Ok(feeder) } else { Err(format!("feeder {} under another's key", feeder.id)) }
}

fn is_passing(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumption(code) if crate::derive::source::is_passing(*code))
}
