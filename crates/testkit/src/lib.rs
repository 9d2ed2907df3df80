//! What tests start: broker, Kafka, Mosquitto, fault proxy.
