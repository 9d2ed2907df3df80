//! Theft on a simulated feeder, and who finds it: `./dev figures feeder`. What the figures mean is in docs/theft.md.

#![expect(clippy::arithmetic_side_effects, reason = "measures simulations of fixed dimension")]

mod bench;
mod crew;
#[path = "../../../estimator/examples/figures/figure.rs"]
#[expect(dead_code, reason = "shared with the estimator's figures, which need ranges as well")]
mod figure;
mod methods;
mod rate;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, value_parser};
use fleet::feeder::{FeederConfig, HOUSES, Theft, TheftKind};
use stream_processor::balance::finding::Test;

use bench::Outcome;
use figure::{Figure, Target};
use rate::AlarmRate;

/// Clean feeders of each mode, for false alarms: 7.6 feeder-years, with those of the thieves before they begin 14. That there are at most 0.5
/// a year is proved by six years without any (see [`AlarmRate::most`]), or by thirteen with two.
const CLEAN: u64 = 60;
/// Feeders of each kind of theft and mode.
const THIEVES: u64 = 12;
/// False alarms a feeder-year of a detector.
const FALSE_ALARMS_MAX: f64 = 0.5;
/// First days of thefts.
const FIRST_DAYS: std::ops::Range<u64> = 20..35;

/// Kinds of the benchmark, with the name of their figures, and whether energy is stolen.
const KINDS: [(&str, TheftKind, bool); 15] = [
    ("h1 0.9", TheftKind::Scaled(0.9), true),
    ("h1 0.8", TheftKind::Scaled(0.8), true),
    ("h1 0.7", TheftKind::Scaled(0.7), true),
    ("h1 0.5", TheftKind::Scaled(0.5), true),
    ("h1 0.2", TheftKind::Scaled(0.2), true),
    ("h2", TheftKind::EveningZero, true),
    ("h3", TheftKind::RandomScale(0.2), true),
    ("h4", TheftKind::RandomMean, true),
    ("h5", TheftKind::Mean, false),
    ("h6", TheftKind::DayReversed, false),
    ("drift", TheftKind::Drift(0.6), true),
    ("cap", TheftKind::Capped(400.0), true),
    ("tap 200 W", TheftKind::Tap(200.0), true),
    ("tap 500 W", TheftKind::Tap(500.0), true),
    ("tap 1000 W", TheftKind::Tap(1000.0), true),
];

