//! Writing a topic: what another producer would do.

use std::time::Duration;

use anyhow::Context;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::client;

const DEADLINE: Duration = Duration::from_secs(60);

/// Writes a record for each key and value, in this order on each partition, which follow from the keys as everywhere in Ferraris. When this
/// returns, they are there.
pub async fn write_topic(bootstrap: &str, topic: &str, rows: Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || {
        let mut config = client(&bootstrap);
        config.set("partitioner", "murmur2_random").set("enable.idempotence", "true");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
        for (key, value) in &rows {
            producer.send(BaseRecord::to(&topic).key(key).payload(value)).map_err(|(error, _)| error)?;
        }
        producer.flush(DEADLINE).with_context(|| format!("{} records for `{topic}`", rows.len()))
    })
    .await?
}
