//! What tests start: the real Kafka, Flink, PostgreSQL, Mosquitto, HAProxy, certificates, a proxy that breaks connections. For tests and benches only.
//!
//! Everything listens on a free port of 127.0.0.1, keeps its data in a directory of its own and is gone when its value is dropped, or when
//! the process that started it dies in whatever way. So tests run beside each other and leave nothing behind.

pub mod broker;
pub mod credentials;
pub mod flink;
pub mod haproxy;
pub mod kafka;
pub mod mosquitto;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod wait;

mod jars;

pub use broker::Broker;
pub use credentials::{Credentials, Identity};
pub use haproxy::Haproxy;
pub use kafka::{Kafka, KafkaHandle};
pub use mosquitto::Mosquitto;
pub use postgres::Postgres;
pub use proxy::{Fault, Proxy};
pub use wait::await_until;
