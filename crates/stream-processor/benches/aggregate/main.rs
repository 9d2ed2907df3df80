//! Intervals by the second: `./dev bench aggregate`. What the figures mean is in docs/performance.md.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a measurement: what is odd must end it")]

#[path = "../../../estimator/examples/figures/figure.rs"]
#[expect(dead_code, reason = "shared with the estimator's figures, which need ranges as well")]
mod figure;
mod kafka;
mod member;
mod memory;
mod readings;

use std::process::ExitCode;

use clap::{Parser, value_parser};

use figure::Figure;

/// Intervals by the second: in memory, and from Kafka to Kafka in transactions
#[derive(Parser)]
#[command(after_help = "Examples:\n  ./dev bench aggregate\n  ./dev bench aggregate --readings 300000\n  ./dev bench aggregate --json")]
struct Options {
    /// One line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// Readings in Kafka to make intervals of
    #[arg(long, default_value_t = 2_000_000, value_parser = value_parser!(u64).range(10_000..=100_000_000))]
    readings: u64,
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut figures = memory::figures();
    eprintln!("writing {} readings to a Kafka of its own", options.readings);
    figures.extend(kafka::figures(options.readings));
    figure::print(&figures, options.json).unwrap();
    if figures.iter().all(Figure::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
