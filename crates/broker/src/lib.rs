//! The gate in front of an embedded MQTT router: each meter speaks only as itself.