/// Theft on a simulated feeder, and who finds it; fails if a target is missed
#[derive(Parser)]
#[command(
    after_help = "The whole of it takes some minutes on two cores; progress is on stderr.\n\nExamples:\n  ./dev figures feeder\n  ./dev figures feeder --seed 7 --thieves 3 --clean 5\n  ./dev figures feeder --json | grep '\"ok\":false'"
)]
struct Arguments {
    /// A line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// First of the seeds; the same seed gives the same figures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Feeders without theft, of each mode
    #[arg(long, default_value_t = CLEAN, value_parser = value_parser!(u64).range(1..=1000))]
    clean: u64,
    /// Feeders of each kind of theft and mode
    #[arg(long, default_value_t = THIEVES, value_parser = value_parser!(u64).range(1..=999))]
    thieves: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<usize> {
    let begin = Instant::now();
    let mut figures = Vec::new();
    for (mode, stress) in [("base", false), ("stress", true)] {
        figures.extend(benchmark(arguments, mode, stress)?);
    }
    let (methods, of_methods) = table::all(arguments.seed)?;
    figures.extend(of_methods);
    figure::print(&figures, arguments.json)?;
    if !arguments.json {
        println!("\n{methods}");
    }
    let missed = figures.iter().filter(|it| !it.is_ok()).count();
    eprintln!("{} figures, seed {}, {missed} missed, {:.0} s", figures.len(), arguments.seed, begin.elapsed().as_secs_f64());
    Ok(missed)
}

/// All figures of a mode.
fn benchmark(arguments: &Arguments, mode: &str, stress: bool) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut add = |what: &str, value: f64, unit, target: Option<Target>| {
        let figure = Figure::new(format!("{mode}: {what}"), value, unit);
        figures.push(match target {
            Some(target) => figure.target(target),
            None => figure,
        });
    };
    let Arguments { seed, clean, thieves, .. } = *arguments;
    let feeders = clean + KINDS.len() as u64 * thieves;
    let outcomes = crew::run(mode, feeders, |number| {
        let place = |it: u64| seed.wrapping_mul(1_000_000).wrapping_add(it);
        let config = FeederConfig { stress, ..FeederConfig::default() };
        let Some(thief) = number.checked_sub(clean) else { return bench::run(place(number), &config) };
        let (group, number) = (thief / thieves + 1, thief % thieves);
        let theft = KINDS.get(group as usize - 1).map(|(_, kind, _)| Theft {
            kind: *kind,
            house: (number * 7 + group) as usize % HOUSES,
            from_day: first_day(number),
        });
        bench::run(place(1000 * group + number), &FeederConfig { theft, ..config })
    })?;
    let (clean, thieves) = outcomes.split_at(clean as usize);
    let total = |of: fn(&Outcome) -> f64| clean.iter().map(of).sum::<f64>();
    add("technical loss", 100.0 * total(|it| it.line_and_loss_wh.1) / total(|it| it.line_and_loss_wh.0), "%", None);
    add("intervals that a limit of 2 % calls theft", 100.0 * total(|it| it.two_percent) / clean.len() as f64, "%", None);
    let years = outcomes.iter().map(Outcome::honest_days).sum::<f64>() / 365.0;
    add("feeder-years without a thief", years, "year", None);
    let mut false_alarms = 0;
    for test in [Test::Balance, Test::VoltageDrop] {
        let rate = AlarmRate { alarms: outcomes.iter().map(|it| it.false_alarms(test)).sum(), years };
        add(&format!("false alarms a feeder-year, {}", test.name()), rate.seen(), "1/year", Some(Target::AtMost(FALSE_ALARMS_MAX)));
        let most = format!("the same at most, exact Poisson limit of 95 %, {}", test.name());
        add(&most, rate.most()?, "1/year", Some(Target::AtMost(FALSE_ALARMS_MAX)));
        false_alarms += rate.alarms;
    }
    add("state a meter, learning at most", total(|it| it.bytes.0 as f64) / clean.len() as f64, "byte", None);
    add("state a meter, watching", total(|it| it.bytes.1 as f64) / clean.len() as f64, "byte", None);
    let mut sums = Sums::default();
    for ((name, kind, steals), outcomes) in KINDS.into_iter().zip(thieves.chunks(arguments.thieves as usize)) {
        let days: Vec<f64> = outcomes.iter().filter_map(|it| it.days_to_detect(None)).collect();
        let right = outcomes.iter().filter(|it| it.right_place() == Some(true)).count() as f64;
        let count = outcomes.len() as f64;
        add(&format!("{name}: stolen of the feeder's energy"), 100.0 * outcomes.iter().map(|it| it.stolen).sum::<f64>() / count, "%", None);
        add(&format!("{name}: found"), days.len() as f64 / count, "", None);
        add(&format!("{name}: days to detect, median"), median(days.clone()), "day", None);
        let drops = outcomes.iter().filter_map(|it| it.days_to_detect(Some(Test::VoltageDrop))).collect();
        add(&format!("{name}: days to name a place, median"), median(drops), "day", None);
        add(&format!("{name}: right {}", if kind.is_behind_a_meter() { "house" } else { "segment" }), right / count, "", None);
        if steals {
            sums.add(kind.is_behind_a_meter(), count, days, right);
        }
    }
    let found = sums.days.len() as f64;
    add("recall", found / (sums.behind + sums.taps), "", Some(Target::AtLeast(0.98)));
    add("precision", found / (found + false_alarms as f64), "", None);
    add("days to detect, median", median(sums.days), "day", None);
    add("right house, of all thefts behind a meter", sums.right / sums.behind, "", Some(Target::AtLeast(0.95)));
    add("right segment, of all taps", sums.right_taps / sums.taps, "", None);
    Ok(figures)
}

/// Over all kinds that steal energy.
#[derive(Default)]
struct Sums {
    /// Thefts behind a meter, and on the line.
    behind: f64,
    taps: f64,
    /// Of these: rightly named.
    right: f64,
    right_taps: f64,
    /// Until each that was found was.
    days: Vec<f64>,
}

impl Sums {
    fn add(&mut self, is_behind_a_meter: bool, count: f64, days: Vec<f64>, right: f64) {
        let (all, rightly) = if is_behind_a_meter { (&mut self.behind, &mut self.right) } else { (&mut self.taps, &mut self.right_taps) };
        *all += count;
        *rightly += right;
        self.days.extend(days);
    }
}

fn first_day(number: u64) -> usize {
    (FIRST_DAYS.start + number * 4 % (FIRST_DAYS.end - FIRST_DAYS.start)) as usize
}

/// The middle; -1 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(-1.0)
}
