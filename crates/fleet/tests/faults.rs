//! What faults promise: they are seeded, they do what they say and nothing else, and what they did is told.

use fleet::faults::spike::Spikes;
use fleet::faults::{Checksum, Gap, LostPolls, Noisier, Register, Replay, Schedule, Shunt, Spike, Stuck, Wrong};
use fleet::household::HouseholdConfig;
use fleet::meter::{Meter, Second};
use fleet::sensor::{Profile, SensedSample};

const SEED: u64 = 11;

fn sound() -> Meter {
    Meter::new(SEED, &HouseholdConfig::default(), Profile::PZEM)
}

fn take(meter: Meter, seconds: usize) -> Vec<Second> {
    meter.take(seconds).collect()
}

fn samples(seconds: &[Second]) -> Vec<SensedSample> {
    seconds.iter().filter_map(|second| second.reply.sample).collect()
}

#[test]
fn a_seed_is_a_meter_with_its_faults() {
    let spike = Spike { register: Register::Voltage, relative: 0.1, checksum: Checksum::Kept };
    let build = |seed| {
        sound()
            .with(LostPolls::new(seed, 0.1))
            .with(Spikes::new(seed, spike, Schedule::repeated(seed, 10..50, 1)))
            .with(Shunt { from: 100, measured: 0.5 })
    };
    let (first, again) = (take(build(3), 2000), take(build(3), 2000));
    assert_eq!(first, again);
    assert_ne!(first, take(build(4), 2000));
    // Faults draw from streams of their own: the household is the same with and without them.
    let physics = |seconds: &[Second]| seconds.iter().map(|second| second.physics).collect::<Vec<_>>();
    assert_eq!(physics(&first), physics(&take(sound(), 2000)));
}

#[test]
fn spikes_hit_one_register_for_one_reply_and_are_told() {
    let spike = Spike { register: Register::Current, relative: 0.2, checksum: Checksum::Kept };
    let spoilt = take(sound().with(Spikes::new(SEED, spike, Schedule::repeated(SEED, 20..60, 1))), 4000);
    let plain = take(sound(), 4000);
    let mut seen = [0, 0];
    for (second, (sample, unspoilt)) in spoilt.iter().zip(samples(&spoilt).iter().zip(samples(&plain))) {
        match second.reply.wrong[..] {
            [] => assert_eq!(*sample, unspoilt),
            [Wrong::Spike(Register::Current, relative)] => {
                seen[usize::from(relative > 0.0)] += 1;
                let current = (unspoilt.current * (1.0 + relative) * 1000.0).round() / 1000.0;
                assert_eq!(*sample, SensedSample { current, ..unspoilt }, "second {}", second.number);
            }
            ref other => panic!("second {}: {other:?}", second.number),
        }
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?} spikes down and up");
}

#[test]
fn a_recomputed_checksum_agrees_with_its_frame() {
    let sample = SensedSample { voltage: 230.0, current: 1.0, active_power: 184.0, frequency: 50.0, power_factor: 0.8, energy_wh: 1 };
    let spike = |register, checksum| Spike { register, relative: 0.25, checksum }.on(&sample);
    assert_eq!(spike(Register::ActivePower, Checksum::Kept).power_factor, 0.8);
    assert_eq!(spike(Register::ActivePower, Checksum::Recomputed).power_factor, 1.0);
    assert_eq!(spike(Register::Load, Checksum::Recomputed), SensedSample { current: 1.25, active_power: 230.0, ..sample });
}

#[test]
fn a_stuck_meter_repeats_its_last_good_reply() {
    let seconds = take(sound().with(Stuck::new(Schedule::once(100..220))), 400);
    let samples = samples(&seconds);
    for second in &seconds {
        let (number, stuck) = (second.number as usize, (100..220).contains(&second.number));
        assert_eq!(second.reply.wrong == [Wrong::Stuck], stuck, "second {number}");
        assert!(!stuck || samples[number] == samples[99], "second {number}");
    }
    assert_ne!(samples[220], samples[99]);
}

