//! What a feeder loses technically, learned, and how surprising an interval's loss is.
//!
//! The residual r = line - Σ meters of an interval is regressed on [1, Σ E, I²(line), Σ I²(house)]: what meters use themselves, gain
//! errors, losses of the line, losses of the services. First Huber's M-estimator over two weeks, so that a bad day teaches little; then
//! recursive least squares with forgetting, so that seasons are followed. What is left is divided by a deviation that grows with the load,
//! and whitened, for one hour's surprise is the next hour's, too.

use nalgebra::{DMatrix, DVector, Matrix2, Matrix4, Vector2, Vector4};
use serde::{Deserialize, Serialize};

/// Intervals that are learned from: fourteen days of quarter hours.
pub const LEARN: usize = 14 * 96;

const HUBER_ROUNDS: usize = 10;
/// Residuals beyond so many deviations count less.
const HUBER: f64 = 1.5;
/// From a median of absolute deviations to a standard deviation, and from a mean of absolute ones.
const FROM_MEDIAN: f64 = 1.4826;
const FROM_MEAN: f64 = 1.2533;
/// A ridge that makes the normal equations solvable when a feature never moves.
const RIDGE: f64 = 1e-6;
const CORRELATION_MAX: f64 = 0.95;
/// Forgetting an interval: a thousand of them (ten days) are remembered.
const FORGET: f64 = 0.999;
/// Forgetting stops here, as a multiple of what was uncertain at first: otherwise a feeder without load would unlearn everything.
const UNCERTAINTY_MAX: f64 = 100.0;
/// Nothing is known better than the registers show, in Wh.
const DEVIATION_MIN: f64 = 1.0;

/// An interval as the regression sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Line minus meters, in Wh.
    pub residual: f64,
    /// Sum of the meters, in Wh.
    pub metered: f64,
    /// Mean square of the line's current, in A².
    pub line_squared: f64,
    /// Sum of the squares of the houses' mean currents, in A².
    pub house_squared: f64,
}

impl Row {
    fn features(&self) -> Vector4<f64> {
        // Brought to the same size.
        Vector4::new(1.0, self.metered / 1000.0, self.line_squared / 100.0, self.house_squared / 100.0)
    }
}

/// What was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    coefficients: Vector4<f64>,
    uncertainty: Matrix4<f64>,
    uncertainty_at_first: f64,
    /// Deviation in Wh without load, and per kWh metered; never less than the third.
    deviation: (f64, f64, f64),
    correlation: f64,
    unit: f64,
    before: f64,
}

impl Losses {
    /// Learns from [`LEARN`] intervals or so. None if they teach nothing: too few, or not finite.
    pub fn learn(rows: &[Row]) -> Option<Self> {
        let count = rows.len();
        if count < LEARN / 2 {
            return None;
        }
        let features = DMatrix::from_fn(count, 4, |row, column| rows.get(row).map_or(0.0, |it| it.features()[column]));
        let residuals = DVector::from_iterator(count, rows.iter().map(|it| it.residual));
        let mut weights = DVector::from_element(count, 1.0);
        let mut fit = solve(&features, &residuals, &weights)?;
        let mut spread = DEVIATION_MIN;
        for _ in 0..HUBER_ROUNDS {
            let errors = &residuals - &features * fit.0;
            spread = (FROM_MEDIAN * median_deviation(errors.as_slice())?).max(DEVIATION_MIN);
            weights = errors.map(|error| (HUBER * spread / error.abs().max(1e-9)).min(1.0));
            fit = solve(&features, &residuals, &weights)?;
        }
        let errors = &residuals - &features * fit.0;
        let mut losses = Self {
            coefficients: fit.0,
            uncertainty: fit.1,
            uncertainty_at_first: fit.1.trace(),
            deviation: deviation(rows, errors.as_slice(), spread)?,
            correlation: 0.0,
            unit: 1.0,
            before: 0.0,
        };
        let surprises: Vec<f64> = rows.iter().zip(errors.iter()).map(|(row, error)| error / losses.deviation_of(row)).collect();
        losses.correlation = correlation(&surprises).clamp(0.0, CORRELATION_MAX);
        let white: Vec<f64> = rows.iter().map(|row| losses.surprise(row)).collect();
        let mean = white.iter().sum::<f64>() / count as f64;
        losses.unit = (white.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / count as f64).sqrt().max(1e-3);
        losses.unit.is_finite().then_some(losses)
    }

