//! A link to the router: shards, and what goes through rumqttd with that one's conditions kept: acknowledgements in order, `ready` after
//! each `Unschedule` and at no other time, nothing after the end.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PubAck, PubAckReason, Publish, QoS, RetainForwardRule, Subscribe, Unsubscribe,
};
use wire::topic::Shard;

use super::outlet::Outlet;
use super::shards::Reader;
use super::{Feed, Gone, Parcel, Slot, Taken, feed, parcel};

/// The two ends of a new link of rumqttd's.
pub(super) type Parts = (LinkTx, LinkRx);

/// Messages handed on at once.
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
    frames: Reader,
    /// Subscriptions that were not confirmed, oldest first: whether rumqttd has to.
    unconfirmed: VecDeque<bool>,
    /// Number of the newest message of QoS 1, and how many are not acknowledged.
    last_pkid: u16,
    unacknowledged: u16,
    unscheduled: bool,
    /// Given back after the link was ended.
    _slot: Option<Slot>,
}

impl Link {
    pub(super) fn new((tx, rx): Parts, frames: Reader, slot: Option<Slot>) -> Self {
        let outlet = Outlet::new(tx);
        Self { outlet, rx, frames, unconfirmed: VecDeque::new(), last_pkid: 0, unacknowledged: 0, unscheduled: false, _slot: slot }
    }

    /// Subscribes to feeds; [`Event::Subscribed`] tells when all are in force, in the order of such calls.
    pub(crate) fn subscribe(&mut self, feeds: impl IntoIterator<Item = Feed>) -> Result<(), Gone> {
        let names = self.split(feeds, Reader::join);
        self.unconfirmed.push_back(!names.is_empty());
        // The router waits for `done` after 100 messages.
        self.ask(names, QoS::AtLeastOnce)
    }

    /// Subscribes one of the gate's own links. The router waits after 200 messages.
    pub(crate) fn subscribe_to(&mut self, name: &'static str) -> Result<(), Gone> {
        self.unconfirmed.push_back(true);
        self.ask(vec![name], QoS::AtMostOnce)
    }

    fn ask(&mut self, names: Vec<&'static str>, qos: QoS) -> Result<(), Gone> {
        if names.is_empty() {
            return Ok(());
        }
        let filter = |name: &str| Filter {
            path: name.to_owned(),
            qos,
            nolocal: false,
            preserve_retain: false,
            retain_forward_rule: RetainForwardRule::Never,
        };
        let filters = names.into_iter().map(filter).collect();
        self.outlet.push([Packet::Subscribe(Subscribe { pkid: 1, filters }, None)])
    }

    /// Takes subscriptions back; messages on their way may still come.
    pub(crate) fn unsubscribe(&mut self, feeds: impl IntoIterator<Item = Feed>) -> Result<(), Gone> {
        let filters: Vec<String> = self.split(feeds, Reader::leave).into_iter().map(str::to_owned).collect();
        if filters.is_empty() {
            return Ok(());
        }
        self.outlet.push([Packet::Unsubscribe(Unsubscribe { pkid: 1, filters }, None)])
    }

    /// Does `with_shard` to the shards, and returns rumqttd's names of the others.
    fn split(&mut self, feeds: impl IntoIterator<Item = Feed>, with_shard: fn(&mut Reader, Shard)) -> Vec<&'static str> {
        let mut names = Vec::new();
        for feed in feeds {
            match feed {
                Feed::Up(shard) => with_shard(&mut self.frames, shard),
                Feed::State => names.push(feed::STATE),
                Feed::Live => names.push(feed::LIVE),
                Feed::Alert => names.push(feed::ALERT),
            }
        }
        names
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
        self.confirm(batch);
        if batch.is_empty() {
            tokio::select! {
                () = self.frames.told() => {}
                first = self.rx.next() => self.take(first.map_err(|_| Gone)?, batch),
            }
        }
        self.frames.read(batch, BATCH_MAX);
        while batch.len() < BATCH_MAX {
            match self.rx.recv_deadline(Instant::now()) {
                Ok(notification) => self.take(notification, batch),
                // Nothing more there now; had the router gone, the next call would say so.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Subscriptions that wait for nothing but older ones.
    fn confirm(&mut self, batch: &mut Vec<Event>) {
        while self.unconfirmed.pop_front_if(|by_router| !*by_router).is_some() {
            batch.push(Event::Subscribed);
        }
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
                batch.extend(parcel::open(content).map(|(topic, payload)| Event::Message(Message { topic, payload, place })));
            }
            Some(Notification::Unschedule) => self.unscheduled = true,
            Some(other) => {
                if let Some(Packet::SubAck(..)) = other.into() {
                    self.unconfirmed.pop_front();
                    batch.push(Event::Subscribed);
                    self.confirm(batch);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::config;
    use crate::router::Router;

    const UP: [Feed; 2] = [Feed::Up(Shard::new(3).unwrap()), Feed::Up(Shard::new(4).unwrap())];

    #[tokio::test]
    async fn shards_are_in_force_at_once_but_confirmed_in_order() {
        let parts = tokio::task::spawn_blocking(|| {
            let router = Router::start(&config::Router::default(), 1).unwrap();
            let link = router.own_link("reader").unwrap();
            (router, link)
        });
        let (router, mut link) = parts.await.unwrap();
        let mut batch = Vec::new();
        link.subscribe([UP[0]]).unwrap();
        link.confirm(&mut batch);
        assert!(matches!(batch.as_slice(), [Event::Subscribed]), "{batch:?}");

        batch.clear();
        link.subscribe([Feed::Alert]).unwrap();
        link.subscribe([UP[1]]).unwrap();
        link.confirm(&mut batch);
        assert!(batch.is_empty(), "the older one waits for rumqttd: {batch:?}");
        router.frame(Shard::new(4).unwrap(), "f1/04/m/up", b"frame").unwrap();
        let (mut confirmed, mut frames) = (0, 0);
        while (confirmed, frames) != (2, 1) {
            timeout(Duration::from_secs(20), link.next(&mut batch)).await.expect("nothing came").unwrap();
            for event in batch.drain(..) {
                match event {
                    Event::Subscribed => confirmed += 1,
                    Event::Message(message) => frames += i32::from(message.payload == "frame" && message.place == Some(0)),
                }
            }
        }
        link.unsubscribe(UP).unwrap();
        router.frame(Shard::new(4).unwrap(), "f1/04/m/up", b"frame").unwrap();
        assert!(timeout(Duration::from_millis(50), link.next(&mut batch)).await.is_err(), "it has left: {batch:?}");
    }
}
