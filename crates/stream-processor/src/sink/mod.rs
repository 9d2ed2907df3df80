//! Where records go on from their topics: [`postgres`] for queries, [`avro`] for whoever reads that, [`webhook`] for who is on duty.
//!
//! A sink is a consumer group of its own, whose members share the partitions. It takes committed records in the order of their offsets,
//! and what it has taken is known to have arrived before it is counted as taken. A sink whose other end is away waits and tries again
//! ([`backoff`]) as long as it takes; nothing else waits for it, and Kafka keeps the records meanwhile. All of it is off by default.

pub mod avro;
pub mod http;
pub mod log;
pub mod metrics;
pub mod postgres;
pub mod webhook;

mod backoff;
mod source;
