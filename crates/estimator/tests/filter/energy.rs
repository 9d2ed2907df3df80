//! Energy between the ticks of the register, against sums by hand.

use estimator::energy::{Energy, Ledger};
use estimator::filter::{Belief, STATES};
use estimator::load::{ACTIVE, ENERGY, LOOP, SUPPLY};

/// 230 V, 10 A, no loop to speak of: 2,300 W.
fn belief() -> Belief<f64> {
    let mut mean = [0.0; STATES];
    (mean[SUPPLY], mean[ACTIVE]) = (230.0, 10.0);
    let mut variance = [0.0; STATES];
    (variance[SUPPLY], variance[ACTIVE], variance[LOOP]) = (0.25, 0.01, 1e-4);
    Belief::independent(mean, variance)
}

fn energy_wh(ledger: &Ledger<f64>, belief: &Belief<f64>) -> f64 {
    let energy = ledger.energy(belief);
    energy.anchor_wh as f64 + energy.remainder_wh
}

#[test]
fn hundredths_of_a_watt_hour_are_rounded_to_the_nearest() {
    let hundredths = |anchor_wh, remainder_wh: f64| Energy { anchor_wh, remainder_wh }.watt_hours().centiwatthours();
    assert_eq!(hundredths(7, 0.0), 700);
    assert_eq!(hundredths(7, 0.124), 712);
    assert_eq!(hundredths(7, 0.126), 713);
    assert_eq!(hundredths(7, -0.124), 688);
    assert_eq!(hundredths(7, -0.126), 687);
    assert_eq!(hundredths(i64::MAX, 1.0), i64::MAX);
}

#[test]
fn an_interval_counts_with_its_own_power_and_a_gap_with_the_mean_of_its_ends() {
    for (elapsed, watts) in [(1.0, 2_300.0), (2.5, 2_300.0), (2.6, 1_650.0), (360.0, 1_650.0)] {
        let (mut belief, mut ledger) = (belief(), Ledger::starting_at(1_000, 1_000.0));
        ledger.integrate(&mut belief, elapsed);
        let added = energy_wh(&ledger, &belief) - 1_000.0;
        assert!((added - watts * elapsed / 3_600.0).abs() < 1e-9, "{elapsed} s: {added} Wh");
    }
}

#[test]
fn the_loop_takes_its_part_and_the_energy_knows_where_it_comes_from() {
    let (mut belief, mut ledger) = (belief(), Ledger::starting_at(0, 0.0));
    belief.mean[LOOP] = 0.5;
    ledger.integrate(&mut belief, 2.0);
    let hours = 2.0 / 3_600.0;
    let power = (230.0 - 5.0) * 10.0;
    assert!((energy_wh(&ledger, &belief) - power * hours).abs() < 1e-12);
    // The gradient of (Vs - Rs Ia) Ia times the variances.
    let gradient = [(SUPPLY, 10.0, 0.25), (ACTIVE, 230.0 - 10.0, 0.01), (LOOP, -100.0, 1e-4)];
    let mut variance = (1e-3 * power * hours).powi(2) + 2e-6;
    for (state, slope, own) in gradient {
        let covariance = slope * own * hours;
        assert!((belief.covariance[(state, ENERGY)] - covariance).abs() < 1e-15, "state {state}");
        variance += slope * slope * own * hours * hours;
    }
    assert!((belief.covariance[(ENERGY, ENERGY)] - variance).abs() < 1e-15, "{}", belief.covariance[(ENERGY, ENERGY)]);
}

#[test]
fn a_gap_is_uncertain_by_its_ends_and_by_what_nobody_saw() {
    let hours: f64 = 36.0 / 3_600.0;
    let variance = |before: f64| {
        let (mut belief, mut ledger) = (belief(), Ledger::starting_at(0, before));
        ledger.integrate(&mut belief, 36.0);
        belief.covariance[(ENERGY, ENERGY)]
    };
    let difference = variance(500.0) - variance(2_300.0);
    let rounding = (1e-3 * hours).powi(2) * (1_400.0_f64.powi(2) - 2_300.0_f64.powi(2));
    assert!((difference - (1_800.0 * hours).powi(2) / 12.0 - rounding).abs() < 1e-9, "{difference}");
    assert!(variance(2_300.0) > (300.0 * hours).powi(2) / 3.0);
    assert!(variance(2_300.0) < 1.2 * (300.0 * hours).powi(2) / 3.0);
}

