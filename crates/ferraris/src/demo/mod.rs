//! `ferraris demo`: the whole system in one process, killed in the middle, and the count of what that lost or doubled.
//!
//! The rooms: `papers` (certificates), `stage` (Kafka), `cast` (broker and processor), `homes` and `flats` (meters and their agents), `follow` (a
//! consumer), `screen` (what people see), and the pure ones, `sample`, `accounts`, `age`, `summary` and `thief` (a feeder in simulated time). The count itself is `fleet::audit`.

mod accounts;
mod age;
mod cast;
mod flats;
mod follow;
mod gate;
mod hints;
mod homes;
mod papers;
mod play;
mod sample;
mod screen;
mod stage;
mod stand;
mod summary;
mod thief;

use crate::kafka::key_value;
use crate::output::Outcome;

/// Run the whole system in this process, kill parts of it, and count what was lost or doubled.
///
/// A broker with fresh certificates, simulated homes with real edge agents (SQLite journals, mutual TLS), and on pseudo-terminals a
/// PZEM-004T with captured replies, a meter with an optical port, and a prepaid meter of six flats, one of which has little credit and is cut off;
/// a processor that writes to Kafka. Halfway broker and processor are killed and started
/// again. Beside it a simulated feeder with a thief passes three weeks in moments, and the alert that names the house is compared with the
/// truth. In the end everything that the agents' journals accepted is compared with everything that Kafka holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ferraris demo\n  \
    ferraris demo --seconds 20 --homes 5 --json | tail -n 1 | jq .\n  \
    ferraris demo --kafka localhost:9092\n  \
    ferraris demo --kafka localhost:9092 --topic-prefix demo- --seconds 600\n\n\
    Ctrl-C ends it early, with the count. Without --kafka it writes to librdkafka's mock cluster in this process: a demo Kafka\n\
    in memory whose transactions are not real. Exit code 1: something was lost or doubled.")]
pub struct Options {
    /// How long to measure
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=86_400))]
    seconds: u64,
    /// Simulated homes
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=400))]
    homes: u16,
    /// Where chance begins: the same seed gives the same households, and the same instant to die in on a real Kafka
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A real Kafka instead of the mock, with a topic prefix of its own for this run
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Write to topics with this prefix, and leave them there
    #[arg(long, value_name = "PREFIX", requires = "kafka")]
    topic_prefix: Option<String>,
    /// Further librdkafka settings, for example security.protocol=SASL_SSL; may be repeated
    #[arg(long = "kafka-option", value_name = "KEY=VALUE", value_parser = key_value, requires = "kafka")]
    kafka_options: Vec<(String, String)>,
    /// End with the summary as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Runs the demo.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(play::play(options));
    // A consumer that still waits must not hold up the end.
    runtime.shutdown_background();
    outcome
}
