//! Whether the filter is as sure as it may be: normalised innovations (NIS) and, where the truth is known, normalised errors (NEES).
//!
//! Tests as in Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation* (2001), ch. 5.4. Errors of one run
//! are correlated in time, so that the bounds hold for the mean over independent runs at one time, not for the mean over one run.

use estimator::filter::{Belief, STATES};
use estimator::load;
use fleet::household::{HouseholdConfig, Truth};
use fleet::meter::Meter;
use fleet::sensor::Profile;
use nalgebra::{SMatrix, SVector};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::clean::Day;
use crate::figure::{Figure, Target};
use crate::run::{Kind, NOISY, Watch, all};

/// Independent runs, and the times at which they are compared, in s.
const RUNS: u64 = 50;
const BEGIN_S: usize = 600;
const END_S: usize = 7800;
const EVERY_S: usize = 60;

/// V, Ia, I: what the truth says about the states, the supply and the loop's resistance taken together as the voltage at the meter. Their
/// noise is white, as the filter assumes.
const JOINT: usize = 3;
/// States that are compared alone: those, and f, Rs. The frequency moves by less than the resolution of its register for minutes, so that
/// the error of rounding is not white; the resistance shows only when loads are switched.
const ALONE: usize = 5;

pub fn figures(days: &[Day], seed: u64) -> Vec<Figure> {
    let mut figures: Vec<Figure> = ["noisy", "pzem", "pzem lagging"].into_iter().map(|kind| nis(days, kind)).collect();
    figures.extend(nees(seed));
    figures
}

fn nis(days: &[Day], kind: &str) -> Figure {
    let (sum, count) = days.iter().filter(|day| day.kind == kind).fold((0.0, 0.0), |sum, day| (sum.0 + day.nis.0, sum.1 + day.nis.1));
    let figure = Figure::new(format!("consistency/{kind}/NIS of V, I, P"), sum / count, "");
    if kind == "noisy" { figure.target(Target::Within(2.7, 3.3)) } else { figure }
}

/// Of one run: NEES of the known states and of each alone, at each of the times.
type Run = Vec<[f64; 1 + ALONE]>;

fn nees(seed: u64) -> Vec<Figure> {
    // A sensor without gain error: otherwise only what it shows could be known, and not the truth.
    let kind = Kind { profile: Profile { gain: 0.0, ..Profile::NOISY }, ..NOISY };
    let seeds: Vec<u64> = (seed..seed.saturating_add(RUNS)).collect();
    let runs: Vec<Run> = all("runs for normalised errors", &seeds, |seed| run(kind, *seed));
    let times = runs.iter().map(Vec::len).min().unwrap_or(0);
    let mean_at = |time: usize, which: usize| runs.iter().map(|run| run[time][which]).sum::<f64>() / runs.len() as f64;
    let mut figures = Vec::new();
    for (which, (name, freedom)) in
        [("V, Ia, I", JOINT as f64), ("V", 1.0), ("Ia", 1.0), ("I", 1.0), ("f", 1.0), ("Rs", 1.0)].into_iter().enumerate()
    {
        let bounds = bounds(freedom, runs.len() as f64);
        let means: Vec<f64> = (0..times).map(|time| mean_at(time, which)).collect();
        let inside = means.iter().filter(|mean| (bounds.0..=bounds.1).contains(*mean)).count();
        let mean = means.iter().sum::<f64>() / times as f64;
        let figure = Figure::new(format!("consistency/noisy/NEES of {name}"), mean, "");
        figures.push(if which == 0 { figure.target(Target::Within(bounds.0, bounds.1)) } else { figure });
        figures.push(Figure::new(
            format!("consistency/noisy/NEES of {name}, times within bounds"),
            100.0 * inside as f64 / times as f64,
            "%",
        ));
    }
    figures
}

/// 95 % of the means over so many independent runs lie between these.
fn bounds(freedom: f64, runs: f64) -> (f64, f64) {
    let Ok(distribution) = ChiSquared::new(freedom * runs) else { return (f64::NAN, f64::NAN) };
    (distribution.inverse_cdf(0.025) / runs, distribution.inverse_cdf(0.975) / runs)
}

fn run(kind: Kind, seed: u64) -> Run {
    let household = HouseholdConfig::typical(seed);
    let mut watch = Watch::new(Meter::new(seed, &household, kind.profile), kind.noise);
    let mut run = Run::new();
    for time in 0..END_S {
        let Some((second, _)) = watch.next() else { break };
        if time >= BEGIN_S && time.is_multiple_of(EVERY_S) {
            let belief = watch.estimator.belief();
            run.extend(belief.and_then(|belief| errors(belief, &second.truth, household.service_loop_ohm)));
        }
    }
    run
}

/// `eᵀ P⁻¹ e` of the states with white noise, and `e²/p` of each.
fn errors(belief: &Belief<f64>, truth: &Truth, loop_ohm: f64) -> Option<[f64; 1 + ALONE]> {
    let x = &belief.mean;
    let mut rows = SMatrix::<f64, JOINT, STATES>::zeros();
    for (column, value) in load::jacobian(x)[load::V].into_iter().enumerate() {
        rows[(0, column)] = value;
    }
    rows[(1, load::ACTIVE)] = 1.0;
    rows[(2, load::RMS)] = 1.0;
    let states = SMatrix::<f64, STATES, STATES>::from_fn(|i, j| belief.covariance[(i, j)]);
    let covariance = rows * states * rows.transpose();
    let [voltage, ..] = load::expected(x);
    let active = truth.active_power / truth.voltage;
    let error = SVector::from([voltage - truth.voltage, x[load::ACTIVE] - active, x[load::RMS] - truth.current]);
    let joint = error.dot(&covariance.cholesky()?.solve(&error));
    let alone = |error: f64, variance: f64| error * error / variance;
    let white = |i: usize| alone(error[i], covariance[(i, i)]);
    let frequency = alone(x[load::FREQUENCY] - truth.frequency, states[(load::FREQUENCY, load::FREQUENCY)]);
    let resistance = alone(x[load::LOOP] - loop_ohm, states[(load::LOOP, load::LOOP)]);
    Some([joint, white(0), white(1), white(2), frequency, resistance])
}
