//! Two minutes of a noisy sensor: raw, filtered, the truth, and what the filter claims.

use std::path::Path;

use estimator::Estimate;
use fleet::household::{HouseholdConfig, Truth};
use fleet::meter::Meter;
use fleet::sensor::SensedSample;
use plotters::element::{Circle, Polygon};
use plotters::series::LineSeries;
use plotters::style::Color;

use super::{Axes, BAND, CHART_WIDTH, Canvas, FILTERED, Mark, RAW, TRUTH, canvas, chart, finish, key, range};
use crate::run::{NOISY, Watch};

/// Two minutes around the first large appliance after seven in the morning.
const EARLIEST_S: usize = 7 * 3600;
const LEAD_S: usize = 60;
const LENGTH_S: usize = 120;
const LARGE_W: f64 = 1800.0;

/// A second: number, truth, raw, estimate.
type Shown = (f64, Truth, SensedSample, Estimate<f64>);

pub fn draw(path: &Path, seed: u64) -> anyhow::Result<()> {
    let shown = shown(seed);
    let canvas = canvas(path, 620)?;
    let (charts, beside) = canvas.split_horizontally(CHART_WIDTH);
    let (upper, lower) = charts.split_vertically(310);
    panel(&upper, "Voltage behind a noisy sensor", "voltage in V", &shown, |it| {
        (it.1.voltage, it.2.voltage, it.3.voltage, it.3.voltage_variance)
    })?;
    panel(&lower, "Active power while a load is switched", "active power in W", &shown, |it| {
        (it.1.active_power, it.2.active_power, it.3.active_power, it.3.active_power_variance)
    })?;
    let entries = [
        (Mark::Dot(RAW), "raw"),
        (Mark::Line(FILTERED), "filtered"),
        (Mark::Band(FILTERED), "filtered ± 2σ"),
        (Mark::Line(TRUTH), "truth"),
    ];
    key(&beside, &entries)?;
    finish(&canvas, path)
}

fn shown(seed: u64) -> Vec<Shown> {
    let meter = || Meter::new(seed, &HouseholdConfig::everyday(seed), NOISY.profile);
    let large = meter().skip(EARLIEST_S).find(|second| second.physics.switched_w >= LARGE_W);
    let begin = large.map_or(EARLIEST_S, |second| usize::try_from(second.number).unwrap_or(0)).saturating_sub(LEAD_S);
    let seconds = Watch::new(meter(), NOISY.noise).skip(begin).take(LENGTH_S).enumerate();
    seconds.filter_map(|(number, (second, estimate))| Some((number as f64, second.truth, second.reply.sample?, estimate?))).collect()
}

/// `of`: truth, raw, estimate, variance.
fn panel(canvas: &Canvas<'_>, title: &str, unit: &str, shown: &[Shown], of: impl Fn(&Shown) -> (f64, f64, f64, f64)) -> anyhow::Result<()> {
    let rows: Vec<(f64, (f64, f64, f64, f64))> = shown.iter().map(|it| (it.0, of(it))).collect();
    let (low, high) = range(rows.iter().flat_map(|(_, (truth, raw, ..))| [*truth, *raw]));
    let axes = Axes { title, x: ("time in s", 0.0, LENGTH_S as f64), y: (unit, low, high) };
    let mut chart = chart(canvas, &axes)?;
    let upper = rows.iter().map(|(x, (_, _, estimate, variance))| (*x, estimate + 2.0 * variance.sqrt()));
    let lower = rows.iter().rev().map(|(x, (_, _, estimate, variance))| (*x, estimate - 2.0 * variance.sqrt()));
    chart.draw_series([Polygon::new(upper.chain(lower).collect::<Vec<_>>(), FILTERED.mix(BAND))])?;
    chart.draw_series(rows.iter().map(|(x, (_, raw, ..))| Circle::new((*x, *raw), 2, RAW.filled())))?;
    chart.draw_series(LineSeries::new(rows.iter().map(|(x, (truth, ..))| (*x, *truth)), TRUTH.stroke_width(1)))?;
    chart.draw_series(LineSeries::new(rows.iter().map(|(x, (_, _, estimate, _))| (*x, *estimate)), FILTERED.stroke_width(2)))?;
    Ok(())
}
