//! The broker: a gate in front of an embedded MQTT router. Each meter speaks only as itself.
//!
//! Clients speak MQTT 3.1.1 over TLS with a certificate of their own, operators over WebSocket too; nothing else is listened to. [`start`] runs a broker on the
//! caller's runtime; the program of the same name does that with a configuration file.
//!
//! What a client may rely on: a PUBACK means that the gate has taken the message for the router, no more. Nothing survives a restart, no session is
//! kept between connections (`clean_session = 0` is accepted and answered with "no session present"), a slow reader loses the oldest
//! messages. The delivery contract of Ferraris is made for that: only the commit in Kafka counts.
//!
//! Absent on purpose: a listener without TLS, user names, shared subscriptions, last wills, QoS 2, persistence.

mod admin;
pub mod config;
mod error;
mod flow;
pub mod gate;
mod metrics;
mod presence;
pub mod reason;
mod revocation;
mod router;
mod running;
mod sync;
mod vitals;

pub use config::Config;
pub use error::{ConfigError, StartError, TlsError};
pub use presence::{Presence, State};
pub use running::{Running, start};
