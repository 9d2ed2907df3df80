//! A broker, certificates, and topics of the test's own on the real Kafka.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use contracts::topics::KafkaTopic;
use pki::Role;
use tempfile::TempDir;
use testkit::kafka::{Row, read_topic, write_topic};
use testkit::{Credentials, Identity, KafkaHandle, Mosquitto, await_until};

use crate::PATIENCE;

/// Where a test plays. Everything is gone when it is dropped; topics go with the Kafka.
pub struct Stage {
    /// The authority of everyone here.
    pub credentials: Credentials,
    bootstrap: String,
    prefix: String,
    broker: Option<broker::Running>,
    broker_config: Option<broker::Config>,
    /// Where agents connect.
    mqtt: SocketAddr,
    /// Where processors do.
    servers: Vec<String>,
    /// Whether processors make intervals: a second group, which most tests do without.
    pub intervals: bool,
    /// Whether they watch power quality: another one.
    pub quality: bool,
    /// Whether they watch feeders: a fourth one.
    pub analytics: bool,
    /// Further sections of their configuration.
    pub sinks: String,
    /// Whether they take commands to meters: a fourth one.
    pub commands: bool,
    /// Further keys of their configuration, by section: of `intervals`, `quality` and `analytics`.
    pub keys: BTreeMap<&'static str, String>,
    dir: TempDir,
}

impl Stage {
    /// Our broker, and the Kafka that all tests share.
    pub async fn new() -> anyhow::Result<Self> {
        let mut stage = Self::without_broker(KafkaHandle::shared().await?.bootstrap()).await?;
        let identity = stage.credentials.server("broker")?;
        let mut config = broker::Config::new(broker::config::Tls {
            ca_file: identity.ca,
            certificate_file: identity.certificate,
            key_file: identity.key,
            crl_file: Some(stage.credentials.revocation_list()),
            watch_ms: 100,
            crl_expired: broker::config::CrlExpired::Refuse,
        });
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.listen = broker::config::Listen { mqtts: any, admin: any, ..broker::config::Listen::default() };
        let running = broker::start(config.clone()).await?;
        // It comes back where it was.
        config.listen.mqtts = running.mqtts_addr();
        stage.set_gates(running.mqtts_addr(), [running.mqtts_addr()]);
        (stage.broker, stage.broker_config) = (Some(running), Some(config));
        Ok(stage)
    }

    /// Mosquitto in place of our broker.
    pub async fn with_mosquitto() -> anyhow::Result<(Self, Mosquitto)> {
        let mut stage = Self::without_broker(KafkaHandle::shared().await?.bootstrap()).await?;
        let identity = stage.credentials.server("broker")?;
        let mosquitto = Mosquitto::start(&stage.credentials, &identity).await?;
        stage.mqtt = (Ipv4Addr::LOCALHOST, mosquitto.port()).into();
        stage.servers = vec![format!("mqtts://{}", stage.mqtt)];
        Ok((stage, mosquitto))
    }

    /// No broker yet: [`Self::set_gates`] says where they are.
    pub async fn without_a_broker() -> anyhow::Result<Self> {
        Self::without_broker(KafkaHandle::shared().await?.bootstrap()).await
    }

    /// Agents connect to `mqtt`, processors to each of the gates.
    pub fn set_gates(&mut self, mqtt: SocketAddr, gates: impl IntoIterator<Item = SocketAddr>) {
        self.mqtt = mqtt;
        self.servers = gates.into_iter().map(|gate| format!("gate://{gate}")).collect();
    }

    async fn without_broker(bootstrap: &str) -> anyhow::Result<Self> {
        Ok(Self {
            credentials: Credentials::new()?,
            bootstrap: bootstrap.to_owned(),
            prefix: format!("p{:016x}-", rand::random::<u64>()),
            broker: None,
            broker_config: None,
            mqtt: (Ipv4Addr::LOCALHOST, 0).into(),
            servers: Vec::new(),
            intervals: false,
            quality: false,
            analytics: false,
            sinks: String::new(),
            commands: false,
            keys: BTreeMap::new(),
            dir: tempfile::Builder::new().prefix("ferraris-promise-").tempdir()?,
        })
    }

