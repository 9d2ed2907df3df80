//! From MQTT to Kafka, exactly once.
