//! The real Apache Kafka: one broker in KRaft mode, from its published jars, without a container.

mod read;
mod server;
mod write;

pub use read::{Row, read_topic};
pub use server::{Kafka, KafkaHandle};
pub use write::write_topic;

use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// A client's configuration that keeps quiet while a broker comes and goes.
fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "0");
    config
}

/// Asks the broker at `bootstrap` for its metadata, once.
async fn answers(bootstrap: &str, timeout: Duration) -> anyhow::Result<()> {
    let consumer: BaseConsumer = client(bootstrap).create()?;
    let metadata = tokio::task::spawn_blocking(move || consumer.fetch_metadata(None, timeout).map(|it| it.brokers().len())).await?;
    let brokers = metadata.with_context(|| format!("no Kafka answers at {bootstrap}"))?;
    anyhow::ensure!(brokers > 0, "the Kafka at {bootstrap} has no broker yet");
    Ok(())
}
