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
pub mod backlog;
pub mod figure;
pub mod house;
pub mod load;
pub mod memory;
pub mod peers;
pub mod plan;
pub mod plot;
pub mod recovery;
pub mod registers;
pub mod report;
pub mod scenario;
pub mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use backlog::story::Backlog;
use figure::Figure;
use house::House;
use plan::Load;

/// The whole way from meters to Kafka under load; without options everything, in ten minutes
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  ./dev bench pipeline --only recovery\n  ./dev bench pipeline --only backlog --meters 100 --backlog-records 1000\n  \
                        ./dev bench pipeline --rate 5000 --seconds 20\n  \
                        ./dev bench pipeline --rate 0 --records-per-frame 32 --json"
)]
struct Options {
    /// One line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// Only this part
    #[arg(long, value_name = "ROOM", conflicts_with_all = ["rate", "records_per_frame"])]
    only: Option<Room>,
    /// Only this rate, in frames a second of all meters together; 0: as fast as Kafka commits
    #[arg(long)]
    rate: Option<f64>,
    /// How long each run is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Readings in a frame, 1 to 64
    #[arg(long)]
    records_per_frame: Option<usize>,
    /// How many meters; with `--only`, in the room backlog
    #[arg(long)]
    meters: Option<usize>,
    /// Records that each meter of the room backlog comes back with
    #[arg(long, default_value_t = 10_000)]
    backlog_records: usize,
    /// Measure the `broker` and `stream-processor` in this directory instead of building those of this checkout
    #[arg(long, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,
    /// Append the tables, the machine and the date to this page
    #[arg(long, value_name = "PAGE")]
    append: Option<PathBuf>,
    /// Draw the age of readings by rate into this SVG
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,
    /// The load generator's job
    #[arg(long, hide = true)]
    load: Option<String>,
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Room {
    /// Frames by rate and by records a frame
    Rates,
    /// One processor and two
    ScaleOut,
    /// A processor is killed under load
    Recovery,
    /// 100,000 known meters
    Memory,
    /// Meters come back with a backlog
    Backlog,
    /// Mosquitto and Telegraf under the same loads
    Peers,
}

impl Options {
    /// Whether a room is wanted. A load of one's own is a matter of rates.
    fn wants(&self, room: Room) -> bool {
        match self.only {
            Some(only) => only == room,
            None => !self.is_one_load() || room == Room::Rates,
        }
    }

    fn is_one_load(&self) -> bool {
        self.only.is_none() && (self.rate.is_some() || self.records_per_frame.is_some() || self.meters.is_some())
    }

    fn load(&self, meters: usize, rate: Option<f64>, records_per_frame: usize) -> Load {
        // A full load finds out what Kafka's virtual machine has not compiled yet, which takes both cores for ten seconds.
        let warm_up_s = if rate.is_some() { 3.0 } else { 12.0 };
        Load { meters, records_per_frame, channels: 1, rate, warm_up_s, seconds: self.seconds }
    }

    /// One load if any part of it was asked for, the whole table otherwise.
    fn loads(&self) -> Vec<Load> {
        if self.is_one_load() {
            let rate = self.rate.filter(|rate| *rate > 0.0);
            return vec![self.load(self.meters.unwrap_or(1_000), rate, self.records_per_frame.unwrap_or(1))];
        }
        let paced = [(20, 20.0), (1_000, 1_000.0), (1_000, 5_000.0), (1_000, 10_000.0), (1_000, 20_000.0), (1_000, 40_000.0)];
        let paced = paced.into_iter().map(|(meters, rate)| self.load(meters, Some(rate), 1));
        paced.chain([1, 8, 32].map(|records| self.load(1_000, None, records))).collect()
    }

    /// What recovery and memory are measured under.
    fn steady(&self) -> Load {
        self.load(1_000, Some(5_000.0), 1)
    }

    /// What both ways are measured under.
    fn races(&self) -> Vec<Load> {
        [Some(1_000.0), Some(5_000.0), Some(20_000.0), None].map(|rate| self.load(500, rate, 1)).into()
    }

