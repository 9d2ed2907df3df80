//! A link to the router, with rumqttd's conditions kept: acknowledgements in order, `ready` after each `Unschedule` and at no other
//! time, nothing after the end.

use std::time::Instant;

use bytes::Bytes;
use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PubAck, PubAckReason, Publish, QoS, RetainForwardRule, Subscribe, Unsubscribe,
};

use super::outlet::Outlet;
use super::{Gone, Parcel, Slot, Taken};

/// The two ends of a new link.
pub(super) type Parts = (LinkTx, LinkRx);

/// Notifications handed on at once.
const BATCH_MAX: usize = 256;
/// rumqttd numbers the messages of QoS 1 on a link 1 to 100, round and round.
const PKID_MAX: u16 = 100;
/// So many messages are acknowledged together: each time wakes the router, which sends 100 without.
const UNACKNOWLEDGED_MAX: u16 = PKID_MAX / 2;

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
        self.outlet.push([Packet::Subscribe(Subscribe { pkid: 1, filters }, None)])
    }

    /// Takes subscriptions back; messages on their way may still come.
    pub(crate) fn unsubscribe(&mut self, filters: Vec<String>) -> Result<(), Gone> {
        self.outlet.push([Packet::Unsubscribe(Unsubscribe { pkid: 1, filters }, None)])
    }

    /// Publishes, with the next [`Link::release`] or before.
    pub(crate) fn publish(&mut self, parcel: &Parcel) -> Result<Taken, Gone> {
        self.outlet.hold(parcel)
    }

    /// Hands over what was published.
    pub(crate) fn release(&mut self) -> Result<(), Gone> {
        self.outlet.release()
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
        if self.unacknowledged >= UNACKNOWLEDGED_MAX {
            self.acknowledge()?;
        }
        if std::mem::take(&mut self.unscheduled) {
            self.rx.ready().map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// The window of 100 bounds them.
    fn acknowledge(&mut self) -> Result<(), Gone> {
        let oldest = self.last_pkid.saturating_add(PKID_MAX).saturating_sub(self.unacknowledged);
        let acknowledgements = (0..std::mem::take(&mut self.unacknowledged)).map(|number| {
            let pkid = oldest.saturating_add(number).checked_rem(PKID_MAX).unwrap_or(0).saturating_add(1);
            Packet::PubAck(PubAck { pkid, reason: PubAckReason::Success }, None)
        });
        self.outlet.push(acknowledgements)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let end = Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection };
        // A router that is gone needs no goodbye.
        let _ = self.outlet.push([Packet::Disconnect(end, None)]);
    }
}
