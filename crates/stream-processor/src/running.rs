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
use crate::commands::{Commands, Heralds};
use crate::config::{Config, ConfigError};
use crate::derive::Derive;
use crate::grid::{Follower, Grid};
use crate::interval::Aggregator;
use crate::kafka::{Clients, Group, KafkaSetupError};
use crate::latest::Latest;
use crate::ledger::{self, LedgerError};
use crate::metrics::Metrics;
use crate::observer::{Nobody, Observer};
use crate::ownership::{self, Ending, Work};
use crate::records::Names;
use crate::routes::Routes;
use crate::shard::Limits;
use crate::sink::avro::{self, Avro, AvroSetupError};
use crate::sink::http::HttpSetupError;
use crate::sink::postgres::{Postgres, PostgresSetupError};
use crate::sink::webhook::Webhook;
use crate::tls::TlsError;
use crate::topics::{self, TopicsError};
use crate::worker::Shared;
use crate::{http, link, quality};

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
    /// The PostgreSQL sink's settings.
    #[error(transparent)]
    Postgres(#[from] PostgresSetupError),
    /// The webhook's settings.
    #[error(transparent)]
    Webhook(#[from] HttpSetupError),
    /// Avro's settings.
    #[error(transparent)]
    Avro(#[from] AvroSetupError),
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
    let postgres =
        config.postgres.enabled.then(|| Postgres::new(&config.postgres, &clients, &metrics, Arc::clone(&observer))).transpose()?;
    let webhook = config.webhook.enabled.then(|| Webhook::new(&config.webhook, &clients, &metrics)).transpose()?;
    let avro = config.avro.enabled.then(|| Avro::new(&config.avro, &clients, &metrics)).transpose()?;
    let mut report = topics::ensure(&clients, &config.topics).await?;
    if avro.is_some() {
        report.append(topics::ensure_these(&clients, &config.topics, &avro::TOPICS).await?);
    }
    for topic in report.created {
        tracing::info!(topic, "created");
    }
    for difference in report.differences {
        tracing::warn!(difference, "topic differs from the configuration");
    }
    check_ledger(&clients, config.topics.partitions).await?;

    let latest = if config.live.enabled { Some(Latest::new(&clients).map_err(KafkaSetupError::from)?) } else { None };
    let quality = config.quality.enabled.then(|| config.quality_rules()).transpose()?;
    let grid =
        if rules.is_some() || quality.is_some() { Some(read_grid(&clients, config.topics.partitions, &metrics).await?) } else { None };
    let (follower, grid): (Option<Follower>, Option<Grid>) = grid.unzip();
    let grid = grid.map(Arc::new);
    let analytics = config.analytics.enabled.then(|| Analytics {
        clients: clients.clone(),
        links: links.clone(),
        metrics: metrics.clone(),
        observer: Arc::clone(&observer),
        commit_interval: Duration::from_millis(config.analytics.commit_interval_ms),
        settle_ms: config.analytics.settle_ms,
        storm_ms: config.analytics.storm_ms,
    });
    // Without the group that says who is heard, nobody would take a gasp back.
    let gasps_to = quality.as_ref().and(grid.clone());
    let quality = quality.map(|rules| quality_group(&config, &clients, rules, grid.as_ref(), (&metrics, &observer)));
    let intervals = rules.map(|rules| Derive {
        clients: clients.clone(),
        group: Group::INTERVALS,
        target: contracts::topics::INTERVALS,
        transform: Arc::new(move |mark| Aggregator::new(rules.clone(), mark.into())),
        states: Some(contracts::topics::METER_PROFILES),
        copy: grid.clone().map(|grid| grid as Arc<_>),
        metrics: metrics.clone(),
        observer: Arc::clone(&observer),
        commit_interval: Duration::from_millis(config.intervals.commit_interval_ms),
    });
    let heralds = config.commands.enabled.then(|| Arc::new(Heralds::new(config.topics.partitions)));
    let commands = heralds.clone().map(|heralds| Commands {
        clients: clients.clone(),
        links: links.clone(),
        heralds,
        metrics: metrics.clone(),
        pauses: config.commands.pauses(),
    });
    let shared = Arc::new(Shared {
        names: Names::new(&clients),
        clients,
        routes: Arc::new(Routes::new(config.topics.partitions)),
        links,
        grid: gasps_to,
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
    let run = |link: link::Link| link.run(Arc::clone(&shared.routes), shared.links.clone(), heralds.clone(), shared.metrics.clone());
    let links = receivers.into_iter().map(|link| tokio::spawn(run(link))).collect();
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
    join(&mut members, intervals, &ending, revoke_timeout);
    join(&mut members, quality, &ending, revoke_timeout);
    join(&mut members, analytics, &ending, revoke_timeout);
    join(&mut members, commands, &ending, revoke_timeout);
    join(&mut members, postgres, &ending, revoke_timeout);
    join(&mut members, avro, &ending, revoke_timeout);
    join(&mut members, webhook, &ending, revoke_timeout);
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

/// Takes part in a group, if its work is wanted.
fn join<W: Work>(members: &mut JoinSet<()>, work: Option<W>, ending: &Arc<Ending>, revoke_timeout: Duration) {
    if let Some(work) = work {
        let ending = Arc::clone(ending);
        members.spawn_blocking(move || ownership::run(&Arc::new(work), &ending, revoke_timeout));
    }
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

fn quality_group(
    config: &Config,
    clients: &Clients,
    rules: quality::Rules,
    grid: Option<&Arc<Grid>>,
    (metrics, observer): (&Metrics, &Arc<dyn Observer>),
) -> Derive<quality::Watch> {
    let (rules, of_watch) = (Arc::new(rules), metrics.clone());
    let contracts = grid.map(|grid| Arc::clone(grid) as Arc<_>);
    Derive {
        clients: clients.clone(),
        group: Group::QUALITY,
        target: contracts::topics::EVENTS,
        transform: Arc::new(move |_| quality::Watch::new(Arc::clone(&rules), contracts.clone(), of_watch.clone())),
        states: Some(contracts::topics::METER_STATE),
        copy: grid.map(|grid| Arc::clone(grid) as Arc<_>),
        metrics: metrics.clone(),
        observer: Arc::clone(observer),
        commit_interval: Duration::from_millis(config.quality.commit_interval_ms),
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
