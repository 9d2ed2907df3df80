//! Energy between the ticks of the meter's register.
//!
//! A PZEM counts whole Wh. The filter integrates its own power and corrects itself at each tick, when the true energy is known to be
//! just above the register. The sum is kept as whole Wh (the anchor) and a small remainder, which is state `E` of the filter: so
//! single precision loses nothing, however old the meter is.

use measure::WattHours;

use crate::Real;
use crate::filter::{Belief, STATES, Scalar};
use crate::load::{ACTIVE, BEHIND_LOOP, ENERGY, GAP_S, LOOP, SUPPLY};

/// Seconds in an hour: power integrates in W s, energy counts in Wh.
const HOUR_S: f64 = 3600.0;
/// Deviation of the integration relative to the energy of one interval.
const INTEGRATION_RELATIVE: f64 = 1e-3;
/// Variance that integration adds in any case, in Wh²/s.
const INTEGRATION_DIFFUSION: f64 = 1e-6;
/// Deviation of the load inside a gap, in W.
const GAP_LOAD_W: f64 = 300.0;
/// Deviation of a tick's moment, in Wh.
const TICK_DEVIATION_WH: f64 = 0.03;
/// A tick that contradicts the integral by more than this many deviations is believed, and the integral anchored anew.
const ANCHOR_DEVIATIONS: f64 = 5.0;
/// A register that is further off than this, or that went back, is a new register, in Wh.
const REPLACED_WH: i64 = 10_000;
/// The remainder moves into the anchor from here on, in Wh.
const CARRY_WH: f64 = 8.0;

/// Variance of the energy when all that is known is a register in whole Wh, in Wh².
pub const VARIANCE_UNTICKED: f64 = 0.34;

/// An energy as whole Wh and a remainder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy<F> {
    /// Whole Wh.
    pub anchor_wh: i64,
    /// What is to be added, in Wh; may be negative.
    pub remainder_wh: F,
}

impl<F: Real> Energy<F> {
    /// The sum, to 0.01 Wh.
    pub fn watt_hours(&self) -> WattHours {
        let hundredths = self.remainder_wh * F::of(100.0);
        let half = if hundredths < F::ZERO { F::of(-0.5) } else { F::of(0.5) };
        WattHours::from_centiwatthours(self.anchor_wh.saturating_mul(100).saturating_add((hundredths + half).to_count()))
    }
}

/// The register's side of the energy; the filter's side is state `E`.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<F> {
    anchor_wh: i64,
    register_wh: i64,
    power_w: F,
}

impl<F: Real> Ledger<F> {
    /// At a first sample with this register and this active power (W); state `E` starts at 0.
    pub fn starting_at(register_wh: u64, power_w: F) -> Self {
        let register_wh = whole(register_wh);
        Self { anchor_wh: register_wh, register_wh, power_w }
    }

    /// The energy that a belief stands for.
    pub fn energy(&self, belief: &Belief<F>) -> Energy<F> {
        Energy { anchor_wh: self.anchor_wh, remainder_wh: belief.mean[ENERGY] }
    }

    /// Integrates over the interval that the belief's sample has just closed. A sample is the mean of its interval, so its own power
    /// counts for all of it; across a gap the mean of both ends does, and the path between them is uncertain.
    #[inline(always)]
    pub fn integrate(&mut self, belief: &mut Belief<F>, elapsed: F) {
        let hours = elapsed / F::of(HOUR_S);
        let x = &belief.mean;
        let (supply, active, loop_ohm) = (x[SUPPLY], x[ACTIVE], x[LOOP]);
        let power = (supply - loop_ohm * active) * active;
        let gap = elapsed > F::of(GAP_S);
        let mean_power = if gap { F::of(0.5) * (power + self.power_w) } else { power };

        let mut gradient = [F::ZERO; STATES];
        gradient[SUPPLY] = active * hours;
        gradient[ACTIVE] = (supply - F::of(2.0) * loop_ohm * active) * hours;
        gradient[LOOP] = -(active * active) * hours;
        belief.integrate::<BEHIND_LOOP>(&gradient);
        let increment = mean_power * hours;
        belief.mean[ENERGY] += increment;
        let rounding = F::of(INTEGRATION_RELATIVE) * increment;
        belief.add_variance(ENERGY, rounding * rounding + F::of(INTEGRATION_DIFFUSION) * elapsed);
        if gap {
            let change = (power - self.power_w) * hours;
            let unseen = F::of(GAP_LOAD_W) * hours;
            belief.add_variance(ENERGY, change * change / F::of(12.0) + unseen * unseen / F::of(3.0));
        }
        self.power_w = power;
        self.carry(belief);
    }

    /// Reads the register after `elapsed` seconds. Returns whether the energy had to be anchored anew.
    pub fn read(&mut self, belief: &mut Belief<F>, register_wh: u64, elapsed: F) -> bool {
        let register_wh = whole(register_wh);
        let before = core::mem::replace(&mut self.register_wh, register_wh);
        if register_wh == before {
            return false;
        }
        if register_wh < before || register_wh.abs_diff(self.anchor_wh) > REPLACED_WH.unsigned_abs() {
            self.replace(belief, register_wh);
            return true;
        }
        self.tick(belief, elapsed)
    }

    /// Just after a tick the true energy lies between the register and the energy of one interval above it.
    fn tick(&mut self, belief: &mut Belief<F>, elapsed: F) -> bool {
        let width = (self.power_w.greater(F::ZERO) * elapsed / F::of(HOUR_S)).lesser(F::ONE);
        let register = F::from_count(self.register_wh - self.anchor_wh);
        let innovation = register + width * F::of(0.5) - belief.mean[ENERGY];
        let variance = width * width / F::of(12.0) + F::of(TICK_DEVIATION_WH * TICK_DEVIATION_WH);
        let total = belief.covariance[(ENERGY, ENERGY)] + variance;
        let contradicted = innovation * innovation > F::of(ANCHOR_DEVIATIONS * ANCHOR_DEVIATIONS) * total;
        if contradicted {
            belief.add_variance(ENERGY, innovation * innovation);
        }
        let mut row = [F::ZERO; STATES];
        row[ENERGY] = F::ONE;
        belief.sequence().absorb::<{ 1 << ENERGY }>(&Scalar { row, innovation, variance });
        self.carry(belief);
        contradicted
    }

    /// Starts over from a register that was reset or replaced.
    fn replace(&mut self, belief: &mut Belief<F>, register_wh: i64) {
        self.anchor_wh = register_wh;
        belief.mean[ENERGY] = F::ZERO;
        belief.scale(ENERGY, F::ZERO);
        belief.add_variance(ENERGY, F::of(VARIANCE_UNTICKED));
    }

    /// Keeps the remainder small.
    fn carry(&mut self, belief: &mut Belief<F>) {
        if belief.mean[ENERGY].magnitude() >= F::of(CARRY_WH) {
            let whole = belief.mean[ENERGY].to_count();
            self.anchor_wh = self.anchor_wh.saturating_add(whole);
            belief.mean[ENERGY] -= F::from_count(whole);
        }
    }
}

/// A register as a signed number; one beyond 9.2 EWh is no register.
fn whole(register_wh: u64) -> i64 {
    i64::try_from(register_wh).unwrap_or(i64::MAX)
}
