//! The learned network: how voltages follow from currents, and which place explains what is left.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

/// Voltages are taken relative to this, so that constant and slope are not confused.
const CENTRE_V: f64 = 236.0;
/// Constant and slope of a column of the regression come before the currents.
const FIXED: usize = 2;
/// Ridges: of the constant, of the slope, of a resistance; of the inversion, and of the noise in V².
const RIDGE: [f64; FIXED] = [1e-6, 1e-3];
const RIDGE_OHM: f64 = 1e-1;
const RIDGE_INVERSION: f64 = 1e-3;
const RIDGE_NOISE: f64 = 1e-6;
/// A mean current of a day is not known better than this, in A.
const DEVIATION_MIN: f64 = 0.01;

/// Sums of an unfinished or learned day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sums {
    /// Of 1, V₀ and the houses' currents.
    pub regressors: DVector<f64>,
    /// Of the drops, in V.
    pub drops: DVector<f64>,
    /// Intervals.
    pub count: usize,
}

/// What the voltages taught, or what they are teaching.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Learning {
    normal: DMatrix<f64>,
    right: DMatrix<f64>,
    square: DMatrix<f64>,
}

/// The learned network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// Drops by regressor: [`FIXED`] rows, then one a house; a column a house.
    model: DMatrix<f64>,
    weight: DMatrix<f64>,
    inversion: DMatrix<f64>,
    /// Of a day's mean missing current of each house, in A.
    deviation: DVector<f64>,
    /// Mean residual of the days learned from, in V.
    residual: DVector<f64>,
}

/// Who explains a residual best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The place.
    pub place: Place,
    /// Its current in A, mean of the days looked at.
    pub amperes: f64,
    /// How much of the residual it explains, 0 to 1.
    pub share: f64,
}

/// A place on the feeder, by its number in the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind this meter.
    House(usize),
    /// On the line, at this pole.
    Pole(usize),
}

impl Sums {
    /// Of nothing yet.
    pub fn new(houses: usize) -> Self {
        Self { regressors: DVector::zeros(FIXED + houses), drops: DVector::zeros(houses), count: 0 }
    }

    /// How many numbers it holds.
    pub fn numbers(houses: usize) -> usize {
        FIXED + 2 * houses + 1
    }

    /// Whether it is of so many houses.
    pub fn is_of(&self, houses: usize) -> bool {
        (self.regressors.len(), self.drops.len()) == (FIXED + houses, houses)
    }

    /// Takes an interval's.
    pub fn add(&mut self, sample: &Sample) {
        self.regressors += &sample.regressors;
        self.drops += &sample.drops;
        self.count = self.count.saturating_add(1);
    }
}

/// An interval as the regression sees it.
#[derive(Clone, Debug)]
pub struct Sample {
    regressors: DVector<f64>,
    drops: DVector<f64>,
}

impl Sample {
    /// From the voltage where the line begins, and each house's voltage in V and mean active current in A.
    pub fn new(line_voltage: f64, houses: &[(f64, f64)]) -> Self {
        let fixed = [1.0, line_voltage - CENTRE_V];
        let currents = houses.iter().map(|(_, amperes)| *amperes);
        let regressors = DVector::from_iterator(FIXED + houses.len(), fixed.into_iter().chain(currents));
        let drops = DVector::from_iterator(houses.len(), houses.iter().map(|(voltage, _)| line_voltage - voltage));
        Self { regressors, drops }
    }
}

impl Learning {
    /// For so many houses.
    pub fn new(houses: usize) -> Self {
        let width = FIXED + houses;
        Self { normal: DMatrix::zeros(width, width), right: DMatrix::zeros(width, houses), square: DMatrix::zeros(houses, houses) }
    }

    /// How many numbers it holds.
    pub fn numbers(houses: usize) -> usize {
        let width = FIXED + houses;
        width * width + width * houses + houses * houses
    }

    /// Whether it is of so many houses.
    pub fn is_of(&self, houses: usize) -> bool {
        let width = FIXED + houses;
        [self.normal.shape(), self.right.shape(), self.square.shape()] == [(width, width), (width, houses), (houses, houses)]
    }

    /// Takes an interval.
    pub fn push(&mut self, sample: &Sample) {
        let Sample { regressors, drops } = sample;
        self.normal.ger(1.0, regressors, regressors, 1.0);
        self.right.ger(1.0, regressors, drops, 1.0);
        self.square.ger(1.0, drops, drops, 1.0);
    }