    /// The loss that the model expects, in Wh: what the meters use themselves and their gain errors included.
    pub fn expected(&self, row: &Row) -> f64 {
        self.coefficients.dot(&row.features())
    }

    /// What is left of the residual, in deviations, whitened: standard normal while nothing is stolen.
    pub fn surprise(&mut self, row: &Row) -> f64 {
        let now = (row.residual - self.expected(row)) / self.deviation_of(row);
        let before = std::mem::replace(&mut self.before, now);
        (now - self.correlation * before) / (1.0 - self.correlation * self.correlation).sqrt() / self.unit
    }

    /// An interval was left out: the next one has no neighbour.
    pub fn skip(&mut self) {
        self.before = 0.0;
    }

    /// Learns one more interval; one that surprises by more than three deviations teaches no more than three.
    pub fn follow(&mut self, row: &Row) {
        let features = row.features();
        let limit = 3.0 * self.deviation_of(row);
        let error = (row.residual - self.expected(row)).clamp(-limit, limit);
        let along = self.uncertainty * features;
        let gain = along / (FORGET + features.dot(&along));
        let uncertainty = self.uncertainty - gain * along.transpose();
        let forget = if uncertainty.trace() < UNCERTAINTY_MAX * self.uncertainty_at_first { FORGET } else { 1.0 };
        let uncertainty = (uncertainty + uncertainty.transpose()) * (0.5 / forget);
        let coefficients = self.coefficients + gain * error;
        if coefficients.iter().chain(uncertainty.iter()).all(|it| it.is_finite()) {
            (self.coefficients, self.uncertainty) = (coefficients, uncertainty);
        }
    }

    fn deviation_of(&self, row: &Row) -> f64 {
        let (base, per_kwh, least) = self.deviation;
        (base + per_kwh * row.metered / 1000.0).max(least)
    }
}

/// Weighted least squares: coefficients and the inverse of the normal matrix.
fn solve(features: &DMatrix<f64>, residuals: &DVector<f64>, weights: &DVector<f64>) -> Option<(Vector4<f64>, Matrix4<f64>)> {
    let mut normal = Matrix4::identity() * RIDGE;
    let mut right = Vector4::zeros();
    for ((row, residual), weight) in features.row_iter().zip(residuals.iter()).zip(weights.iter()) {
        let row = Vector4::new(row[0], row[1], row[2], row[3]);
        normal += row * row.transpose() * *weight;
        right += row * (*residual * *weight);
    }
    let inverse = normal.cholesky()?.inverse();
    let fit = inverse * right;
    fit.iter().all(|it| it.is_finite()).then_some((fit, inverse))
}

/// A line through the sizes of the errors over the load: (Wh, Wh per kWh, least).
fn deviation(rows: &[Row], errors: &[f64], spread: f64) -> Option<(f64, f64, f64)> {
    let mut normal = Matrix2::identity() * RIDGE;
    let mut right = Vector2::zeros();
    for (row, error) in rows.iter().zip(errors) {
        let load = Vector2::new(1.0, row.metered / 1000.0);
        normal += load * load.transpose();
        right += load * (error.abs() * FROM_MEAN);
    }
    let line = normal.cholesky()?.solve(&right);
    Some((line[0], line[1], spread / 2.0))
}

fn median_deviation(values: &[f64]) -> Option<f64> {
    let middle = median(values.to_vec())?;
    median(values.iter().map(|it| (it - middle).abs()).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Correlation of neighbours.
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let square: f64 = values.iter().map(|it| (it - mean).powi(2)).sum();
    let neighbours: f64 = values.windows(2).map(|it| it.iter().map(|it| it - mean).product::<f64>()).sum();
    if square > 0.0 { neighbours / square } else { 0.0 }
}
