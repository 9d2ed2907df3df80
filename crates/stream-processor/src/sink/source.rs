//! A partition of several topics, from offsets that somebody keeps.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::derive::source::is_passing;
use crate::kafka::{Clients, Context, Group};

/// Reads committed records.
pub(super) struct Source<L> {
    consumer: BaseConsumer<Context>,
    names: Vec<(L, String)>,
}

impl<L: Copy + PartialEq> Source<L> {
    /// Begins at these offsets; with how many records Kafka has deleted before they were taken.
    pub(super) fn open(clients: &Clients, group: Group, partition: i32, starts: &[(L, String, i64)]) -> Result<(Self, u64), KafkaError> {
        let consumer = consumer(clients, group)?;
        let (mut assignment, mut expired) = (TopicPartitionList::new(), 0_u64);
        for (_, topic, next) in starts {
            // What is no longer kept is passed over: `auto.offset.reset` is the earliest that is.
            assignment.add_partition_offset(topic, partition, Offset::Offset(*next))?;
            let (kept, _) = consumer.fetch_watermarks(topic, partition, clients.request_timeout)?;
            let missed = if *next > 0 { u64::try_from(kept.saturating_sub(*next)).unwrap_or(0) } else { 0 };
            if missed > 0 {
                tracing::error!(topic, partition, missed, "records expired in Kafka before a sink took them: raise the topic's retention");
            }
            expired = expired.saturating_add(missed);
        }
        consumer.assign(&assignment)?;
        Ok((Self { consumer, names: starts.iter().map(|(log, topic, _)| (*log, topic.clone())).collect() }, expired))
    }

    /// The same at the offsets that the group has committed. The partition's producer must have been opened before.
    pub(super) fn open_committed(clients: &Clients, group: Group, partition: i32, logs: &[(L, String)]) -> Result<(Self, u64), KafkaError> {
        let mut asked = TopicPartitionList::new();
        for (_, topic) in logs {
            asked.add_partition(topic, partition);
        }
        let committed = consumer(clients, group)?.committed_offsets(asked, clients.request_timeout)?;
        let next = |topic: &str| match committed.find_partition(topic, partition).map(|it| it.offset()) {
            Some(Offset::Offset(next)) => next,
            _ => 0,
        };
        let starts: Vec<_> = logs.iter().map(|(log, topic)| (*log, topic.clone(), next(topic))).collect();
        Self::open(clients, group, partition, &starts)
    }

    /// The next record, if one comes within `wait`.
    pub(super) fn next(&self, wait: Duration) -> Result<Option<(L, BorrowedMessage<'_>)>, KafkaError> {
        match self.consumer.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => {
                let log = self.names.iter().find(|(_, topic)| topic == message.topic()).map(|(log, _)| *log);
                Ok(log.map(|log| (log, message)))
            }
            Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    /// How far logs are taken in the form of a commit, and the group that it is of.
    pub(super) fn offsets(&self, partition: i32, next: &[(L, i64)]) -> Result<(TopicPartitionList, ConsumerGroupMetadata), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (log, next) in next {
            for (_, topic) in self.names.iter().filter(|(it, _)| it == log) {
                list.add_partition_offset(topic, partition, Offset::Offset(*next))?;
            }
        }
        let group = self.consumer.group_metadata().ok_or(KafkaError::MessageConsumption(RDKafkaErrorCode::InvalidGroupId))?;
        Ok((list, group))
    }
}

fn consumer(clients: &Clients, group: Group) -> Result<BaseConsumer<Context>, KafkaError> {
    let mut config = clients.reader(group);
    // Records come all the time: a longer wait for them costs fewer requests.
    config.set("fetch.wait.max.ms", "100");
    // Read ahead for a transaction and not, as by default, 64 MB: there may be 64 partitions here.
    config.set("queued.max.messages.kbytes", "8192");
    config.create_with_context(Context)
}
