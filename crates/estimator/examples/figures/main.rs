//! The figures of the filter, each beside its target: `./dev figures estimator`. What they mean is in docs/estimator.md.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "measures simulations of fixed dimension"
)]

mod accuracy;
mod clean;
mod consistency;
mod detection;
mod energy;
mod figure;
mod hostile;
mod parity;
mod plot;
mod reference;
mod report;
mod run;
#[path = "../../tests/filter/vectors/mod.rs"]
mod vectors;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use fleet::household::HouseholdConfig;

use figure::Figure;

/// Households of the street, a day of each.
const STREET: u64 = 30;

/// The figures of the filter, each beside its target; fails if one is missed
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  ./dev figures estimator\n  ./dev figures estimator --only parity,energy --seed 7\n  ./dev figures estimator --plot\n  ./dev figures estimator --json | grep '\"ok\":false'"
)]
struct Arguments {
    /// A line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the pictures of docs/estimator.md instead
    #[arg(long, conflicts_with_all = ["json", "only"])]
    plot: bool,
    /// First of the seeds of simulated households; the same seed gives the same figures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// These groups only
    #[arg(long, value_delimiter = ',', value_name = "GROUP")]
    only: Vec<Group>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    Parity,
    Accuracy,
    Consistency,
    Energy,
    Sound,
    Spikes,
    Delays,
    Hostile,
    Report,
    Reference,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints, and tells how many targets were missed.
fn run(arguments: &Arguments) -> anyhow::Result<usize> {
    if arguments.plot {
        return plot::all(arguments.seed).map(|()| 0);
    }
    let figures = measure(arguments)?;
    figure::print(&figures, arguments.json)?;
    let missed = figures.iter().filter(|figure| !figure.is_ok()).count();
    eprintln!("{} figures, seed {}, {missed} missed", figures.len(), arguments.seed);
    Ok(missed)
}

fn measure(arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let wanted = |group| arguments.only.is_empty() || arguments.only.contains(&group);
    let seed = arguments.seed;
    let mut figures = Vec::new();
    if wanted(Group::Parity) {
        figures.extend(parity::figures());
    }
    let any_of = |groups: &[Group]| groups.iter().copied().any(wanted);
    let days = any_of(&[Group::Accuracy, Group::Consistency])
        .then(|| clean::days("days of the vectors' household", seed, accuracy::OTHERS + 1, |_| HouseholdConfig::default()));
    let street = any_of(&[Group::Accuracy, Group::Sound]).then(|| clean::days("days of a street", seed, STREET, HouseholdConfig::typical));
    let (days, street) = (days.unwrap_or_default(), street.unwrap_or_default());
    if wanted(Group::Accuracy) {
        figures.extend(accuracy::figures(&days, &street));
    }
    if wanted(Group::Consistency) {
        figures.extend(consistency::figures(&days, seed));
    }
    if wanted(Group::Energy) {
        figures.extend(energy::figures(seed));
    }
    if wanted(Group::Sound) {
        figures.extend(detection::false_alarms::figures(&street));
    }
    if wanted(Group::Spikes) {
        figures.extend(detection::spikes::figures(seed));
    }
    if wanted(Group::Delays) {
        figures.extend(detection::delays::figures(seed));
    }
    if wanted(Group::Hostile) {
        figures.extend(hostile::figures(seed));
    }
    if wanted(Group::Report) {
        figures.extend(report::figures(seed)?);
    }
    if wanted(Group::Reference) {
        figures.extend(reference::figures(seed));
    }
    Ok(figures)
}