#[test]
fn a_replay_repeats_what_was_said_but_for_the_energy() {
    let seconds = take(sound().with(Replay::new(Schedule::once(1000..1300), 600)), 1500);
    let (replayed, plain) = (samples(&seconds), samples(&take(sound(), 1500)));
    for (number, sample) in replayed.iter().enumerate() {
        let source = if (1000..1300).contains(&number) { number - 600 } else { number };
        assert_eq!(*sample, SensedSample { energy_wh: plain[number].energy_wh, ..plain[source] }, "second {number}");
    }
}

#[test]
fn polls_are_lost_at_random_and_in_gaps() {
    let seconds = take(sound().with(LostPolls::new(SEED, 0.01)).with(Gap(Schedule::once(20_000..20_600))), 40_000);
    let lost = |second: &Second| second.reply.sample.is_none();
    assert!(seconds.iter().all(|second| lost(second) == second.reply.wrong.contains(&Wrong::Lost)));
    assert!(seconds[20_000..20_600].iter().all(lost));
    let single = seconds[..20_000].iter().filter(|second| lost(second)).count();
    assert!((140..260).contains(&single), "{single} of 20000 polls are lost, 1 % were to be");
    // The meter counts on meanwhile.
    let before = seconds[19_900].truth.energy_wh - seconds[..19_900].iter().rev().find_map(|it| it.reply.sample).unwrap().energy_wh as f64;
    let after = seconds.last().unwrap().truth.energy_wh - samples(&seconds).last().unwrap().energy_wh as f64;
    assert!((0.0..=1.1).contains(&before) && (0.0..=1.1).contains(&after), "{before} {after}");
}

#[test]
fn a_shunt_takes_current_power_and_energy_alike() {
    let half = take(sound().with(Shunt { from: 1000, measured: 0.5 }), 20_000);
    let plain = take(sound(), 20_000);
    let (half_samples, plain_samples) = (samples(&half), samples(&plain));
    assert_eq!(half_samples[..1000], plain_samples[..1000]);
    for (half, plain) in half_samples.iter().zip(&plain_samples).skip(1000) {
        assert!((half.current - 0.5 * plain.current).abs() < 0.005 + 0.002 * plain.current, "{half:?} {plain:?}");
        assert!((half.active_power - 0.5 * plain.active_power).abs() < 1.0 + 0.002 * plain.active_power, "{half:?} {plain:?}");
        assert!((half.voltage - plain.voltage).abs() < 0.3);
    }
    let counted = |samples: &[SensedSample]| (samples.last().unwrap().energy_wh - samples[1000].energy_wh) as f64;
    assert!((counted(&half_samples) - 0.5 * counted(&plain_samples)).abs() < 2.0);
}

#[test]
fn noise_grows_by_its_factor() {
    let off = |seconds: &[Second]| {
        let squares = seconds.iter().filter_map(|second| Some((second.reply.sample?.voltage - second.truth.voltage).powi(2)));
        (squares.sum::<f64>() / seconds.len() as f64).sqrt()
    };
    let noisy = || Meter::new(SEED, &HouseholdConfig::default(), Profile::NOISY);
    let (plain, grown) = (off(&take(noisy(), 20_000)), off(&take(noisy().with(Noisier { from: 0, factor: 3.0 }), 20_000)));
    assert!((2.9..3.1).contains(&(grown / plain)), "{plain} V became {grown} V");
}

#[test]
fn switched_appliances_are_told() {
    let seconds = take(sound(), 40_000);
    let mut unseen = 0;
    for pair in seconds.windows(2) {
        let change = (pair[1].truth.active_power - pair[0].truth.active_power).abs();
        let told = pair[0].physics.switched_w.max(pair[1].physics.switched_w);
        assert!(change < 500.0 || told > 200.0, "second {}: {change} W came from nowhere", pair[1].number);
        unseen += u32::from(told > 1000.0 && change < 20.0);
    }
    // Where one is switched for a moment only, or two against one another.
    assert!(unseen < 200, "{unseen} large appliances were switched and nothing happened");
}
