//! The whole way from meters to Kafka, measured: `./dev bench pipeline [--json] [--rate N] [--seconds N] [--records-per-frame K]`.
//!
//! A load generator with hundreds to thousands of meters ([`load`]: mutual TLS, real frames, go-back-N) sends through the released
//! `broker` and `stream-processor` into the real Kafka, each of the four a process of its own, all on this machine ([`house`]). Afterwards
//! Kafka is read back and compared record by record with what was sent ([`audit`]): with anything lost or doubled there is no figure.
//!
//! What is sent is a pure function of meter and number ([`plan`]), so nobody has to note it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a measurement: what is odd must end it"
)]

pub mod audit;
pub mod figure;
pub mod house;
pub mod load;
pub mod plan;
pub mod scenario;
pub mod usage;

use std::process::ExitCode;

use clap::Parser;

use house::House;
use plan::Load;
use scenario::Outcome;

/// The whole way from meters to Kafka under load; without options a table by rate and by records a frame
#[derive(Parser)]
struct Options {
    /// One line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// Only this rate, in frames a second of all meters together; 0: as fast as Kafka commits
    #[arg(long)]
    rate: Option<f64>,
    /// How long each run is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Readings in a frame, 1 to 64
    #[arg(long)]
    records_per_frame: Option<usize>,
    /// How many meters
    #[arg(long)]
    meters: Option<usize>,
    /// The load generator's job
    #[arg(long, hide = true)]
    load: Option<String>,
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// One load if any part of it was asked for, the whole table otherwise.
    fn loads(&self) -> Vec<Load> {
        let load = |meters, rate, records_per_frame| Load { meters, records_per_frame, rate, warm_up_s: 3.0, seconds: self.seconds };
        let one = self.rate.is_some() || self.records_per_frame.is_some() || self.meters.is_some();
        if one {
            let rate = self.rate.filter(|rate| *rate > 0.0);
            return vec![load(self.meters.unwrap_or(1_000), rate, self.records_per_frame.unwrap_or(1))];
        }
        let paced = [(20, 20.0), (1_000, 1_000.0), (1_000, 5_000.0), (1_000, 10_000.0), (1_000, 20_000.0)];
        let paced = paced.into_iter().map(|(meters, rate)| load(meters, Some(rate), 1));
        paced.chain([1, 8, 32].map(|records| load(1_000, None, records))).collect()
    }
}

/// The program: measures, or is the load generator of a measurement.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.load {
        Some(job) => load::main(job).map(|()| true),
        None => measure(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pipeline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all targets are reached.
fn measure(options: &Options) -> anyhow::Result<bool> {
    let loads = options.loads();
    loads.iter().try_for_each(Load::check)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let outcomes: Vec<Outcome> = runtime.block_on(async {
        let mut house = House::open().await?;
        eprintln!("warming Kafka up");
        scenario::run(&mut house, &Load { meters: 100, records_per_frame: 8, rate: Some(2_000.0), warm_up_s: 1.0, seconds: 5.0 }).await?;
        let mut outcomes = Vec::new();
        for load in &loads {
            eprintln!("{}", figure::title(load));
            outcomes.push(scenario::run(&mut house, load).await?);
        }
        anyhow::Ok(outcomes)
    })?;
    let figures: Vec<_> = outcomes.iter().flat_map(figure::figures).collect();
    if options.json {
        figures.iter().for_each(|figure| println!("{}", figure.json()));
    } else {
        println!("{}", figure::HEAD);
        outcomes.iter().for_each(|outcome| println!("{}", figure::row(outcome)));
        figure::verdicts(&figures).iter().for_each(|line| println!("{line}"));
    }
    Ok(figures.iter().all(figure::Figure::ok))
}
