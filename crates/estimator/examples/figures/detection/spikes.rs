//! Single wrong registers: how many of them are called bad.
//!
//! At many moments a copy of the filter is given the spoilt reply instead of the sound one, so that spikes do not disturb each other.

use fleet::faults::{Checksum, Register, Spike};
use fleet::household::HouseholdConfig;
use fleet::meter::Meter;

use crate::clean::BAD;
use crate::figure::{Figure, Target};
use crate::run::{Kind, NOISY, PZEM, Watch, all, for_filter, pairs};

const HOUSEHOLDS: u64 = 12;
/// Hours of each household, the first ten minutes without spikes, and a spike of each kind so often, in s.
const LENGTH_S: usize = 6 * 3600;
const SETTLED_S: usize = 600;
const EVERY_S: usize = 61;
/// Share of the spikes that contradict their power factor that is to be caught, in %.
const CAUGHT_MIN: f64 = 96.0;

/// What is spoilt, and by how much.
const SPIKES: [(Register, &str, &[f64]); 5] = [
    (Register::Voltage, "V", &[0.02, 0.05, 0.1]),
    (Register::Current, "I", &[0.05, 0.2, 0.5]),
    (Register::ActivePower, "P", &[0.05, 0.2, 0.5]),
    (Register::Load, "I and P alike", &[0.05, 0.2, 0.5]),
    (Register::Frequency, "f", &[0.01, 0.02]),
];
/// Those whose power factor is at hand to contradict them. Frequency has none; current and power that change alike agree with it.
const CHECKED: [Register; 3] = [Register::Voltage, Register::Current, Register::ActivePower];
const CHECKED_MIN: f64 = 0.05;

pub fn figures(seed: u64) -> Vec<Figure> {
    let kinds = kinds();
    let jobs = pairs(&[PZEM, NOISY], seed, HOUSEHOLDS);
    let counts = all("households with spikes", &jobs, |(kind, seed)| household(*kind, *seed, &kinds));
    let mut figures = Vec::new();
    for sensor in [PZEM, NOISY] {
        for (number, (spike, register)) in kinds.iter().enumerate() {
            let of_sensor = jobs.iter().zip(&counts).filter(|((kind, _), _)| kind.name == sensor.name);
            let sum = of_sensor.map(|(_, counts)| counts[number]).fold((0.0, 0.0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
            figures.push(figure(sensor.name, spike, register, 100.0 * sum.0 / sum.1));
        }
    }
    figures
}

fn figure(sensor: &str, spike: &Spike, register: &str, caught: f64) -> Figure {
    let checked = CHECKED.contains(&spike.register) && spike.checksum == Checksum::Kept;
    let what = match (checked, spike.register) {
        (true, _) => "power factor contradicts",
        (false, Register::Frequency) => "no checksum",
        (false, _) => "consistent",
    };
    let figure = Figure::new(format!("spikes/{sensor}/{register} by {} %, {what}", spike.relative * 100.0), caught, "% caught");
    if checked && spike.relative >= CHECKED_MIN { figure.target(Target::AtLeast(CAUGHT_MIN)) } else { figure }
}

fn kinds() -> Vec<(Spike, &'static str)> {
    let mut kinds = Vec::new();
    for checksum in [Checksum::Kept, Checksum::Recomputed] {
        for (register, name, sizes) in SPIKES {
            // With and without a checksum that could notice it.
            let twice = CHECKED.contains(&register);
            if twice || checksum == Checksum::Recomputed {
                kinds.extend(sizes.iter().map(|relative| (Spike { register, relative: *relative, checksum }, name)));
            }
        }
    }
    kinds
}

/// Of each kind: how many were called bad, and how many there were.
fn household(kind: Kind, seed: u64, kinds: &[(Spike, &str)]) -> Vec<(f64, f64)> {
    let mut counts = vec![(0.0, 0.0); kinds.len()];
    let mut watch = Watch::new(Meter::new(seed, &HouseholdConfig::typical(seed), kind.profile), kind.noise);
    for second in 0..LENGTH_S {
        let before = (second >= SETTLED_S && second.is_multiple_of(EVERY_S)).then(|| watch.estimator.clone());
        let Some((now, Some(sound))) = watch.next() else { continue };
        let (Some(sample), Some(before)) = (now.reply.sample, before) else { continue };
        if sound.flags.intersects(BAD) {
            continue;
        }
        for ((spike, _), count) in kinds.iter().zip(&mut counts) {
            for sign in [1.0, -1.0] {
                let spoilt = Spike { relative: spike.relative * sign, ..*spike }.on(&sample);
                let mut filter = before.clone();
                let verdict = filter.step(1.0, &for_filter(&spoilt)).map(|estimate| estimate.flags);
                count.0 += f64::from(u8::from(verdict.is_some_and(|flags| flags.intersects(BAD))));
                count.1 += 1.0;
            }
        }
    }
    counts
}
