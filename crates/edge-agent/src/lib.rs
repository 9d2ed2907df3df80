//! The meters' service: reads devices, lets each meter's brain (`edge_core`) decide, keeps its rows in SQLite, and brings them to the
//! head-end over MQTT.
//!
//! ```text
//!  bus (a serial port, its owner) ──┐                                        ┌── link (one meter's MQTT connection) ── broker
//!  a chip (its own thread), bus …   ├─ inputs ──> agent (owner: brains, journal) ── frames ──> link …
//!  a caller's own samples ──────────┘                                        └── acknowledgements come back as inputs
//! ```
//!
//! Every arrow is a bounded queue. The owner never waits for a link or a bus; they wait for it.

pub mod ade7816;
pub mod agent;
mod brain;
pub mod bus;
pub mod calibration;
pub mod clock;
mod condition;
pub mod config;
mod health;
pub mod input;
pub mod journal_sqlite;
mod keypad;
pub mod link;
pub mod metrics;
pub mod optical;
mod options;
mod port;
pub mod probe;
pub mod push;
mod registers;
pub mod relays;
mod running;
mod start_error;
pub mod tls;

pub use agent::Drained;
pub use config::Config;
pub use journal_sqlite::Accepted;
pub use options::{Observation, Options};
pub use running::{Running, run, start};
pub use start_error::StartError;
