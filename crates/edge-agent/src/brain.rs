//! One meter's brain and its way out.

use edge_core::clock::Now;
use edge_core::counters::Counters;
use edge_core::edge::Edge;
use edge_core::journal::Journal;
use tokio::sync::{mpsc, watch};

use crate::agent::Beginning;
use crate::clock::Clock;
use crate::input::What;
use crate::keypad::Pad;
use crate::link::LinkEvent;
use crate::relays::State;

/// See the module.
pub(crate) struct Brain {
    pub edge: Edge,
    pub frames: mpsc::Sender<Vec<u8>>,
    relays: watch::Sender<Vec<State>>,
    pad: Option<Pad>,
    pub connected: bool,
    /// Took part in the open transaction, or in one that failed.
    pub touched: bool,
    pub counted: Counters,
    latest_ms: u64,
}

impl Brain {
    /// Started in the open transaction.
    pub fn start<J: Journal>(beginning: Beginning, seed: [u8; 32], now: Now, journal: &mut J) -> Result<Self, J::Error> {
        let Beginning { config, frames, relays, pad } = beginning;
        let edge = Edge::start(config, seed, now, journal)?;
        let (counted, latest_ms) = (Counters::default(), now.monotonic_ms);
        Ok(Self { edge, frames, relays, pad, connected: false, touched: true, counted, latest_ms })
    }

    /// The brain's time never goes back, though samples may arrive in another order than they were taken.
    pub fn not_before(&mut self, now: Now) -> Now {
        self.touched = true;
        self.latest_ms = self.latest_ms.max(now.monotonic_ms);
        Now { monotonic_ms: self.latest_ms, ..now }
    }

    /// After a commit: relays and display follow what it holds.
    pub fn show(&mut self) {
        if let Some(pad) = &mut self.pad {
            pad.show();
        }
        let wanted: Vec<State> = self.edge.relays().map(|(channel, closed, light)| State { channel, closed, light }).collect();
        self.relays.send_if_modified(|told| {
            let changed = *told != wanted;
            *told = wanted;
            changed
        });
    }

    /// The transaction failed, and so did what was asked for at the keypad.
    pub fn take_back(&mut self) {
        if let Some(pad) = &mut self.pad {
            pad.take_back();
        }
    }

    /// Something happened to the meter.
    pub fn handle<J: Journal>(&mut self, what: What, now: Now, clock: &Clock, journal: &mut J) -> Result<(), J::Error> {
        if let Some(pad) = &mut self.pad {
            pad.handle_time(now);
        }
        match what {
            What::Key(key) => {
                let now = self.not_before(now);
                let Some(pad) = &mut self.pad else { return Ok(()) };
                pad.handle_key(key, now, &mut self.edge, journal)
            }
            What::Sample { at, channel, result } => {
                let then = self.not_before(clock.at(at));
                match result {
                    Ok(sample) => self.edge.handle_sample(then, journal, channel, &sample),
                    Err(cause) => self.edge.handle_no_data(then, journal, channel, cause),
                }
            }
            What::Registers { at, channel, registers } => {
                let then = self.not_before(clock.at(at));
                self.edge.handle_registers(then, journal, channel, &registers)
            }
            What::Condition(measured) => {
                let now = self.not_before(now);
                self.edge.handle_condition(now, journal, &measured)
            }
            What::Link(LinkEvent::Ack(ack)) => {
                let now = self.not_before(now);
                self.edge.handle_ack(now, journal, &ack)
            }
            What::Link(LinkEvent::Command(bytes)) => {
                let now = self.not_before(now);
                self.edge.handle_command(now, journal, &bytes)
            }
            What::Link(LinkEvent::Connected) => {
                (self.connected, self.touched) = (true, true);
                self.edge.handle_connected();
                Ok(())
            }
            What::Link(LinkEvent::Disconnected) => {
                (self.connected, self.touched) = (false, true);
                self.edge.handle_disconnected();
                Ok(())
            }
        }
    }
}
