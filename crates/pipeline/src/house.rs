//! The programs that are measured, each a process of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use pki::{Authority, IssueOptions, Role};
use tempfile::TempDir;
use testkit::process::Server;
use testkit::{Kafka, await_until, ports};

use crate::load::{Errand, Job};

const START: Duration = Duration::from_secs(60);

/// Kafka, certificates, and where our programs are. Kafka stays for all runs, so that its virtual machine is warm.
pub struct House {
    /// The real one.
    pub kafka: Kafka,
    // Behind the server that writes into it: fields are dropped in order.
    dir: TempDir,
    programs: PathBuf,
    runs: u32,
}

/// Gate and processors of one run, and topics of its own.
pub struct Run {
    /// The gate's process.
    pub gate: Server,
    /// The processors, by their number.
    pub processors: Vec<Processor>,
    /// Where meters connect.
    pub port: u16,
    /// What all topics of this run begin with.
    pub prefix: String,
    /// Further sections of the processors' configuration.
    sinks: String,
    dir: PathBuf,
}

/// A processor's process.
pub struct Processor {
    /// The process.
    pub server: Server,
    metrics_port: u16,
}

/// Most processors of a run: there are certificates for so many.
pub const PROCESSORS_MAX: usize = 2;
/// Partitions of each topic, as the processor's default configuration has it.
pub const PARTITIONS: u16 = 4;

impl House {
    /// Builds the programs unless there are some to be measured, starts Kafka and issues certificates.
    pub async fn open(programs: Option<&Path>) -> anyhow::Result<Self> {
        let programs = programs.map_or_else(build, |programs| Ok(programs.canonicalize()?))?;
        let dir = tempfile::Builder::new().prefix("ferraris-pipeline-").tempdir()?;
        let mut authority = Authority::create(dir.path().join("pki"))?;
        let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        authority.issue("broker", Role::Server, &IssueOptions { hosts, ..IssueOptions::default() })?;
        for number in 0..PROCESSORS_MAX {
            authority.issue(&processor_name(number), Role::Service, &IssueOptions::default())?;
        }
        Ok(Self { kafka: Kafka::start().await?, dir, programs, runs: 0 })
    }

    /// The authority's directory.
    pub fn pki(&self) -> PathBuf {
        self.dir.path().join("pki")
    }

    /// An errand for the load generator at the gate of a run.
    pub fn job(&self, run: &Run, errand: Errand) -> Job {
        Job { port: run.port, pki: self.pki(), errand }
    }

    /// Starts a gate and `processors` processors that know nothing of earlier runs, and waits until they own all partitions.
    pub async fn start(&mut self, processors: usize) -> anyhow::Result<Run> {
        self.start_with(processors, String::new()).await
    }

    /// The same with further sections in the processors' configuration.
    pub async fn start_with(&mut self, processors: usize, sinks: String) -> anyhow::Result<Run> {
        self.runs += 1;
        let dir = self.dir.path().join(format!("run-{}", self.runs));
        fs::create_dir(&dir)?;
        let [port] = ports::free()?;
        let mut gate = self.program("broker", &dir, "broker", &gate_config(&self.pki(), port))?;
        await_until("the gate listens", START, async || {
            gate.check_running()?;
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
        })
        .await?;
        let mut run = Run { gate, processors: Vec::new(), port, prefix: format!("run{}-", self.runs), sinks, dir };
        for number in 0..processors {
            run.processors.push(self.processor(&run, number)?);
        }
        run.ready().await?;
        Ok(run)
    }

    /// Starts a processor; there may have been one of the same number before.
    pub fn processor(&self, run: &Run, number: usize) -> anyhow::Result<Processor> {
        let [metrics_port] = ports::free()?;
        let name = processor_name(number);
        let config = processor_config(&self.pki(), &name, run.port, self.kafka.bootstrap(), &run.prefix, metrics_port) + &run.sinks;
        let server = self.program("stream-processor", &run.dir, &format!("{name}-{metrics_port}"), &config)?;
        Ok(Processor { server, metrics_port })
    }

    fn program(&self, program: &str, dir: &Path, name: &str, config: &str) -> anyhow::Result<Server> {
        let path = dir.join(format!("{name}.toml"));
        fs::write(&path, config)?;
        let mut command = Command::new(self.programs.join(program));
        command.arg("--config").arg(path).env("RUST_LOG", "warn,rumqttd=off");
        Server::start(&mut command, &dir.join(format!("{name}.log")), dir)
    }
}

