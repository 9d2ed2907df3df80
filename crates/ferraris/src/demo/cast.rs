//! Broker and processor: each in a runtime of its own, killed and started again in the middle of the play.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use stream_processor::Phase;
use stream_processor::config::{Scheme, Server};
use tokio::sync::mpsc::UnboundedSender;

use super::gate::Gate;
use super::papers::{self, Pair, Papers};
use super::stage::{PARTITIONS, Stage};
use super::stand::{Stand, Threads};

const BROKER_THREADS: Threads = Threads { name: "broker", workers: 2, blocking: 16, killable: true };
const PROCESSOR_THREADS: Threads = Threads { name: "processor", workers: 2, blocking: 16, killable: true };
/// How long the system may take to give a killed broker's port back, and how often to ask.
const PORT_MAX: Duration = Duration::from_secs(10);
const PORT_AGAIN: Duration = Duration::from_millis(50);
/// How long both stay dead, for journals to fill visibly.
const DEAD: Duration = Duration::from_secs(2);
/// How long a processor may take to get its partitions.
const READY_MAX: Duration = Duration::from_secs(60);
/// The least that brokers grant: a dead processor's partitions are soon given to the next.
const SESSION_TIMEOUT_MS: u32 = 6_000;

/// Broker and processor at work.
pub struct Cast {
    broker: Option<Stand<broker::Running>>,
    processor: Option<Stand<stream_processor::Running>>,
    gate: Arc<Gate>,
    broker_config: broker::Config,
    processor_config: stream_processor::Config,
    instant: (Phase, &'static str),
}

/// Where a processor on a real Kafka may die; which one is up to the seed.
const INSTANTS: [(Phase, &str); 3] = [
    (Phase::AfterCommitBeforeAck, "after the commit and before the acknowledgements"),
    (Phase::BeforeCommit, "with records written and not committed"),
    (Phase::BeforeProduce, "with records accepted and not written"),
];

impl Cast {
    /// Starts the broker on a free port, then the processor, and waits until it takes frames.
    pub async fn start(papers: &Papers, stage: &Stage, seed: u64) -> anyhow::Result<Self> {
        let mut broker_config = broker_config(papers);
        let broker = start_broker(broker_config.clone()).await?;
        // The next one must be found where the others look for it.
        let running = broker.get().context("the broker is not there")?;
        broker_config.listen =
            broker::config::Listen { mqtts: running.mqtts_addr(), admin: running.admin_addr(), ..broker::config::Listen::default() };
        let processor_config = processor_config(papers, stage, running.mqtts_addr())?;
        let gate = Arc::new(Gate::default());
        let processor = start_processor(processor_config.clone(), gate.clone()).await?;
        let [first, second, third] = INSTANTS;
        let instant = match seed % 3 {
            0 => first,
            1 => second,
            _ => third,
        };
        Ok(Self { broker: Some(broker), processor: Some(processor), gate, broker_config, processor_config, instant })
    }

    /// Where the broker is.
    pub const fn address(&self) -> SocketAddr {
        self.broker_config.listen.mqtts
    }

