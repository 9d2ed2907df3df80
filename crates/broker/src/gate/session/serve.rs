//! From CONNACK to the end: waits for what happens next and deals with it.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use wire::topic::Shard;

use super::{End, Open, Session, Side};
use crate::flow::Flow;
use crate::gate::identity::Role;
use crate::gate::inbox::{Cut, Post};
use crate::gate::stream;
use crate::presence::Presence;
use crate::router::Gone;

/// What happens to a session.
enum Action {
    Order(Result<Post, Cut>),
    Router(Result<(), Gone>),
    Read(std::io::Result<usize>),
    CaughtUp,
    Timer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// From CONNACK to the end.
    pub(super) async fn serve(&mut self, mut open: Open) -> End {
        let gate = self.gate.clone();
        let sessions = gate.metrics.sessions(open.identity.role.name());
        sessions.inc();
        let is_meter = matches!(open.side, Side::Meter(_));
        if is_meter {
            gate.announce(&open.identity.name, Presence::Online, open.since, if open.contested { "contested" } else { "connected" });
        }
        let mut result = self.begin(&mut open).await;
        let end = loop {
            match result {
                Ok(()) => result = self.turn(&mut open).await,
                Err(end) => break end,
            }
        };
        if gate.table.leave(&open.identity, open.id) && is_meter {
            gate.announce(&open.identity.name, Presence::Offline, open.since, end.reason().label());
        }
        let role = open.identity.role;
        // Whoever sees that the session is gone finds its place free.
        drop(open);
        sessions.dec();
        if role != Role::Canary {
            gate.metrics.ended(end.reason());
        }
        if let End::Refused(refusal) = end {
            gate.metrics.refused(refusal.reason);
        }
        end
    }

    async fn turn(&mut self, open: &mut Open) -> Result<(), End> {
        if let Side::Client(client) = &mut open.side {
            client.release()?;
        }
        self.flush().await?;
        if let Side::Client(client) = &mut open.side {
            client.done()?;
        }
        let action = self.select(open).await;
        self.apply(action, open).await
    }

    async fn select(&mut self, open: &mut Open) -> Action {
        let held_back = if self.is_held_back(open) { open.side.shard() } else { None };
        let may_read = held_back.is_none() && self.slowed_until.is_none();
        let (flow, side) = (&self.gate.flow, &mut open.side);
        tokio::select! {
            order = self.inbox.next() => Action::Order(order),
            result = side.wait_for_router() => Action::Router(result),
            read = stream::read(&mut self.stream, &mut self.carry), if may_read => Action::Read(read),
            () = caught_up(flow, held_back), if held_back.is_some() => Action::CaughtUp,
            () = &mut open.timer => Action::Timer,
        }
    }

    /// Whether the meter's processor is too far behind. Once it is, the meter waits until that has caught up to half.
    pub(super) fn is_held_back(&mut self, open: &Open) -> bool {
        let behind = open.side.shard().is_some_and(|shard| self.held_back || self.gate.flow.is_behind(shard));
        if behind && !std::mem::replace(&mut self.held_back, true) {
            self.gate.metrics.held_back.inc();
        }
        behind
    }

    async fn apply(&mut self, action: Action, open: &mut Open) -> Result<(), End> {
        match action {
            Action::Order(Err(cut)) => Err(End::Cut(cut)),
            Action::Order(Ok(post)) => {
                self.down(open, post);
                Ok(())
            }
            Action::Router(result) => {
                result?;
                self.take_from_router(open).await
            }
            Action::Read(Ok(0) | Err(_)) => Err(End::Lost),
            Action::Read(Ok(_)) => self.packets(open).await,
            Action::CaughtUp => {
                self.held_back = false;
                self.was_deaf(Instant::now());
                // What was read before it had to wait.
                self.packets(open).await
            }
            Action::Timer => self.timer(open),
        }
    }
}

impl Side {
    /// A meter's.
    fn shard(&self) -> Option<Shard> {
        match self {
            Self::Meter(shard) => Some(*shard),
            Self::Canary | Self::Client(_) => None,
        }
    }

    /// Waits for the router, for ever if there is no link to it.
    async fn wait_for_router(&mut self) -> Result<(), Gone> {
        match self {
            Self::Meter(_) | Self::Canary => std::future::pending().await,
            Self::Client(client) => client.next().await,
        }
    }
}

async fn caught_up(flow: &Flow, shard: Option<Shard>) {
    match shard {
        Some(shard) => flow.caught_up(shard).await,
        None => std::future::pending().await,
    }
}
