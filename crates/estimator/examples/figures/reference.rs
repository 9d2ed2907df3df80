//! Meters beside a reference instrument: how far their readings are from the truth, gain errors included.
//!
//! Nobody measured this in a laboratory. The gain of each simulated meter is drawn from what the maker states, 0.5 % (read as uniform, a
//! standard uncertainty of 0.29 %), which the GUM calls an evaluation of type B. No filter at the meter can see it.

use fleet::household::HouseholdConfig;
use fleet::meter::Meter;

use crate::figure::{Figure, Target};
use crate::run::{DAY_S, PZEM, Watch, all};

const METERS: u64 = 200;
/// How long each is watched, in s.
const LENGTH_S: usize = DAY_S / 24;
/// What a published prototype with the same module states for its readings, in %.
const PROTOTYPE_VOLTAGE: f64 = 99.10;
const PROTOTYPE_CURRENT: f64 = 99.36;

const QUANTITIES: [&str; 4] = ["voltage", "current", "active power", "energy"];

/// What one meter came to, by quantity.
struct Watched {
    /// Mean of the errors relative to the truth, signs left out.
    error: [f64; 4],
    /// Whether the last reading is within two standard uncertainties of the truth.
    covered: [bool; 4],
    /// Standard uncertainty of the last reading relative to it: the filter's and the gain's.
    uncertainty: [f64; 4],
}

pub fn figures(seed: u64) -> Vec<Figure> {
    let seeds: Vec<u64> = (seed..seed.saturating_add(METERS)).collect();
    let meters = all("meters beside a reference instrument", &seeds, |seed| meter(*seed));
    let mut figures = Vec::new();
    for (number, quantity) in QUANTITIES.into_iter().enumerate() {
        let mean = |of: &dyn Fn(&Watched) -> f64| meters.iter().map(of).sum::<f64>() / meters.len() as f64;
        let name = |what: &str| format!("reference/{quantity}/{what}");
        let accuracy = Figure::new(name("accuracy, 100 % less the mean error"), 100.0 * (1.0 - mean(&|meter| meter.error[number])), "%");
        figures.push(match quantity {
            "voltage" => accuracy.target(Target::AtLeast(PROTOTYPE_VOLTAGE)),
            "current" => accuracy.target(Target::AtLeast(PROTOTYPE_CURRENT)),
            _ => accuracy,
        });
        figures.push(Figure::new(name("standard uncertainty, type B included"), 100.0 * mean(&|meter| meter.uncertainty[number]), "%"));
        let covered = mean(&|meter| f64::from(u8::from(meter.covered[number])));
        figures.push(Figure::new(name("meters within two of them"), 100.0 * covered, "%"));
    }
    figures
}

fn meter(seed: u64) -> Watched {
    let mut watched = Watched { error: [0.0; 4], covered: [false; 4], uncertainty: [0.0; 4] };
    let mut seconds = 0.0;
    let meter = Meter::new(seed, &HouseholdConfig::typical(seed), PZEM.profile);
    for (second, estimate) in Watch::new(meter, PZEM.noise).take(LENGTH_S) {
        let Some(estimate) = estimate else { continue };
        let truth = second.physics.truth();
        let truths = [truth.voltage, truth.current, truth.active_power, truth.energy_wh];
        let energy = estimate.energy.anchor_wh as f64 + estimate.energy.remainder_wh;
        let estimates = [estimate.voltage, estimate.current, estimate.active_power, energy];
        let variances = [estimate.voltage_variance, estimate.current_variance, estimate.active_power_variance, estimate.energy_variance];
        for number in 0..QUANTITIES.len() {
            let (truth, estimate) = (truths[number], estimates[number]);
            let error = (estimate - truth).abs();
            let gain = PZEM.profile.gain * estimate;
            let uncertainty = (variances[number] + gain * gain).sqrt();
            watched.error[number] += error / truth;
            watched.covered[number] = error <= 2.0 * uncertainty;
            watched.uncertainty[number] = uncertainty / estimate;
        }
        // Energy is compared at the end of the hour: in the first minutes it is less than the resolution of its register.
        watched.error[3] = (energy / truth.energy_wh - 1.0).abs();
        seconds += 1.0;
    }
    for number in 0..3 {
        watched.error[number] /= seconds;
    }
    watched
}
