//! A step gives the same bits on every target, at every level of optimisation.
//!
//! A seeded house, made of integers only, goes through everything that the estimator knows: steps, shifts, bad data, lost polls, frozen and
//! replayed frames, noise, a shunted sensor, a register that is replaced. All outputs of all samples go into one checksum, which is
//! committed here. On another target, with and without `--release`:
//!
//! ```sh
//! export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
//! export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu'
//! cargo test -p estimator --test filter --target aarch64-unknown-linux-gnu -- bits_of
//! ```
//!
//! A checksum changes with every change of the model and with nothing else; then the new one, which the failure names, is committed with it.

use estimator::{Config, Estimate, Estimator, Evidence, Real, Sample, SensorNoise};
use measure::Flags;

const SECONDS: u64 = 16_000;
/// From here on the sensor is noisy.
const NOISY_FROM: u64 = 12_000;
/// From here on, and until the noise, half of the current is measured.
const SHUNTED_FROM: u64 = 9_000;

/// The checksums: of double and of single precision.
const DOUBLE: u64 = 0x9b7e_f144_a0f3_3163;
const SINGLE: u64 = 0xaf9b_1386_1aa6_8e5b;

/// FNV-1a over 64-bit words.
struct Checksum(u64);

impl Checksum {
    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn estimate<F: Real>(&mut self, it: &Estimate<F>) {
        let energy = it.energy.remainder_wh;
        let values = [it.voltage, it.current, it.active_power, it.non_active_power, it.power_factor, it.frequency, energy];
        let variances = [it.voltage_variance, it.current_variance, it.active_power_variance, it.frequency_variance, it.energy_variance];
        for value in values.into_iter().chain(variances).chain([it.nis, it.nis_frequency]) {
            // Exact, also from single precision.
            self.add(value.to_f64().to_bits());
        }
        self.add(it.energy.anchor_wh.cast_unsigned());
        self.add(it.flags.bits().into());
    }

    fn evidence<F: Real>(&mut self, it: &Evidence<F>) {
        self.add(it.replay_age.map_or(u64::MAX, u64::from));
        for value in [it.noise_voltage, it.noise_load, it.loop_resistance, it.loop_reference, it.loop_statistic] {
            self.add(value.to_f64().to_bits());
        }
    }
}

/// Registers as integers: 0.1 V, mA, 0.1 W, 0.1 Hz, 0.01, Wh.
#[derive(Clone, Copy, Default, PartialEq)]
struct Registers([i64; 6]);

struct House {
    state: u64,
    supply_mv: i64,
    load_ma: i64,
    energy_mws: i64,
    past: Vec<Registers>,
}

impl House {
    fn draw(&mut self, bound: i64) -> i64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as i64 % bound
    }

    /// Between -most and most, small ones more often.
    fn noise(&mut self, most: i64) -> i64 {
        (self.draw(2 * most + 1) + self.draw(2 * most + 1)) / 2 - most
    }

    fn second(&mut self, k: u64) -> Registers {
        self.supply_mv += self.noise(200) + (230_000 - self.supply_mv) / 900;
        self.load_ma = (self.load_ma + self.noise(10)).clamp(200, 20_000);
        if k % 60 == 30 {
            self.load_ma = if self.load_ma < 4_000 { 9_000 + self.draw(3_000) } else { 400 + self.draw(600) };
        }
        if k % 1_901 == 1_900 {
            self.supply_mv += if self.supply_mv < 230_000 { 6_000 } else { -6_000 };
        }
        let spread = if k >= NOISY_FROM { 40 } else { 1 };
        let volts = (self.supply_mv - self.load_ma / 5 + spread * self.noise(60) + 50) / 100;
        let measured_ma = if (SHUNTED_FROM..NOISY_FROM).contains(&k) { self.load_ma / 2 } else { self.load_ma };
        let amperes = measured_ma + self.noise(2);
        let watts = (volts * measured_ma * 9 + 5_000) / 10_000 + self.noise(1);
        self.energy_mws += volts * self.load_ma * 9 / 100;
        let factor = (watts * 100_000 + volts * amperes / 2) / (volts * amperes).max(1);
        let register = 7_000 + self.energy_mws / 3_600_000 - if k > 15_000 { 6_900 } else { 0 };
        let fresh = Registers([volts, amperes, watts, 500 + self.noise(2) / 2, factor.min(100), register]);
        let shown = match k {
            2_000..2_100 => self.past[k as usize - 700],
            3_000..3_030 => self.past[2_999],
            _ => fresh,
        };
        let Registers([.., energy]) = fresh;
        let Registers([volts, amperes, watts, hertz, factor, _]) = shown;
        let shown = Registers([volts, amperes, watts, hertz, factor, energy]);
        self.past.push(shown);
        spoilt(k, shown)
    }
}

