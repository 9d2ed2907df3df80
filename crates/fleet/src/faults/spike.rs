//! One register is wrong for one reply: a damaged transfer that the checksum of the bus missed, or a tampered frame.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Fault, Reply, Schedule, Stream, Wrong, random};
use crate::sensor::{SensedSample, power_factor};

/// Registers that a spike can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// Voltage.
    Voltage,
    /// Current.
    Current,
    /// Active power.
    ActivePower,
    /// Current and active power alike, as if a load had been switched for a second.
    Load,
    /// Frequency.
    Frequency,
}

/// What becomes of the power factor, which is a checksum over voltage, current and power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// It stays, and contradicts the registers.
    Kept,
    /// It is computed anew: the frame agrees with itself.
    Recomputed,
}

/// A wrong register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// Which.
    pub register: Register,
    /// By what share of its value it is off, sign included.
    pub relative: f64,
    /// What becomes of the power factor.
    pub checksum: Checksum,
}

impl Spike {
    /// The sample with this spike, in the resolution of a PZEM.
    pub fn on(&self, sample: &SensedSample) -> SensedSample {
        let off = |value: f64, per_unit: f64| (value * (1.0 + self.relative) * per_unit).round() / per_unit;
        let mut spiked = *sample;
        match self.register {
            Register::Voltage => spiked.voltage = off(sample.voltage, 10.0),
            Register::Current => spiked.current = off(sample.current, 1000.0),
            Register::ActivePower => spiked.active_power = off(sample.active_power, 10.0),
            Register::Load => {
                spiked.current = off(sample.current, 1000.0);
                spiked.active_power = off(sample.active_power, 10.0);
            }
            Register::Frequency => spiked.frequency = off(sample.frequency, 10.0),
        }
        if self.checksum == Checksum::Recomputed {
            spiked.power_factor = power_factor(spiked.voltage, spiked.current, spiked.active_power);
        }
        spiked
    }
}

/// Spikes of one kind and size and either sign, on a schedule.
#[derive(Clone, Debug)]
pub struct Spikes {
    spike: Spike,
    schedule: Schedule,
    random: ChaCha8Rng,
}

impl Spikes {
    /// The sign of `spike` is drawn each time.
    pub fn new(seed: u64, spike: Spike, schedule: Schedule) -> Self {
        Self { spike, schedule, random: random(seed, Stream::Spike) }
    }
}

impl Fault for Spikes {
    fn disturb(&mut self, second: u64, reply: &mut Reply) {
        if let Some(sample) = &mut reply.sample
            && self.schedule.is_on(second)
        {
            let sign = if self.random.random() { 1.0 } else { -1.0 };
            let spike = Spike { relative: self.spike.relative * sign, ..self.spike };
            *sample = spike.on(sample);
            reply.wrong.push(Wrong::Spike(spike.register, spike.relative));
        }
    }
}
