//! What a step costs, beside the crates that do the same: `cargo bench -p estimator --bench speed -- [--instructions] [--race] [--json]`.
//!
//! Whole filters and peers are measured side by side, rooms by criterion, and callgrind counts instructions; then a table beside their targets
//! follows. Everything that a step is given was computed before. With `--instructions` they alone are counted, which takes seconds and does
//! not depend on the machine; with `--race` filters and peers alone are measured.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a measurement: what is odd must end it"
)]

mod clock;
mod instruction_count;
mod meter;
mod moment;
mod peers;
mod race;
mod rooms;
mod table;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use criterion::Criterion;
use estimator::monitor::Monitors;
use estimator::monitor::replay::TWO_HOURS;
use estimator::{Estimator, Real};

use clock::ProcessorTime;
use meter::{NOISY, PZEM};
use moment::Moment;
use peers::{Adskalman, Kfilter, Minikalman, Ours};
use race::{Contender, Race};
use table::{Bound, Figure};

/// A day, second by second.
const DAY: usize = 86_400;
/// What is kept with each sample's belief or process noise; an hour fits a processor's cache.
const HOUR: usize = 3600;

/// Given to this program by itself: only measure.
const MEASURE: &str = "--measure";
/// These alone.
const RACE: &str = "--race";
const INSTRUCTIONS: &str = "--instructions";

/// A step in single precision may take this long on x86-64, in ns.
const STEP_NS: f64 = 150.0;

/// Where criterion leaves what it measured.
fn criterion_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("criterion")
}

fn measure_in<F: Real>(criterion: &mut Criterion<ProcessorTime>, precision: &str) {
    rooms::measure(criterion, precision, &NOISY, &Moment::<F>::of(&NOISY, HOUR));
}

fn measure() {
    let mut criterion = Criterion::default()
        .with_measurement(ProcessorTime)
        .without_plots()
        .output_directory(&criterion_directory())
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(50);
    measure_in::<f32>(&mut criterion, "f32");
    measure_in::<f64>(&mut criterion, "f64");
}

/// Median of what criterion measured last, in ns.
fn median(name: &str) -> f64 {
    // criterion's names of folders: a space stays, a comma too.
    let estimates = criterion_directory().join(name).join("new/estimates.json");
    let text = std::fs::read_to_string(&estimates).unwrap_or_else(|error| panic!("{}: {error}", estimates.display()));
    let estimates: serde_json::Value = serde_json::from_str(&text).unwrap();
    estimates["median"]["point_estimate"].as_f64().unwrap()
}

/// Times and ratios of whole filters and peers.
macro_rules! race_in {
    ($float:ident, $bound:expr) => {{
        let precision = stringify!($float);
        let moments = Moment::<$float>::of(&NOISY, HOUR);
        let race = Race::of(vec![
            Contender::whole::<$float>(precision, &NOISY, DAY),
            Contender::whole::<$float>(precision, &PZEM, DAY),
            Contender::peer::<$float, Ours<$float>>(precision, &moments),
            Contender::peer::<$float, Kfilter<$float>>(precision, &moments),
            Contender::peer::<$float, Adskalman<$float>>(precision, &moments),
            Contender::peer::<$float, Minikalman<$float>>(precision, &moments),
        ]);
        let plain = race::peer_name::<$float, Ours<$float>>(precision);
        let [noisy, pzem] = [NOISY, PZEM].map(|meter| race::whole_name(precision, &meter));
        let mut figures = vec![race.time(&noisy, $bound), race.time(&pzem, $bound), race.time(&plain, None)];
        for theirs in [
            race::peer_name::<$float, Kfilter<$float>>(precision),
            race::peer_name::<$float, Adskalman<$float>>(precision),
            race::peer_name::<$float, Minikalman<$float>>(precision),
        ] {
            figures.extend([race.time(&theirs, None), race.ratio(&theirs, &plain), race.ratio(&theirs, &noisy)]);
        }
        figures
    }};
}

/// Filters and peers side by side.
fn raced() -> Vec<Figure> {
    let moments = Moment::<f64>::of(&NOISY, HOUR);
    peers::agree::<Kfilter<f64>>(&moments);
    peers::agree::<Adskalman<f64>>(&moments);
    peers::agree::<Minikalman<f64>>(&moments);
    let mut figures = race_in!(f32, Some(Bound::AtMost(STEP_NS)));
    figures.extend(race_in!(f64, None));
    figures
}

/// How large an estimator is with everything, without the frames that it remembers, and without any monitor that remembers.
fn state_figures<F: Real>(precision: &str) -> [Figure; 3] {
    let whole = size_of::<Estimator<F>>();
    let sizes = [
        ("", whole),
        (" without remembered frames", size_of::<Estimator<F, 0>>()),
        (" without monitors", whole - size_of::<Monitors<F, TWO_HOURS>>()),
    ];
    sizes.map(|(what, bytes)| Figure::new(&format!("state {precision}{what}"), bytes as f64, "bytes", None))
}

/// What criterion measures, in a process of its own: it reports on standard output, which belongs to the figures.
fn rooms() -> Vec<Figure> {
    let mut measuring = Command::new(std::env::current_exe().unwrap());
    let measured = measuring.arg(MEASURE).stdout(std::io::stderr()).status().unwrap();
    assert!(measured.success(), "measuring ended with {measured}");
    let names = ["f32", "f64"].into_iter().flat_map(|precision| rooms::ROOMS.map(|room| format!("{room} {precision}")));
    names.map(|name| Figure::new(&name, median(&name), "ns", None)).collect()
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    if let [instruction_count::WALK, precision, meter, times] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        instruction_count::walk_in(precision, meter, times);
        return ExitCode::SUCCESS;
    }
    if given(MEASURE) {
        measure();
        return ExitCode::SUCCESS;
    }
    let everything = !given(RACE) && !given(INSTRUCTIONS);
    let mut figures = Vec::new();
    if everything || given(RACE) {
        figures.extend(raced());
    }
    if everything {
        figures.extend(rooms());
        figures.extend(state_figures::<f32>("f32"));
        figures.extend(state_figures::<f64>("f64"));
    }
    if everything || given(INSTRUCTIONS) {
        figures.extend(instruction_count::figures());
    }
    table::print(&figures, given("--json"))
}
