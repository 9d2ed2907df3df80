//! The intervals of the processor against those of a job in Flink on the same readings: `./dev test --flink`. What is compared is in
//! docs/flink.md.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a measurement: what is odd must end it; what a JSON value lacks is null"
)]

mod compare;
#[path = "../../../estimator/examples/figures/figure.rs"]
#[expect(dead_code, reason = "shared with the estimator's figures, which need ranges as well")]
mod figure;
mod input;
#[path = "../aggregate/member.rs"]
mod member;
mod theirs;

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, value_parser};
use contracts::intervals::IntervalLength;
use contracts::topics::{INTERVALS, READINGS};
use stream_processor::config::Config;
use stream_processor::interval::{Calendar, Rules, Settings};
use stream_processor::kafka::Clients;
use stream_processor::topics;
use testkit::Kafka;
use testkit::kafka::{read_topic, write_topic};

use compare::Told;
use figure::{Figure, Target};
use input::{BEGIN_MS, Extent, MODULUS_WH};

/// Differences that are printed.
const PRINTED: usize = 20;
const CHUNK: usize = 50_000;
/// The first quarter of an hour begins before the first reading.
const PROLOGUE_MS: i64 = 900_000;

/// The processor's intervals against those of a job in Flink, on the same readings; fails if any differ
#[derive(Parser)]
#[command(after_help = "Examples:\n  ./dev test --flink\n  ./dev test --flink --copies 20\n  ./dev test --flink --seed 7 --json")]
struct Options {
    /// One line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// Households to simulate; each twelfth has the same special trouble
    #[arg(long, default_value_t = 24, value_parser = value_parser!(u64).range(12..=1_000))]
    households: u64,
    /// Meters of each household
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u64).range(1..=10_000))]
    copies: u64,
    /// Hours to compare
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u64).range(5..=20))]
    hours: u64,
    /// First of the seeds; the same seed gives the same readings
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let Options { json, households, copies, hours, seed, .. } = Options::parse();
    let extent = Extent { households, copies, hours, seed };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let figures = runtime.block_on(figures(&extent));
    figure::print(&figures, json).unwrap();
    if figures.iter().all(Figure::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn figures(extent: &Extent) -> Vec<Figure> {
    eprintln!("simulating {} households for {} hours, seed {}", extent.households, extent.hours, extent.seed);
    let readings = input::readings(extent);
    let count = readings.len() as u64;
    let meters: HashSet<_> = readings.iter().map(|it| (&it.meter, it.channel)).collect();
    let channels = meters.len();
    let kafka = Kafka::start().await.unwrap();
    let mut config = Config::parse("", "bench", []).unwrap();
    config.kafka.bootstrap_servers = kafka.bootstrap().to_owned();
    let clients = Clients::new(&config.kafka).unwrap();
    topics::ensure(&clients, &config.topics).await.unwrap();
    topics::ensure_these(&clients, &config.topics, &[theirs::TARGET]).await.unwrap();
    eprintln!("writing {count} readings to a Kafka of its own");
    for chunk in readings.chunks(CHUNK) {
        let mut rows = Vec::with_capacity(chunk.len());
        for reading in chunk {
            let mut value = Vec::new();
            reading.write_json(&mut value);
            rows.push((reading.meter.to_string(), value));
        }
        write_topic(kafka.bootstrap(), READINGS.name, rows).await.unwrap();
    }
    drop(readings);

    eprintln!("making intervals");
    let settings = Settings {
        register_modulus_wh: Some(MODULUS_WH),
        lengths: vec![IntervalLength::Minute, IntervalLength::QuarterHour],
        ..Settings::default()
    };
    let rules = Rules::new(settings, Calendar::default()).unwrap();
    let ours_done = member::run(clients, &config, rules, count).await;
    eprintln!("making them in Flink");
    let start = Instant::now();
    let ran = theirs::run(kafka.bootstrap()).await.unwrap();
    let flink_s = start.elapsed().as_secs_f64();

    let compared = |told: &mut Told| told.retain(|(_, _, _, start), end| *start >= BEGIN_MS + PROLOGUE_MS && end <= extent.end_ms());
    let mut ours = Told::by_revision(&read_topic(kafka.bootstrap(), INTERVALS.name).await.unwrap());
    let mut theirs = Told::by_order(&read_topic(kafka.bootstrap(), theirs::TARGET.name).await.unwrap());
    compared(&mut ours);
    compared(&mut theirs);
    let differences = compare::differences(&ours, &theirs);
    differences.iter().take(PRINTED).for_each(|it| eprintln!("{it}"));

    let mut figures = vec![
        Figure::new("readings", count as f64, ""),
        Figure::new("channels of meters", channels as f64, ""),
        Figure::new("intervals compared", ours.intervals.len() as f64, "").target(Target::AtLeast(1_000.0)),
        Figure::new("that differ in anything", differences.len() as f64, "").target(Target::AtMost(0.0)),
    ];
    for quality in ["A", "R", "E", "S", "X"] {
        let count = ours.count(quality) as f64;
        figures.push(Figure::new(format!("of quality {quality}"), count, "").target(Target::AtLeast(1.0)));
    }
    figures.extend([
        Figure::new("revised by the processor", ours.revised() as f64, "").target(Target::AtLeast(1.0)),
        Figure::new("told more than once by Flink", theirs.revised() as f64, ""),
        Figure::new("processor, from Kafka to Kafka", ours_done.rate, "readings/s"),
        Figure::new("records that it wrote", ours_done.written as f64, ""),
        Figure::new("Flink, from Kafka to Kafka, without its start", count as f64 / ran.jobs.as_secs_f64(), "readings/s"),
        Figure::new("its run, start included", flink_s, "s"),
        Figure::new("records that it wrote", theirs.records.values().sum::<usize>() as f64, ""),
    ]);
    figures
}
