//! The filter on an hour of simulated households, against the truth as the meter senses it.

#![expect(clippy::indexing_slicing, reason = "fixed quantities")]

use estimator::{Config, Estimator, SensorNoise};
use fleet::household::{Household, HouseholdConfig, Truth};
use fleet::sensor::{Profile, SensedSample, Sensor};

const SEEDS: std::ops::Range<u64> = 1..6;
const QUANTITIES: [&str; 4] = ["V", "I", "P", "f"];

/// Root mean square errors of V, I, P, f: raw and filtered.
struct Errors {
    raw: [f64; 4],
    filtered: [f64; 4],
}

impl Errors {
    /// How many times better the filter is.
    fn gain(&self, quantity: usize) -> f64 {
        self.raw[quantity] / self.filtered[quantity]
    }
}

fn hour(seed: u64, profile: Profile, noise: SensorNoise) -> Errors {
    let mut household = Household::new(seed, &HouseholdConfig::default());
    let mut sensor = Sensor::new(seed, profile);
    let mut estimator = Estimator::<f64>::new(Config::new(noise));
    let (mut raw, mut filtered, mut seconds) = ([0.0; 4], [0.0; 4], 0.0);
    for _ in 0..3600 {
        let physics = household.second();
        let sensed = sensor.sample(&physics);
        let truth = sensor.as_sensed(&physics.truth());
        let Some(estimate) = estimator.step(1.0, &for_filter(&sensed)) else { panic!("seed {seed}: {sensed:?} is not plausible") };
        let estimates = [estimate.voltage, estimate.current, estimate.active_power, estimate.frequency];
        let measured = [sensed.voltage, sensed.current, sensed.active_power, sensed.frequency];
        let Truth { voltage, current, active_power, frequency, .. } = truth;
        for (i, truth) in [voltage, current, active_power, frequency].into_iter().enumerate() {
            raw[i] += (measured[i] - truth).powi(2);
            filtered[i] += (estimates[i] - truth).powi(2);
        }
        seconds += 1.0;
    }
    Errors { raw: raw.map(|sum: f64| (sum / seconds).sqrt()), filtered: filtered.map(|sum: f64| (sum / seconds).sqrt()) }
}

fn for_filter(sensed: &SensedSample) -> estimator::Sample<f64> {
    let SensedSample { voltage, current, active_power, frequency, power_factor, energy_wh } = *sensed;
    estimator::Sample { voltage, current, active_power, frequency, power_factor, energy_wh }
}

fn print(name: &str, seed: u64, errors: &Errors) {
    for (i, quantity) in QUANTITIES.iter().enumerate() {
        println!(
            "{name}, seed {seed}, {quantity}: raw {:.4}, filtered {:.4}, {:.2} times better",
            errors.raw[i],
            errors.filtered[i],
            errors.gain(i)
        );
    }
}

/// A PZEM is as good as its resolution: a filter can't improve it, and must not make it worse. 1 % is the spread of an hour's figure.
#[test]
fn no_worse_than_raw_on_a_pzem() {
    for seed in SEEDS {
        let errors = hour(seed, Profile::PZEM, SensorNoise::PZEM_004T);
        print("PZEM", seed, &errors);
        for (i, quantity) in QUANTITIES.iter().enumerate() {
            assert!(errors.gain(i) >= 0.99, "seed {seed}: {quantity} raw {} filtered {}", errors.raw[i], errors.filtered[i]);
        }
    }
}

#[test]
fn twice_as_good_as_raw_on_a_noisy_sensor() {
    for seed in SEEDS {
        let errors = hour(seed, Profile::NOISY, SensorNoise::NOISY);
        print("noisy", seed, &errors);
        assert!(errors.gain(0) >= 2.0, "seed {seed}: V is only {:.2} times better than raw", errors.gain(0));
        for (i, quantity) in QUANTITIES.iter().enumerate() {
            assert!(errors.gain(i) >= 1.0, "seed {seed}: {quantity} raw {} filtered {}", errors.raw[i], errors.filtered[i]);
        }
    }
}
