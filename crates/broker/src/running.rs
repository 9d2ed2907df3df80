//! Start, reload and end of a broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admin;
use crate::config::{Config, Limits, millis};
use crate::error::{StartError, TlsError};
use crate::gate::doorstep::Doorstep;
use crate::gate::inbox::{Cut, Way};
use crate::gate::listener::Door;
use crate::gate::{Gate, dispatch, listener};
use crate::metrics::Metrics;
use crate::revocation::{self, Credentials};
use crate::router::{Event, Link, Router};
use crate::vitals::canary::{Papers, Session};
use crate::vitals::{self, Health};

/// A broker at work. Dropped, it stops without waiting for its sessions.
pub struct Running {
    gate: Arc<Gate>,
    mqtts: SocketAddr,
    websocket: Option<SocketAddr>,
    admin: SocketAddr,
    health: watch::Receiver<Health>,
    drain: Duration,
}

/// Starts a broker on the caller's runtime. When this returns, its addresses answer.
pub async fn start(config: Config) -> Result<Running, StartError> {
    config.check()?;
    let mqtts = bind(config.listen.mqtts, "listen.mqtts").await?;
    let admin = bind(config.listen.admin, "listen.admin").await?;
    let websocket = match config.listen.websocket {
        Some(address) => Some((bind(address, "listen.websocket").await?, address)),
        None => None,
    };
    let seen = revocation::fingerprint(&config.tls);
    let (tls, router, clients) = (config.tls.clone(), config.router.clone(), config.limits.clients);
    let addresses = (local(&mqtts, config.listen.mqtts), local(&admin, config.listen.admin));
    // Files, and a router that answers in its own time.
    let parts = tokio::task::spawn_blocking(move || {
        let canary = Papers::new(addresses.0).map_err(|error| itself(addresses.0, std::io::Error::other(error)))?;
        let credentials = Credentials::load(&tls, canary.certificate())?;
        let router = Router::start(&router, clients).map_err(|_| StartError::Router)?;
        let link = |name| router.own_link(name).map_err(|_| StartError::Router);
        let links = [link("down")?, link("command")?];
        Ok::<_, StartError>((canary, credentials, router, links))
    });
    let (canary, credentials, router, [mut down, mut command]) =
        parts.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    subscribe(&mut down, dispatch::feed_of(Way::Down)).await?;
    subscribe(&mut command, dispatch::feed_of(Way::Command)).await?;

    let metrics = Arc::new(Metrics::new());
    let limits = Limits { shard_lag: config.shard_lag(), ..config.limits };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let doorstep = Doorstep::open(processors).map_err(StartError::Threads)?;
    let gate = Arc::new(Gate::new(limits, credentials, canary, router, metrics.clone(), doorstep));
    gate.expiries(&gate.credentials.current());
    let (health_tx, health) = watch::channel(Health::Well);
    let (tasks, stop) = (&gate.tasks, &gate.stop);
    tasks.spawn({
        let gate = gate.clone();
        async move { gate.router.collect(&gate.stop).await }
    });
    tasks.spawn(dispatch::run(gate.clone(), down, Way::Down));
    tasks.spawn(dispatch::run(gate.clone(), command, Way::Command));
    tasks.spawn(revocation::watch(gate.clone(), seen, stop.clone()));
    tasks.spawn(admin::run(admin, metrics, health.clone(), stop.clone()));
    listener::run(&gate, mqtts, Door::Mqtt).map_err(|source| StartError::Bind { address: addresses.0, key: "listen.mqtts", source })?;
    let websocket = match websocket {
        Some((listener, asked)) => {
            let address = local(&listener, asked);
            let door = Door::WebSocket(config.listen.websocket_origins.into());
            listener::run(&gate, listener, door).map_err(|source| StartError::Bind { address, key: "listen.websocket", source })?;
            Some(address)
        }
        None => None,
    };
    let drain = millis(config.shutdown.drain_ms);
    let running = Running { gate: gate.clone(), mqtts: addresses.0, websocket, admin: addresses.1, health, drain };
    let first = first_echo(&gate, millis(config.vitals.canary_deadline_ms)).await.map_err(|error| itself(addresses.0, error))?;
    gate.tasks.spawn(vitals::run(gate.clone(), config.vitals, first, health_tx));
    Ok(running)
}

