//! What a user would take instead, in the same run: Mosquitto, and Telegraf that takes its messages to Kafka.
//!
//! Both as they are meant to be used where nothing may be lost: mutual TLS on both sides of Mosquitto, QoS 1, a persistent session whose
//! messages are acknowledged once Kafka has them, `acks=all`. Frames are bytes, so Telegraf writes them as Base64. Neither side knows what
//! is doubled: no transactions, no audit.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use testkit::process::Server;
use testkit::{await_until, ports};

use crate::house::{House, PARTITIONS};
use crate::load::{Errand, Job, Stage};
use crate::plan::Load;
use crate::scenario::{Generator, Outcome};
use crate::usage::cpu_s;

/// Where `./dev bench pipeline --only peers` builds it.
const TELEGRAF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../build/telegraf/telegraf");
const START: Duration = Duration::from_secs(60);

/// What they are asked for where no rate is, in frames a second: about what they carry on two cores. Without a rate Mosquitto takes all that
/// publishers have and keeps it, and nothing comes to Kafka.
const FULL_PER_S: f64 = 30_000.0;

/// The processes whose time is told.
pub const PROCESSES: [&str; 4] = ["Mosquitto", "Telegraf", "Kafka", "generator"];

/// A load on both ways, one after the other.
pub struct Race {
    /// Ours.
    pub ours: Outcome,
    /// Theirs.
    pub theirs: Bridged,
}

impl Race {
    /// How many times as much processor time broker and bridge take for a message as gate and processor.
    pub fn ratio(&self) -> f64 {
        (self.theirs.cpu_us[0] + self.theirs.cpu_us[1]) / self.ours.own_cpu_us()
    }
}

/// What Mosquitto and Telegraf did with a load.
#[derive(Clone, Debug)]
pub struct Bridged {
    /// Messages that came to Kafka in a second.
    pub messages_per_s: f64,
    /// Processor time for each of them, in µs, in the order of [`PROCESSES`].
    pub cpu_us: [f64; 4],
}

/// Whether there is a Telegraf to be measured.
pub fn telegraf() -> Option<PathBuf> {
    Path::new(TELEGRAF).canonicalize().ok()
}

/// Takes a load to Kafka by Mosquitto and Telegraf.
pub async fn run(house: &House, load: &Load, number: usize) -> anyhow::Result<Bridged> {
    let load = &Load { rate: load.rate.or(Some(FULL_PER_S)), ..load.clone() };
    let telegraf = telegraf().context("there is no Telegraf; ./dev bench pipeline --only peers builds it")?;
    let dir = tempfile::Builder::new().prefix("ferraris-peers-").tempdir()?;
    let topic = format!("peers-{number}");
    create(house.kafka.bootstrap(), &topic).await?;
    let [port] = ports::free()?;
    let write = |name: &str, text: String| -> anyhow::Result<PathBuf> {
        let path = dir.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    let config = write("mosquitto.conf", mosquitto_config(&house.pki(), port)?)?;
    let mut mosquitto =
        Server::start(Command::new("/usr/sbin/mosquitto").arg("-c").arg(config), &dir.path().join("mosquitto.log"), dir.path())?;
    await_until("Mosquitto listens", START, async || {
        mosquitto.check_running()?;
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
    })
    .await?;
    let config = write("telegraf.conf", telegraf_config(&house.pki(), port, house.kafka.bootstrap(), &topic))?;
    let mut bridge = Server::start(Command::new(telegraf).arg("--config").arg(config), &dir.path().join("telegraf.log"), dir.path())?;
    await_until("Telegraf is connected", START, async || {
        bridge.check_running()?;
        Ok(bridge.log_end().contains("Connected [").then_some(()))
    })
    .await?;
    measure(house, [&mosquitto, &bridge], port, &topic, load).with_context(|| format!("Telegraf: {}", bridge.log_end()))
}

fn measure(house: &House, [mosquitto, bridge]: [&Server; 2], port: u16, topic: &str, load: &Load) -> anyhow::Result<Bridged> {
    let mut generator = Generator::start(&Job { port, pki: house.pki(), errand: Errand::Publish(load.clone()) })?;
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", house.kafka.bootstrap()).create()?;
    let kafka = house.kafka.id().context("Kafka has ended")?;
    let moment = |generator: u32| -> anyhow::Result<(f64, [f64; 4])> {
        Ok((written(&consumer, topic)?, [cpu_s(mosquitto.id())?, cpu_s(bridge.id())?, cpu_s(kafka)?, cpu_s(generator)?]))
    };
    let Stage::Ready { .. } = generator.next()? else { bail!("the load generator is not ready") };
    let Stage::Begin(_) = generator.next()? else { bail!("the measurement does not begin") };
    let (before, begin) = moment(generator.id())?;
    let Stage::End(_) = generator.next()? else { bail!("the measurement does not end") };
    let (after, end) = moment(generator.id())?;
    let messages = after - before;
    anyhow::ensure!(messages > 0.0, "nothing came to Kafka");
    Ok(Bridged { messages_per_s: messages / load.seconds, cpu_us: std::array::from_fn(|at| (end[at] - begin[at]) * 1e6 / messages) })
}

/// Messages of a topic.
fn written(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<f64> {
    (0..i32::from(PARTITIONS)).try_fold(0.0, |sum, partition| {
        let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10))?;
        Ok(sum + (high - low) as f64)
    })
}

async fn create(bootstrap: &str, topic: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let topic = NewTopic::new(topic, PARTITIONS.into(), TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await?;
    made.into_iter().try_for_each(|one| one.map(drop).map_err(|(topic, why)| anyhow::anyhow!("cannot create {topic}: {why}")))
}

/// Nothing is dropped: what waits for Telegraf has no bound.
fn mosquitto_config(pki: &Path, port: u16) -> anyhow::Result<String> {
    let pki = pki.display();
    let user = String::from_utf8(Command::new("id").arg("-un").output().context("cannot run id")?.stdout)?;
    Ok(format!(
        "user {}\nper_listener_settings false\nlistener {port} 127.0.0.1\ncafile {pki}/ca.pem\ncertfile {pki}/issued/broker.pem\n\
         keyfile {pki}/issued/broker.key\nrequire_certificate true\nuse_identity_as_username true\nallow_anonymous false\n\
         persistence false\nmax_queued_messages 0\nmax_inflight_messages 1000\nset_tcp_nodelay true\nlog_type error\n",
        user.trim()
    ))
}

fn telegraf_config(pki: &Path, port: u16, kafka: &str, topic: &str) -> String {
    let pki = pki.display();
    format!(
        "[agent]\ninterval = '1s'\nflush_interval = '50ms'\nmetric_batch_size = 1000\nmetric_buffer_limit = 100000\nomit_hostname = true\n\
         [[inputs.mqtt_consumer]]\nservers = ['ssl://127.0.0.1:{port}']\ntopics = ['f1/+/+/up']\nqos = 1\npersistent_session = true\n\
         client_id = 'processor-1'\nmax_undelivered_messages = 1000\ndata_format = 'value'\ndata_type = 'base64'\n\
         tls_ca = '{pki}/ca.pem'\ntls_cert = '{pki}/issued/processor-1.pem'\ntls_key = '{pki}/issued/processor-1.key'\n\
         [[outputs.kafka]]\nbrokers = ['{kafka}']\ntopic = '{topic}'\nrouting_tag = 'topic'\nrequired_acks = -1\ncompression_codec = 3\n\
         data_format = 'influx'\n"
    )
}
