//! The broker over real TLS sockets: what passes, what is refused, what survives.

mod messages;
mod support;
