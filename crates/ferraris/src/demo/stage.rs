//! The Kafka that the demo plays on: librdkafka's mock cluster in this process, or a real one.

use std::time::Duration;

use anyhow::Context as _;
use contracts::topics;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::kafka::Address;

/// Partitions of each topic.
pub const PARTITIONS: u16 = 4;

/// How long a real Kafka may take to delete what the demo made.
const DELETE_MAX: Duration = Duration::from_secs(10);

/// A Kafka, and how it is left.
pub struct Stage {
    address: Address,
    /// The mock lives as long as this.
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
    /// Whether the topics are the demo's own, to be deleted.
    temporary: bool,
}

impl Stage {
    /// The mock cluster, with all topics.
    pub fn mock() -> anyhow::Result<Self> {
        let cluster = MockCluster::new(1).context("cannot start the mock Kafka")?;
        for topic in topics::ALL {
            cluster
                .create_topic(topic.name, PARTITIONS.into(), 1)
                .with_context(|| format!("cannot make topic {} on the mock Kafka", topic.name))?;
        }
        let address = Address { kafka: cluster.bootstrap_servers(), topic_prefix: String::new(), kafka_options: Vec::new() };
        Ok(Self { address, mock: Some(cluster), temporary: false })
    }

    /// A real Kafka, if it answers. Without a prefix the demo takes one of its own, `fresh`, and deletes its topics at the end.
    pub async fn real(kafka: &str, prefix: Option<&str>, options: &[(String, String)], fresh: &str) -> anyhow::Result<Self> {
        let address =
            Address { kafka: kafka.to_owned(), topic_prefix: prefix.unwrap_or(fresh).to_owned(), kafka_options: options.to_vec() };
        address.check()?;
        Ok(Self { address, mock: None, temporary: prefix.is_none() })
    }

    /// Where it is.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is the mock, whose transactions are none.
    pub const fn is_mock(&self) -> bool {
        self.mock.is_some()
    }

    /// For the summary: `mock` or the address.
    pub fn name(&self) -> String {
        if self.is_mock() { "mock".to_owned() } else { self.address.kafka.clone() }
    }

    /// For people.
    pub fn describe(&self) -> String {
        let Address { kafka, topic_prefix, .. } = &self.address;
        if self.is_mock() {
            format!(
                "demo Kafka: librdkafka's mock cluster in this process, at {kafka}; in memory, keeps 5 MiB a partition, its transactions are not real"
            )
        } else if self.temporary {
            format!("Kafka at {kafka}, topics {topic_prefix}… of this run only")
        } else {
            format!("Kafka at {kafka}, topics {topic_prefix}…, which stay")
        }
    }

    /// Deletes what is the demo's own.
    pub async fn close(self) -> anyhow::Result<()> {
        if !self.temporary {
            return Ok(());
        }
        let admin: AdminClient<DefaultClientContext> = self.address.client().create()?;
        let names: Vec<String> = topics::ALL.iter().map(|topic| self.address.topic(topic.name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let options = AdminOptions::new().operation_timeout(Some(DELETE_MAX));
        for deleted in admin.delete_topics(&names, &options).await.context("cannot delete the demo's topics")? {
            deleted.map_err(|(topic, code)| anyhow::anyhow!("cannot delete topic {topic}: {code}"))?;
        }
        Ok(())
    }
}