    /// What comes back: live data of one reading a second of each meter.
    fn backlog(&self) -> Backlog {
        let meters = self.meters.unwrap_or(1_000);
        Backlog { meters, records: self.backlog_records, live_per_s: meters as f64, warm_up_s: 5.0 }
    }

    /// The load of each run with how many processors take it.
    fn runs(&self) -> Vec<(Load, usize)> {
        let mut runs = Vec::new();
        if self.wants(Room::Rates) {
            runs.extend(self.loads().into_iter().map(|load| (load, 1)));
        }
        if self.wants(Room::ScaleOut) {
            runs.extend([1, 2].map(|processors| (self.load(1_000, None, 1), processors)));
        }
        runs
    }
}

/// The program: measures, or is the load generator of a measurement.
pub fn main() -> ExitCode {
    let options = Options::parse();
    load::or_measure("pipeline", options.load.as_deref(), || measure(&options))
}

/// Whether all targets are reached.
fn measure(options: &Options) -> anyhow::Result<bool> {
    let runs = options.runs();
    let steady = options.steady();
    runs.iter().map(|(load, _)| load).chain([&steady]).try_for_each(Load::check)?;
    options.backlog().check()?;
    let load_before = report::load_average()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (outcomes, rooms) = runtime.block_on(async {
        let mut house = House::open(options.programs.as_deref()).await?;
        eprintln!("warming Kafka up");
        let warm_up = Load { meters: 100, records_per_frame: 8, channels: 1, rate: Some(2_000.0), warm_up_s: 1.0, seconds: 5.0 };
        scenario::run(&mut house, &warm_up, 1).await?;
        let mut outcomes = Vec::new();
        for (load, processors) in &runs {
            eprintln!("{}", figure::title(load, *processors));
            outcomes.push(scenario::run(&mut house, load, *processors).await?);
        }
        let rooms = rooms(&mut house, options).await?;
        anyhow::Ok((outcomes, rooms))
    })?;
    let figures: Vec<_> = outcomes.iter().flat_map(figure::figures).chain(rooms.iter().cloned()).collect();
    if options.json {
        figures.iter().for_each(|figure| println!("{}", figure.json()));
    } else {
        println!("{}", report::text(&outcomes, &rooms));
    }
    if let Some(page) = &options.append {
        let arguments: Vec<_> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
        let page = in_checkout(page);
        report::append(&page, &format!("./dev bench pipeline {}", arguments.join(" ")), &outcomes, &rooms, &report::machine(load_before)?)?;
    }
    if let Some(picture) = &options.plot {
        plot::ages(&in_checkout(picture), &outcomes)?;
    }
    Ok(figures.iter().all(Figure::ok))
}

/// What is not told by a table of loads.
async fn rooms(house: &mut House, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let steady = options.steady();
    let mut rooms = Vec::new();
    if options.wants(Room::Recovery) {
        eprintln!("a processor is killed at {}", figure::title(&steady, 1));
        // Long enough for a session of the group to time out and for what waits meanwhile.
        let load = Load { seconds: steady.seconds.max(20.0), ..steady.clone() };
        rooms.extend(figure::recovery(&recovery::run(house, &load).await?));
    }
    if options.wants(Room::Memory) {
        eprintln!("{} known meters, {}", memory::METERS, figure::title(&steady, 1));
        rooms.extend(figure::memory(&memory::run(house, &steady).await?));
    }
    if options.only == Some(Room::Peers) || options.wants(Room::Peers) && peers::telegraf().is_some() {
        for (number, load) in options.races().into_iter().enumerate() {
            eprintln!("peers: {}", figure::title(&load, 1));
            let theirs = peers::run(house, &load, number).await?;
            let ours = scenario::run(house, &load, 1).await?;
            rooms.extend(figure::race(&peers::Race { ours, theirs }));
        }
    }
    if options.wants(Room::Backlog) {
        let backlog = options.backlog();
        eprintln!("{}", figure::backlog_title(&backlog));
        rooms.extend(figure::backlog(&backlog::run(house, &backlog).await?));
    }
    Ok(rooms)
}

/// `cargo bench` runs this program in its crate's directory, and who called it thought of the checkout's.
fn in_checkout(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
