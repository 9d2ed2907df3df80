//! The logs of a partition: first what predecessors left, then what comes.

use std::time::Duration;

use contracts::topics::{ALERT_ACTIONS, ALERTS, FEEDER_EVENTS, FEEDER_INTERVALS, FEEDER_STATE, TOPOLOGY};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::derive::source::{Progress, is_passing};
use crate::kafka::{Clients, Context, Group};
use crate::transaction::Stop;

/// How fast a request to stop is seen.
const STEP: Duration = Duration::from_millis(100);

/// Which log a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Log {
    Intervals,
    Events,
    Actions,
    Topology,
    State,
    Alerts,
}

impl Log {
    const ALL: [(Self, contracts::topics::KafkaTopic); 6] = [
        (Self::Intervals, FEEDER_INTERVALS),
        (Self::Events, FEEDER_EVENTS),
        (Self::Actions, ALERT_ACTIONS),
        (Self::Topology, TOPOLOGY),
        (Self::State, FEEDER_STATE),
        (Self::Alerts, ALERTS),
    ];
}

/// How far intervals, events and actions are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) intervals: Progress,
    pub(super) events: Progress,
    /// The first action that is not taken.
    pub(super) actions: i64,
}

/// Reads a partition's logs.
pub(super) struct Source {
    consumer: BaseConsumer<Context>,
    group: ConsumerGroupMetadata,
    names: Vec<(Log, String)>,
    partition: i32,
    request_timeout: Duration,
    /// How far the predecessor had come.
    pub(super) start: Position,
}

impl Source {
    /// Asks how far the predecessor had come. The partition's producer must have been opened before: by that its last transaction is decided.
    pub(super) fn open(clients: &Clients, partition: i32) -> Result<Self, KafkaError> {
        let mut config = clients.reader(Group::ANALYTICS);
        config.set("fetch.wait.max.ms", "100");
        config.set("queued.max.messages.kbytes", "16384");
        let consumer: BaseConsumer<Context> = config.create_with_context(Context)?;
        let group = consumer.group_metadata().ok_or(KafkaError::MessageConsumption(RDKafkaErrorCode::InvalidGroupId))?;
        let names: Vec<(Log, String)> = Log::ALL.iter().map(|(log, topic)| (*log, clients.topic(topic))).collect();
        let start = Position { intervals: Progress::START, events: Progress::START, actions: 0 };
        let mut it = Self { consumer, group, names, partition, request_timeout: clients.request_timeout, start };
        let mut asked = TopicPartitionList::new();
        for log in [Log::Intervals, Log::Events, Log::Actions] {
            asked.add_partition(it.name(log), partition);
        }
        let committed = it.consumer.committed_offsets(asked, it.request_timeout)?;
        for element in committed.elements() {
            let Offset::Offset(next) = element.offset() else { continue };
            match it.log(element.topic()) {
                Some(Log::Intervals) => it.start.intervals = Progress::of(next, element.metadata()),
                Some(Log::Events) => it.start.events = Progress::of(next, element.metadata()),
                Some(Log::Actions) => it.start.actions = next,
                _ => {}
            }
        }
        Ok(it)
    }

    /// Hands over what a log holds from an offset on, up to its end as it is now, or until `each` says that it is enough. False if it was asked
    /// to stop before.
    pub(super) fn drain(
        &self,
        log: Log,
        from: i64,
        stop: &Stop,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> bool,
    ) -> Result<bool, KafkaError> {
        // This asks for the leader as well, without which librdkafka waits half a second.
        let (kept, _) = self.consumer.fetch_watermarks(self.name(log), self.partition, self.request_timeout)?;
        if log == Log::Intervals && kept > from {
            tracing::warn!(partition = self.partition, kept, from, "intervals that are needed are not kept any more");
        }
        self.assign(&[(log, from)])?;
        while !stop.requested() {
            match self.consumer.poll(STEP) {
                None => {}
                Some(Ok(message)) if each(&message) => {}
                Some(Ok(_)) | Some(Err(KafkaError::PartitionEOF(_))) => return Ok(true),
                Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Reads these logs on from these offsets.
    pub(super) fn assign(&self, logs: &[(Log, i64)]) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        for (log, offset) in logs {
            // What is no longer kept is passed over: `auto.offset.reset` is the earliest that is.
            assignment.add_partition_offset(self.name(*log), self.partition, Offset::Offset(*offset))?;
        }
        self.consumer.assign(&assignment)
    }

    /// The next record, if one comes within `wait`.
    pub(super) fn next(&self, wait: Duration) -> Result<Option<(Log, BorrowedMessage<'_>)>, KafkaError> {
        match self.consumer.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => Ok(self.log(message.topic()).map(|log| (log, message))),
            Some(Err(KafkaError::MessageConsumption(error))) if is_passing(error) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    /// `position` in the form of a commit, and the group that it is of.
    pub(super) fn offsets(&self, position: Position) -> Result<(TopicPartitionList, &ConsumerGroupMetadata), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (log, progress) in [(Log::Intervals, position.intervals), (Log::Events, position.events)] {
            let mut element = list.add_partition(self.name(log), self.partition);
            element.set_offset(Offset::Offset(progress.next))?;
            element.set_metadata(progress.metadata());
        }
        list.add_partition_offset(self.name(Log::Actions), self.partition, Offset::Offset(position.actions))?;
        Ok((list, &self.group))
    }

    /// A log's topic in this installation.
    pub(super) fn name(&self, log: Log) -> &str {
        self.names.iter().find(|(it, _)| *it == log).map_or("", |(_, name)| name)
    }

    fn log(&self, topic: &str) -> Option<Log> {
        self.names.iter().find(|(_, name)| name == topic).map(|(log, _)| *log)
    }
}
