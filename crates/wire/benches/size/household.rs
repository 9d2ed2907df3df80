//! A seeded household behind a PZEM-004T, polled once a second.

use edge_core::Sample;
use measure::{Amperes, Hertz, PowerFactor, Raw, Volts, WattHours, Watts};

/// Power in W, power factor, shortest and longest time on, shortest and longest time off in s, wander of the power per sqrt(s).
const APPLIANCES: [[f64; 7]; 7] = [
    [110.0, 0.72, 600.0, 900.0, 900.0, 1500.0, 0.004],
    [2000.0, 1.0, 100.0, 200.0, 2400.0, 9000.0, 0.0],
    [2200.0, 1.0, 20.0, 40.0, 25.0, 4000.0, 0.0],
    [1150.0, 0.97, 10.0, 30.0, 300.0, 6000.0, 0.01],
    [60.0, 0.92, 3600.0, 9000.0, 5000.0, 15000.0, 0.0],
    [95.0, 0.62, 1800.0, 7200.0, 3000.0, 10000.0, 0.03],
    [280.0, 0.60, 8.0, 20.0, 5.0, 1200.0, 0.05],
];

/// Resistance between the transformer and the meter, in ohm.
const LOOP_OHM: f64 = 0.25;

struct Appliance {
    on: bool,
    left_s: f64,
    wander: f64,
}

/// What the meter shows, second by second.
pub struct Household {
    random: u64,
    appliances: [Appliance; 7],
    supply: f64,
    frequency: f64,
    base: f64,
    voltage: f64,
    energy_wh: f64,
}

impl Household {
    pub fn new(seed: u64, register_wh: u32) -> Self {
        let mut random = seed | 1;
        let appliances = APPLIANCES.map(|it| Appliance { on: false, left_s: uniform(&mut random) * it[5], wander: 1.0 });
        Self { random, appliances, supply: 0.0, frequency: 0.0, base: 1.0, voltage: 230.0, energy_wh: register_wh.into() }
    }

    fn uniform(&mut self) -> f64 {
        uniform(&mut self.random)
    }

    /// Near enough to normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// A value back towards its mean, and on by chance.
    fn wander(&mut self, value: f64, mean: f64, time_s: f64, per_second: f64) -> f64 {
        value - (value - mean) / time_s + per_second * self.normal()
    }

    /// Active and non-active current in A.
    fn load(&mut self) -> (f64, f64) {
        self.base = self.wander(self.base, 1.0, 60.0, 0.01);
        let (mut active, mut non_active) = (65.0 * self.base / self.voltage, 75.0 / self.voltage);
        for (at, [power, factor, on_min, on_max, off_min, off_max, wander]) in APPLIANCES.into_iter().enumerate() {
            let chance = self.uniform();
            let noise = self.normal();
            let appliance = &mut self.appliances[at];
            appliance.left_s -= 1.0;
            if appliance.left_s <= 0.0 {
                appliance.on = !appliance.on;
                let (least, most) = if appliance.on { (on_min, on_max) } else { (off_min, off_max) };
                appliance.left_s = least + chance * (most - least);
            }
            appliance.wander += (1.0 - appliance.wander) / 20.0 + wander * noise;
            if appliance.on {
                let current = power * (self.voltage / 230.0) * appliance.wander / self.voltage;
                active += current;
                non_active += current * (factor.powi(-2) - 1.0).max(0.0).sqrt();
            }
        }
        (active, non_active)
    }
}

impl Iterator for Household {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        self.supply = self.wander(self.supply, 0.0, 900.0, 0.15);
        self.frequency = self.wander(self.frequency, 0.0, 120.0, 0.0022);
        let (active, non_active) = self.load();
        self.voltage = 231.0 + self.supply - LOOP_OHM * active;
        let power = self.voltage * active;
        let current = active.hypot(non_active);
        self.energy_wh += power / 3600.0;
        let voltage = quantise(self.voltage + 0.036 * self.normal(), 0.1);
        let current = quantise(current * (1.0 + 3e-4 * self.normal()), 0.001);
        let power = quantise(power * (1.0 + 4e-4 * self.normal()), 0.1);
        let frequency = quantise(50.0 + self.frequency + 0.005 * self.normal(), 0.1);
        Some(Sample {
            raw: Raw {
                voltage: Volts::from_f64(voltage)?,
                current: Amperes::from_f64(current)?,
                active_power: Watts::from_f64(power)?,
                frequency: Hertz::from_f64(frequency)?,
                power_factor: PowerFactor::from_f64(quantise(power / (voltage * current), 0.01).min(1.0))?,
            },
            import: WattHours::from_f64(self.energy_wh.floor())?,
            export: WattHours::default(),
            alarm: false,
        })
    }
}

fn quantise(value: f64, step: f64) -> f64 {
    (value / step).round() * step
}

/// 0 to 1, by xorshift64*.
fn uniform(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
}
