//! The sending end of a link. To wake the router costs more than to hand it a message, so messages may be held until there are more.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rumqttd::local::LinkTx;
use rumqttd::protocol::{Packet, Publish};

use super::{Gone, Parcel, Taken};

/// Packets that may wait for the router on a link, and their bytes.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Messages that are held at most, and about so many bytes.
const HELD_MAX: usize = 64;
const HELD_BYTES_MAX: usize = 64 * 1024;

/// The sending end of a link.
pub(super) struct Outlet {
    tx: LinkTx,
    /// Not handed over yet: all older than what comes next.
    held: VecDeque<Packet>,
    held_bytes: usize,
    /// Bytes of messages handed over since nothing waited.
    waiting_bytes: usize,
}

impl Outlet {
    /// Of a link.
    pub(super) fn new(tx: LinkTx) -> Self {
        Self { tx, held: VecDeque::new(), held_bytes: 0, waiting_bytes: 0 }
    }

    /// Takes a message if not too much waits already, and holds it until [`Outlet::release`], or until more than a few are held.
    pub(super) fn hold(&mut self, parcel: &Parcel) -> Result<Taken, Gone> {
        let waiting = self.tx.buffer().len();
        if waiting == 0 {
            self.waiting_bytes = 0;
        }
        if waiting >= WAITING_MAX || self.waiting_bytes >= WAITING_BYTES_MAX {
            return Ok(Taken::Busy);
        }
        self.held_bytes = self.held_bytes.saturating_add(parcel.content.len());
        self.held.push_back(Packet::Publish(Publish::new(Bytes::from_static(parcel.feed.as_bytes()), parcel.content.clone(), false), None));
        if self.held.len() >= HELD_MAX || self.held_bytes >= HELD_BYTES_MAX {
            self.release()?;
        }
        Ok(Taken::Yes)
    }

    /// Hands packets over, behind what is held and however much waits: for those whose number is bounded.
    pub(super) fn push(&mut self, packets: impl IntoIterator<Item = Packet>) -> Result<(), Gone> {
        self.held.extend(packets);
        self.release()
    }

    /// Hands over what is held. The router takes all that waits at one event, so only one packet needs one, and that only if none waits.
    pub(super) fn release(&mut self) -> Result<(), Gone> {
        let Some(last) = self.held.pop_back() else { return Ok(()) };
        self.waiting_bytes = self.waiting_bytes.saturating_add(std::mem::take(&mut self.held_bytes));
        {
            let mut waiting = self.tx.buffer();
            let has_event = !waiting.is_empty();
            waiting.append(&mut self.held);
            if has_event {
                waiting.push_back(last);
                return Ok(());
            }
        }
        // No other thread adds in between: pushing needs `&mut self`, and the router only takes.
        self.send(last)
    }

    /// `LinkTx::send` is async in name only: it never waits, so one poll completes it.
    fn send(&mut self, packet: Packet) -> Result<(), Gone> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(self.tx.send(packet)).poll(&mut context) {
            Poll::Ready(Ok(_)) => Ok(()),
            Poll::Ready(Err(_)) | Poll::Pending => Err(Gone),
        }
    }
}
