//! A partition's readings, from where a predecessor's unfinished work began.

use std::time::Duration;

use measure::UnixMillis;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::Mark;
use crate::kafka::{Clients, Context, Group};
use crate::transaction::Stop;

/// How fast a request to stop is seen.
const STEP: Duration = Duration::from_millis(100);
/// How long a leader may take to answer.
const REACHABLE: Duration = Duration::from_secs(2);

/// How far a group has come on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The first reading whose consequences are not written.
    pub(crate) next: i64,
    /// Where to begin to compute them.
    pub(crate) low_water: Mark,
}

impl Progress {
    pub(crate) const START: Self = Self { next: 0, low_water: Mark::BEGINNING };

    /// What stands beside the offset in the commit.
    pub(crate) fn metadata(self) -> String {
        let Mark { offset, now } = self.low_water;
        format!("low-water={offset}@{}", now.0)
    }

    /// Of a commit. Without a low-water mark that makes sense, everything that is there is read again.
    pub(crate) fn of(next: i64, metadata: &str) -> Self {
        let mark = || {
            let (offset, now) = metadata.strip_prefix("low-water=")?.split_once('@')?;
            Some(Mark { offset: offset.parse().ok()?, now: UnixMillis(now.parse().ok()?) })
        };
        let low_water = mark().filter(|it| (0..=next).contains(&it.offset)).unwrap_or(Mark::BEGINNING);
        Self { next, low_water }
    }
}

/// Reads a partition's readings.
pub(super) struct Source {
    consumer: BaseConsumer<Context>,
    group: ConsumerGroupMetadata,
    topic: String,
    partition: i32,
    request_timeout: Duration,
    /// How far the predecessor had come.
    pub(super) start: Progress,
}

impl Source {
    /// Begins at the low-water mark that was committed last. The partition's producer must have been opened before: by that the
    /// predecessor's last transaction is decided.
    pub(super) fn open(clients: &Clients, group: Group, topic: String, partition: i32) -> Result<Self, KafkaError> {
        let mut config = clients.reader(group);
        // Readings come all the time: a longer wait for them costs fewer requests.
        config.set("fetch.wait.max.ms", "100");
        // Read ahead for a tenth of a second and not, as by default, 64 MB: there may be 64 partitions here.
        config.set("queued.max.messages.kbytes", "8192");
        let consumer: BaseConsumer<Context> = config.create_with_context(Context)?;
        let metadata = consumer.group_metadata().ok_or(KafkaError::MessageConsumption(RDKafkaErrorCode::InvalidGroupId))?;
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&topic, partition);
        let committed = consumer.committed_offsets(asked, clients.request_timeout)?;
        let start = committed.find_partition(&topic, partition).and_then(|it| match it.offset() {
            Offset::Offset(next) => Some(Progress::of(next, it.metadata())),
            _ => None,
        });
        let start = start.unwrap_or(Progress::START);
        // This asks for the leader as well, without which librdkafka waits half a second.
        let (kept, _) = consumer.fetch_watermarks(&topic, partition, clients.request_timeout)?;
        if start != Progress::START && kept > start.low_water.offset {
            let Progress { next, low_water } = start;
            tracing::warn!(
                partition,
                kept,
                next,
                low_water = low_water.offset,
                "readings that are needed are not kept any more: raise topics.readings_retention_ms"
            );
        }
        let it = Self { consumer, group: metadata, topic, partition, request_timeout: clients.request_timeout, start };
        it.assign()?;
        Ok(it)
    }

    /// Hands over a partition of another topic up to its end as it is now, before readings are read. False if it was asked to stop before.
    pub(super) fn drain(&self, topic: &str, stop: &Stop, mut each: impl FnMut(&BorrowedMessage<'_>)) -> Result<bool, KafkaError> {
        // This asks for the leader as well, without which librdkafka waits half a second.
        self.consumer.fetch_watermarks(topic, self.partition, self.request_timeout)?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, self.partition, Offset::Beginning)?;
        self.consumer.assign(&assignment)?;
        while !stop.requested() {
            match self.consumer.poll(STEP) {
                None => {}
                Some(Ok(message)) => each(&message),
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.assign()?;
                    return Ok(true);
                }
                Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Whether the partition's leader answers.
    pub(super) fn is_reachable(&self) -> bool {
        self.consumer.fetch_watermarks(&self.topic, self.partition, REACHABLE).is_ok()
    }

    fn assign(&self) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        // What is no longer kept is passed over: `auto.offset.reset` is the earliest that is.
        assignment.add_partition_offset(&self.topic, self.partition, Offset::Offset(self.start.low_water.offset))?;
        self.consumer.assign(&assignment)
    }

    /// The next reading, if one comes within `wait`.
    pub(super) fn next(&self, wait: Duration) -> Result<Option<BorrowedMessage<'_>>, KafkaError> {
        match self.consumer.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => Ok(Some(message)),
            Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    /// `progress` in the form of a commit, and the group that it is of.
    pub(super) fn offsets(&self, progress: Progress) -> Result<(TopicPartitionList, &ConsumerGroupMetadata), KafkaError> {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.topic, self.partition);
        element.set_offset(Offset::Offset(progress.next))?;
        element.set_metadata(progress.metadata());
        Ok((list, &self.group))
    }
}

/// Whether the client gets over it by itself.
pub(crate) fn is_passing(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    matches!(error, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve)
}

/// The offset that follows on a message.
pub(crate) fn after(message: &BorrowedMessage<'_>) -> i64 {
    message.offset().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_a_commit_and_nonsense_only_costs_time() {
        let progress = Progress { next: 70, low_water: Mark { offset: 12, now: UnixMillis(99) } };
        assert_eq!(Progress::of(70, &progress.metadata()), progress);
        for nonsense in ["", "low-water=", "low-water=x@1", "low-water=12", "12@99", "low-water=-1@99", "low-water=71@99"] {
            assert_eq!(Progress::of(70, nonsense), Progress { next: 70, low_water: Mark::BEGINNING }, "{nonsense}");
        }
    }
}
