//! Whether the filter is as sure as it may be: normalised innovations (NIS) and, where the truth is known, normalised errors (NEES).
//!
//! Tests as in Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation* (2001), ch. 5.4. Errors of one run
//! are correlated in time, so that the bounds hold for the mean over independent runs at one time, not for the mean over one run.

use estimator::filter::{Belief, STATES};
use estimator::{Energy, load};
use fleet::household::{HouseholdConfig, Truth};
use fleet::meter::Meter;
use fleet::sensor::Profile;
use nalgebra::{SMatrix, SVector};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::clean::Day;
use crate::figure::{Figure, Target};
use crate::run::{Kind, NOISY, PZEM, Watch, all, pairs};

/// Independent runs, and the times at which they are compared, in s.
const RUNS: u64 = 50;
const BEGIN_S: usize = 600;
const END_S: usize = 7800;
const EVERY_S: usize = 60;

/// V, Ia, I: what the truth says about the states, the supply and the loop's resistance taken together as the voltage at the meter.
const JOINT: usize = 3;
/// What is compared, and how many states it is: those, and each state alone. A loop's resistance shows only when loads are switched, and an
/// energy only when the register ticks: their errors say the same for minutes.
const GROUPS: [(&str, f64); 7] = [("V, Ia, I", JOINT as f64), ("V", 1.0), ("Ia", 1.0), ("I", 1.0), ("f", 1.0), ("Rs", 1.0), ("E", 1.0)];

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

/// Of one run: NEES of each group, at each of the times.
type Run = Vec<[f64; GROUPS.len()]>;

fn nees(seed: u64) -> Vec<Figure> {
    // Sensors without gain error: otherwise only what they show could be known, and not the truth.
    let kinds = [NOISY, PZEM].map(|kind| Kind { profile: Profile { gain: 0.0, ..kind.profile }, ..kind });
    let runs = all("runs for normalised errors", &pairs(&kinds, seed, RUNS), |(kind, seed)| (kind.name, run(*kind, *seed)));
    kinds.iter().flat_map(|kind| nees_of(kind.name, &runs)).collect()
}

fn nees_of(kind: &str, runs: &[(&str, Run)]) -> Vec<Figure> {
    let runs: Vec<&Run> = runs.iter().filter(|(name, _)| *name == kind).map(|(_, run)| run).collect();
    let times = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    let mean_at = |time: usize, group: usize| runs.iter().map(|run| run[time][group]).sum::<f64>() / runs.len() as f64;
    let mut figures = Vec::new();
    for (group, (name, freedom)) in GROUPS.into_iter().enumerate() {
        let bounds = bounds(freedom, runs.len() as f64);
        let means: Vec<f64> = (0..times).map(|time| mean_at(time, group)).collect();
        let inside = means.iter().filter(|mean| (bounds.0..=bounds.1).contains(*mean)).count();
        let mean = means.iter().sum::<f64>() / times as f64;
        let figure = Figure::new(format!("consistency/{kind}/NEES of {name}"), mean, "");
        figures.push(match (kind == NOISY.name, name) {
            // A tick is taken for less precise than it is here; a meter whose register lags needs more than that.
            (true, "E") => figure.target(Target::AtMost(bounds.1)),
            (true, _) => figure.target(Target::Within(bounds.0, bounds.1)),
            (false, _) => figure,
        });
        let inside = 100.0 * inside as f64 / times as f64;
        figures.push(Figure::new(format!("consistency/{kind}/NEES of {name}, times within bounds"), inside, "%"));
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
        let Some((second, estimate)) = watch.next() else { break };
        if time >= BEGIN_S && time.is_multiple_of(EVERY_S) {
            let known = estimate.zip(watch.estimator.belief());
            run.extend(known.and_then(|(estimate, belief)| errors(belief, estimate.energy, &second.truth, household.service_loop_ohm)));
        }
    }
    run
}

/// `eᵀ P⁻¹ e` of V, Ia and I, and `e²/p` of each state.
fn errors(belief: &Belief<f64>, energy: Energy<f64>, truth: &Truth, loop_ohm: f64) -> Option<[f64; GROUPS.len()]> {
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
    let measured = |i: usize| alone(error[i], covariance[(i, i)]);
    let state = |i: usize, error: f64| alone(error, states[(i, i)]);
    let frequency = state(load::FREQUENCY, x[load::FREQUENCY] - truth.frequency);
    let resistance = state(load::LOOP, x[load::LOOP] - loop_ohm);
    let energy = state(load::ENERGY, energy.anchor_wh as f64 + energy.remainder_wh - truth.energy_wh);
    Some([joint, measured(0), measured(1), measured(2), frequency, resistance, energy])
}
