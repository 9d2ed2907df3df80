//! From the handshake to CONNACK.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};

use super::{End, Meter, Open, Session, Side, far};
use crate::config::millis;
use crate::gate::client::Client;
use crate::gate::identity::{Identity, Role};
use crate::gate::inbox::Cut;
use crate::gate::machine::{ACCEPTED, Refusal, Step, UNAVAILABLE};
use crate::gate::{now, packet, stream};
use crate::reason::Reason;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Until CONNECT was accepted.
    pub(super) async fn greet(&mut self) -> Result<Open, End> {
        let gate = self.gate.clone();
        let keep_alive = tokio::select! {
            () = gate.stop.cancelled() => return Err(End::Cut(Cut::Shutdown)),
            result = timeout(millis(gate.limits.connect_ms), self.connect()) => result.map_err(|_| End::Silent)??,
        };
        let identity = self.machine.identity().ok_or(End::Lost)?.clone();
        let side = self.side(&identity).await?;
        let left_ms = identity.not_after.millis_since(now());
        let expires = Instant::now().checked_add(millis(u64::try_from(left_ms).unwrap_or(0))).unwrap_or_else(far);
        let idle_max = keep_alive.saturating_add(keep_alive.checked_div(2).unwrap_or_default());
        self.last_packet = Instant::now();
        gate.table.enter(&identity, self.id, self.inbox.clone()).map_err(|_| End::Cut(Cut::TakenOver))?;
        packet::connack(&mut self.out, ACCEPTED);
        // Whoever reloaded or stopped before this session was in the table did not see it there.
        let (verified_by, current) = (self.verified_by.take(), gate.credentials.current());
        if current.revoked.has(&identity) {
            self.inbox.cut(Cut::Revoked);
        }
        if !verified_by.is_some_and(|material| Arc::ptr_eq(&material, &current)) && !current.issued(&identity) {
            self.inbox.cut(Cut::Withdrawn);
        }
        if gate.stop.is_cancelled() {
            self.inbox.cut(Cut::Shutdown);
        }
        let first = self.last_packet.checked_add(idle_max).unwrap_or_else(far).min(expires);
        Ok(Open { id: self.id, identity, since: now(), side, idle_max, expires, timer: Box::pin(sleep_until(first)) })
    }

    /// Reads CONNECT. What comes behind it stays for later.
    async fn connect(&mut self) -> Result<Duration, End> {
        loop {
            match packet::next(&self.carry, self.machine.packet_bytes_max()) {
                Ok(Some((first, len))) => {
                    let step = self.machine.handle(first)?;
                    let Step::Welcome { keep_alive } = step else { return Err(End::Lost) };
                    self.carry.drain(..len.min(self.carry.len()));
                    return Ok(keep_alive);
                }
                Ok(None) => {}
                Err(malformed) => return Err(self.machine.malformed(malformed).into()),
            }
            match stream::read(&mut self.stream, &mut self.carry).await {
                Ok(0) | Err(_) => return Err(End::Lost),
                Ok(_) => {}
            }
        }
    }

    async fn side(&self, identity: &Identity) -> Result<Side, End> {
        let unavailable = |reason| End::Refused(Refusal { reason, connack: Some(UNAVAILABLE) });
        if identity.role == Role::Meter {
            return Ok(Side::Meter(Meter::new(identity)));
        }
        let slot = self.gate.router.slot().ok_or_else(|| unavailable(Reason::Clients))?;
        let gate = self.gate.clone();
        // The router answers in its own time, and the link waits for it in blocking fashion.
        let link = tokio::task::spawn_blocking(move || gate.router.client_link(slot)).await;
        match link {
            Ok(Ok(link)) => Ok(Side::Client(Box::new(Client::new(self.gate.clone(), link)))),
            _ => Err(unavailable(Reason::RouterGone)),
        }
    }
}
