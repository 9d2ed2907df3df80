//! Normalised innovations of half an hour, and what they may be.

use std::path::Path;

use estimator::gate;
use fleet::household::HouseholdConfig;
use fleet::meter::Meter;
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::series::LineSeries;
use plotters::style::Color;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::{ALARM, Axes, BAND, CHART_WIDTH, FILTERED, Mark, RAW, TRUTH, canvas, chart, finish, key};
use crate::run::{NOISY, Watch};

const EARLIEST_S: usize = 3600;
const LENGTH_S: usize = 1800;
/// Length of the windows over which the mean is shown, in s.
const WINDOW_S: usize = 60;
/// Degrees of freedom: V, I, P.
const FREEDOM: f64 = 3.0;
const TOP: f64 = 20.0;

pub fn draw(path: &Path, seed: u64) -> anyhow::Result<()> {
    let watch = Watch::new(Meter::new(seed, &HouseholdConfig::default(), NOISY.profile), NOISY.noise);
    let shown: Vec<(f64, f64)> = watch
        .skip(EARLIEST_S)
        .take(LENGTH_S)
        .enumerate()
        .filter_map(|(number, (_, estimate))| Some((number as f64 / 60.0, estimate?)))
        .filter_map(|(minutes, estimate)| estimate.flags.is_empty().then_some((minutes, estimate.nis)))
        .collect();
    let (single, windowed) = (bounds(1.0)?, bounds(WINDOW_S as f64)?);
    let canvas = canvas(path, 400)?;
    let (left, beside) = canvas.split_horizontally(CHART_WIDTH);
    let minutes = LENGTH_S as f64 / 60.0;
    let title = "Normalised innovation squared of V, I, P behind a noisy sensor";
    let mut chart = chart(&left, &Axes { title, x: ("time in min", 0.0, minutes), y: ("NIS", 0.0, TOP) })?;
    chart.draw_series([Rectangle::new([(0.0, windowed.0), (minutes, windowed.1)], FILTERED.mix(BAND).filled())])?;
    chart.draw_series(shown.iter().map(|at| Circle::new(*at, 2, RAW.filled())))?;
    let means = shown.chunks_exact(WINDOW_S).filter_map(|window| Some((window.last()?.0, mean(window))));
    chart.draw_series(LineSeries::new(means, FILTERED.stroke_width(2)))?;
    for (height, colour) in [(single.0, TRUTH), (single.1, TRUTH), (gate::NIS_MAX, ALARM)] {
        chart.draw_series([PathElement::new([(0.0, height), (minutes, height)], colour.stroke_width(1))])?;
    }
    let entries = [
        (Mark::Dot(RAW), "a sample"),
        (Mark::Line(TRUTH), "95 % of samples"),
        (Mark::Line(FILTERED), "mean of 60"),
        (Mark::Band(FILTERED), "95 % of such means"),
        (Mark::Line(ALARM), "gate (V, I, P and f)"),
    ];
    key(&beside, &entries)?;
    finish(&canvas, path)
}

/// Between these lies the mean of so many independent NIS in 95 % of cases.
fn bounds(count: f64) -> anyhow::Result<(f64, f64)> {
    let distribution = ChiSquared::new(FREEDOM * count)?;
    Ok((distribution.inverse_cdf(0.025) / count, distribution.inverse_cdf(0.975) / count))
}

fn mean(window: &[(f64, f64)]) -> f64 {
    window.iter().map(|it| it.1).sum::<f64>() / window.len() as f64
}
