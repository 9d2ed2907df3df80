//! A Kafka broker as a child process.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::answers;
use crate::jars::Jars;
use crate::process::Server;
use crate::{await_until, ports};

const PROPERTIES: &str = include_str!("server.properties");
const JARS: Jars = Jars { name: "Apache Kafka", folder: "kafka", pom: include_str!("pom.xml"), megabytes: 54 };

/// A start takes four seconds on two idle cores.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// One broker with fresh, empty data. Killed (as by `kill -9`) and its data removed when dropped.
pub struct Kafka {
    bootstrap: String,
    // Before the directory: what writes into it must be gone first.
    server: Option<Server>,
    dir: TempDir,
}

impl Kafka {
    /// Starts a broker on free ports and waits until it answers. The first time in a checkout it is fetched.
    pub async fn start() -> anyhow::Result<Kafka> {
        let (dir, port) = tokio::task::spawn_blocking(prepare).await??;
        let mut kafka = Kafka { bootstrap: format!("127.0.0.1:{port}"), server: None, dir };
        kafka.resume().await?;
        Ok(kafka)
    }

    /// Where clients connect, `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.server.as_ref().map(Server::id)
    }

    /// Kills the broker at once, as a power cut would; its data and its port stay reserved for [`Kafka::resume`].
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again on the same data and port and waits until it answers. Does nothing while it runs.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let mut server = self.spawn()?;
        let began = await_until("Kafka answers", START_DEADLINE, async || {
            server.check_running().context("Kafka did not start")?;
            Ok(answers(&self.bootstrap, Duration::from_millis(500)).await.ok())
        });
        if let Err(error) = began.await {
            bail!("{error:#}\n{}", server.log_end());
        }
        self.server = Some(server);
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<Server> {
        // Its log goes to a file of ours; Kafka's own configuration of it is not among the jars.
        let mut command = JARS.java()?;
        command.args(["-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "kafka.Kafka"]).arg(self.dir.path().join("server.properties"));
        Server::start(&mut command, &self.dir.path().join("log"), self.dir.path())
    }
}

/// The Kafka that tests share: each takes a prefix of its own for its topics, groups and transactional ids.
#[derive(Clone, Debug)]
pub struct KafkaHandle {
    bootstrap: String,
}

static SHARED: OnceCell<Kafka> = OnceCell::const_new();

impl KafkaHandle {
    /// The Kafka named by `FERRARIS_KAFKA` (`host:port`), or one that this process starts at the first call and keeps to its end.
    pub async fn shared() -> anyhow::Result<KafkaHandle> {
        let bootstrap = match std::env::var("FERRARIS_KAFKA") {
            Ok(named) => {
                answers(&named, Duration::from_secs(10)).await.context("FERRARIS_KAFKA")?;
                named
            }
            Err(_) => SHARED.get_or_try_init(Kafka::start).await?.bootstrap().to_owned(),
        };
        Ok(KafkaHandle { bootstrap })
    }

    /// Where clients connect, `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A prefix that no other test has.
    pub fn fresh_prefix(&self) -> String {
        format!("t{:012x}-", rand::random::<u64>() >> 16)
    }
}

/// A formatted data directory and its configuration, and the port that it names.
fn prepare() -> anyhow::Result<(TempDir, u16)> {
    let mut format = JARS.java().context("no Kafka can be started; FERRARIS_KAFKA=host:port would name one that is there")?;
    let dir = tempfile::Builder::new().prefix("ferraris-kafka-").tempdir().context("cannot make a temporary directory")?;
    let [port, controller] = ports::free()?;
    let data = dir.path().join("data");
    let properties = PROPERTIES
        .replace("@PORT@", &port.to_string())
        .replace("@CONTROLLER@", &controller.to_string())
        .replace("@DATA@", &data.to_string_lossy());
    let path = dir.path().join("server.properties");
    fs::write(&path, properties)?;
    format.args(["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(&path);
    let output = format.stdin(Stdio::null()).output().context("cannot run java: install a Java 17 runtime")?;
    if !output.status.success() {
        bail!("cannot format Kafka's data: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok((dir, port))
}

/// Any base64 of 16 bytes; a cluster of one broker on a port of its own needs no other name.
const CLUSTER: &str = "RmVycmFyaXMtdGVzdHMtMQ";
