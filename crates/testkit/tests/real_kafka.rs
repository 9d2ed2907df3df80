//! The real Kafka does what the tests of the product rely on: transactions count, and data outlives a kill.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use testkit::kafka::{Row, read_topic};
use testkit::{Kafka, KafkaHandle, await_until};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_aborted_transaction_is_never_seen() {
    let kafka = KafkaHandle::shared().await.unwrap();
    let prefix = kafka.fresh_prefix();
    let topic = format!("{prefix}rows");
    create(kafka.bootstrap(), &topic).await;
    let producer = producer(kafka.bootstrap(), Some(&prefix));
    producer.init_transactions(PATIENCE).unwrap();
    for (value, commit) in [("first", true), ("aborted", false), ("second", true)] {
        producer.begin_transaction().unwrap();
        send(&producer, &topic, value).await;
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    let rows = await_rows(kafka.bootstrap(), &topic, 2).await;
    assert_eq!(values(&rows), ["first", "second"]);
    assert_eq!(rows[0].key.as_deref(), Some(b"key".as_slice()));
}

#[tokio::test]
async fn a_killed_broker_comes_back_with_its_data_on_its_port() {
    let mut kafka = Kafka::start().await.unwrap();
    let bootstrap = kafka.bootstrap().to_owned();
    create(&bootstrap, "rows").await;
    let producer = producer(&bootstrap, None);
    send(&producer, "rows", "before").await;
    kafka.stop();
    assert!(read_topic(&bootstrap, "rows").await.is_err(), "it answers although it was killed");
    kafka.resume().await.unwrap();
    send(&producer, "rows", "after").await;
    assert_eq!(values(&await_rows(&bootstrap, "rows", 2).await), ["before", "after"]);
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "0");
    config
}

async fn create(bootstrap: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create().unwrap();
    let new = NewTopic::new(topic, 2, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    admin.create_topics([&new], &options).await.unwrap().pop().unwrap().unwrap();
}

fn producer(bootstrap: &str, transactional_id: Option<&str>) -> FutureProducer {
    let mut config = config(bootstrap);
    config.set("enable.idempotence", "true");
    if let Some(id) = transactional_id {
        config.set("transactional.id", id);
    }
    config.create().unwrap()
}

async fn send(producer: &FutureProducer, topic: &str, value: &str) {
    let record = FutureRecord::to(topic).key("key").payload(value);
    producer.send(record, PATIENCE).await.map_err(|(error, _)| error).unwrap();
}

/// What a commit has made final is visible to readers a moment later.
async fn await_rows(bootstrap: &str, topic: &str, count: usize) -> Vec<Row> {
    let enough = async || Ok(Some(read_topic(bootstrap, topic).await?).filter(|rows| rows.len() >= count));
    await_until("the rows are there", PATIENCE, enough).await.unwrap()
}

fn values(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| String::from_utf8(row.value.clone().unwrap()).unwrap()).collect()
}
