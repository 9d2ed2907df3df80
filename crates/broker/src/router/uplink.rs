//! Where all meters' frames and presence come in. What comes close together goes on together.
//!
//! A frame comes alone, and to wake the processor's session for it, which writes a record of TLS, costs more than all the rest. So that is
//! told of it when no session has anything else to do, which on an idle broker is at once, and after a quarter of a millisecond at most.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::topic::Shard;

use super::outlet::Outlet;
use super::shards::Shards;
use super::{Gone, Parcel, Taken};
use crate::sync::lock;

/// Longest time for which a busy broker holds a message, or until it has done what was ready when the message came. Abusers keep it busy all
/// the time, so this is in the delay of every message beside them.
const HOLD: Duration = Duration::from_micros(250);

/// Where all meters' frames and presence come in.
pub(super) struct Uplink {
    shards: Arc<Shards>,
    content: Mutex<Content>,
    bell: Notify,
}

struct Content {
    outlet: Outlet,
    /// Messages taken since the start.
    taken: u64,
    /// Somebody comes for what is held.
    is_served: bool,
    /// That somebody was called and has not come yet.
    is_called: bool,
}

impl Uplink {
    /// Nothing is held before [`Uplink::serve`].
    pub(super) fn new(outlet: Outlet, shards: Arc<Shards>) -> Self {
        Self { shards, content: Mutex::new(Content { outlet, taken: 0, is_served: false, is_called: false }), bell: Notify::new() }
    }

    /// Takes a frame.
    pub(super) fn frame(&self, shard: Shard, frame: Bytes) -> Result<(), Gone> {
        self.shards.push(shard, frame);
        self.took(lock(&self.content))
    }

    /// Takes a message.
    pub(super) fn publish(&self, parcel: &Parcel) -> Result<Taken, Gone> {
        let mut content = lock(&self.content);
        let taken = content.outlet.hold(parcel)?;
        self.took(content)?;
        Ok(taken)
    }

    fn took(&self, mut content: MutexGuard<'_, Content>) -> Result<(), Gone> {
        content.taken = content.taken.wrapping_add(1);
        if !content.is_served {
            self.hand_over(content)?;
        } else if !std::mem::replace(&mut content.is_called, true) {
            drop(content);
            self.bell.notify_one();
        }
        Ok(())
    }

    fn hand_over(&self, mut content: MutexGuard<'_, Content>) -> Result<(), Gone> {
        content.outlet.release()?;
        drop(content);
        self.shards.ring();
        Ok(())
    }

    /// Hands over what is held, now.
    pub(super) fn release(&self) -> Result<(), Gone> {
        self.hand_over(lock(&self.content))
    }

    /// Hands over what is held, again and again, until `stop` or until the router is gone. Then nothing is held any more.
    pub(super) async fn serve(&self, stop: &CancellationToken) {
        let _served = Served::new(self);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.notified() => {}
            }
            self.wait_for_more().await;
            let mut content = lock(&self.content);
            content.is_called = false;
            if self.hand_over(content).is_err() {
                return;
            }
        }
    }

    /// Waits until the sessions that are ready have run, and those that became ready meanwhile, and so on until none brought anything.
    async fn wait_for_more(&self) {
        let begin = Instant::now();
        let mut before = lock(&self.content).taken;
        loop {
            // Who yields comes before those who have become ready meanwhile, so that it takes two to see what these bring.
            for _ in 0..2 {
                yield_now().await;
                if begin.elapsed() >= HOLD {
                    return;
                }
            }
            let taken = lock(&self.content).taken;
            if taken == before {
                return;
            }
            before = taken;
        }
    }

    fn set_served(&self, is_served: bool) {
        let mut content = lock(&self.content);
        content.is_served = is_served;
        // If the router is gone, whoever publishes next hears of it.
        let _ = self.hand_over(content);
    }
}

/// While somebody comes for what is held.
struct Served<'a>(&'a Uplink);

impl<'a> Served<'a> {
    fn new(uplink: &'a Uplink) -> Self {
        uplink.set_served(true);
        Self(uplink)
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.0.set_served(false);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::config;
    use crate::router::{Event, Feed, Link, Router, feed};

    /// More than the router sends without being acknowledged, and more than is held at once.
    const MESSAGES: u64 = 1000;

    async fn started() -> (Arc<Router>, Link) {
        let parts = tokio::task::spawn_blocking(|| {
            let router = Router::start(&config::Router::default(), 1).unwrap();
            let link = router.own_link("reader").unwrap();
            (Arc::new(router), link)
        });
        let (router, mut link) = parts.await.unwrap();
        link.subscribe([Feed::Alert]).unwrap();
        let mut batch = Vec::new();
        while batch.is_empty() {
            link.next(&mut batch).await.unwrap();
        }
        assert!(matches!(batch.as_slice(), [Event::Subscribed]));
        (router, link)
    }

    fn publish(router: &Router, number: u64) {
        let parcel = Parcel::new(feed::ALERT, "", &number.to_be_bytes());
        assert_eq!(router.publish(&parcel), Ok(Taken::Yes));
    }

    async fn hear(link: &mut Link, mut expected: std::ops::Range<u64>) {
        let mut batch = Vec::new();
        while !expected.is_empty() {
            timeout(Duration::from_secs(20), link.next(&mut batch)).await.expect("something stays where it is held").unwrap();
            for event in batch.drain(..) {
                let Event::Message(message) = event else { panic!("{event:?}") };
                assert_eq!(message.payload.as_ref(), expected.next().expect("no more than was published").to_be_bytes());
            }
            link.done().unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_held_arrives_in_order_and_a_lone_message_too() {
        let (router, mut link) = started().await;
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let (router, stop) = (router.clone(), stop.clone());
            async move { router.collect(&stop).await }
        });
        yield_now().await;
        publish(&router, 0);
        hear(&mut link, 0..1).await;
        (1..MESSAGES).for_each(|number| publish(&router, number));
        hear(&mut link, 1..MESSAGES).await;
        // On this one thread nobody comes between the message and the end.
        publish(&router, MESSAGES);
        stop.cancel();
        serving.await.unwrap();
        publish(&router, MESSAGES + 1);
        hear(&mut link, MESSAGES..MESSAGES + 2).await;
    }

    #[tokio::test]
    async fn nothing_is_held_for_nobody() {
        let (router, mut link) = started().await;
        publish(&router, 0);
        hear(&mut link, 0..1).await;
        let serving = tokio::spawn({
            let router = router.clone();
            async move { router.collect(&CancellationToken::new()).await }
        });
        yield_now().await;
        publish(&router, 1);
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        hear(&mut link, 1..2).await;
    }
}