    /// What the intervals taught, and these days of them. None if the equations have no solution.
    pub fn finish(&self, days: &[Sums]) -> Option<Network> {
        let houses = self.square.nrows();
        let count = self.normal[(0, 0)].max(1.0);
        let mut normal = self.normal.clone();
        for (at, ridge) in RIDGE.iter().copied().chain(std::iter::repeat_n(RIDGE_OHM, houses)).enumerate() {
            normal[(at, at)] += ridge;
        }
        let model = normal.cholesky()?.solve(&self.right);
        let resistances = model.rows(FIXED, houses).transpose();
        // Covariance of the residuals from the sums: Σ e eᵀ with e = d - Bᵀ x.
        let cross = model.transpose() * &self.right;
        let noise = &self.square - &cross - cross.transpose() + model.transpose() * &self.normal * &model;
        let noise = (&noise + noise.transpose()) * (0.5 / count) + DMatrix::identity(houses, houses) * RIDGE_NOISE;
        let weight = noise.cholesky()?.inverse();
        let weighted = resistances.transpose() * &weight;
        let inversion = (&weighted * &resistances + DMatrix::identity(houses, houses) * RIDGE_INVERSION).cholesky()?.solve(&weighted);
        let residuals: Vec<DVector<f64>> = days.iter().map(|day| left(&model, day)).collect();
        let residual = residuals.iter().sum::<DVector<f64>>() / residuals.len().max(1) as f64;
        let currents: Vec<DVector<f64>> = residuals.iter().map(|it| &inversion * it).collect();
        let mean = &inversion * &residual;
        let freedom = currents.len().saturating_sub(1).max(1) as f64;
        let variance = currents.iter().map(|it| (it - &mean).map(|it| it * it)).sum::<DVector<f64>>() / freedom;
        let deviation = variance.map(|it| (it + DEVIATION_MIN * DEVIATION_MIN).sqrt());
        let finite = [&weight, &inversion, &model].iter().all(|it| it.iter().all(|it| it.is_finite()));
        finite.then_some(Network { model, weight, inversion, deviation, residual })
    }
}

/// Mean of a day's drops that the currents do not explain, in V.
fn left(model: &DMatrix<f64>, day: &Sums) -> DVector<f64> {
    (&day.drops - model.tr_mul(&day.regressors)) / day.count.max(1) as f64
}

impl Network {
    /// Whether it is of so many houses.
    pub fn is_of(&self, houses: usize) -> bool {
        let shapes = [self.model.shape(), self.weight.shape(), self.inversion.shape()];
        shapes == [(FIXED + houses, houses), (houses, houses), (houses, houses)]
            && (self.deviation.len(), self.residual.len()) == (houses, houses)
    }

    /// How many numbers it holds.
    pub fn numbers(houses: usize) -> usize {
        (FIXED + houses) * houses + 2 * houses * houses + 2 * houses
    }

    /// Mean of a day's drops that neither the currents nor the days learned from explain, in V.
    pub fn residual(&self, day: &Sums) -> DVector<f64> {
        left(&self.model, day) - &self.residual
    }

    /// What each house seems to draw beyond its register, in deviations of such a day.
    pub fn surprise(&self, residual: &DVector<f64>) -> DVector<f64> {
        (&self.inversion * residual).component_div(&self.deviation)
    }

    /// Who explains this residual best, by weighted least squares with one current at one place. None if nobody does.
    pub fn who(&self, residual: &DVector<f64>, poles: &[usize]) -> Option<Match> {
        let houses = self.weight.nrows();
        let weighted = &self.weight * residual;
        let all = residual.dot(&weighted);
        let places = (0..houses).map(Place::House).chain(several(poles).map(Place::Pole));
        let judged = places.filter_map(|place| {
            let column = self.column(place, poles);
            let (along, size) = (column.dot(&weighted), column.dot(&(&self.weight * &column)));
            (along > 0.0 && size > 0.0).then(|| Match { place, amperes: along / size, share: along * along / size / all })
        });
        judged.max_by(|a, b| a.share.total_cmp(&b.share)).filter(|it| it.share.is_finite())
    }

    /// What an ampere drawn there costs each house, in V. A pole's is what houses on it have in common.
    fn column(&self, place: Place, poles: &[usize]) -> DVector<f64> {
        let houses = self.weight.nrows();
        let resistance = |house: usize, drawn_at: usize| self.model[(FIXED + drawn_at, house)];
        match place {
            Place::House(drawn_at) => DVector::from_fn(houses, |house, _| resistance(house, drawn_at)),
            Place::Pole(pole) => DVector::from_fn(houses, |house, _| {
                let others = || (0..houses).filter(|it| poles.get(*it) == Some(&pole) && *it != house);
                others().map(|it| resistance(house, it)).sum::<f64>() / others().count().max(1) as f64
            }),
        }
    }
}

/// Poles that carry several houses: with one house, what is drawn at the pole and at the house looks the same.
fn several(poles: &[usize]) -> impl Iterator<Item = usize> + '_ {
    let last = poles.iter().copied().max().map_or(0, |it| it.saturating_add(1));
    (0..last).filter(|pole| poles.iter().filter(|it| *it == pole).count() > 1)
}
