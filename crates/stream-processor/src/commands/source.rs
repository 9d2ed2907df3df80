//! A partition's commands, and the outcomes that meters gave.

use std::time::{Duration, Instant};

use contracts::topics::{COMMANDS, EVENTS};
use measure::UnixMillis;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::derive::source::{after, is_passing};
use crate::kafka::{Clients, Context, Group};
use crate::transaction::Stop;

/// Which of the two a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    Commands,
    Events,
}

/// Reads both.
pub(super) struct Source {
    consumer: BaseConsumer<Context>,
    commands: String,
    events: String,
    partition: i32,
    timeout: Duration,
}

impl Source {
    pub(super) fn open(clients: &Clients, partition: i32) -> Result<Self, KafkaError> {
        let mut config = clients.reader(Group::COMMANDS);
        config.set("queued.max.messages.kbytes", "4096");
        let consumer: BaseConsumer<Context> = config.create_with_context(Context)?;
        let (commands, events) = (clients.topic(&COMMANDS), clients.topic(&EVENTS));
        Ok(Self { consumer, commands, events, partition, timeout: clients.request_timeout })
    }

    /// Hands over what is kept of a log from an instant on, or all, oldest first. Where the next record will be; nothing if it was
    /// called off.
    pub(super) fn drain(
        &self,
        log: Log,
        since: Option<UnixMillis>,
        stop: &Stop,
        mut each: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<Option<i64>, KafkaError> {
        let topic = self.topic(log);
        // This asks for the leader as well, without which librdkafka waits half a second.
        let (kept, _) = self.consumer.fetch_watermarks(topic, self.partition, self.timeout)?;
        let mut next = match since {
            Some(since) => self.offset_at(topic, since)?,
            None => kept,
        };
        self.assign(&[(topic, next)])?;
        let mut news = Instant::now();
        while !stop.requested() {
            match self.consumer.poll(Duration::from_millis(100)) {
                None if news.elapsed() > self.timeout => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
                None => continue,
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Some(next)),
                Some(Err(error)) => return Err(error),
                Some(Ok(message)) => {
                    next = after(&message);
                    each(&message);
                }
            }
            news = Instant::now();
        }
        Ok(None)
    }

    /// The first record that came into Kafka at this instant or later, or the end.
    fn offset_at(&self, topic: &str, since: UnixMillis) -> Result<i64, KafkaError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, self.partition, Offset::Offset(since.0))?;
        let found = self.consumer.offsets_for_times(asked, self.timeout)?;
        match found.find_partition(topic, self.partition).map(|it| it.offset()) {
            Some(Offset::Offset(found)) => Ok(found),
            _ => Ok(self.consumer.fetch_watermarks(topic, self.partition, self.timeout)?.1),
        }
    }

    /// Where the next record of a log will be.
    pub(super) fn end(&self, log: Log) -> Result<i64, KafkaError> {
        Ok(self.consumer.fetch_watermarks(self.topic(log), self.partition, self.timeout)?.1)
    }

    /// From now on reads both from these offsets on.
    pub(super) fn follow(&self, commands: i64, events: i64) -> Result<(), KafkaError> {
        self.assign(&[(&self.commands, commands), (&self.events, events)])
    }

    fn topic(&self, log: Log) -> &str {
        match log {
            Log::Commands => &self.commands,
            Log::Events => &self.events,
        }
    }

    fn assign(&self, from: &[(&str, i64)]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, offset) in from {
            list.add_partition_offset(topic, self.partition, Offset::Offset(*offset))?;
        }
        self.consumer.assign(&list)
    }

    /// The next record of either, if one comes within `wait`.
    pub(super) fn next(&self, wait: Duration) -> Result<Option<(Log, BorrowedMessage<'_>)>, KafkaError> {
        match self.consumer.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => {
                let log = if message.topic() == self.commands { Log::Commands } else { Log::Events };
                Ok(Some((log, message)))
            }
            Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }
}

/// When a record came into Kafka.
pub(super) fn appended(message: &BorrowedMessage<'_>) -> UnixMillis {
    UnixMillis(message.timestamp().to_millis().unwrap_or_default())
}
