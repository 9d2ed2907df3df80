//! Reading a topic back: what a consumer that trusts only committed transactions sees.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::client;

/// One record of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Partition it lies on.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Value; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

const DEADLINE: Duration = Duration::from_secs(60);

/// Every record of `topic` under read_committed, from the first to the last stable offset of each partition, ordered by partition and
/// offset. What is in a transaction that is still open, and what lies behind it, is not there yet.
pub async fn read_topic(bootstrap: &str, topic: &str) -> anyhow::Result<Vec<Row>> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || read_blocking(&bootstrap, &topic)).await?
}

fn read_blocking(bootstrap: &str, topic: &str) -> anyhow::Result<Vec<Row>> {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", "testkit-reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).context("cannot read the topic's metadata")?;
    let partitions: Vec<i32> = metadata.topics().iter().flat_map(|it| it.partitions()).map(|it| it.id()).collect();
    if partitions.is_empty() {
        bail!("no topic `{topic}` at {bootstrap}");
    }
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;

    let begin = Instant::now();
    let mut unfinished: BTreeSet<i32> = partitions.into_iter().collect();
    let mut rows = Vec::new();
    while !unfinished.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => rows.push(row(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => _ = unfinished.remove(&partition),
            Some(Err(error)) => return Err(error).with_context(|| format!("cannot read `{topic}`")),
            None if begin.elapsed() < DEADLINE => {}
            None => bail!("the end of `{topic}` was not reached within {DEADLINE:?}"),
        }
    }
    rows.sort();
    Ok(rows)
}

fn row(message: &BorrowedMessage<'_>) -> Row {
    let headers =
        message.headers().map(|headers| headers.iter().map(|it| (it.key.to_owned(), it.value.unwrap_or_default().to_vec())).collect());
    Row {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
