//! How often an honest feeder is called a thief's, and how often at most.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// The confidence of [`AlarmRate::most`].
pub const CONFIDENCE: f64 = 0.95;

/// Alarms in a time without thieves.
#[derive(Clone, Copy, Debug)]
pub struct AlarmRate {
    /// How many.
    pub alarms: usize,
    /// In how many feeder-years.
    pub years: f64,
}

impl AlarmRate {
    /// Alarms a feeder-year, as they were seen.
    pub fn seen(self) -> f64 {
        self.alarms as f64 / self.years
    }

    /// The rate that is not exceeded, with 95 % confidence: the exact upper limit of a Poisson mean, half of that quantile of chi-squared
    /// with 2 (n + 1) degrees of freedom (Garwood, Biometrika 28, 1936). Of no alarm at all it is 3 divided by the time.
    pub fn most(self) -> anyhow::Result<f64> {
        let squares = ChiSquared::new(2.0 * (self.alarms as f64 + 1.0))?;
        Ok(squares.inverse_cdf(CONFIDENCE) / 2.0 / self.years)
    }
}
