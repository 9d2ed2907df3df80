//! `ferraris doctor`: what is on a serial port or a chip's bus, and how durable a Kafka is.

mod chip;
mod kafka;
mod port;

use std::path::PathBuf;

use anyhow::bail;
use edge_agent::config::Interface;

use crate::kafka::key_value;
use crate::output::Outcome;

/// What is on a serial port or a chip's bus; how durable a Kafka's acknowledgements are.
///
/// On a port it asks and listens in every language that the agent knows, the quick ones first, and stops at the first that is answered: half a minute at the
/// most. On /dev/i2c-… and /dev/spidev… it looks for an ADE7816. The agent must not have the port open meanwhile. Of a Kafka it shows the copies of each topic, and what a power cut can take.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ferraris doctor --port /dev/ttyUSB0\n  \
    ferraris doctor --port /dev/ttyUSB0 --json | jq .\n  \
    ferraris doctor --port /dev/i2c-1\n  \
    ferraris doctor --kafka localhost:9092\n\n\
    Exit code 1: nothing is on the port, or Kafka acknowledges what a power cut can take.")]
pub struct Options {
    /// The serial port, or the bus of a chip
    #[arg(long, value_name = "TERMINAL")]
    port: Option<PathBuf>,
    /// Bootstrap servers
    #[arg(long, value_name = "HOST:PORT[,HOST:PORT…]")]
    kafka: Option<String>,
    /// Prefix of the topic names, as in the processor's `kafka.topic_prefix`
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    topic_prefix: String,
    /// Further librdkafka settings, for example security.protocol=SASL_SSL; may be repeated
    #[arg(long = "kafka-option", value_name = "KEY=VALUE", value_parser = key_value)]
    kafka_options: Vec<(String, String)>,
    /// One JSON object for each of the two
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    if options.port.is_none() && options.kafka.is_none() {
        bail!("what is to be looked at? name a serial port with --port, or a Kafka with --kafka");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut good = true;
    if let Some(port) = &options.port {
        good &= match Interface::of_port(port) {
            Some(_) => chip::run(port, options.json)?,
            None => runtime.block_on(port::run(port, options.json))?,
        } == Outcome::Good;
    }
    if let Some(servers) = &options.kafka {
        let address = crate::kafka::Address {
            kafka: servers.clone(),
            topic_prefix: options.topic_prefix.clone(),
            kafka_options: options.kafka_options.clone(),
        };
        good &= runtime.block_on(kafka::run(&address, options.json))? == Outcome::Good;
    }
    Ok(Outcome::good_if(good))
}
