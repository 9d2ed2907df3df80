//! From CONNACK to the end: waits for what happens next and deals with it.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use wire::topic::Shard;

use super::{End, Open, Session, Side, far};
use crate::flow::Flow;
use crate::gate::inbox::{Cut, Way};
use crate::gate::stream;
use crate::presence::Presence;
use crate::router::Gone;

/// What happens to a session.
enum Action {
    Order(Result<VecDeque<(Way, Bytes)>, Cut>),
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
            gate.announce(&open.identity.name, Presence::Online, open.since, "connected");
        }
        let end = loop {
            if let Err(end) = self.turn(&mut open).await {
                break end;
            }
        };
        if gate.table.leave(&open.identity, open.id) && is_meter {
            gate.announce(&open.identity.name, Presence::Offline, open.since, end.reason().label());
        }
        sessions.dec();
        gate.metrics.ended(end.reason());
        if let End::Refused(refusal) = end {
            gate.metrics.refused(refusal.reason);
        }
        end
    }

    async fn turn(&mut self, open: &mut Open) -> Result<(), End> {
        // What came together with CONNECT, or what is left to be sent.
        self.packets(open).await?;
        self.flush().await?;
        if let Side::Client(client) = &mut open.side {
            client.done()?;
        }
        let action = self.select(open).await;
        self.apply(action, open).await
    }

    async fn select(&mut self, open: &mut Open) -> Action {
        let held_back = match &open.side {
            Side::Meter(meter) => Some(meter.shard).filter(|shard| self.held_back || self.gate.flow.is_behind(*shard)),
            Side::Client(_) => None,
        };
        if held_back.is_some() && !std::mem::replace(&mut self.held_back, true) {
            self.gate.metrics.held_back.inc();
        }
        let (flow, side) = (&self.gate.flow, &mut open.side);
        tokio::select! {
            order = self.inbox.next() => Action::Order(order),
            result = side.wait_for_router() => Action::Router(result),
            read = stream::read(&mut self.stream, &mut self.carry), if held_back.is_none() => Action::Read(read),
            () = caught_up(flow, held_back), if held_back.is_some() => Action::CaughtUp,
            () = &mut open.timer => Action::Timer,
        }
    }

    async fn apply(&mut self, action: Action, open: &mut Open) -> Result<(), End> {
        match action {
            Action::Order(Err(cut)) => Err(End::Cut(cut)),
            Action::Order(Ok(messages)) => {
                self.down(open, messages);
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
                // It could not be heard meanwhile.
                self.last_packet = Instant::now();
                Ok(())
            }
            Action::Timer => self.timer(open),
        }
    }

    fn timer(&mut self, open: &mut Open) -> Result<(), End> {
        let now = Instant::now();
        if now >= open.expires {
            return Err(End::Expired);
        }
        if self.held_back {
            self.last_packet = now;
        }
        // Set once for many packets: most of the time it finds that there was one since.
        let due = self.last_packet.checked_add(open.idle_max).unwrap_or_else(far);
        if now >= due {
            return Err(End::KeepAlive);
        }
        open.timer.as_mut().reset(due.min(open.expires));
        Ok(())
    }
}

impl Side {
    /// Waits for the router, for ever if there is no link to it.
    async fn wait_for_router(&mut self) -> Result<(), Gone> {
        match self {
            Self::Meter(_) => std::future::pending().await,
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
