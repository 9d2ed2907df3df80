//! Carries out the machine's steps, and what comes for the session from the other side.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::{End, Open, Session, Side};
use crate::gate::acl::{Destination, ECHO, Filter};
use crate::gate::client::Answer;
use crate::gate::dispatch;
use crate::gate::inbox::{Post, Way};
use crate::gate::machine::Step;
use crate::gate::packet::{self, Packet};
use crate::reason::Reason;
use crate::router::{Feed, Gone, Parcel, Taken, feed};

/// Pause until a message is offered again to a router that is busy.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// What waits for one client is sent in pieces of about so many bytes.
const PIECE: usize = 64 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// One packet.
    pub(super) async fn packet(&mut self, packet: Packet<'_>, open: &mut Open) -> Result<(), End> {
        match self.machine.handle(packet)? {
            Step::Deliver { destination, topic, payload, retain, pkid } => {
                self.deliver(destination, topic, payload, retain, open).await?;
                if let Some(pkid) = pkid {
                    packet::puback(&mut self.out, pkid);
                }
            }
            Step::Acknowledged(pkid) => match &mut open.side {
                Side::Client(client) => client.acknowledged(pkid),
                Side::Meter(_) | Side::Canary => self.gate.metrics.refused(Reason::PubackUnasked),
            },
            Step::Subscribe { pkid, codes, granted, refused } => {
                refused.into_iter().for_each(|reason| self.gate.metrics.refused(reason));
                self.subscribe(Answer { pkid, codes, granted }, open).await?;
            }
            Step::Unsubscribe { pkid, ended } => {
                if let (Side::Client(client), false) = (&mut open.side, ended.is_empty()) {
                    client.unsubscribe(&self.machine)?;
                }
                packet::unsuback(&mut self.out, pkid);
            }
            Step::Pong => packet::pingresp(&mut self.out),
            Step::Goodbye => return Err(End::Goodbye),
            // The machine welcomes once, before this.
            Step::Welcome { .. } => {}
        }
        Ok(())
    }

    /// Hands a message to the router, waiting while that is busy.
    async fn deliver(&mut self, to: Destination, topic: &str, payload: &[u8], retain: bool, open: &mut Open) -> Result<(), End> {
        if let (Destination::Live(account), true) = (&to, retain)
            && self.gate.values.set_live(account.clone(), Bytes::copy_from_slice(payload)).is_err()
        {
            self.gate.metrics.dropped(Reason::LiveFull, 1);
        }
        let (router, side) = (&self.gate.router, &mut open.side);
        match side {
            Side::Meter(shard) => {
                let feed = Feed::Up(*shard);
                // Counted before, because it may have arrived before this returns.
                self.gate.flow.passed(feed);
                router.frame(*shard, topic, payload)?;
                self.gate.metrics.frames.inc();
                self.gate.metrics.frame_bytes.inc_by(u64::try_from(payload.len()).unwrap_or(0));
            }
            Side::Canary => {
                let parcel = Parcel::new(feed::DOWN, ECHO, payload);
                self.hand_over(None, || router.publish(&parcel)).await?;
            }
            Side::Client(client) => {
                self.gate.metrics.published.inc();
                let (feed, name) = match &to {
                    Destination::Acks(shard) => {
                        dispatch::acks(&self.gate, *shard, payload);
                        return Ok(());
                    }
                    Destination::State(meter) => {
                        self.gate.moved(meter, payload);
                        return Ok(());
                    }
                    Destination::Live(_) => (Some(Feed::Live), feed::LIVE),
                    Destination::Alert => (Some(Feed::Alert), feed::ALERT),
                    Destination::Command => (None, feed::COMMAND),
                    Destination::Up | Destination::Down | Destination::Echo => (None, feed::DOWN),
                };
                let parcel = Parcel::new(name, topic, payload);
                self.hand_over(feed, || client.publish(&parcel)).await?;
            }
        }
        Ok(())
    }

    /// Offers a message to the router until it takes it. It is counted before, because it may have arrived before this returns.
    async fn hand_over(&self, feed: Option<Feed>, mut offer: impl FnMut() -> Result<Taken, Gone>) -> Result<(), End> {
        if let Some(feed) = feed {
            self.gate.flow.passed(feed);
        }
        let result = loop {
            match offer() {
                Ok(Taken::Yes) => break Ok(()),
                Ok(Taken::Busy) => {}
                Err(gone) => break Err(gone.into()),
            }
            if let Err(end) = self.pause().await {
                break Err(end);
            }
        };
        if let (Err(_), Some(feed)) = (&result, feed) {
            self.gate.flow.withdrawn(feed);
        }
        result
    }

    async fn subscribe(&mut self, answer: Answer, open: &mut Open) -> Result<(), End> {
        let now = match &mut open.side {
            Side::Meter(_) | Side::Canary => Some(answer),
            Side::Client(client) => client.subscribe(answer)?,
        };
        match now {
            Some(Answer { pkid, codes, granted }) => {
                packet::suback(&mut self.out, pkid, &codes);
                self.replay(&granted).await
            }
            None => Ok(()),
        }
    }

    /// The last values of filters, in pieces: there may be more of them than should be in memory twice.
    async fn replay(&mut self, filters: &[Filter]) -> Result<(), End> {
        for filter in filters {
            let mut last = None;
            while let Some(page) = self.gate.values.page(filter, last.as_ref()) {
                for (topic, value) in &page.values {
                    packet::publish(&mut self.out, topic.as_bytes(), value, None, true);
                    self.flush_piece().await?;
                }
                last = Some(page.last);
            }
        }
        Ok(())
    }

    /// Sends what waits if it is a piece already. Whoever reads slowly must not outlive an order to end by that.
    async fn flush_piece(&mut self) -> Result<(), End> {
        if self.out.len() < PIECE {
            return Ok(());
        }
        if let Some(cut) = self.inbox.ordered() {
            return Err(End::Cut(cut));
        }
        self.flush().await
    }

    /// What the router has sent.
    pub(super) async fn take_from_router(&mut self, open: &mut Open) -> Result<(), End> {
        let Side::Client(client) = &mut open.side else { return Ok(()) };
        loop {
            let (due, more) = client.write(&self.machine, &mut self.out, PIECE);
            self.replay(&due).await?;
            if !more {
                return Ok(());
            }
            self.flush_piece().await?;
        }
    }

    /// What is for a meter.
    pub(super) fn down(&mut self, open: &Open, post: Post) {
        let shard = match &open.side {
            Side::Meter(shard) => shard,
            Side::Canary => {
                return post.messages().for_each(|(_, payload)| packet::publish(&mut self.out, ECHO.as_bytes(), payload, None, false));
            }
            Side::Client(_) => return,
        };
        for (way, payload) in post.messages() {
            let (filter, leaf) = match way {
                Way::Down => (Filter::OwnDown, "dn"),
                Way::Command => (Filter::OwnCommand, "cmd"),
            };
            if self.machine.has(&filter) {
                let topic = format!("f1/{shard}/{}/{leaf}", open.identity.name);
                packet::publish(&mut self.out, topic.as_bytes(), payload, None, false);
            } else {
                self.gate.metrics.dropped(Reason::NotSubscribed, 1);
            }
        }
        self.post = Some(post);
    }

    /// The router's time. One that never takes anything again must not keep the session from ending.
    async fn pause(&self) -> Result<(), End> {
        if let Some(cut) = self.inbox.ordered() {
            return Err(End::Cut(cut));
        }
        sleep(BUSY_PAUSE).await;
        Ok(())
    }
}
