//! Reading Kafka back: whole topics, committed records only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long Kafka may take to say who it is.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a topic may stay silent before its end is reached.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Where Kafka is.
#[derive(Clone, Debug, clap::Args)]
pub struct Address {
    /// Bootstrap servers
    #[arg(long, value_name = "HOST:PORT[,HOST:PORT…]")]
    pub kafka: String,
    /// Prefix of the topic names, as in the processor's `kafka.topic_prefix`
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub topic_prefix: String,
    /// Further librdkafka settings, for example security.protocol=SASL_SSL
    #[arg(long = "kafka-option", value_name = "KEY=VALUE", value_parser = key_value)]
    pub kafka_options: Vec<(String, String)>,
}

/// Parses `KEY=VALUE`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Address {
    /// The client settings that all commands share.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka).set("client.id", "ferraris");
        for (key, value) in &self.kafka_options {
            config.set(key, value);
        }
        config
    }

    /// A topic's name on this Kafka.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    /// Fails within [`ANSWER_MAX`] if nobody answers there.
    pub fn check(&self) -> anyhow::Result<()> {
        consumer(self)?.fetch_metadata(None, ANSWER_MAX).map_err(|error| self.unreachable(&error))?;
        Ok(())
    }

    fn unreachable(&self, error: &KafkaError) -> anyhow::Error {
        let why = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
        anyhow!("no Kafka answers at {}: start it or name another with --kafka ({why})", self.kafka)
    }
}

/// A record to be written: its key, and its value; none is a tombstone.
pub type Row = (String, Option<Vec<u8>>);

/// Writes records to the partitions of their keys, and waits until Kafka has them. `name` is without prefix.
pub fn write(address: &Address, name: &str, rows: &[Row]) -> anyhow::Result<()> {
    let topic = address.topic(name);
    let producer: ThreadedProducer<DefaultProducerContext> = address
        .client()
        // The same partition as everyone else gives a key.
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", ANSWER_MAX.as_millis().to_string())
        .create()
        .context("bad Kafka client settings")?;
    for (key, value) in rows {
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&topic).key(key);
        record.payload = value.as_deref();
        producer.send(record).map_err(|(error, _)| error).with_context(|| format!("cannot write to topic {topic}"))?;
    }
    producer.flush(ANSWER_MAX.saturating_mul(2)).with_context(|| format!("cannot write to topic {topic}"))
}

/// A reader of one topic from its beginning, all partitions, `read_committed`.
pub struct Reader {
    topic: String,
    consumer: BaseConsumer,
    /// Offset to read next, by partition.
    next: BTreeMap<i32, i64>,
    /// The oldest offset that was still there at the start, by partition.
    oldest: BTreeMap<i32, i64>,
}

impl Reader {
    /// Opens the topic. `name` is without prefix.
    pub fn open(address: &Address, name: &str) -> anyhow::Result<Self> {
        Self::opened(address, name, |oldest, _| oldest)
    }

    /// Opens the topic for what comes from now on.
    pub fn open_at_end(address: &Address, name: &str) -> anyhow::Result<Self> {
        Self::opened(address, name, |_, end| end)
    }

    fn opened(address: &Address, name: &str, choose: impl Fn(i64, i64) -> i64) -> anyhow::Result<Self> {
        let topic = address.topic(name);
        let consumer = consumer(address)?;
        let metadata = consumer.fetch_metadata(Some(&topic), ANSWER_MAX).map_err(|error| address.unreachable(&error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic).filter(|found| found.error().is_none());
        let Some(found) = found.filter(|found| !found.partitions().is_empty()) else {
            bail!("topic {topic} does not exist on {}: `ferraris topics create` makes it, --topic-prefix names others", address.kafka);
        };
        let (mut oldest, mut next) = (BTreeMap::new(), BTreeMap::new());
        for partition in found.partitions() {
            let (low, high) = consumer
                .fetch_watermarks(&topic, partition.id(), ANSWER_MAX)
                .with_context(|| format!("topic {topic} partition {} has no leader that answers", partition.id()))?;
            oldest.insert(partition.id(), low);
            next.insert(partition.id(), choose(low, high));
        }
        let reader = Self { topic, consumer, next, oldest };
        reader.assign()?;
        Ok(reader)
    }

    /// Whether retention has already deleted something.
    pub fn starts_late(&self) -> bool {
        self.oldest.values().any(|&offset| offset > 0)
    }

    /// The next record, if one comes within `patience`.
    pub fn next(&mut self, patience: Duration) -> anyhow::Result<Option<BorrowedMessage<'_>>> {
        let Some(polled) = self.consumer.poll(patience) else { return Ok(None) };
        match polled {
            Ok(message) => {
                self.next.insert(message.partition(), message.offset().saturating_add(1));
                Ok(Some(message))
            }
            Err(error) => temporary(error, &self.topic).map(|()| None),
        }
    }