/// One register after the other is wrong now and then.
fn spoilt(k: u64, Registers([volts, amperes, watts, hertz, factor, energy]): Registers) -> Registers {
    Registers(match k % 977 {
        700 => [volts * 11 / 10, amperes, watts, hertz, factor, energy],
        720 => [volts, amperes * 3 / 2, watts, hertz, factor, energy],
        740 => [volts, amperes, watts / 2, hertz, factor, energy],
        760 => [volts, amperes, watts, hertz + 10, factor, energy],
        780 => [0; 6],
        // Consistent, and elsewhere for long: the filter starts anew.
        800..806 => [volts + 450, amperes, watts, hertz, watts * 100_000 / ((volts + 450) * amperes), energy],
        _ => [volts, amperes, watts, hertz, factor, energy],
    })
}

fn run<F: Real>(noise: SensorNoise) -> (u64, Flags) {
    let mut house = House { state: 1, supply_mv: 230_000, load_ma: 500, energy_mws: 0, past: Vec::new() };
    let mut estimator = Estimator::<F>::new(Config::new(noise));
    let (mut checksum, mut seen) = (Checksum(0xcbf2_9ce4_8422_2325), Flags::empty());
    for k in 0..SECONDS {
        let Registers([volts, amperes, watts, hertz, factor, energy]) = house.second(k);
        let of = |count: i64, per_unit: f64| F::of(count as f64 / per_unit);
        let elapsed = match k % 499 {
            // A lost poll, and a gap.
            100 => continue,
            101 => F::of(2.0),
            200 => F::of(600.0),
            201 => F::of(f64::NAN),
            _ => F::ONE,
        };
        let sample = Sample {
            voltage: of(volts, 10.0),
            current: of(amperes, 1_000.0),
            active_power: of(watts, 10.0),
            frequency: of(hertz, 10.0),
            power_factor: of(factor, 100.0),
            energy_wh: energy.cast_unsigned(),
        };
        for estimate in [estimator.predict_only(elapsed), estimator.step(elapsed, &sample)].into_iter().flatten() {
            checksum.estimate(&estimate);
            seen |= estimate.flags;
        }
        checksum.evidence(&estimator.evidence());
    }
    (checksum.0, seen)
}

fn assert_bits<F: Real>(committed: u64, precision: &str) {
    let (pzem, mut seen) = run::<F>(SensorNoise::PZEM_004T);
    let (noisy, also) = run::<F>(SensorNoise::NOISY);
    seen |= also;
    // The filter's and the monitors'; the rest is the meter's, its driver's and the report's.
    let theirs = Flags::METER_ALARM | Flags::REGISTERS_ONLY | Flags::SNAPSHOT | Flags::HEARTBEAT | Flags::REQUESTED;
    let ours = Flags::all().difference(theirs);
    assert_eq!(seen, ours, "{precision} precision: not everything was tried: {:?} is missing", ours.difference(seen));
    let checksum = pzem ^ noisy.rotate_left(1);
    assert_eq!(checksum, committed, "{precision} precision gives other bits: {checksum:#018x}, committed {committed:#018x}");
}

#[test]
fn bits_of_double_precision() {
    assert_bits::<f64>(DOUBLE, "double");
}

#[test]
fn bits_of_single_precision() {
    assert_bits::<f32>(SINGLE, "single");
}