    /// Kills both, lets them be dead for a while, starts both again, and waits until frames are taken. Tells `news` what it does.
    pub async fn restart(&mut self, stage: &Stage, news: &UnboundedSender<String>) -> anyhow::Result<()> {
        // Whoever listens to the news has gone only if the demo is over.
        let tell = |text: String| drop(news.send(text));
        let began = Instant::now();
        let (broker, processor) = (self.broker.take(), self.processor.take());
        let (Some(broker), Some(processor)) = (broker, processor) else { bail!("the cast is incomplete") };
        let how = self.stop(stage).await?;
        processor.kill_by(stream_processor::Running::abandon);
        self.gate.open();
        tell(format!("killed the processor {how}"));
        broker.kill();
        tell("killed the broker".to_owned());

        tokio::time::sleep(DEAD).await;
        self.broker = Some(start_broker(self.broker_config.clone()).await?);
        self.gate = Arc::default();
        self.processor = Some(start_processor(self.processor_config.clone(), self.gate.clone()).await?);
        tell(format!("both are back after {:.1} s", began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Stops the processor where it is to die; says where that is.
    async fn stop(&self, stage: &Stage) -> anyhow::Result<String> {
        if stage.is_mock() {
            if !self.gate.close_between_transactions().await {
                bail!("the processor's transactions on the mock do not end");
            }
            return Ok("between two batches, because the mock's transactions are not real".to_owned());
        }
        let (phase, name) = self.instant;
        Ok(match self.gate.close_at(phase).await {
            0 => "while it had nothing to do".to_owned(),
            partitions => format!("{name}, on {partitions} of {PARTITIONS} partitions"),
        })
    }

    /// Lets both end properly.
    pub async fn retire(self) -> anyhow::Result<()> {
        if let Some(processor) = self.processor {
            processor.retire(stream_processor::Running::shutdown).await??;
        }
        if let Some(broker) = self.broker {
            broker.retire(broker::Running::shutdown).await?;
        }
        Ok(())
    }
}

const fn any_port() -> SocketAddr {
    SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))
}

fn broker_config(papers: &Papers) -> broker::Config {
    let Pair { certificate, key } = papers.of(papers::BROKER);
    let mut config = broker::Config::new(broker::config::Tls {
        ca_file: papers.ca(),
        certificate_file: certificate,
        key_file: key,
        crl_file: Some(papers.revocations()),
        watch_ms: 2_000,
        crl_expired: broker::config::CrlExpired::Refuse,
    });
    config.listen = broker::config::Listen { mqtts: any_port(), admin: any_port(), ..broker::config::Listen::default() };
    config
}

/// Starts a broker; waits for the ports of the one before it.
async fn start_broker(config: broker::Config) -> anyhow::Result<Stand<broker::Running>> {
    let began = Instant::now();
    loop {
        let attempt = config.clone();
        let started = Stand::start(BROKER_THREADS, async move { Ok(broker::start(attempt).await?) }).await;
        match started {
            Err(error) if began.elapsed() < PORT_MAX && is_port_in_use(&error) => tokio::time::sleep(PORT_AGAIN).await,
            other => return other,
        }
    }
}

fn is_port_in_use(error: &anyhow::Error) -> bool {
    let Some(broker::StartError::Bind { source, .. }) = error.downcast_ref() else { return false };
    source.kind() == std::io::ErrorKind::AddrInUse
}

fn processor_config(papers: &Papers, stage: &Stage, broker: SocketAddr) -> anyhow::Result<stream_processor::Config> {
    let Pair { certificate, key } = papers.of(papers::PROCESSOR);
    let mut config = stream_processor::Config::parse("", "the demo's configuration", [])?;
    config.mqtt.servers = vec![Server { scheme: Scheme::Gate, host: broker.ip().to_string(), port: broker.port() }];
    config.mqtt.client_id = papers::PROCESSOR.to_owned();
    (config.mqtt.ca_file, config.mqtt.certificate_file, config.mqtt.key_file) = (papers.ca(), certificate, key);
    let address = stage.address();
    config.kafka.bootstrap_servers.clone_from(&address.kafka);
    config.kafka.topic_prefix.clone_from(&address.topic_prefix);
    config.kafka.options = address.kafka_options.iter().cloned().collect();
    config.kafka.session_timeout_ms = SESSION_TIMEOUT_MS;
    config.topics.partitions = PARTITIONS;
    // The mock knows no administration; its topics are there already.
    config.topics.manage = !stage.is_mock();
    // The mock keeps a few minutes only, and its transactions are for show.
    config.intervals.enabled = !stage.is_mock();
    config.quality.enabled = !stage.is_mock();
    config.http.listen = any_port();
    Ok(config)
}

async fn start_processor(config: stream_processor::Config, gate: Arc<Gate>) -> anyhow::Result<Stand<stream_processor::Running>> {
    let stand = Stand::start(PROCESSOR_THREADS, async move { Ok(stream_processor::start(config, gate).await?) }).await?;
    let mut owned = stand.get().context("the processor is not there")?.owned();
    let all = owned.wait_for(|owned| owned.len() == usize::from(PARTITIONS));
    tokio::time::timeout(READY_MAX, all).await.context("the processor got no partitions: is Kafka well? RUST_LOG=info says more")??;
    Ok(stand)
}
