//! The filters on the vectors, and how far they are from the columns of their references.

use estimator::energy::{Ledger, VARIANCE_UNTICKED};
use estimator::filter::{Belief, STATES};
use estimator::{Config, Estimator, Real, Rounding, SensorNoise, load};

use super::{Row, Worst, rows};

/// Names of the vectors, and the noise of their sensors.
pub const VECTORS: [(&str, SensorNoise); 2] = [("pzem", SensorNoise::PZEM_004T), ("noisy", SensorNoise::NOISY)];

/// The model of the reference filters, which take the rounding of the frequency for white noise.
fn reference(noise: SensorNoise) -> Config {
    Config { frequency_rounding: Rounding::White, ..Config::new(noise) }
}

const STATE_NAMES: [&str; STATES] = ["Vs", "Ia", "Rs", "I", "E", "f"];

/// The plain filter: every sample is believed, nothing adapts, the register is not read.
fn plain<F: Real>(rows: &[Row], noise: &SensorNoise) -> Vec<([F; STATES], F)> {
    let z = |row: &Row| row.measured().map(F::of);
    let first = z(&rows[0]);
    let mut belief: Belief<F> = load::starting_at(&first, load::loop_prior(), (F::ZERO, F::of(VARIANCE_UNTICKED)));
    let mut ledger = Ledger::starting_at(0, first[load::P]);
    rows.iter()
        .enumerate()
        .map(|(k, row)| {
            if k > 0 {
                load::predict(&mut belief, F::ONE, F::ONE);
            }
            let z = z(row);
            let sample = load::linearise(&belief, &z, &noise.variances(&z));
            let nis;
            (belief, nis) = load::updated(&belief, &sample, None);
            let nis = nis.into_iter().fold(F::ZERO, |sum, share| sum + share);
            load::project(&mut belief.mean);
            ledger.integrate(&mut belief, F::ONE);
            load::settle(&mut belief);
            let energy = ledger.energy(&belief);
            let mut state = belief.mean;
            state[load::ENERGY] = F::from_count(energy.anchor_wh) + energy.remainder_wh;
            (state, nis)
        })
        .collect()
}

/// The plain filter against filterpy, relative.
pub fn plain_filter(name: &str, noise: &SensorNoise) -> Worst {
    let rows = rows(name);
    let mut worst = Worst::default();
    for (k, (state, nis)) in plain::<f64>(rows, noise).into_iter().enumerate() {
        for (i, column) in STATE_NAMES.iter().enumerate() {
            worst.compare(k, column, state[i], rows[k].column(&format!("fpy_{column}")), 1e-6);
        }
        worst.compare(k, "NIS", nis, rows[k].column("fpy_NIS"), 1.0);
    }
    worst
}

/// The voltage behind the service loop by the plain filter in single precision against filterpy, in V.
pub fn plain_filter_in_single_precision(name: &str, noise: &SensorNoise) -> Worst {
    let rows = rows(name);
    let mut worst = Worst::default();
    for (k, (state, _)) in plain::<f32>(rows, noise).into_iter().enumerate() {
        worst.compare_absolute(k, "Vs", f64::from(state[load::SUPPLY]), rows[k].column("fpy_Vs"), 1.0);
    }
    worst
}

/// The whole filter against the reference filter, relative; and the rows whose flags differ.
pub fn whole_filter(name: &str, noise: SensorNoise) -> (Worst, Vec<usize>) {
    let mut estimator = Estimator::<f64>::new(reference(noise));
    let (mut worst, mut differing) = (Worst::default(), Vec::new());
    for (k, row) in rows(name).iter().enumerate() {
        let estimate = estimator.step(1.0, &row.sample()).expect("a plausible first sample");
        let belief = estimator.belief().expect("a plausible first sample");
        if estimate.flags.bits() != row.column("ekf_flags") as u32 {
            differing.push(k);
        }
        for (state, column) in STATE_NAMES.iter().enumerate().filter(|(state, _)| *state != load::ENERGY) {
            worst.compare(k, column, belief.mean[state], row.column(&format!("ekf_{column}")), 1e-6);
        }
        let energy = estimate.energy.anchor_wh as f64 + estimate.energy.remainder_wh;
        for (column, ours, floor) in [
            ("ekf_E", energy, 1e-3),
            ("ekf_V", estimate.voltage, 1.0),
            ("ekf_P", estimate.active_power, 1.0),
            ("ekf_N", estimate.non_active_power, 1.0),
            ("ekf_varV0", belief.covariance[(load::SUPPLY, load::SUPPLY)], 1e-12),
            ("ekf_varIa", belief.covariance[(load::ACTIVE, load::ACTIVE)], 1e-12),
            ("ekf_varI", estimate.current_variance, 1e-12),
            ("ekf_varf", estimate.frequency_variance, 1e-12),
            ("ekf_varRs", belief.covariance[(load::LOOP, load::LOOP)], 1e-12),
            ("ekf_varE", estimate.energy_variance, 1e-12),
            ("ekf_varP", estimate.active_power_variance, 1e-12),
            ("ekf_NIS3", estimate.nis, 1.0),
            ("ekf_NISf", estimate.nis_frequency, 1.0),
        ] {
            worst.compare(k, column, ours, row.column(column), floor);
        }
    }
    (worst, differing)
}

/// The whole filter in single against double precision, in V, A, kW, Hz and relative variances; and the rows whose flags differ.
pub fn whole_filter_in_single_precision(name: &str, noise: SensorNoise) -> (Worst, Vec<usize>) {
    let mut double = Estimator::<f64>::new(reference(noise));
    let mut single = Estimator::<f32>::new(reference(noise));
    let (mut worst, mut differing) = (Worst::default(), Vec::new());
    for (k, row) in rows(name).iter().enumerate() {
        let theirs = double.step(1.0, &row.sample()).expect("a plausible first sample");
        let ours = single.step(1.0, &row.sample_f32()).expect("a plausible first sample");
        if ours.flags != theirs.flags {
            differing.push(k);
        }
        for (column, ours, theirs, unit) in [
            ("V", ours.voltage, theirs.voltage, 1.0),
            ("I", ours.current, theirs.current, 1.0),
            ("P", ours.active_power, theirs.active_power, 1000.0),
            ("f", ours.frequency, theirs.frequency, 1.0),
            ("variance of V", ours.voltage_variance / theirs.voltage_variance as f32, 1.0, 1.0),
            ("variance of P", ours.active_power_variance / theirs.active_power_variance as f32, 1.0, 1.0),
        ] {
            worst.compare_absolute(k, column, f64::from(ours), theirs, unit);
        }
    }
    (worst, differing)
}
