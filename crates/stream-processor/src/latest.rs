//! `meter.latest.v1`: derived from committed readings, outside their transaction. Values may be missed or repeated; the next one follows.

use std::time::Duration;

use contracts::{LatestRecord, ReadingRecord};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use crate::kafka::{Clients, Context};

/// Longest wait at the end.
const FLUSH: Duration = Duration::from_secs(1);

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

    /// Waits a moment for what is queued; what is not delivered by then is given up.
    pub fn flush(&self) {
        if let Err(error) = self.producer.flush(FLUSH) {
            tracing::debug!(%error, "latest readings not delivered");
        }
    }

    /// Queues a value for its meter's partition, whatever its key; false if the queue is full.
    pub fn publish(&self, partition: i32, reading: ReadingRecord) -> bool {
        let record = LatestRecord(reading);
        let key = record.key();
        let Ok(value) = serde_json::to_vec(&record) else { return false };
        self.producer.send(BaseRecord::to(&self.topic).partition(partition).key(&key).payload(&value)).is_ok()
    }
}
