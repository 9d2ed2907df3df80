//! From MQTT to Kafka, exactly once.
pub mod shard;
