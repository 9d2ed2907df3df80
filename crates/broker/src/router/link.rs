//! A link to the router, with rumqttd's conditions kept: acknowledgements in order, `ready` after each `Unschedule` and at no other
//! time, nothing after the end.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PubAck, PubAckReason, Publish, QoS, RetainForwardRule, Subscribe, Unsubscribe,
};

use super::{Gone, Parcel, Slot, Taken};

/// The two ends of a new link.
pub(super) type Parts = (LinkTx, LinkRx);

/// Packets that may wait for the router on one link, and their bytes.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Notifications handed on at once.
const BATCH_MAX: usize = 256;
/// rumqttd numbers the messages of QoS 1 on a link 1 to 100, round and round.
const PKID_MAX: u16 = 100;

/// The sending end of a link.
pub(super) struct Outlet {
    tx: LinkTx,
    /// Bytes of messages handed over since nothing waited.
    waiting_bytes: usize,
}

impl Outlet {
    pub(super) fn new(tx: LinkTx) -> Self {
        Self { tx, waiting_bytes: 0 }
    }

    /// Hands a message over if not too much waits already.
    pub(super) fn publish(&mut self, parcel: &Parcel) -> Result<Taken, Gone> {
        let waiting = self.tx.buffer().len();
        if waiting == 0 {
            self.waiting_bytes = 0;
        }
        if waiting >= WAITING_MAX || self.waiting_bytes >= WAITING_BYTES_MAX {
            return Ok(Taken::Busy);
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(parcel.content.len());
        let publish = Publish::new(parcel.feed.clone(), parcel.content.clone(), false);
        self.push_always(Packet::Publish(publish, None)).map(|()| Taken::Yes)
    }

    /// Hands a packet over. The router takes all that waits at one event, so only the first packet that waits needs one.
    fn push_always(&mut self, packet: Packet) -> Result<(), Gone> {
        {
            let mut waiting = self.tx.buffer();
            if !waiting.is_empty() {
                waiting.push_back(packet);
                return Ok(());
            }
        }
        // No other thread adds in between: pushing needs `&mut self`, and the router only takes.
        self.send(packet)
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

/// What comes from the router.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message of a subscription.
    Message(Message),
    /// A subscription, the oldest that was not, is in force: every message that the router takes from now on is delivered.
    Subscribed,
}

/// A message of a subscription.
#[derive(Debug)]
pub(crate) struct Message {
    /// Where it was published.
    pub(crate) topic: Bytes,
    /// What was published.
    pub(crate) payload: Bytes,
    /// Its place in the log of its filter, from 0. A jump is what the router forgot.
    pub(crate) place: Option<u64>,
}

/// A link that subscribes, and publishes too.
pub(crate) struct Link {
    outlet: Outlet,
    rx: LinkRx,
    /// Number of the newest message of QoS 1, and how many are not acknowledged.
    last_pkid: u16,
    unacknowledged: u16,
    unscheduled: bool,
    /// Given back after the link was ended.
    _slot: Option<Slot>,
}

impl Link {
    pub(super) fn new((tx, rx): Parts, slot: Option<Slot>) -> Self {
        Self { outlet: Outlet::new(tx), rx, last_pkid: 0, unacknowledged: 0, unscheduled: false, _slot: slot }
    }

    /// Subscribes; [`Event::Subscribed`] tells when it is in force. With `paced` the router waits for [`Link::done`] after 100
    /// messages, else after 200.
    pub(crate) fn subscribe(&mut self, filters: impl IntoIterator<Item = String>, paced: bool) -> Result<(), Gone> {
        let qos = if paced { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let filter = |path| Filter { path, qos, nolocal: false, preserve_retain: false, retain_forward_rule: RetainForwardRule::Never };
        let filters = filters.into_iter().map(filter).collect();
        self.outlet.push_always(Packet::Subscribe(Subscribe { pkid: 1, filters }, None))
    }

    /// Takes subscriptions back; messages on their way may still come.
    pub(crate) fn unsubscribe(&mut self, filters: Vec<String>) -> Result<(), Gone> {
        self.outlet.push_always(Packet::Unsubscribe(Unsubscribe { pkid: 1, filters }, None))
    }

    /// Publishes.
    pub(crate) fn publish(&mut self, parcel: &Parcel) -> Result<Taken, Gone> {
        self.outlet.publish(parcel)
    }

    /// Waits until something has come and adds it to `batch`. May be dropped while it waits; nothing is lost then.
    pub(crate) async fn next(&mut self, batch: &mut Vec<Event>) -> Result<(), Gone> {
        let first = self.rx.next().await.map_err(|_| Gone)?;
        self.take(first, batch);
        while batch.len() < BATCH_MAX {
            match self.rx.recv_deadline(Instant::now()) {
                Ok(notification) => self.take(notification, batch),
                // Nothing more there now; had the router gone, the next call would say so.
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, notification: Option<Notification>, batch: &mut Vec<Event>) {
        match notification {
            Some(Notification::Forward(forward)) => {
                let Publish { topic: feed, payload: content, .. } = &forward.publish;
                // rumqttd doesn't show the QoS, but counts the two bytes of a packet identifier into the length.
                let bare = feed.len().saturating_add(content.len()).saturating_add(2);
                if forward.publish.len() > bare {
                    self.last_pkid = if self.last_pkid >= PKID_MAX { 1 } else { self.last_pkid.saturating_add(1) };
                    self.unacknowledged = self.unacknowledged.saturating_add(1);
                }
                let place = forward.cursor.map(|(_, place)| place);
                batch.extend(Parcel::open(content).map(|(topic, payload)| Event::Message(Message { topic, payload, place })));
            }
            Some(Notification::Unschedule) => self.unscheduled = true,
            Some(other) => {
                if let Some(Packet::SubAck(..)) = other.into() {
                    batch.push(Event::Subscribed);
                }
            }
            None => {}
        }
    }

    /// All that came was dealt with: the router may send more.
    pub(crate) fn done(&mut self) -> Result<(), Gone> {
        let oldest = self.last_pkid.saturating_add(PKID_MAX).saturating_sub(self.unacknowledged);
        for number in 0..std::mem::take(&mut self.unacknowledged) {
            let pkid = oldest.saturating_add(number).checked_rem(PKID_MAX).unwrap_or(0).saturating_add(1);
            // Acknowledgements are bounded by the window of 100, so they always go.
            let acknowledgement = Packet::PubAck(PubAck { pkid, reason: PubAckReason::Success }, None);
            self.outlet.push_always(acknowledgement)?;
        }
        if std::mem::take(&mut self.unscheduled) {
            self.rx.ready().map_err(|_| Gone)?;
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let end = Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection };
        // A router that is gone needs no goodbye.
        let _ = self.outlet.push_always(Packet::Disconnect(end, None));
    }
}
