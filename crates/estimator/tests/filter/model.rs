//! The household model against its own equations: discretised exactly, differentiated right, and of the sizes that its page gives.

use estimator::SensorNoise;
use estimator::filter::{Belief, STATES};
use estimator::load::{self, ACTIVE, CHANNELS, ENERGY, FREQUENCY, LOOP, NoiseModel, RMS, SUPPLY};
use estimator::symmetric::Symmetric;

const MEAN: [f64; STATES] = [231.0, 9.0, 0.21, 10.0, 1.5, 50.01];

fn belief() -> Belief<f64> {
    Belief { mean: MEAN, covariance: symmetric(|i, j| if i == j { 0.5 + i as f64 } else { 0.05 / (1.0 + i as f64 + j as f64) }) }
}

fn symmetric(entry: impl Fn(usize, usize) -> f64) -> Symmetric<f64> {
    let mut matrix = Symmetric::diagonal([0.0; STATES]);
    for i in 0..STATES {
        for j in 0..=i {
            matrix.set(i, j, entry(i, j));
        }
    }
    matrix
}

fn certain() -> Belief<f64> {
    Belief::independent(MEAN, [0.0; STATES])
}

#[track_caller]
fn assert_close(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1e-6), "{what}: {ours}, expected {theirs}");
}

#[test]
fn the_jacobian_is_the_derivative() {
    let rows = load::jacobian(&MEAN);
    for state in 0..STATES {
        let at = |delta: f64| {
            let mut x = MEAN;
            x[state] += delta;
            load::expected(&x)
        };
        let (above, below) = (at(1e-4), at(-1e-4));
        for channel in 0..CHANNELS {
            let slope = (above[channel] - below[channel]) / 2e-4;
            assert!((rows[channel][state] - slope).abs() < 1e-6 * (1.0 + slope.abs()), "channel {channel} by state {state}: {slope}");
        }
    }
}

#[test]
fn many_short_predictions_are_one_long_one() {
    let (mut once, mut often) = (belief(), belief());
    load::predict(&mut once, 2.4, 1.7);
    (0..24).for_each(|_| load::predict(&mut often, 0.1, 1.7));
    for i in 0..STATES {
        assert_close(often.mean[i], once.mean[i], "mean");
        for j in 0..=i {
            assert_close(often.covariance[(i, j)], once.covariance[(i, j)], &format!("covariance of {i} and {j}"));
        }
    }
}

#[test]
fn the_supply_returns_to_its_mean_and_the_others_stay() {
    let mut belief = certain();
    load::predict(&mut belief, 900.0, 1.0);
    assert_close(belief.mean[SUPPLY], 230.0 + (-1.0_f64).exp(), "after one time constant");
    assert_close(belief.covariance[(SUPPLY, SUPPLY)], 10.125 * (1.0 - (-2.0_f64).exp()), "variance after one time constant");
    load::predict(&mut belief, 80_000.0, 1.0);
    assert_close(belief.mean[SUPPLY], 230.0, "in the end");
    assert_close(belief.covariance[(SUPPLY, SUPPLY)], 10.125, "variance in the end");
    assert_eq!(belief.mean[ACTIVE..], MEAN[ACTIVE..]);
}

#[test]
fn a_second_adds_what_the_equations_say() {
    let added = |seconds: f64, restlessness: f64, rms: f64| {
        let mut belief = certain();
        belief.mean[RMS] = rms;
        belief.mean[ACTIVE] = 0.9 * rms;
        load::predict(&mut belief, seconds, restlessness);
        belief.covariance
    };
    let p = added(1.0, 2.0, 10.0);
    let rms = 2.0 * (0.003_f64.powi(2) + 0.05_f64.powi(2));
    assert_close(p[(RMS, RMS)], rms, "current");
    assert_close(p[(ACTIVE, ACTIVE)], rms * (0.81 + 0.02), "active current");
    assert_close(p[(ACTIVE, RMS)], 0.95 * rms * 0.83_f64.sqrt(), "both");
    assert_close(p[(FREQUENCY, FREQUENCY)], 4e-6, "frequency");
    assert_close(p[(LOOP, LOOP)], 1e-8, "loop");
    assert_eq!(p[(ENERGY, ENERGY)], 0.0);
    // Without current the power factor is a typical one.
    let p = added(1.0, 1.0, 0.019);
    assert_close(p[(ACTIVE, ACTIVE)] / p[(RMS, RMS)], 0.64 + 0.02, "idle");
    let p = added(1.0, 1.0, 0.021);
    assert_close(p[(ACTIVE, ACTIVE)] / p[(RMS, RMS)], 0.81 + 0.02, "just not idle");
    // A gap may hide a switched load every two minutes.
    let short = added(2.5, 1.0, 10.0)[(RMS, RMS)];
    assert_close(short, 2.5 * (0.003_f64.powi(2) + 0.05_f64.powi(2)), "no gap");
    let long = added(3.0, 1.0, 10.0)[(RMS, RMS)];
    assert_close(long, 3.0 * (0.003_f64.powi(2) + 0.05_f64.powi(2) + 64.0 / 120.0), "gap");
}

