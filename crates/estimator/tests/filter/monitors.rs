//! The monitors as parts of an estimator: what they are shown, and what they say in its estimates and its evidence.

use estimator::{Config, Estimate, Estimator, Evidence, Sample, SensorNoise};
use measure::Flags;

/// A seeded house; loads are switched every half minute.
struct House {
    sensor: SensorNoise,
    state: u64,
    estimator: Estimator<f64>,
    second: u64,
    /// Factor on the deviation of the noise.
    noise: f64,
    /// Share of the current that is measured.
    measured: f64,
}

impl House {
    fn new(sensor: SensorNoise) -> Self {
        let config = Config { loop_threshold: 12.0, ..Config::new(sensor) };
        Self { sensor, state: 7, estimator: Estimator::new(config), second: 0, noise: 1.0, measured: 1.0 }
    }

    /// Nearly normal, of deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).fold(-6.0, |sum, _| {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum + (self.state >> 40) as f64 / 16_777_216.0
        })
    }

    fn sample(&mut self) -> Sample<f64> {
        self.second += 1;
        let load = if (self.second / 30).is_multiple_of(2) { 2.0 } else { 10.0 };
        let truth = [230.0 - 0.2 * load, load * self.measured, (230.0 - 0.2 * load) * load * self.measured, 50.0];
        let sensor = self.sensor;
        let z: [f64; 4] = core::array::from_fn(|i| {
            let deviation = self.noise * ((sensor.relative[i] * truth[i]).powi(2) + sensor.absolute[i].powi(2)).sqrt();
            ((truth[i] + deviation * self.normal()) / sensor.quantum[i]).round() * sensor.quantum[i]
        });
        let power_factor = ((z[2] / (z[0] * z[1])).min(1.0) * 100.0).round() / 100.0;
        Sample { voltage: z[0], current: z[1], active_power: z[2], frequency: z[3], power_factor, energy_wh: 7_000 }
    }

    fn step(&mut self, sample: &Sample<f64>) -> (Estimate<f64>, Evidence<f64>) {
        let estimate = self.estimator.step(1.0, sample).expect("a plausible sample");
        (estimate, self.estimator.evidence())
    }

    /// All verdicts of so many seconds, and the last evidence.
    fn run(&mut self, seconds: u64) -> (Flags, Evidence<f64>) {
        (0..seconds).fold((Flags::empty(), self.estimator.evidence()), |(flags, _), _| {
            let sample = self.sample();
            let (estimate, evidence) = self.step(&sample);
            (flags | estimate.flags, evidence)
        })
    }
}

const MONITORED: Flags = Flags::REPLAY.union(Flags::NOISE).union(Flags::LOOP_RESISTANCE);

#[test]
fn a_sound_house_raises_nothing_and_teaches_the_monitors() {
    let mut house = House::new(SensorNoise::NOISY);
    let (_, evidence) = house.run(600);
    assert_eq!((evidence.noise_voltage, evidence.noise_load, evidence.loop_reference), (1.0, 1.0, 0.0), "not known yet");
    let (flags, evidence) = house.run(8_000);
    assert!(!flags.intersects(MONITORED), "{flags:?}");
    assert_eq!(evidence.replay_age, None);
    assert!((0.3..2.0).contains(&evidence.noise_voltage) && evidence.noise_voltage != 1.0, "{evidence:?}");
    assert!((0.3..2.0).contains(&evidence.noise_load) && evidence.noise_load != 1.0, "{evidence:?}");
    assert!((evidence.loop_reference - 0.2).abs() < 0.03, "{evidence:?}");
    assert!((evidence.loop_resistance - 0.2).abs() < 0.15, "{evidence:?}");
}

#[test]
fn a_replay_is_flagged_with_its_age() {
    let mut house = House::new(SensorNoise::NOISY);
    let past: Vec<Sample<f64>> = (0..400).map(|_| house.sample()).collect();
    for sample in &past {
        let (estimate, evidence) = house.step(sample);
        assert!(!estimate.flags.contains(Flags::REPLAY) && evidence.replay_age.is_none());
    }
    for (k, sample) in past[100..130].iter().enumerate() {
        let (estimate, evidence) = house.step(sample);
        assert_eq!(estimate.flags.contains(Flags::REPLAY), k >= 15, "frame {k}");
        assert_eq!(evidence.replay_age, (k >= 15).then_some(300), "frame {k}");
    }
}

#[test]
fn a_noisier_sensor_is_flagged_and_believed_less() {
    let mut house = House::new(SensorNoise::NOISY);
    house.run(8_000);
    let claimed = |house: &mut House| {
        // Two seconds before a load is switched.
        while house.second % 30 != 27 {
            house.run(1);
        }
        let sample = house.sample();
        house.step(&sample).0
    };
    let sound = claimed(&mut house);
    house.noise = 3.0;
    let (flags, evidence) = house.run(2_400);
    assert_eq!(flags & (Flags::NOISE | Flags::REPLAY), Flags::NOISE);
    assert!(evidence.noise_voltage > 4.0 && evidence.noise_load > 4.0, "{evidence:?}");
    let noisy = claimed(&mut house);
    assert!(noisy.flags.contains(Flags::NOISE));
    for (name, sound, noisy) in [
        ("V", sound.voltage_variance, noisy.voltage_variance),
        ("I", sound.current_variance, noisy.current_variance),
        ("P", sound.active_power_variance, noisy.active_power_variance),
    ] {
        assert!(noisy > 2.0 * sound, "the variance of {name}: {sound} before, {noisy} now");
    }
}

#[test]
fn a_shunted_current_is_flagged_with_its_evidence() {
    let mut house = House::new(SensorNoise::PZEM_004T);
    let (flags, before) = house.run(2_400);
    assert!(!flags.contains(Flags::LOOP_RESISTANCE));
    house.measured = 0.5;
    let (flags, evidence) = house.run(600);
    assert!(flags.contains(Flags::LOOP_RESISTANCE));
    assert!((evidence.loop_reference - before.loop_reference).abs() < 0.02, "{evidence:?}");
    assert!(evidence.loop_resistance > 1.5 * before.loop_reference, "{evidence:?}");
    assert!(evidence.loop_statistic > 12.0, "{evidence:?}");
}