    /// Hands over every record up to the end that each partition has when it is reached.
    pub fn drain(&mut self, mut each: impl FnMut(&BorrowedMessage<'_>)) -> anyhow::Result<()> {
        // A new assignment makes every partition report its end anew.
        self.assign()?;
        let mut open: BTreeSet<i32> = self.next.keys().copied().collect();
        let mut deadline = deadline();
        while !open.is_empty() {
            match self.consumer.poll(Duration::from_millis(100)) {
                None if Instant::now() < deadline => {}
                None => bail!("topic {} stopped answering before its end: is Kafka well, is a transaction left open?", self.topic),
                Some(Ok(message)) => {
                    self.next.insert(message.partition(), message.offset().saturating_add(1));
                    each(&message);
                    deadline = self::deadline();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                    deadline = self::deadline();
                }
                Some(Err(error)) => temporary(error, &self.topic)?,
            }
        }
        Ok(())
    }

    fn assign(&self) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::with_capacity(self.next.len());
        for (&partition, &offset) in &self.next {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        }
        self.consumer.assign(&list).with_context(|| format!("cannot read topic {}", self.topic))
    }
}

/// librdkafka repairs by itself what is temporary; the rest ends the reading.
fn temporary(error: KafkaError, topic: &str) -> anyhow::Result<()> {
    match error {
        KafkaError::PartitionEOF(_) => Ok(()),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::OperationTimedOut,
        ) => Ok(()),
        other => Err(other).with_context(|| format!("cannot read topic {topic} further")),
    }
}

fn deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(SILENCE_MAX).unwrap_or(now)
}

fn consumer(address: &Address) -> anyhow::Result<BaseConsumer> {
    address
        .client()
        // Assigned by hand: the group is never joined and nothing is stored under it, but librdkafka wants a name.
        .set("group.id", format!("{}ferraris-cli", address.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        // A record that retention took from under the reader must not be passed over in silence.
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "50")
        .create()
        .context("bad Kafka client settings")
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    fn mock() -> (MockCluster<'static, DefaultProducerContext>, Address) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("p-t", 4, 1).unwrap();
        let address = Address { kafka: cluster.bootstrap_servers(), topic_prefix: "p-".to_owned(), kafka_options: Vec::new() };
        (cluster, address)
    }

    fn produce(address: &Address, keys: std::ops::Range<u32>) {
        let producer: ThreadedProducer<_> = address.client().create().unwrap();
        for key in keys {
            producer.send(BaseRecord::to("p-t").key(&key.to_string()).payload("x")).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(ANSWER_MAX).unwrap();
    }

    fn drained(reader: &mut Reader) -> Vec<u32> {
        let mut keys = Vec::new();
        reader.drain(|message| keys.push(std::str::from_utf8(message.key().unwrap()).unwrap().parse().unwrap())).unwrap();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn everything_is_read_once_up_to_the_end_and_then_from_there() {
        let (_cluster, address) = mock();
        let mut reader = Reader::open(&address, "t").unwrap();
        assert!(!reader.starts_late());
        assert_eq!(drained(&mut reader), [0_u32; 0]);
        produce(&address, 0..50);
        assert_eq!(drained(&mut reader), (0..50).collect::<Vec<_>>());
        produce(&address, 50..60);
        let deadline = deadline();
        while reader.next(Duration::from_millis(50)).unwrap().is_none() {
            assert!(Instant::now() < deadline);
        }
        assert_eq!(drained(&mut reader).len(), 9);
    }

    #[test]
    fn what_is_not_there_is_named_with_a_remedy() {
        let (_cluster, address) = mock();
        let error = Reader::open(&address, "u").err().unwrap().to_string();
        assert!(error.starts_with("topic p-u does not exist on 127.0.0.1:") && error.contains("ferraris topics create"), "{error}");
    }
}
