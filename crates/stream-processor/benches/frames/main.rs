//! What a frame costs the processor without MQTT and Kafka, in instructions: `./dev bench frames [--json]`.
//!
//! From the frame's bytes to the transaction's records: read it, recognise what is new, write the records as JSON, and after the commit
//! collect acknowledgements and live values. The frames are those of `./dev bench pipeline`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement: what is odd must end it")]

#[path = "../../../estimator/examples/figures/figure.rs"]
#[expect(dead_code, reason = "shared with the estimator's figures, which need ranges as well")]
mod figure;
mod walk;

use std::process::ExitCode;

use clap::Parser;
use instructions::Budget;

use figure::{Figure, Target};
use walk::Walk;

/// Given to this program by itself, with a walk and how often: only walk.
const WALK: &str = "--walk";

/// Instructions that a frame takes in the processor, beside their budget
#[derive(Parser)]
#[command(after_help = "Examples:\n  ./dev bench frames\n  ./dev bench frames --json")]
struct Options {
    /// One line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    #[arg(long, hide = true, num_args = 2)]
    walk: Option<Vec<usize>>,
    #[arg(long, hide = true)]
    bench: bool,
}

/// Instructions of a frame of so many readings.
fn figure(budget: &Budget, records_per_frame: usize) -> anyhow::Result<Figure> {
    let name = if records_per_frame == 1 { "a frame of 1 reading".to_owned() } else { format!("a frame of {records_per_frame} readings") };
    let count = instructions::of_a_walk(&[WALK, &records_per_frame.to_string()])? / walk::FRAMES as f64;
    let figure = Figure::new(&name, count.round(), "instr");
    Ok(match budget.most(&name, count)? {
        Some(most) => figure.target(Target::AtMost(most)),
        None => figure,
    })
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if let Some([records_per_frame, times]) = options.walk.as_deref() {
        let walk = Walk::new(*records_per_frame);
        (0..*times).for_each(|_| walk.once());
        return Ok(ExitCode::SUCCESS);
    }
    let budget = Budget::read(concat!(env!("CARGO_MANIFEST_DIR"), "/budget.toml"))?;
    let figures = [figure(&budget, 1)?, figure(&budget, 32)?];
    figure::print(&figures, options.json)?;
    Ok(if figures.iter().all(Figure::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
