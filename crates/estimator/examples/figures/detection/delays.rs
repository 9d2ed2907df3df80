//! Faults that last: how long it takes until they are noticed.

use fleet::faults::{Fault, Noisier, Replay, Schedule, Shunt, Stuck, Wrong};
use fleet::household::HouseholdConfig;
use fleet::meter::Meter;
use measure::Flags;

use crate::figure::{Figure, Target};
use crate::run::{DAY_S, Kind, LAGGING, NOISY, PZEM, Watch, all, median, pairs};

/// The seconds from the beginning of each fault to its verdict; infinite if there was none.
type Delays = Vec<f64>;

const HOUR_S: usize = 3600;
/// Hours of a household that gets stuck every now and then, for two minutes.
const STUCK_HOUSEHOLDS: u64 = 5;
const STUCK_PAUSE_S: std::ops::Range<u64> = 600..1200;
const STUCK_LASTS_S: u64 = 120;
/// Every hour and a half or so, five minutes are replayed that are an hour old, about.
const REPLAY_HOUSEHOLDS: u64 = 10;
const REPLAY_PAUSE_S: std::ops::Range<u64> = 4000..6000;
const REPLAY_LASTS_S: u64 = 300;
const REPLAY_DELAY_S: usize = 1800;
/// Noise grows after the monitor had time to learn what is usual, and is watched for some hours.
const NOISE_SEEDS: u64 = 50;
const NOISE_FROM_S: usize = 4 * HOUR_S;
const NOISE_WATCHED_S: usize = 2 * HOUR_S;
const NOISE_FACTOR: f64 = 3.0;
/// A current transformer is shunted after a day, and watched for half a day.
const SHUNT_HOUSEHOLDS: u64 = 10;
const SHUNT_WATCHED_S: usize = DAY_S / 2;
const SHUNTS: [f64; 4] = [0.5, 0.7, 0.8, 0.9];

pub fn figures(seed: u64) -> Vec<Figure> {
    let mut figures = stuck(seed);
    figures.extend(replay(seed));
    figures.extend(noise(seed));
    figures.extend(shunt(seed));
    figures
}

fn stuck(seed: u64) -> Vec<Figure> {
    let jobs = pairs(&[PZEM, NOISY, LAGGING], seed, STUCK_HOUSEHOLDS);
    let delays = all("households with stuck meters", &jobs, |(kind, seed)| {
        let fault = Stuck::new(Schedule::repeated(*seed, STUCK_PAUSE_S, STUCK_LASTS_S));
        told(watch(*kind, *seed, fault).take(DAY_S / 4), Wrong::Stuck, Flags::STUCK)
    });
    worst("stuck", &jobs, &delays, 15.0)
}

fn replay(seed: u64) -> Vec<Figure> {
    let jobs = pairs(&[PZEM, NOISY, LAGGING], seed, REPLAY_HOUSEHOLDS);
    let delays = all("households with replayed frames", &jobs, |(kind, seed)| {
        let delay_s = REPLAY_DELAY_S + 97 * usize::try_from(*seed % 40).unwrap_or(0);
        let fault = Replay::new(Schedule::repeated(*seed, REPLAY_PAUSE_S, REPLAY_LASTS_S), delay_s);
        told(watch(*kind, *seed, fault).take(DAY_S / 4), Wrong::Replayed, Flags::REPLAY)
    });
    worst("replay", &jobs, &delays, 16.0)
}

/// The worst of all delays of a kind of sensor is to be `most` seconds.
fn worst(fault: &str, jobs: &[(Kind, u64)], delays: &[Delays], most: f64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for kind in [PZEM, NOISY, LAGGING] {
        let delays: Delays = of_kind(jobs, delays, kind).copied().collect();
        let name = |what| format!("{fault}/{}/{what}", kind.name);
        figures.push(Figure::new(name("faults"), delays.len() as f64, ""));
        figures
            .push(Figure::new(name("noticed after, worst"), delays.iter().copied().fold(0.0, f64::max), "s").target(Target::AtMost(most)));
        figures.push(share(name("noticed"), &delays));
    }
    figures
}

