//! What happens to meters, and the one queue that it comes through.

use std::time::Instant;

use edge_core::condition::Measured;
use edge_core::edge::NoData;
use edge_core::keypad::Key;
use edge_core::{Registers, Sample};
use measure::Channel;
use tokio::sync::mpsc;

use crate::link::LinkEvent;

/// Inputs that wait for the next turn at most.
pub const QUEUE_INPUTS: usize = 1024;

/// Something that happened to one meter.
#[derive(Debug)]
pub struct Input {
    pub(crate) meter: usize,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug)]
pub enum What {
    /// A channel was polled.
    Sample {
        /// When.
        at: Instant,
        /// Which.
        channel: Channel,
        /// What came of it.
        result: Result<Sample, NoData>,
    },
    /// The registers of a channel were read whose meter shows nothing else.
    Registers {
        /// When.
        at: Instant,
        /// Which.
        channel: Channel,
        /// What they show.
        registers: Registers,
    },
    /// The meter's own condition was measured, and is another one.
    Condition(Measured),
    /// A key of its keypad was pressed.
    Key(Key),
    /// Something about the connection.
    Link(LinkEvent),
}

/// Where one meter's inputs go.
#[derive(Clone, Debug)]
pub struct Inbox {
    meter: usize,
    sender: mpsc::Sender<Input>,
}

impl Inbox {
    pub(crate) const fn new(meter: usize, sender: mpsc::Sender<Input>) -> Self {
        Self { meter, sender }
    }

    /// Waits for room. After the owner has stopped, inputs are nobody's business any more.
    pub async fn tell(&self, what: What) {
        let _ = self.sender.send(Input { meter: self.meter, what }).await;
    }

    /// Whether there was room.
    pub fn try_tell(&self, what: What) -> bool {
        self.sender.try_send(Input { meter: self.meter, what }).is_ok()
    }
}
