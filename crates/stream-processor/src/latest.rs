//! `meter.latest.v1`: derived from committed readings, outside their transaction. Values may be missed or repeated; the next one follows.

use contracts::{LatestRecord, ReadingRecord};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, ThreadedProducer};

use crate::kafka::{Clients, Context};

/// Writes the latest readings.
pub struct Latest {
    producer: ThreadedProducer<Context>,
    topic: String,
}

impl Latest {
    /// Connects when the first value comes.
    pub fn new(clients: &Clients) -> Result<Self, KafkaError> {
        let producer = clients.plain().create_with_context(Context)?;
        Ok(Self { producer, topic: clients.topic(&contracts::topics::LATEST) })
    }

    /// Queues a value for its meter's partition; false if the queue is full.
    pub fn publish(&self, partition: i32, reading: ReadingRecord) -> bool {
        let key = reading.meter.to_string();
        let Ok(value) = serde_json::to_vec(&LatestRecord(reading)) else { return false };
        self.producer.send(BaseRecord::to(&self.topic).partition(partition).key(&key).payload(&value)).is_ok()
    }
}
