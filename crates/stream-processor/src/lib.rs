//! From MQTT to Kafka, exactly once.
//!
//! One way through, room by room: a [`link`] takes frames off MQTT and puts them into the queue of their partition ([`routes`]); the
//! partition's [`worker`], which [`ownership`] started when Kafka's consumer group assigned the partition, asks the pure machine of
//! [`shard`] what is new, writes it with the ledger in one [`transaction`], and only then
//! acknowledges ([`acks`], [`links`]). What operators see ([`live`],
//! [`latest`]) comes after the commit.
//!
//! What follows from the readings is derived by further groups: [`interval`] and [`quality`] by [`derive`](mod@derive), which passes on what
//! belongs to a feeder ([`grid`]); [`balance`], [`outage`] and [`alert`] by [`analytics`]. Where it goes on to from Kafka is a matter of
//! [`sink`]. The other way go [`commands`].
//!
//! Nothing is kept on disk: [`ledger`] brings everything back from Kafka. Memory is bounded everywhere, and what does not fit is dropped
//! and counted ([`metrics`]), because the meters send again whatever was not acknowledged.

pub mod acks;
pub mod alert;
pub mod analytics;
pub mod balance;
pub mod clock;
pub mod commands;
pub mod config;
pub mod derive;
pub mod gasp;
pub mod grid;
pub mod http;
pub mod interval;
pub mod kafka;
pub mod latest;
pub mod ledger;
pub mod link;
pub mod links;
pub mod live;
pub mod metrics;
pub mod observer;
pub mod outage;
pub mod ownership;
pub mod quality;
pub mod records;
pub mod routes;
pub mod shard;
pub mod sink;
pub mod tls;
pub mod topics;
pub mod transaction;
pub mod worker;

mod running;

pub use config::{Config, ConfigError};
pub use observer::{Nobody, Observer, Phase};
pub use running::{Running, StartError, run, start};