fn noise(seed: u64) -> Vec<Figure> {
    let jobs = pairs(&[PZEM, NOISY, LAGGING], seed, NOISE_SEEDS);
    let delays = all("meters that become noisy", &jobs, |(kind, seed)| {
        let fault = Noisier { from: NOISE_FROM_S as u64, factor: NOISE_FACTOR };
        vec![raised(watch(*kind, *seed, fault), NOISE_FROM_S, NOISE_WATCHED_S, Flags::NOISE)]
    });
    let mut figures = Vec::new();
    for kind in [PZEM, NOISY, LAGGING] {
        let minutes: Delays = of_kind(&jobs, &delays, kind).map(|seconds| seconds / 60.0).collect();
        let name = |what| format!("noise x3/{}/{what}", kind.name);
        let middle = Figure::new(name("noticed after, median"), median(minutes.iter().copied()), "min");
        figures.push(if kind.name == LAGGING.name { middle } else { middle.target(Target::AtMost(12.0)) });
        figures.push(Figure::new(name("noticed after, worst of those noticed"), longest(&minutes), "min"));
        figures.push(share(name("noticed within two hours"), &minutes));
    }
    figures
}

fn shunt(seed: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for measured in SHUNTS {
        let jobs = pairs(&[PZEM, NOISY], seed, SHUNT_HOUSEHOLDS);
        let delays = all(&format!("current transformers shunted to {measured}"), &jobs, |(kind, seed)| {
            let fault = Shunt { from: DAY_S as u64, measured };
            vec![raised(watch(*kind, *seed, fault), DAY_S, SHUNT_WATCHED_S, Flags::LOOP_RESISTANCE)]
        });
        for kind in [PZEM, NOISY] {
            let hours: Delays = of_kind(&jobs, &delays, kind).map(|seconds| seconds / HOUR_S as f64).collect();
            let name = |what| format!("shunt to {measured}/{}/{what}", kind.name);
            figures.push(share(name("noticed within twelve hours"), &hours));
            let noticed: Delays = hours.into_iter().filter(|hours| hours.is_finite()).collect();
            if !noticed.is_empty() {
                figures.push(Figure::new(name("noticed after, median of those noticed"), median(noticed), "h"));
            }
        }
    }
    figures
}

fn watch(kind: Kind, seed: u64, fault: impl Fault + 'static) -> Watch {
    Watch::new(Meter::new(seed, &HouseholdConfig::typical(seed), kind.profile).with(fault), kind.noise)
}

/// The delay of each stretch of replies with this fault.
fn told(watch: impl Iterator<Item = <Watch as Iterator>::Item>, wrong: Wrong, verdict: Flags) -> Delays {
    let mut delays = Delays::new();
    // Seconds since the fault began, while it was not noticed.
    let mut unnoticed: Option<f64> = None;
    let mut on = false;
    for (second, estimate) in watch {
        let began = !on && second.reply.wrong.contains(&wrong);
        on = second.reply.wrong.contains(&wrong);
        if began {
            unnoticed = Some(0.0);
        } else if !on && unnoticed.take().is_some() {
            delays.push(f64::INFINITY);
        }
        if let Some(seconds) = &mut unnoticed {
            *seconds += 1.0;
            if estimate.is_some_and(|estimate| estimate.flags.contains(verdict)) {
                delays.push(*seconds);
                unnoticed = None;
            }
        }
    }
    delays
}

/// The delay of a fault that begins at `from` and stays: until the verdict comes up. One that was up already is none.
fn raised(watch: Watch, from: usize, watched: usize, verdict: Flags) -> f64 {
    let mut before = true;
    for (second, (_, estimate)) in watch.take(from + watched).enumerate() {
        let now = estimate.is_some_and(|estimate| estimate.flags.contains(verdict));
        if now && !before && second >= from {
            return (second - from + 1) as f64;
        }
        before = now;
    }
    f64::INFINITY
}

fn of_kind<'a>(jobs: &'a [(Kind, u64)], delays: &'a [Delays], kind: Kind) -> impl Iterator<Item = &'a f64> {
    jobs.iter().zip(delays).filter(move |((job, _), _)| job.name == kind.name).flat_map(|(_, delays)| delays)
}

fn share(name: String, delays: &[f64]) -> Figure {
    let noticed = delays.iter().filter(|delay| delay.is_finite()).count();
    Figure::new(name, 100.0 * noticed as f64 / delays.len() as f64, "%")
}

fn longest(delays: &[f64]) -> f64 {
    delays.iter().copied().filter(|delay| delay.is_finite()).fold(f64::NAN, f64::max)
}
