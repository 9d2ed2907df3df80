//! The broker over real TLS sockets: what passes, what is refused, what survives.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code: what is not there fails the test"
)]

mod attacks;
mod flow;
mod foreign_clients;
mod hostile_inputs;
mod identity;
mod lifecycle;
mod limits;
mod messages;
mod presence;
mod program;
mod revocation;
mod sessions;
mod support;
mod tls;
mod vitals;
mod websocket;
