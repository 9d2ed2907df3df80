//! A partition of the alerts: from its beginning, for what holds; and how far it was told.

use std::time::Duration;

use contracts::topics::ALERTS;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use crate::derive::source::is_passing;
use crate::kafka::{Clients, Context, Group};

/// What comes next.
pub(super) enum Next<'a> {
    /// A record.
    Record(BorrowedMessage<'a>),
    /// There is nothing more for now.
    End,
    /// Nothing has come in time.
    Nothing,
}

/// Reads a partition's alerts.
pub(super) struct Source {
    consumer: BaseConsumer<Context>,
    group: ConsumerGroupMetadata,
    topic: String,
    partition: i32,
    /// The first record that was not told; without a predecessor the end: alerts of long ago are nobody's business, and what still holds is
    /// told again anyhow.
    pub(super) start: i64,
    /// Whether there was none.
    pub(super) is_first: bool,
}

impl Source {
    /// The partition's producer must have been opened before: by that the predecessor's last commit is decided.
    pub(super) fn open(clients: &Clients, partition: i32) -> Result<Self, KafkaError> {
        let mut config = clients.reader(Group::WEBHOOK);
        config.set("fetch.wait.max.ms", "100");
        config.set("queued.max.messages.kbytes", "8192");
        let consumer: BaseConsumer<Context> = config.create_with_context(Context)?;
        let group = consumer.group_metadata().ok_or(KafkaError::MessageConsumption(RDKafkaErrorCode::InvalidGroupId))?;
        let topic = clients.topic(&ALERTS);
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&topic, partition);
        let committed = consumer.committed_offsets(asked, clients.request_timeout)?;
        let (_, end) = consumer.fetch_watermarks(&topic, partition, clients.request_timeout)?;
        let start = committed.find_partition(&topic, partition).and_then(|it| match it.offset() {
            Offset::Offset(next) => Some(next),
            _ => None,
        });
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&topic, partition, Offset::Beginning)?;
        consumer.assign(&assignment)?;
        Ok(Self { consumer, group, topic, partition, start: start.unwrap_or(end), is_first: start.is_none() })
    }

    /// Waits for the next record.
    pub(super) fn next(&self, wait: Duration) -> Result<Next<'_>, KafkaError> {
        match self.consumer.poll(wait) {
            None => Ok(Next::Nothing),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Next::End),
            Some(Ok(message)) => Ok(Next::Record(message)),
            Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => Ok(Next::Nothing),
            Some(Err(error)) => Err(error),
        }
    }

    /// `next` in the form of a commit, and the group that it is of.
    pub(super) fn offsets(&self, next: i64) -> Result<(TopicPartitionList, &ConsumerGroupMetadata), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.partition, Offset::Offset(next))?;
        Ok((list, &self.group))
    }
}
