//! The router: meters' frames in logs of the gate's own ([`shards`]), and rumqttd without any of its listeners for all else, behind links
//! that only the gate holds.
//!
//! What is known of rumqttd 0.20.0 and kept away from it here: a topic that doesn't begin with ASCII, an acknowledgement out of order,
//! a link name with wildcards, a shared subscription, and a `ready` for a link that is gone each end its thread, and with it the
//! broker. It sees no topic of a client's: messages go through it as a [`Parcel`]. Acknowledgements, names and `ready` are made in [`link`],
//! events in [`outlet`].
//!
//! Its thread can't be stopped: a stopped broker leaves it waiting, with its logs (bounded by the configuration). rumqttd offers no
//! other way; a process that ends takes it along.

pub(crate) mod feed;
mod link;
mod outlet;
mod parcel;
mod shards;
mod uplink;

pub(crate) use feed::Feed;
pub(crate) use link::{Event, Link, Message};
pub(crate) use parcel::Parcel;

use std::sync::{Arc, Mutex};

use rumqttd::RouterConfig;
use rumqttd::local::LinkBuilder;
use tokio_util::sync::CancellationToken;
use wire::topic::Shard;

use crate::config;
use crate::sync::lock;
use link::Parts;
use outlet::Outlet;
use shards::{Reader, Shards};
use uplink::Uplink;

/// The router's thread is gone, or it refused a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message router is gone")]
pub(crate) struct Gone;

/// Whether the router took a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Taken {
    /// It did.
    Yes,
    /// It has not caught up with what it was handed before: try again in a moment.
    Busy,
}

/// Links that don't belong to a client: for presence, for acknowledgements and for commands.
const OWN_LINKS: usize = 3;

type MakeLink = Box<dyn Fn(&str) -> Result<Parts, Gone> + Send + Sync>;

/// The router and the links that all sessions share.
pub(crate) struct Router {
    make: MakeLink,
    shards: Arc<Shards>,
    uplink: Uplink,
    slots: Arc<Slots>,
}

impl Router {
    /// Starts the router's thread. Blocks until its links are up: not for an async context.
    pub(crate) fn start(settings: &config::Router, clients: usize) -> Result<Self, Gone> {
        let links = clients.saturating_add(OWN_LINKS);
        // The logs begin with the router, so that a message's place in its log is the count of messages before it.
        let filters = [feed::STATE, feed::LIVE, feed::ALERT].map(str::to_owned).to_vec();
        let sender = rumqttd::Router::new(
            0,
            RouterConfig {
                max_connections: links,
                max_outgoing_packet_count: 200,
                max_segment_size: settings.segment_bytes,
                max_segment_count: settings.segments,
                initialized_filters: Some(filters),
                ..RouterConfig::default()
            },
        )
        .spawn();
        let make: MakeLink = Box::new(move |name| {
            let (tx, rx, _) = LinkBuilder::new(name, sender.clone()).clean_session(true).build().map_err(|_| Gone)?;
            Ok((tx, rx))
        });
        let shards = Arc::new(Shards::new(settings.segment_bytes.saturating_mul(settings.segments)));
        let uplink = Uplink::new(Outlet::new(make("up")?.0), shards.clone());
        Ok(Self { make, shards, uplink, slots: Arc::new(Slots(Mutex::new((0..clients).rev().collect()))) })
    }

    /// A link of the gate's own. Blocks; names must differ.
    pub(crate) fn own_link(&self, name: &str) -> Result<Link, Gone> {
        Ok(Link::new((self.make)(name)?, Reader::new(self.shards.clone()), None))
    }

    /// A place for a service's or operator's link, if there is one left.
    pub(crate) fn slot(&self) -> Option<Slot> {
        let number = lock(&self.slots.0).pop()?;
        Some(Slot { number, slots: self.slots.clone() })
    }

    /// A link in that place. Blocks.
    pub(crate) fn client_link(&self, slot: Slot) -> Result<Link, Gone> {
        // Names are used again: rumqttd keeps something of each name for ever.
        let parts = (self.make)(&format!("client-{}", slot.number))?;
        Ok(Link::new(parts, Reader::new(self.shards.clone()), Some(slot)))
    }

    /// Takes a meter's frame.
    pub(crate) fn frame(&self, shard: Shard, topic: &str, payload: &[u8]) -> Result<(), Gone> {
        self.uplink.frame(shard, parcel::pack(topic, payload))
    }

    /// Takes a message on the link that all meters share, and keeps the order of what is published there.
    pub(crate) fn publish(&self, parcel: &Parcel) -> Result<Taken, Gone> {
        self.uplink.publish(parcel)
    }

    /// Hands over frames and messages that it took: before all that any link hands over from now on.
    pub(crate) fn release(&self) -> Result<(), Gone> {
        self.uplink.release()
    }

    /// Lets them collect, until `stop`.
    pub(crate) async fn collect(&self, stop: &CancellationToken) {
        self.uplink.serve(stop).await;
    }
}

/// Free places for clients' links, as a stack of numbers.
struct Slots(Mutex<Vec<usize>>);

/// A place for a client's link; given back when dropped.
pub(crate) struct Slot {
    number: usize,
    slots: Arc<Slots>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.slots.0).push(self.number);
    }
}