    /// The same stage on another Kafka.
    #[must_use]
    pub fn on_kafka(mut self, bootstrap: &str) -> Self {
        bootstrap.clone_into(&mut self.bootstrap);
        self
    }

    /// Where MQTT is.
    pub const fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Takes the broker down without a goodbye: sessions, queues and the router's memory are gone.
    pub fn kill_broker(&mut self) {
        self.broker = None;
    }

    /// Takes the broker down in an orderly way.
    pub async fn shut_broker(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.shutdown().await;
        }
    }

    /// A new broker on the same port, which remembers nothing.
    pub async fn start_broker(&mut self) -> anyhow::Result<()> {
        let config = self.broker_config.clone().context("this stage has no broker of ours")?;
        let broker = await_until("the broker comes back on its port", PATIENCE, async || match broker::start(config.clone()).await {
            Ok(broker) => Ok(Some(broker)),
            // A dropped broker's tasks give the port back in their own time.
            Err(broker::StartError::Bind { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        });
        self.broker = Some(broker.await?);
        Ok(())
    }

    /// A directory for the test's own files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A certificate of this role.
    pub fn client(&mut self, name: &str, role: Role) -> anyhow::Result<Identity> {
        self.credentials.client(name, role)
    }

    /// Creates the topics, before any processor does.
    pub async fn create_topics(&self) -> anyhow::Result<()> {
        let variables = [("BOOTSTRAP_SERVERS", &self.bootstrap), ("TOPIC_PREFIX", &self.prefix)]
            .map(|(key, value)| (format!("{}KAFKA__{key}", stream_processor::config::ENVIRONMENT_PREFIX), format!("{value:?}")));
        let config = stream_processor::Config::load(None, variables)?;
        let clients = stream_processor::kafka::Clients::new(&config.kafka)?;
        stream_processor::topics::ensure(&clients, &config.topics).await?;
        Ok(())
    }

    /// Everything in a topic that is committed.
    pub async fn topic(&self, topic: &KafkaTopic) -> anyhow::Result<Vec<Row>> {
        read_topic(&self.bootstrap, &topic.name_with(&self.prefix)).await
    }

    /// Writes records into a topic, past all processors.
    pub async fn write(&self, topic: &KafkaTopic, rows: Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
        write_topic(&self.bootstrap, &topic.name_with(&self.prefix), rows).await
    }

    /// A configuration file for a processor of this name.
    pub fn processor_config(&mut self, name: &str) -> anyhow::Result<PathBuf> {
        let Identity { ca, certificate, key } = self.client(name, Role::Service)?;
        let path = self.dir().join(format!("{name}.toml"));
        let keys = |section| self.keys.get(section).map_or("", String::as_str);
        let text = format!(
            "[mqtt]\nservers = {:?}\nclient_id = '{name}'\nca_file = '{}'\ncertificate_file = '{}'\nkey_file = '{}'\n\
             reconnect_max_ms = 1000\n\
             [kafka]\nbootstrap_servers = '{}'\ntopic_prefix = '{}'\nsession_timeout_ms = 6000\n\
             [intervals]\nenabled = {}\n{}\n\
             [quality]\nenabled = {}\n{}\n\
             [analytics]\nenabled = {}\n{}\n\
             [commands]\nenabled = {}\n\
             [http]\nlisten = '127.0.0.1:0'\n\
             {}",
            self.servers,
            ca.display(),
            certificate.display(),
            key.display(),
            self.bootstrap,
            self.prefix,
            self.intervals,
            keys("intervals"),
            self.quality,
            keys("quality"),
            self.analytics,
            keys("analytics"),
            self.commands,
            self.sinks,
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A configuration file for a gate of this name.
    pub fn gate_config(&mut self, name: &str, mqtts: SocketAddr, admin: SocketAddr) -> anyhow::Result<PathBuf> {
        let Identity { ca, certificate, key } = self.credentials.server(name)?;
        let path = self.dir().join(format!("{name}.toml"));
        let text = format!(
            "[listen]\nmqtts = '{mqtts}'\nadmin = '{admin}'\n\
             [tls]\nca_file = '{}'\ncertificate_file = '{}'\nkey_file = '{}'\ncrl_file = '{}'\n",
            ca.display(),
            certificate.display(),
            key.display(),
            self.credentials.revocation_list().display(),
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }
}
