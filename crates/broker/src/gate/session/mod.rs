//! One connection after its handshake, to its end: carries out what the [`machine`](super::machine) says.
//!
//! `select` waits for the next thing that happens to the session, `apply` deals with it; nobody else touches its state. (A task for each
//! direction with a channel between would answer a little sooner under load and cost twice the memory of an idle session.)

mod carry_out;
mod greet;
mod reading;
mod serve;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use measure::UnixMillis;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep, timeout};
use wire::topic::Shard;

use super::client::Client;
use super::identity::{Identity, InvalidSubject, Role};
use super::inbox::{Cut, Inbox, Pool, Post};
use super::machine::{Machine, Refusal};
use super::rate::Standing;
use super::table::SessionId;
use super::tls::Material;
use super::{Gate, packet, stream};
use crate::config::millis;
use crate::reason::Reason;
use crate::router::Gone;

/// Longest farewell: the last bytes, and the peer's end of the connection.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// DISCONNECT.
    Goodbye,
    /// The connection broke or was closed without DISCONNECT.
    Lost,
    /// No CONNECT in time.
    Silent,
    /// No packet for one and a half times the keep-alive.
    KeepAlive,
    /// The peer doesn't read.
    WriteStalled,
    /// The certificate expired.
    Expired,
    /// From inside.
    Cut(Cut),
    /// The peer did what it may not.
    Refused(Refusal),
    /// The router is gone.
    RouterGone,
}

impl End {
    const fn reason(self) -> Reason {
        match self {
            Self::Goodbye => Reason::Disconnected,
            Self::Lost => Reason::ConnectionLost,
            Self::Silent => Reason::NoConnect,
            Self::KeepAlive => Reason::KeepAlive,
            Self::WriteStalled => Reason::WriteStalled,
            Self::Expired => Reason::CertificateExpired,
            Self::Cut(Cut::TakenOver) => Reason::TakenOver,
            Self::Cut(Cut::Revoked) => Reason::Revoked,
            Self::Cut(Cut::Withdrawn) => Reason::AuthorityWithdrawn,
            Self::Cut(Cut::Shutdown) => Reason::Shutdown,
            Self::Refused(refusal) => refusal.reason,
            Self::RouterGone => Reason::RouterGone,
        }
    }
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::RouterGone
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The part that differs by role.
enum Side {
    /// With its shard. Its topics are written when they are needed: an idle session keeps no texts.
    Meter(Shard),
    Canary,
    Client(Box<Client>),
}

/// After CONNECT was accepted.
struct Open {
    id: SessionId,
    identity: Identity,
    since: UnixMillis,
    /// Whether it replaced another session, and that more often than the limit.
    contested: bool,
    standing: Arc<Mutex<Standing>>,
    side: Side,
    idle_max: Duration,
    expires: Instant,
    timer: Pin<Box<Sleep>>,
}

struct Session<S> {
    id: SessionId,
    gate: Arc<Gate>,
    /// What its certificate was verified by, until it is open.
    verified_by: Option<Arc<Material>>,
    stream: S,
    machine: Machine,
    inbox: Arc<Inbox>,
    /// Bytes of a packet that is not complete.
    carry: Vec<u8>,
    out: Vec<u8>,
    /// What of `out` came by the inbox.
    post: Option<Post>,
    last_packet: Instant,
    /// When the packet began that is not complete.
    packet_began: Option<Instant>,
    /// Not read from until then, because it sent too much.
    slowed_until: Option<Instant>,
    /// Not read from, because the shard's processor is behind.
    held_back: bool,
}

/// Serves a connection to its end.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    gate: Arc<Gate>,
    stream: S,
    who: Result<Identity, InvalidSubject>,
    verified_by: Arc<Material>,
    id: SessionId,
) {
    // The canary must not fall silent because meters' memory is full.
    let is_canary = who.as_ref().is_ok_and(|identity| identity.role == Role::Canary);
    let pool = if is_canary { Pool::new(gate.limits.down_queue_bytes) } else { gate.pool.clone() };
    let mut session = Session {
        id,
        verified_by: Some(verified_by),
        machine: Machine::new(who, &gate.limits),
        inbox: Arc::new(Inbox::new(&gate.limits, pool)),
        carry: Vec::new(),
        out: Vec::new(),
        post: None,
        last_packet: Instant::now(),
        packet_began: None,
        slowed_until: None,
        held_back: false,
        stream,
        gate,
    };
    let end = match session.greet().await {
        Ok(open) => session.serve(open).await,
        Err(end) => {
            session.gate.metrics.refused(end.reason());
            end
        }
    };
    tracing::debug!(name = session.machine.identity().map(|who| who.name.as_str()), end = end.reason().label(), "session ended");
    session.farewell(end).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Sends what waits.
    async fn flush(&mut self) -> Result<(), End> {
        let result = stream::write(&mut self.stream, &mut self.out, millis(self.gate.limits.write_ms)).await;
        self.post = None;
        result.map_err(|error| if error.kind() == std::io::ErrorKind::TimedOut { End::WriteStalled } else { End::Lost })
    }

    /// The last bytes, and the end of the connection: for one that was refused after a pause, for which it keeps its place among its
    /// identity's connections. Otherwise a client that does the same again and again would cost a handshake each time it is told no.
    async fn farewell(&mut self, end: End) {
        if let End::Refused(Refusal { connack: Some(code), .. }) = end {
            packet::connack(&mut self.out, code);
        }
        if matches!(end, End::Lost | End::WriteStalled) {
            return;
        }
        let Self { stream, out, carry, gate, .. } = self;
        // Nothing depends on these bytes any more, nor on the ones that follow.
        let _ = stream::write(stream, out, FAREWELL).await;
        if let End::Refused(_) = end {
            *carry = Vec::new();
            tokio::select! {
                () = gate.stop.cancelled() => {}
                () = sleep(millis(gate.limits.refusal_pause_ms)) => {}
            }
        }
        let last = async {
            stream.shutdown().await?;
            // Closed with bytes unread, a socket takes back what it has just sent: read on until the peer has closed too.
            let mut ignored = Vec::new();
            while stream::read(stream, &mut ignored).await? > 0 {
                ignored.clear();
            }
            std::io::Result::Ok(())
        };
        let _ = timeout(FAREWELL, last).await;
    }
}

/// A time after an instant; a year after now if the clock can't count so far.
fn later(instant: Instant, time: Duration) -> Instant {
    let far = || Instant::now().checked_add(Duration::from_secs(86_400 * 365));
    instant.checked_add(time).or_else(far).unwrap_or(instant)
}
