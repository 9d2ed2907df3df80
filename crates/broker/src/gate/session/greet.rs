//! From the handshake to CONNACK.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire::topic::Shard;

use super::{End, Open, Session, Side, later};
use crate::config::millis;
use crate::gate::client::Client;
use crate::gate::identity::{Identity, Role};
use crate::gate::inbox::Cut;
use crate::gate::machine::{ACCEPTED, Refusal, Step, UNAVAILABLE};
use crate::gate::rate::{Standing, Takeover};
use crate::gate::table::Entered;
use crate::gate::{now, packet, stream};
use crate::reason::Reason;
use crate::sync::lock;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Until CONNECT was accepted.
    pub(super) async fn greet(&mut self) -> Result<Open, End> {
        let gate = self.gate.clone();
        let keep_alive = tokio::select! {
            () = gate.stop.cancelled() => return Err(End::Cut(Cut::Shutdown)),
            result = timeout(millis(gate.limits.connect_ms), self.connect()) => result.map_err(|_| End::Silent)??,
        };
        let identity = self.machine.identity().ok_or(End::Lost)?.clone();
        let standing = self.wait_if_contested(&identity).await?;
        let side = self.side(&identity).await?;
        let left_ms = identity.not_after.millis_since(now());
        let expires = later(Instant::now(), millis(u64::try_from(left_ms).unwrap_or(0)));
        let idle_max = keep_alive.saturating_add(keep_alive.checked_div(2).unwrap_or_default());
        self.last_packet = Instant::now();
        let moment = self.last_packet.into_std();
        let since = gate.elsewhere.begin(&identity.name, now());
        let contested = match gate.table.enter(&identity, self.id, self.inbox.clone(), since, moment) {
            Entered::TooLate => return Err(End::Cut(Cut::TakenOver)),
            Entered::Alone => false,
            // It renews its session itself.
            Entered::Replaced if identity.role == Role::Canary => false,
            Entered::Replaced => {
                let takeover = lock(&standing).take_over(&gate.allowances, moment);
                gate.taken_over(&identity, takeover);
                takeover != Takeover::Usual
            }
        };
        packet::connack(&mut self.out, ACCEPTED);
        // Whoever reloaded or stopped before this session was in the table did not see it there.
        let (verified_by, current) = (self.verified_by.take(), gate.credentials.current());
        if current.revoked.has(&identity) {
            self.inbox.cut(Cut::Revoked);
        }
        if !verified_by.is_some_and(|material| Arc::ptr_eq(&material, &current)) && !current.issued(&identity) {
            self.inbox.cut(Cut::Withdrawn);
        }
        // Told of between the choice of its start and the table.
        if identity.role == Role::Meter && gate.elsewhere.is_later(&identity.name, since) {
            self.inbox.cut(Cut::TakenOver);
        }
        if gate.stop.is_cancelled() {
            self.inbox.cut(Cut::Shutdown);
        }
        let first = later(self.last_packet, idle_max).min(expires);
        Ok(Open { id: self.id, identity, since, contested, standing, side, idle_max, expires, timer: Box::pin(sleep_until(first)) })
    }

    /// Two that hold the same certificate, or one on a bad link, replace each other without end: each newcomer of such an identity
    /// waits a little before it replaces the older, and the limit of connections bounds how many wait.
    async fn wait_if_contested(&self, identity: &Identity) -> Result<Arc<Mutex<Standing>>, End> {
        let (gate, moment) = (&self.gate, Instant::now().into_std());
        let (replaces, standing) = gate.table.look_up(identity, self.id, moment);
        let contested = replaces && identity.role != Role::Canary && lock(&standing).is_contested(&gate.allowances, moment);
        if contested {
            tokio::select! {
                () = gate.stop.cancelled() => return Err(End::Cut(Cut::Shutdown)),
                () = sleep(millis(gate.limits.takeover_pause_ms)) => {}
            }
        }
        Ok(standing)
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
        match identity.role {
            Role::Meter => return Ok(Side::Meter(Shard::of(&identity.name))),
            Role::Canary => return Ok(Side::Canary),
            Role::Service | Role::Operator => {}
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