/// The whole way for the first time.
async fn first_echo(gate: &Gate, patience: Duration) -> std::io::Result<Session> {
    let echo = async {
        let mut session = Session::open(gate).await?;
        session.echo().await.map(|()| session)
    };
    tokio::time::timeout(patience, echo).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

fn itself(address: SocketAddr, source: std::io::Error) -> StartError {
    StartError::Canary { address, source }
}

async fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, key, source })
}

/// The address that was bound; the one asked for if the system doesn't say.
fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Subscribes one of the gate's own links and waits until that is in force.
async fn subscribe(link: &mut Link, name: &'static str) -> Result<(), StartError> {
    link.subscribe_to(name).map_err(|_| StartError::Router)?;
    let mut batch = Vec::new();
    while !batch.iter().any(|event| matches!(event, Event::Subscribed)) {
        link.next(&mut batch).await.map_err(|_| StartError::Router)?;
    }
    link.done().map_err(|_| StartError::Router)
}

impl Running {
    /// Where clients connect.
    pub fn mqtts_addr(&self) -> SocketAddr {
        self.mqtts
    }

    /// Where operators' browsers connect, if anywhere.
    pub fn websocket_addr(&self) -> Option<SocketAddr> {
        self.websocket
    }

    /// Where `/metrics`, `/healthz` and `/readyz` are.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Everything counted so far, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.gate.metrics.encode()
    }

    /// Reads certificates and revocation lists again: all of them come into force in one step, or the last good ones stay. Sessions
    /// whose certificate was taken back are cut.
    pub async fn reload(&self) -> Result<(), TlsError> {
        self.gate.reload().await
    }

    /// Returns when the broker can't work any more; it has to be started anew, best in a new process.
    pub async fn failed(&self) {
        let mut health = self.health.clone();
        // A watch that ended without being told to is as bad as one that found the router dead.
        if health.wait_for(|health| *health == Health::Dead).await.is_err() && self.gate.stop.is_cancelled() {
            std::future::pending().await
        }
    }

    /// Stops: lets nobody in, ends every session after what it has read, and returns when all is closed, or when the time for that is
    /// over. One thread of the router stays behind, waiting (rumqttd has no end to it).
    pub async fn shutdown(self) {
        let gate = &self.gate;
        gate.stop.cancel();
        gate.table.cut(Cut::Shutdown, |_| true);
        gate.tasks.close();
        if tokio::time::timeout(self.drain, gate.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = gate.tasks.len(), "not everything ended in time");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gate.stop.cancel();
        self.gate.table.cut(Cut::Shutdown, |_| true);
    }
}

#[cfg(test)]
mod tests {
    use pki::{Authority, IssueOptions, Role};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use crate::router::Parcel;

    use super::*;
    use crate::config::Tls;

    async fn readiness(broker: &Running) -> String {
        let mut socket = TcpStream::connect(broker.admin_addr()).await.unwrap();
        socket.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// From outside nobody can kill the router's thread; from inside it is done with what would, if the gate let it through.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_dead_router_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = Authority::create(dir.path().join("pki")).unwrap();
        let hosts = vec!["localhost".to_owned()];
        let server = authority.issue("broker", Role::Server, &IssueOptions { hosts, ..IssueOptions::default() }).unwrap();
        let mut config = Config::new(Tls {
            ca_file: authority.ca_path(),
            certificate_file: server.certificate,
            key_file: server.key,
            crl_file: None,
            watch_ms: 1000,
            crl_expired: Default::default(),
        });
        (config.listen.mqtts, config.listen.admin) = (([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into());
        (config.vitals.canary_ms, config.vitals.canary_deadline_ms) = (20, 6000);
        let broker = start(config).await.unwrap();
        assert!(readiness(&broker).await.starts_with("HTTP/1.1 200"));
        assert!(timeout(Duration::from_millis(200), broker.failed()).await.is_err());

        let _ = broker.gate.router.publish(&Parcel::new("é/x", "", b"")).unwrap();
        timeout(Duration::from_secs(20), broker.failed()).await.expect("a dead router goes unnoticed");
        assert!(readiness(&broker).await.starts_with("HTTP/1.1 503"));
        assert!(broker.metrics().contains("ferraris_broker_router_alive 0\n"));
        timeout(Duration::from_secs(20), broker.shutdown()).await.expect("it can't be stopped");
    }
}
