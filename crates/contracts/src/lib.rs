//! Records, schemas and golden examples of the Kafka topics.
