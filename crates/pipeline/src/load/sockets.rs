//! The meters' sockets, waited for together.

use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::connection::Connection;

/// Longest sleep, and how often is looked whether a meter must go back.
pub const TICK_US: i64 = 50_000;
/// Without any acknowledgement for so long the rest is given up.
pub const GIVE_UP_US: i64 = 60_000_000;

/// All sockets, by the number of their meter.
pub struct Sockets {
    poll: Poll,
    events: Events,
}

/// A socket that is ready for something.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Of which meter.
    pub number: usize,
    /// What waits can be sent.
    pub writable: bool,
    /// Something came.
    pub readable: bool,
}

impl Sockets {
    pub fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(4096) })
    }

    pub fn add(&self, number: usize, connection: &mut Connection) -> io::Result<()> {
        self.poll.registry().register(&mut connection.socket, Token(number), Interest::READABLE | Interest::WRITABLE)
    }

    /// Sleeps for this long, or until sockets are ready.
    pub fn wait(&mut self, sleep_us: i64) -> io::Result<impl Iterator<Item = Ready>> {
        // The kernel counts in ms: what is due within one goes together.
        let sleep = Duration::from_micros(sleep_us.clamp(1_000, TICK_US).unsigned_abs());
        if let Err(error) = self.poll.poll(&mut self.events, Some(sleep))
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error);
        }
        let ready = |it: &mio::event::Event| Ready { number: it.token().0, writable: it.is_writable(), readable: it.is_readable() };
        Ok(self.events.iter().map(ready))
    }
}
