//! Lets connections in: a place, a handshake with a deadline in a task of its own, an identity. All but the last on the [`doorstep`](super::doorstep).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::doorstep::Visitor;
use super::identity::{Identity, InvalidSubject};
use super::places::Place;
use super::table::SessionId;
use super::tls::{self, Material};
use super::{Gate, now, session, websocket};
use crate::config::millis;
use crate::reason::Reason;

/// Pause after the system refused a connection, for want of descriptors mostly.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// What is spoken behind TLS.
#[derive(Clone)]
pub(crate) enum Door {
    /// MQTT.
    Mqtt,
    /// MQTT over WebSocket, from pages of these origins.
    WebSocket(Arc<[String]>),
}

/// Accepts until the gate stops.
pub(crate) fn run(gate: &Arc<Gate>, listener: TcpListener, door: Door) -> io::Result<()> {
    let (gate, outside) = (gate.clone(), gate.doorstep.handle().clone());
    // Of the runtime that it is made in.
    let listener = {
        let _outside = outside.enter();
        TcpListener::from_std(listener.into_std()?)?
    };
    gate.tasks.clone().spawn_on(accept(gate, listener, door), &outside);
    Ok(())
}

async fn accept(gate: Arc<Gate>, listener: TcpListener, door: Door) {
    loop {
        let accepted = tokio::select! {
            () = gate.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Packets are small and answers are waited for.
                let _ = socket.set_nodelay(true);
                admit(&gate, socket, peer, door.clone());
            }
            Err(error) => {
                gate.metrics.refused(Reason::Accept);
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// Gives a connection its places, or closes it.
fn admit(gate: &Arc<Gate>, socket: TcpStream, peer: SocketAddr, door: Door) {
    let number: SessionId = gate.connection_numbers.fetch_add(1, Relaxed);
    let mut places = None;
    // A crowd that takes all places must not make the broker believe that it is dead.
    if !gate.canary.is_from(peer) {
        let Ok(place) = gate.connections.clone().try_acquire_owned() else { return gate.metrics.refused(Reason::Connections) };
        match gate.handshakes.take(peer.ip()) {
            Ok(handshake) => places = Some((Counted::new(gate.metrics.connections.clone(), place), handshake)),
            Err(reason) => return gate.metrics.refused(reason),
        }
    }
    let gate = gate.clone();
    let tasks = gate.tasks.clone();
    tasks.spawn(async move {
        let (place, handshake) = places.unzip();
        let material = gate.credentials.current();
        let Some(mut stream) = shake_hands(&gate, &material, Visitor::new(socket), handshake).await else { return };
        let (tasks, inside) = (gate.tasks.clone(), gate.inside.clone());
        let session = async move {
            let _place = place;
            match stream.get_mut().0.move_in() {
                Ok(()) => converse(&gate, stream, door, material, number).await,
                Err(error) => tracing::warn!(%error, "can't go on with a connection"),
            }
        };
        tasks.spawn_on(session, &inside);
    });
}

/// More than a kilobyte, which each function that passes it on would keep a copy of.
type Stream = Box<TlsStream<Visitor>>;

/// A connection's place, counted as long as it is held.
struct Counted {
    gauge: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Counted {
    fn new(gauge: Gauge, place: OwnedSemaphorePermit) -> Self {
        gauge.inc();
        Self { gauge, _place: place }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

async fn shake_hands(gate: &Gate, material: &Material, visitor: Visitor, _handshake: Option<Place>) -> Option<Stream> {
    let acceptor = TlsAcceptor::from(material.server.clone());
    let result = tokio::select! {
        () = gate.stop.cancelled() => return None,
        result = tokio::time::timeout(millis(gate.limits.handshake_ms), acceptor.accept(visitor)) => result,
    };
    match result {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => {
            let reason = tls::handshake_failure(&error);
            gate.metrics.refused(reason);
            tracing::debug!(reason = reason.label(), %error, "handshake failed");
        }
        Err(_) => gate.metrics.refused(Reason::TlsTimeout),
    }
    None
}

async fn converse(gate: &Arc<Gate>, stream: Stream, door: Door, material: Arc<Material>, number: SessionId) {
    let who = match stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
        Some(certificate) => gate.canary.identify(certificate).map_or_else(|| Identity::of(certificate), Ok),
        // The handshake asks for one, so this doesn't happen.
        None => Err(InvalidSubject::Unreadable),
    };
    let Ok(identity) = who.clone() else { return speak(gate, stream, &door, who, material, number).await };
    // A session that resumes shows no certificate again: what it showed may have been revoked since, or have expired.
    if let Some(reason) = gate.credentials.current().objection(&identity, now()) {
        return gate.metrics.refused(reason);
    }
    if !gate.table.connected(&identity, gate.limits.connections_per_identity, Instant::now()) {
        return gate.metrics.refused(Reason::ConnectionsPerIdentity);
    }
    speak(gate, stream, &door, who, material, number).await;
    gate.table.disconnected(&identity, Instant::now());
}

async fn speak(
    gate: &Arc<Gate>,
    stream: Stream,
    door: &Door,
    who: Result<Identity, InvalidSubject>,
    material: Arc<Material>,
    number: SessionId,
) {
    let origins = match door {
        Door::Mqtt => return session::run(gate.clone(), stream, who, material, number).await,
        Door::WebSocket(origins) => origins,
    };
    let role = who.as_ref().ok().map(|identity| identity.role);
    let upgrade = tokio::select! {
        () = gate.stop.cancelled() => return,
        upgrade = Box::pin(websocket::accept(stream, role, origins, &gate.limits)) => upgrade,
    };
    match upgrade {
        // Not within the future of every MQTT session.
        Ok(stream) => Box::pin(session::run(gate.clone(), stream, who, material, number)).await,
        Err(reason) => gate.metrics.refused(reason),
    }
}
