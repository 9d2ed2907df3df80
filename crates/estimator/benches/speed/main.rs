//! What a step costs, beside the crates that do the same: `cargo bench -p estimator --bench speed -- [--instructions] [--json]`.
//!
//! criterion measures times and callgrind counts instructions; then a table beside their targets follows. Everything that a step is given was
//! computed before. With `--instructions` they alone are counted, which takes seconds and does not depend on the machine.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a measurement: what is odd must end it"
)]

mod clock;
mod instructions;
mod meter;
mod moment;
mod peers;
mod rooms;
mod table;

use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use criterion::Criterion;
use estimator::monitor::Monitors;
use estimator::monitor::replay::TWO_HOURS;
use estimator::{Estimator, Real};

use clock::ProcessorTime;
use meter::{Meter, NOISY, PZEM};
use moment::Moment;
use peers::{Adskalman, Kfilter, Minikalman, Ours, Peer};
use table::{Bound, Figure};

/// A day, second by second.
const DAY: usize = 86_400;
/// What is kept with each sample's belief or process noise; an hour fits a processor's cache.
const HOUR: usize = 3600;

/// Given to this program by itself: only measure.
const MEASURE: &str = "--measure";

/// A step in single precision may take this long on x86-64, in ns.
const STEP_NS: f64 = 150.0;

/// Where criterion leaves what it measured.
fn criterion_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("criterion")
}

/// The whole filter on a day, second after second and again.
fn step<F: Real>(criterion: &mut Criterion<ProcessorTime>, precision: &str, meter: &Meter) {
    let samples = meter.samples::<F>(DAY);
    let mut samples = samples.iter().cycle();
    let mut estimator = meter.estimator::<F>();
    criterion.bench_function(&step_name(precision, meter), |bencher| {
        bencher.iter(|| samples.next().map(|sample| estimator.step(black_box(F::ONE), black_box(sample))));
    });
}

fn step_name(precision: &str, meter: &Meter) -> String {
    format!("step {precision}, {}", meter.name)
}

fn peer<F, P: Peer<F>>(criterion: &mut Criterion<ProcessorTime>, precision: &str, moments: &[Moment<F>]) {
    let mut peer = P::starting_at(&moments[0].posterior);
    let mut moments = moments.iter().cycle();
    criterion.bench_function(&format!("{} {precision}", P::NAME), |bencher| {
        bencher.iter(|| moments.next().map(|moment| peer.step(black_box(moment))));
    });
}

macro_rules! measure_in {
    ($float:ident, $criterion:expr) => {{
        let (criterion, precision) = ($criterion, stringify!($float));
        step::<$float>(criterion, precision, &NOISY);
        step::<$float>(criterion, precision, &PZEM);
        let moments = Moment::<$float>::of(&NOISY, HOUR);
        rooms::measure(criterion, precision, &NOISY, &moments);
        peer::<$float, Ours<$float>>(criterion, precision, &moments);
        peer::<$float, Kfilter<$float>>(criterion, precision, &moments);
        peer::<$float, Adskalman<$float>>(criterion, precision, &moments);
        peer::<$float, Minikalman<$float>>(criterion, precision, &moments);
    }};
}

fn measure() {
    let moments = Moment::<f64>::of(&NOISY, HOUR);
    peers::agree::<Kfilter<f64>>(&moments);
    peers::agree::<Adskalman<f64>>(&moments);
    peers::agree::<Minikalman<f64>>(&moments);
    let mut criterion = Criterion::default()
        .with_measurement(ProcessorTime)
        .without_plots()
        .output_directory(&criterion_directory())
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(50);
    measure_in!(f32, &mut criterion);
    measure_in!(f64, &mut criterion);
}

/// Median of what criterion measured last, in ns.
fn median(name: &str) -> f64 {
    // criterion's names of folders: a space stays, a comma too.
    let estimates = criterion_directory().join(name).join("new/estimates.json");
    let text = std::fs::read_to_string(&estimates).unwrap_or_else(|error| panic!("{}: {error}", estimates.display()));
    let estimates: serde_json::Value = serde_json::from_str(&text).unwrap();
    estimates["median"]["point_estimate"].as_f64().unwrap()
}

fn figures() -> Vec<Figure> {
    let time = |name: &str, bound| Figure::new(name, median(name), "ns", bound);
    let mut figures = Vec::new();
    for (precision, bound) in [("f32", Some(Bound::AtMost(STEP_NS))), ("f64", None)] {
        figures.extend([NOISY, PZEM].map(|meter| time(&step_name(precision, &meter), bound)));
    }
    let names = [Kfilter::<f32>::NAME, Adskalman::<f32>::NAME, Minikalman::<f32>::NAME];
    for precision in ["f32", "f64"] {
        figures.extend(rooms::ROOMS.map(|room| time(&format!("{room} {precision}"), None)));
        let plain = format!("{} {precision}", Ours::<f32>::NAME);
        let step = step_name(precision, &NOISY);
        figures.push(time(&plain, None));
        for peer in names {
            let theirs = format!("{peer} {precision}");
            figures.push(time(&theirs, None));
            for ours in [&plain, &step] {
                figures.push(Figure::new(
                    &format!("{theirs} / {ours}"),
                    median(&theirs) / median(ours),
                    "ratio",
                    Some(Bound::AtLeast(1.0)),
                ));
            }
        }
    }
    figures.extend(state_figures::<f32>("f32"));
    figures.extend(state_figures::<f64>("f64"));
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
fn measured() -> Vec<Figure> {
    let mut measuring = Command::new(std::env::current_exe().unwrap());
    let measured = measuring.arg(MEASURE).stdout(std::io::stderr()).status().unwrap();
    assert!(measured.success(), "measuring ended with {measured}");
    figures()
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    if let [instructions::WALK, precision, meter, times] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        instructions::walk_in(precision, meter, times);
        return ExitCode::SUCCESS;
    }
    if given(MEASURE) {
        measure();
        return ExitCode::SUCCESS;
    }
    let mut figures = if given("--instructions") { Vec::new() } else { measured() };
    figures.extend(instructions::figures());
    table::print(&figures, given("--json"))
}
