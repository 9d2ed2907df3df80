//! What simulated households and sensors promise.

use fleet::household::{Household, HouseholdConfig, Physics};
use fleet::sensor::{Profile, SensedSample, Sensor};

fn seconds(seed: u64, profile: Profile, count: usize) -> Vec<(Physics, SensedSample)> {
    let mut household = Household::new(seed, &HouseholdConfig::default());
    let mut sensor = Sensor::new(seed, profile);
    (0..count)
        .map(|_| {
            let physics = household.second();
            (physics, sensor.sample(&physics))
        })
        .collect()
}

#[test]
fn a_seed_is_a_household() {
    assert_eq!(seconds(7, Profile::NOISY, 3000), seconds(7, Profile::NOISY, 3000));
    assert_ne!(seconds(7, Profile::NOISY, 10), seconds(8, Profile::NOISY, 10));
}

#[test]
fn physics_is_consistent() {
    let day = seconds(3, Profile::PZEM, 86_400);
    let (mut energy, mut last, mut most) = (0.0, 0.0, 0.0_f64);
    for (second, (physics, _)) in day.iter().enumerate() {
        let truth = physics.truth();
        energy += truth.active_power / 3600.0;
        assert!((physics.energy_wh - energy).abs() < 1e-6, "second {second}: {} is not {energy} Wh", physics.energy_wh);
        assert!(physics.energy_wh > last, "second {second}: energy stands still");
        last = physics.energy_wh;
        assert!(truth.active_power <= truth.voltage * truth.current * 1.001, "second {second}: {truth:?}");
        assert!((200.0..250.0).contains(&truth.voltage), "second {second}: {truth:?}");
        assert!((49.8..50.2).contains(&truth.frequency), "second {second}: {truth:?}");
        most = most.max(truth.active_power);
    }
    println!("a day: {:.1} kWh, at most {most:.0} W", energy / 1000.0);
    assert!((2_000.0..40_000.0).contains(&energy), "{energy} Wh a day");
    assert!(most > 2000.0, "no kettle in a day: at most {most} W");
}

#[test]
fn registers_follow_the_physics() {
    let mut sensor = Sensor::new(5, Profile::PZEM).with_register(123_456);
    let mut household = Household::new(5, &HouseholdConfig::default());
    let mut register = 123_456;
    for second in 0..36_000 {
        let physics = household.second();
        let sample = sensor.sample(&physics);
        let truth = sensor.as_sensed(&physics.truth());
        assert!(sample.energy_wh >= register, "second {second}: the register went back");
        register = sample.energy_wh;
        let off = truth.energy_wh - register as f64;
        assert!((0.0..=1.0).contains(&off), "second {second}: the register is off by {off} Wh");
        assert!((sample.voltage - truth.voltage).abs() < 0.35, "second {second}: {sample:?}, {truth:?}");
        assert!(
            (sample.active_power - truth.active_power).abs() < 1.0 + 0.003 * truth.active_power,
            "second {second}: {sample:?}, {truth:?}"
        );
        let factor = (sample.active_power / (sample.voltage * sample.current)).min(1.0);
        assert!((sample.power_factor - factor).abs() <= 0.005 + 1e-9, "second {second}: {sample:?}");
        assert!((sample.voltage * 10.0).fract().abs() < 1e-9, "second {second}: {} V is finer than 0.1 V", sample.voltage);
    }
    assert!(register > 124_000, "hardly any energy in ten hours");
}

#[test]
fn a_lagging_module_repeats_every_fifth_reply_but_its_energy_runs_on() {
    let samples = seconds(2, Profile::PZEM_LAGGING, 20_000);
    let (mut repeated, mut ticked) = (0, 0);
    for pair in samples.windows(2) {
        let [(_, before), (_, after)] = pair else { continue };
        if (SensedSample { energy_wh: before.energy_wh, ..*after }) == *before {
            repeated += 1;
            ticked += after.energy_wh - before.energy_wh;
        }
    }
    let share = f64::from(repeated) / samples.len() as f64;
    println!("replies repeated: {:.1} %, Wh ticked inside them: {ticked}", share * 100.0);
    assert!((0.19..0.24).contains(&share), "{share} of the replies are repeated");
    assert!(ticked > 0, "the register stands still in repeated replies");
}

#[test]
fn a_sample_is_what_a_driver_would_give() {
    let sample = SensedSample { voltage: 230.1, current: 2.262, active_power: 497.9, frequency: 49.9, power_factor: 0.96, energy_wh: 7000 };
    let registers = fleet::pzem_module::registers(&sample.measurement());
    assert_eq!(registers, [2301, 2262, 0, 4979, 0, 7000, 0, 499, 96, 0]);
}

#[test]
fn recordings_are_read_and_refused_with_the_line() {
    let text = "time_s,voltage,current,active_power,frequency,power_factor,energy_wh\n0,230.1,1.0,200,50.0,0.87,12\n1.5,230.2,1.0,200,50.0,0.87,13\n";
    let recorded = fleet::recording::from_csv(text.as_bytes()).expect("sound");
    assert_eq!(recorded.len(), 2);
    assert_eq!(recorded.last().map(|recorded| (recorded.time_s, recorded.sample.energy_wh)), Some((1.5, 13)));
    let swapped = text.replace("\n0,", "\n9,");
    let error = fleet::recording::from_csv(swapped.as_bytes()).expect_err("time goes back");
    assert_eq!(error.to_string(), "recording: line 3: time goes back from 9 s to 1.5 s; sort the samples by time");
    let broken = fleet::recording::from_csv(text.replace("230.2", "volts").as_bytes()).expect_err("no number");
    assert!(broken.to_string().contains("line: 3"), "{broken}");
    let headless = fleet::recording::from_csv("a,b\n1,2\n".as_bytes()).expect_err("no such columns");
    assert!(headless.to_string().contains("time_s"), "{headless}");
}