#[test]
fn a_tick_says_where_the_energy_is() {
    let (mut belief, mut ledger) = (belief(), Ledger::starting_at(1_000, 2_300.0));
    belief.covariance.set(ENERGY, ENERGY, 0.34);
    ledger.integrate(&mut belief, 1.0);
    assert!(!ledger.read(&mut belief, 1_000, 1.0), "no tick");
    let unticked = belief.covariance[(ENERGY, ENERGY)];
    assert!(unticked > 0.34);
    assert!(!ledger.read(&mut belief, 1_001, 1.0));
    // Between 1,001 Wh and what a second adds to it.
    let width = 2_300.0 / 3_600.0;
    let variance = width * width / 12.0 + 0.03_f64.powi(2);
    let gain = unticked / (unticked + variance);
    let expected = width + gain * (1.0 + width / 2.0 - width);
    assert!((energy_wh(&ledger, &belief) - 1_000.0 - expected).abs() < 1e-12);
    assert!((belief.covariance[(ENERGY, ENERGY)] - gain * variance).abs() < 1e-9);
    // Without power there is no width, and with much of it not more than the register's step.
    for (watts, elapsed, width) in [(-500.0, 1.0, 0.0_f64), (2_300.0, 10.0, 1.0)] {
        let (mut belief, mut ledger) = (self::belief(), Ledger::starting_at(1_000, watts));
        belief.covariance.set(ENERGY, ENERGY, 1e6);
        ledger.read(&mut belief, 1_001, elapsed);
        let energy = energy_wh(&ledger, &belief);
        assert!((energy - 1_001.0 - width / 2.0).abs() < 1e-6, "{energy}");
        assert!((belief.covariance[(ENERGY, ENERGY)] - width * width / 12.0 - 9e-4).abs() < 1e-6);
    }
}

#[test]
fn a_tick_far_from_the_integral_is_believed() {
    let read = |tick: u64| {
        let (mut belief, mut ledger) = (belief(), Ledger::starting_at(1_000, 0.0));
        belief.covariance.set(ENERGY, ENERGY, 0.04 - 9e-4);
        let anchored = ledger.read(&mut belief, tick, 1.0);
        (anchored, energy_wh(&ledger, &belief), belief.covariance[(ENERGY, ENERGY)])
    };
    let (anchored, energy, _) = read(1_001);
    assert!(!anchored && energy > 1_000.9, "within five deviations of 0.2 Wh: {energy}");
    let (anchored, energy, variance) = read(1_002);
    assert!(anchored && (energy - 1_002.0).abs() < 0.01, "{energy}");
    assert!(variance < 1e-3);
}

#[test]
fn another_register_starts_over() {
    for (register, replaced) in [(999, true), (11_000, false), (11_001, true), (u64::MAX, true)] {
        let (mut belief, mut ledger) = (belief(), Ledger::starting_at(1_000, 2_300.0));
        belief.covariance.set(ENERGY, ENERGY, 0.01);
        belief.covariance.set(ENERGY, ACTIVE, 0.001);
        assert!(ledger.read(&mut belief, register, 1.0), "{register}");
        assert_eq!(belief.covariance[(ENERGY, ENERGY)] == 0.34, replaced, "{register}");
        assert_eq!(belief.covariance[(ENERGY, ACTIVE)] == 0.0, replaced, "{register}");
        let register = i64::try_from(register).unwrap_or(i64::MAX);
        if replaced {
            assert_eq!((ledger.energy(&belief).anchor_wh, ledger.energy(&belief).remainder_wh), (register, 0.0));
        }
    }
}

#[test]
fn the_remainder_stays_small_and_nothing_is_lost() {
    let (mut belief, mut ledger) = (belief(), Ledger::starting_at(5, 2_300.0));
    for second in 1..=100 {
        ledger.integrate(&mut belief, 1.0);
        let energy = ledger.energy(&belief);
        assert!(energy.remainder_wh.abs() < 8.0, "{energy:?}");
        // 230 V and 10 A take 12.5 s for 8 Wh; whole Wh are carried, and not before.
        let carried = [5, 13][usize::from(second > 12)];
        assert!(second > 24 || energy.anchor_wh == carried, "{second} s: {energy:?}");
        assert!((energy_wh(&ledger, &belief) - 5.0 - f64::from(second) * 2_300.0 / 3_600.0).abs() < 1e-9);
    }
    assert!(ledger.energy(&belief).anchor_wh > 50);
}
