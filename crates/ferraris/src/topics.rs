//! `ferraris topics`: the Kafka topics of an installation.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use stream_processor::Config;
use stream_processor::kafka::Clients;
use stream_processor::topics::{self, Report, TopicsError};

use crate::clock;
use crate::kafka::key_value;
use crate::output::{self, Outcome};

/// Kafka topics: create, check, new ledger.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Create what is missing, with the settings of the processor's configuration
    #[command(after_help = "Examples:\n  \
        ferraris topics create --kafka localhost:9092\n  \
        ferraris topics create --config /etc/ferraris/stream-processor.toml\n\n\
        A processor with topics.manage = true does the same when it starts.")]
    Create {
        #[command(flatten)]
        place: Place,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Compare what is there with the processor's configuration; creates nothing
    #[command(after_help = "Examples:\n  \
        ferraris topics check --kafka localhost:9092\n  \
        ferraris topics check --config /etc/ferraris/stream-processor.toml --json\n\n\
        Exit code 1: a topic is missing, or differs from the configuration.")]
    Check {
        #[command(flatten)]
        place: Place,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Tell all meters that Kafka was put back to an earlier state
    ///
    /// Meters then give up the streams they have open and send what they still hold under new numbers. What came before the backup
    /// and was acknowledged after it is gone; what they send again may double. Stop all processors first.
    #[command(after_help = "Examples:\n  ferraris topics new-ledger --config /etc/ferraris/stream-processor.toml --yes")]
    NewLedger {
        #[command(flatten)]
        place: Place,
        /// Yes: Kafka was restored, and all processors are stopped
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// Which Kafka, and how its topics should be.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The processor's configuration; without it the defaults hold
    #[arg(long, value_name = "PATH", env = "FERRARIS_PROCESSOR_CONFIG")]
    config: Option<PathBuf>,
    /// Bootstrap servers, instead of the configuration's
    #[arg(long, value_name = "HOST:PORT[,HOST:PORT…]")]
    kafka: Option<String>,
    /// Prefix of the topic names, instead of the configuration's
    #[arg(long, value_name = "PREFIX")]
    topic_prefix: Option<String>,
    /// Further librdkafka settings, for example security.protocol=SASL_SSL; may be repeated
    #[arg(long = "kafka-option", value_name = "KEY=VALUE", value_parser = key_value)]
    kafka_options: Vec<(String, String)>,
}

impl Place {
    fn load(&self) -> anyhow::Result<(Config, Clients)> {
        let mut config = Config::load(self.config.as_deref(), std::env::vars())?;
        let kafka = &mut config.kafka;
        kafka.bootstrap_servers = self.kafka.clone().unwrap_or_else(|| kafka.bootstrap_servers.clone());
        kafka.topic_prefix = self.topic_prefix.clone().unwrap_or_else(|| kafka.topic_prefix.clone());
        kafka.options.extend(self.kafka_options.iter().cloned());
        let clients = Clients::new(&config.kafka)?;
        Ok((config, clients))
    }
}

/// Runs the command.
pub fn run(command: &Command) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match command {
        Command::Create { place, json } => {
            let (mut config, clients) = place.load()?;
            config.topics.manage = true;
            let report = runtime.block_on(topics::ensure(&clients, &config.topics))?;
            print(&report, *json)?;
            Ok(Outcome::Good)
        }
        Command::Check { place, json } => {
            let (config, clients) = place.load()?;
            match runtime.block_on(check(&clients, config.topics)) {
                Ok(report) => {
                    print(&report, *json)?;
                    Ok(Outcome::good_if(report.differences.is_empty()))
                }
                Err(error @ (TopicsError::Unreachable { .. } | TopicsError::Refused { .. })) => Err(error.into()),
                Err(found) => {
                    output::complain(found);
                    Ok(Outcome::Bad)
                }
            }
        }
        Command::NewLedger { place, .. } => {
            let (config, clients) = place.load()?;
            let incarnation = topics::new_ledger(&clients, &config.topics, clock::now()).context("stop all processors and repeat it")?;
            output::line(format_args!("incarnation {incarnation}; meters hear of it with their next acknowledgement"))?;
            Ok(Outcome::Good)
        }
    }
}

/// Checks without creating: first that nothing is missing, then the settings.
async fn check(clients: &Clients, mut config: stream_processor::config::Topics) -> Result<Report, TopicsError> {
    config.manage = false;
    topics::ensure(clients, &config).await?;
    config.manage = true;
    topics::ensure(clients, &config).await
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        output::line(json!({ "created": report.created, "differences": report.differences }))?;
        return Ok(());
    }
    report.created.iter().try_for_each(|topic| output::line(format_args!("created   {topic}")))?;
    report.differences.iter().try_for_each(|difference| output::line(format_args!("differs   {difference}")))?;
    if report.created.is_empty() && report.differences.is_empty() {
        output::line("all topics are there and as configured")?;
    }
    Ok(())
}
