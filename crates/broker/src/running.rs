//! Start, reload and end of a broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{Config, millis};
use crate::error::{StartError, TlsError};
use crate::gate::inbox::{Cut, Way};
use crate::gate::{Gate, dispatch, listener};
use crate::metrics::Metrics;
use crate::revocation::{self, Credentials};
use crate::router::{Event, Link, Router};
use crate::{admin, vitals};

/// A broker at work. Dropped, it stops without waiting for its sessions.
pub struct Running {
    gate: Arc<Gate>,
    mqtts: SocketAddr,
    admin: SocketAddr,
    alive: watch::Receiver<bool>,
    drain: Duration,
}

/// Starts a broker on the caller's runtime. When this returns, its addresses answer.
pub async fn start(config: Config) -> Result<Running, StartError> {
    config.check()?;
    let mqtts = bind(config.listen.mqtts, "listen.mqtts").await?;
    let admin = bind(config.listen.admin, "listen.admin").await?;
    let seen = revocation::fingerprint(&config.tls);
    let (tls, router, clients) = (config.tls.clone(), config.router.clone(), config.limits.clients);
    // Files, and a router that answers in its own time.
    let parts = tokio::task::spawn_blocking(move || {
        let credentials = Credentials::load(&tls)?;
        let router = Router::start(&router, clients).map_err(|_| StartError::Router)?;
        let link = |name| router.own_link(name).map_err(|_| StartError::Router);
        let links = [link("down")?, link("command")?, link("canary")?];
        Ok::<_, StartError>((credentials, router, links))
    });
    let (credentials, router, [mut down, mut command, mut canary]) =
        parts.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    subscribe(&mut down, dispatch::filter(Way::Down)).await?;
    subscribe(&mut command, dispatch::filter(Way::Command)).await?;
    subscribe(&mut canary, vitals::TOPIC).await?;

    let metrics = Arc::new(Metrics::new());
    let gate = Arc::new(Gate::new(config.limits, credentials, router, metrics.clone()));
    gate.expiries(&gate.credentials.current());
    let (alive_tx, alive) = watch::channel(true);
    let addresses = (local(&mqtts, config.listen.mqtts), local(&admin, config.listen.admin));
    let (tasks, stop) = (&gate.tasks, &gate.stop);
    tasks.spawn(vitals::run(config.vitals, canary, alive_tx, metrics.clone(), stop.clone()));
    tasks.spawn(dispatch::run(gate.clone(), down, Way::Down));
    tasks.spawn(dispatch::run(gate.clone(), command, Way::Command));
    tasks.spawn(revocation::watch(gate.clone(), seen, stop.clone()));
    tasks.spawn(admin::run(admin, metrics, alive.clone(), stop.clone()));
    tasks.spawn(listener::run(gate.clone(), mqtts));
    Ok(Running { gate, mqtts: addresses.0, admin: addresses.1, alive, drain: millis(config.shutdown.drain_ms) })
}

async fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, key, source })
}

/// The address that was bound; the one asked for if the system doesn't say.
fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Subscribes one of the gate's own links and waits until that is in force.
async fn subscribe(link: &mut Link, filter: &str) -> Result<(), StartError> {
    link.subscribe([filter.to_owned()], false).map_err(|_| StartError::Router)?;
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
        let mut alive = self.alive.clone();
        if alive.wait_for(|alive| !alive).await.is_err() {
            // The watch ended because the broker was stopped.
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
    use bytes::Bytes;
    use pki::{Authority, IssueOptions, Role};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;
    use wire::topic::Shard;

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
        config.vitals.canary_ms = 20;
        let broker = start(config).await.unwrap();
        assert!(readiness(&broker).await.starts_with("HTTP/1.1 200"));
        assert!(timeout(Duration::from_millis(200), broker.failed()).await.is_err());

        let shard = Shard::new(0).unwrap();
        let _ = broker.gate.router.publish(shard, Bytes::from("é/x"), Bytes::new()).unwrap();
        timeout(Duration::from_secs(20), broker.failed()).await.expect("a dead router goes unnoticed");
        assert!(readiness(&broker).await.starts_with("HTTP/1.1 503"));
        assert!(broker.metrics().contains("ferraris_broker_router_alive 0\n"));
        timeout(Duration::from_secs(20), broker.shutdown()).await.expect("it can't be stopped");
    }
}