#[test]
fn room_for_events() {
    let widened = |room: fn(&mut Belief<f64>)| {
        let mut belief = certain();
        room(&mut belief);
        assert_eq!(belief.mean, MEAN);
        belief.covariance
    };
    let p = widened(load::allow_step);
    let expected = |i, j| match (i, j) {
        (ACTIVE, ACTIVE) => 64.0 * 0.7625,
        (RMS, ACTIVE) => 64.0 * 0.85,
        (RMS, RMS) => 64.0,
        _ => 0.0,
    };
    assert_symmetric(&p, &symmetric(expected), "step");
    let p = widened(load::allow_shift);
    assert_symmetric(&p, &symmetric(|i, j| if (i, j) == (SUPPLY, SUPPLY) { 64.0 } else { 0.0 }), "shift");
    let p = widened(load::allow_answer);
    let share = 8.0 / 230.0;
    assert_close(p[(RMS, RMS)], (share * 10.0_f64).powi(2), "answer of the current");
    assert_close(p[(RMS, ACTIVE)], share * share * 90.0, "answer of both");
    assert_close(p[(ACTIVE, ACTIVE)], (share * 9.0_f64).powi(2) + (0.005 * 9.0_f64).powi(2), "answer of the active current");
    assert_eq!(p[(SUPPLY, SUPPLY)], 0.0);
}

fn assert_symmetric(ours: &Symmetric<f64>, theirs: &Symmetric<f64>, what: &str) {
    for i in 0..STATES {
        for j in 0..=i {
            assert_close(ours[(i, j)], theirs[(i, j)], &format!("{what}, {i} and {j}"));
        }
    }
}

#[test]
fn back_into_what_is_possible() {
    let projected = |active: f64, rms: f64, ohm: f64| {
        let mut x = MEAN;
        (x[ACTIVE], x[RMS], x[LOOP]) = (active, rms, ohm);
        load::project(&mut x);
        assert_eq!((x[SUPPLY], x[FREQUENCY], x[ENERGY]), (MEAN[SUPPLY], MEAN[FREQUENCY], MEAN[ENERGY]));
        (x[ACTIVE], x[RMS], x[LOOP])
    };
    assert_eq!(projected(9.0, 10.0, 0.2), (9.0, 10.0, 0.2));
    assert_eq!(projected(11.0, 10.0, 0.2), (10.3, 10.0, 0.2));
    assert_eq!(projected(-11.0, 10.0, 2.5), (-10.3, 10.0, 2.0));
    assert_eq!(projected(0.5, -1.0, -0.1), (0.0, 0.0, 0.0));
}

#[test]
fn a_first_belief_is_the_measurement() {
    let belief = load::starting_at(&[230.0, 10.0, 2_070.0, 50.0], (0.2, 0.04), (3.0, 0.34));
    assert_close(belief.mean[SUPPLY], 230.0 + 0.2 * 9.0, "voltage behind the loop");
    assert_eq!(belief.mean[ACTIVE..], [9.0, 0.2, 10.0, 3.0, 50.0]);
    for (state, variance) in [1.0, 0.01, 0.04, 0.01, 0.34, 0.01].into_iter().enumerate() {
        assert_eq!(belief.covariance[(state, state)], variance);
    }
}

#[test]
fn variances_have_a_ceiling_and_correlations_stay_definite() {
    let mut belief = belief();
    belief.covariance.set(RMS, RMS, 4e3);
    belief.covariance.set(RMS, ACTIVE, 40.0);
    belief.covariance.set(SUPPLY, LOOP, 1e-26);
    load::settle(&mut belief);
    assert_close(belief.covariance[(RMS, RMS)], 1e3, "at the ceiling");
    assert_close(belief.covariance[(RMS, ACTIVE)], 20.0, "scaled with it");
    assert_eq!(belief.covariance[(SUPPLY, LOOP)], 0.0);
    // A correlation of more than one is none.
    let mut broken = self::belief();
    broken.covariance.set(RMS, ACTIVE, 10.0);
    load::settle(&mut broken);
    assert_eq!(broken.covariance[(RMS, ACTIVE)], 0.0);
    assert_close(broken.covariance[(ACTIVE, ACTIVE)], 6.0 * 1.5, "n diag(P)");
    assert_close(broken.covariance[(LOOP, LOOP)], 0.25, "n diag(P), at its ceiling");
}

#[test]
fn a_sensor_that_gets_noisier_rounds_as_before() {
    let sensor = SensorNoise { relative: [0.01, 0.02, 0.03, 0.0], absolute: [0.2, 0.1, 2.0, 0.05], quantum: [0.1, 0.2, 1.0, 0.3] };
    let model = NoiseModel::<f64>::new(&sensor);
    let z = [230.0, 10.0, -2_000.0, 50.0];
    let (variances, factors) = (model.variances(&z), [2.0, 3.0, 1.0, 5.0]);
    let inflated = model.inflated(&variances, &factors);
    for i in 0..CHANNELS {
        let white = (sensor.relative[i] * z[i]).powi(2) + sensor.absolute[i].powi(2);
        let rounding = sensor.quantum[i].powi(2) / 12.0;
        assert_close(model.rounding()[i], rounding, "rounding");
        assert_close(variances[i], white + rounding, "variance");
        assert_close(inflated[i], factors[i] * white + rounding, "inflated");
    }
    assert_eq!(sensor.variances(&z), variances);
}