impl Run {
    /// Waits until each processor is connected and owns partitions, and each partition is owned.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        await_until("the processors own the partitions", START, async || {
            let mut all = 0.0;
            for processor in &mut self.processors {
                processor.server.check_running()?;
                let owned = metric(processor.metrics_port, "ferraris_processor_partitions_owned").unwrap_or(0.0);
                let connected = metric(processor.metrics_port, "ferraris_processor_brokers_connected").unwrap_or(0.0);
                if owned < 1.0 || connected < 1.0 {
                    return Ok(None);
                }
                all += owned;
            }
            Ok((all >= f64::from(PARTITIONS)).then_some(()))
        })
        .await
    }

    /// Transactions that the processors have committed.
    pub fn transactions(&self) -> anyhow::Result<f64> {
        self.processors.iter().map(Processor::transactions).sum()
    }

    /// What the processors say of all they counted, for a run that went wrong.
    pub fn complaints(&self) -> String {
        let told: Vec<_> = self.processors.iter().map(Processor::complaints).collect();
        format!("{}\ngate: {}", told.join("\n"), self.gate.log_end())
    }
}

impl Processor {
    /// Transactions that it has committed.
    pub fn transactions(&self) -> anyhow::Result<f64> {
        metric(self.metrics_port, "ferraris_processor_transaction_seconds_count")
    }

    fn complaints(&self) -> String {
        let metrics = fetch(self.metrics_port).unwrap_or_default();
        let telling = |line: &&str| line.contains("dropped") || line.contains("unsent") || line.contains("transactions_total");
        let counted: Vec<&str> = metrics.lines().filter(|line| !line.starts_with('#')).filter(telling).collect();
        format!("{}\nprocessor: {}", counted.join("\n"), self.server.log_end())
    }
}

fn processor_name(number: usize) -> String {
    format!("processor-{}", number + 1)
}

/// Builds gate and processor as they are released; where they are.
fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--locked", "--quiet", "-p", "broker", "-p", "stream-processor", "--bins"];
    let mut command = Command::new(cargo);
    // What `cargo bench` says of this package would look like a change to the build scripts of others, and build them anew each time.
    let of_this_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars().filter(|(name, _)| of_this_package.iter().any(|it| name.starts_with(it))) {
        command.env_remove(name);
    }
    let status = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cannot build the programs that are to be measured");
    }
    // This program is in release/deps.
    let this = std::env::current_exe()?;
    let programs = this.ancestors().nth(2).context("this program is nowhere")?;
    anyhow::ensure!(programs.join("broker").is_file(), "cargo put the programs elsewhere than {}", programs.display());
    Ok(programs.to_owned())
}

fn metric(port: u16, name: &str) -> anyhow::Result<f64> {
    let text = fetch(port)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).with_context(|| format!("no metric {name}"))?;
    Ok(value.trim().parse()?)
}

fn fetch(port: u16) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(START))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Defaults, but for the rates of a meter: the gate is measured, not its limits.
fn gate_config(pki: &Path, port: u16) -> String {
    let pki = pki.display();
    format!(
        "[listen]\nmqtts = '127.0.0.1:{port}'\nadmin = '127.0.0.1:0'\n[tls]\nca_file = '{pki}/ca.pem'\n\
         certificate_file = '{pki}/issued/broker.pem'\nkey_file = '{pki}/issued/broker.key'\ncrl_file = '{pki}/crl.pem'\n\
         [limits.meter]\nmessages_per_s = 1000000\nmessages_burst = 1000000\nbytes_per_s = 1000000000\nbytes_burst = 1000000000\n"
    )
}

/// Defaults, but for intervals and power quality: the way to Kafka is measured, not what is derived from there on.
fn processor_config(pki: &Path, name: &str, port: u16, kafka: &str, prefix: &str, metrics_port: u16) -> String {
    let pki = pki.display();
    format!(
        "[mqtt]\nservers = ['gate://127.0.0.1:{port}']\nclient_id = '{name}'\nca_file = '{pki}/ca.pem'\n\
         certificate_file = '{pki}/issued/{name}.pem'\nkey_file = '{pki}/issued/{name}.key'\nreconnect_max_ms = 1000\n\
         [kafka]\nbootstrap_servers = '{kafka}'\ntopic_prefix = '{prefix}'\n[http]\nlisten = '127.0.0.1:{metrics_port}'\n\
         [intervals]\nenabled = false\n[quality]\nenabled = false\n"
    )
}
