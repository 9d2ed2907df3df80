//! A whole instance: built, running, drained.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::analytics::Analytics;
use crate::config::{Config, ConfigError};
use crate::derive::Derive;
use crate::grid::{Follower, Grid};
use crate::interval::Aggregator;
use crate::kafka::{Clients, Group, KafkaSetupError};
use crate::latest::Latest;
use crate::ledger::{self, LedgerError};
use crate::metrics::Metrics;
use crate::observer::{Nobody, Observer};
use crate::ownership::{self, Ending};
use crate::records::Names;
use crate::routes::Routes;
use crate::shard::Limits;
use crate::tls::TlsError;
use crate::topics::{self, TopicsError};
use crate::worker::Shared;
use crate::{http, link};

/// Longest wait for the last acknowledgements to leave.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why an instance did not start, or had to end; each names what to put right.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The HTTP address can't be used.
    #[error("http.listen {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Kafka's settings.
    #[error(transparent)]
    Kafka(#[from] KafkaSetupError),
    /// Kafka's topics.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// A file that the configuration names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The topology.
    #[error("can't read the topology: {0}")]
    Topology(rdkafka::error::KafkaError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The runtime gave up a task.
    #[error("a task of the processor failed: {0}")]
    Task(String),
    /// Something turned up later that only a person can put right.
    #[error("{0}")]
    Fatal(String),
}

/// An instance at work. Dropped without [`Running::shutdown`] it leaves the group all the same, and nobody waits for it.
pub struct Running {
    shared: Arc<Shared>,
    ending: EndOnDrop,
    http_address: SocketAddr,
    http_stop: oneshot::Sender<()>,
    /// Who takes part in a group each.
    members: JoinSet<()>,
    links: Vec<JoinHandle<()>>,
    http: JoinHandle<std::io::Result<()>>,
}

struct EndOnDrop(Arc<Ending>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Builds an instance and lets it run on the caller's runtime, which must have threads to spare. `observer` sees each phase of each
/// transaction; [`Nobody`] is the one for production.
pub async fn start(config: Config, observer: Arc<dyn Observer>) -> Result<Running, StartError> {
    let address = config.http.listen;
    let listen_error = |source| StartError::Listen { address, source };
    let listener = http::bind(address).await.map_err(listen_error)?;
    let http_address = listener.local_addr().map_err(listen_error)?;
    let clients = Clients::new(&config.kafka)?;
    let rules = config.intervals.enabled.then(|| config.intervals.rules()).transpose()?;
    let metrics = Metrics::new();
    let (links, receivers) = link::links(&config.mqtt, &metrics)?;
    let report = topics::ensure(&clients, &config.topics).await?;
    for topic in report.created {
        tracing::info!(topic, "created");
    }
    for difference in report.differences {
        tracing::warn!(difference, "topic differs from the configuration");
    }
    check_ledger(&clients, config.topics.partitions).await?;

    let latest = if config.live.enabled { Some(Latest::new(&clients).map_err(KafkaSetupError::from)?) } else { None };
    let grid = if rules.is_some() { Some(read_grid(&clients, config.topics.partitions, &metrics).await?) } else { None };
    let (follower, grid): (Option<Follower>, Option<Grid>) = grid.unzip();
    let analytics = config.analytics.enabled.then(|| Analytics {
        clients: clients.clone(),
        links: links.clone(),
        metrics: metrics.clone(),
        observer: Arc::clone(&observer),
        commit_interval: Duration::from_millis(config.analytics.commit_interval_ms),
        settle_ms: config.analytics.settle_ms,
    });
    let intervals = rules.map(|rules| Derive {
        clients: clients.clone(),
        group: Group::INTERVALS,
        target: contracts::topics::INTERVALS,
        transform: Arc::new(move |mark| Aggregator::new(rules.clone(), mark.into())),
        copy: grid.map(|grid| Arc::new(grid) as Arc<_>),
        metrics: metrics.clone(),
        observer: Arc::clone(&observer),
        commit_interval: Duration::from_millis(config.intervals.commit_interval_ms),
    });
    let shared = Arc::new(Shared {
        names: Names::new(&clients),
        clients,
        routes: Arc::new(Routes::new(config.topics.partitions)),
        links,
        latest,
        metrics,
        observer,
        partitions: config.topics.partitions,
        limits: limits(&config),
        queue_frames_max: config.commit.queue_frames_max,
        commit_interval: Duration::from_millis(config.commit.interval_ms),
        live_interval_ms: config.live.enabled.then_some(config.live.interval_ms),
        abandoned: AtomicBool::new(false),
    });
    let receivers =
        receivers.into_iter().map(|link| tokio::spawn(link.run(Arc::clone(&shared.routes), shared.links.clone(), shared.metrics.clone())));
    let links = receivers.collect();
    let ending = Arc::new(Ending::default());
    let revoke_timeout = Duration::from_millis(config.commit.revoke_timeout_ms);
    let mut members = JoinSet::new();
    members.spawn_blocking({
        let (shared, ending) = (Arc::clone(&shared), Arc::clone(&ending));
        move || {
            ownership::run(&shared, &ending, revoke_timeout);
            if let Some(latest) = &shared.latest {
                latest.flush();
            }
        }
    });
    if let Some(intervals) = intervals {
        let ending = Arc::clone(&ending);
        members.spawn_blocking(move || ownership::run(&Arc::new(intervals), &ending, revoke_timeout));
    }
    if let Some(analytics) = analytics {
        let ending = Arc::clone(&ending);
        members.spawn_blocking(move || ownership::run(&Arc::new(analytics), &ending, revoke_timeout));
    }
    if let Some(follower) = follower {
        let ending = Arc::clone(&ending);
        members.spawn_blocking(move || follower.follow(|| ending.is_over()));
    }
    let (http_stop, stopped) = oneshot::channel();
    let stopped = async {
        // A dropped sender stops it as well.
        let _ = stopped.await;
    };
    let http = tokio::spawn(http::serve(listener, shared.metrics.clone(), stopped));
    Ok(Running { shared, ending: EndOnDrop(ending), http_address, http_stop, members, links, http })
}

/// Runs an instance until `shutdown`, then drains it.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
    let mut running = start(config, Arc::new(Nobody)).await?;
    tracing::info!(http = %running.http_address(), "stream processor started");
    tokio::select! {
        () = shutdown => tracing::info!("draining"),
        () = running.ended() => {}
    }
    running.shutdown().await
}

impl Running {
    /// Where `/metrics` is.
    pub const fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The partitions that it takes frames for, now and as they change.
    pub fn owned(&self) -> watch::Receiver<BTreeSet<i32>> {
        self.shared.routes.owned()
    }

    /// Ends when the instance has given up by itself; [`Self::shutdown`] says why.
    pub async fn ended(&mut self) {
        let _ = self.members.join_next().await;
    }

    /// Ends as if the process had died, as far as that is possible from within: transactions are left as they are, nothing more is
    /// acknowledged, no broker is told goodbye. Only the group is left, so that a successor need not wait for the session's end.
    pub fn abandon(self) {
        self.shared.abandoned.store(true, Ordering::Release);
        self.ending.0.request();
        for link in &self.links {
            link.abort();
        }
        self.http.abort();
    }

    /// Drains: frames end, what is accepted is committed and acknowledged, the group is left, the brokers are told goodbye.
    pub async fn shutdown(mut self) -> Result<(), StartError> {
        self.ending.0.request();
        let mut members = Ok(());
        while let Some(ended) = self.members.join_next().await {
            members = members.and(ended);
        }
        let told = self.links.into_iter().enumerate().filter(|(number, link)| {
            let told = self.shared.links.disconnect(*number);
            if !told {
                link.abort();
            }
            told
        });
        let told: Vec<_> = told.collect();
        let goodbye = async {
            for (_, link) in told {
                // An aborted or panicked link has nothing left to send.
                let _ = link.await;
            }
        };
        if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
            tracing::warn!("some acknowledgements may not have left; the meters ask for them");
        }
        let _ = self.http_stop.send(());
        let _ = self.http.await;
        members.map_err(|error| StartError::Task(error.to_string()))?;
        self.ending.0.fatal().map_or(Ok(()), |why| Err(StartError::Fatal(why.to_owned())))
    }
}

async fn read_grid(clients: &Clients, partitions: u16, metrics: &Metrics) -> Result<(Follower, Grid), StartError> {
    let (clients, metrics) = (clients.clone(), metrics.clone());
    let read = tokio::task::spawn_blocking(move || Follower::open(&clients, partitions, metrics));
    read.await.map_err(|error| StartError::Task(error.to_string()))?.map_err(StartError::Topology)
}

/// Reads the whole ledger once: rows on wrong partitions mean that the number of partitions was changed, and no instance may go on.
async fn check_ledger(clients: &Clients, partitions: u16) -> Result<(), StartError> {
    let clients = clients.clone();
    let read = move || ledger::read(&clients, partitions, 0..i32::from(partitions), || false, |_| {});
    Ok(tokio::task::spawn_blocking(read).await.map_err(|error| StartError::Task(error.to_string()))??)
}

const fn limits(config: &Config) -> Limits {
    Limits {
        batch_records_max: config.commit.batch_records_max,
        streams_max: config.limits.streams_max,
        answer_interval_ms: config.limits.answer_interval_ms,
        dead_letter_interval_ms: config.limits.dead_letter_interval_ms,
        batch_dead_letter_bytes_max: Limits::DEAD_LETTER_BYTES_MAX,
    }
}
