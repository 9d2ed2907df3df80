//! Meters on a simulated household.

use estimator::{Config, Estimator, Real, Sample, SensorNoise};
use fleet::household::{Household, HouseholdConfig};
use fleet::sensor::{Profile, Sensor};

const SEED: u64 = 2026;

/// A sensor and what the filter is told about it.
#[derive(Clone, Copy)]
pub struct Meter {
    /// As the figures name it.
    pub name: &'static str,
    profile: Profile,
    /// What the filter is told about the sensor.
    pub noise: SensorNoise,
}

/// A converter with its own noise: every sample is new.
pub const NOISY: Meter = Meter { name: "noisy sensor", profile: Profile::NOISY, noise: SensorNoise::NOISY };
/// A PZEM as it is: every fifth reply repeats the one before, which costs the filter less.
pub const PZEM: Meter = Meter { name: "PZEM", profile: Profile::PZEM_LAGGING, noise: SensorNoise::PZEM_004T };

impl Meter {
    /// What it shows from one second to the next.
    pub fn samples<F: Real>(&self, seconds: usize) -> Vec<Sample<F>> {
        let mut household = Household::new(SEED, &HouseholdConfig::default());
        let mut sensor = Sensor::new(SEED, self.profile).with_register(1_234_567);
        let sample = |_| {
            let it = sensor.sample(&household.second());
            Sample {
                voltage: F::of(it.voltage),
                current: F::of(it.current),
                active_power: F::of(it.active_power),
                frequency: F::of(it.frequency),
                power_factor: F::of(it.power_factor),
                energy_wh: it.energy_wh,
            }
        };
        (0..seconds).map(sample).collect()
    }

    /// A filter that is told the truth about the sensor.
    pub fn estimator<F: Real>(&self) -> Estimator<F> {
        Estimator::new(Config::new(self.noise))
    }
}
