//! Faults of the sensor itself: what it measures is wrong before it is a number.

use super::Fault;
use crate::sensor::Condition;

/// The noise of every channel grows by a factor: an ageing converter, a loose terminal.
#[derive(Clone, Copy, Debug)]
pub struct Noisier {
    /// First second.
    pub from: u64,
    /// Factor on the standard deviations.
    pub factor: f64,
}

impl Fault for Noisier {
    fn condition(&mut self, second: u64, condition: &mut Condition) {
        if second >= self.from {
            condition.noise *= self.factor;
        }
    }
}

/// Part of the current passes by the current transformer, the simplest theft there is: current, power and energy are too small alike.
#[derive(Clone, Copy, Debug)]
pub struct Shunt {
    /// First second.
    pub from: u64,
    /// Share of the current that is still measured.
    pub measured: f64,
}

impl Fault for Shunt {
    fn condition(&mut self, second: u64, condition: &mut Condition) {
        if second >= self.from {
            condition.measured_current *= self.measured;
        }
    }
}
