//! Running the filter on simulated meters, many at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use estimator::{Config, Estimate, Estimator, Sample, SensorNoise};
use fleet::meter::{Meter, Second};
use fleet::sensor::{Profile, SensedSample};

/// Seconds of a day.
pub const DAY_S: usize = 86_400;

/// A kind of sensor: what it does, and what the filter is told about its noise.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in figures.
    pub name: &'static str,
    /// What it does.
    pub profile: Profile,
    /// What the filter is told.
    pub noise: SensorNoise,
}

/// A PZEM whose registers are always fresh.
pub const PZEM: Kind = Kind { name: "pzem", profile: Profile::PZEM, noise: SensorNoise::PZEM_004T };
/// A PZEM as it is: every fifth reply repeats the one before, and windows do not coincide with polls.
pub const LAGGING: Kind = Kind { name: "pzem lagging", profile: Profile::PZEM_LAGGING, noise: SensorNoise::PZEM_004T };
/// A noisy converter.
pub const NOISY: Kind = Kind { name: "noisy", profile: Profile::NOISY, noise: SensorNoise::NOISY };

/// What the filter takes.
pub fn for_filter(sensed: &SensedSample) -> Sample<f64> {
    let SensedSample { voltage, current, active_power, frequency, power_factor, energy_wh } = *sensed;
    Sample { voltage, current, active_power, frequency, power_factor, energy_wh }
}

/// A filter at a meter.
pub struct Watch {
    meter: Meter,
    /// The filter.
    pub estimator: Estimator<f64>,
    elapsed_s: f64,
}

impl Watch {
    /// A filter that knows nothing yet.
    pub fn new(meter: Meter, noise: SensorNoise) -> Self {
        Self { meter, estimator: Estimator::new(Config::new(noise)), elapsed_s: 0.0 }
    }
}

impl Iterator for Watch {
    type Item = (Second, Option<Estimate<f64>>);

    /// The next second and what the filter makes of its reply; nothing if the poll was lost.
    fn next(&mut self) -> Option<Self::Item> {
        let second = self.meter.next()?;
        self.elapsed_s += 1.0;
        let sample = second.reply.sample;
        let estimate = sample.and_then(|sample| self.estimator.step(std::mem::take(&mut self.elapsed_s), &for_filter(&sample)));
        Some((second, estimate))
    }
}

/// `of` of every job, in order, on all cores; says on standard error what takes the time.
pub fn all<J: Sync, R: Send>(what: &str, jobs: &[J], of: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let begin = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((number, job)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|number| Some((number, jobs.get(number)?))) {
            done.push((number, of(job)));
        }
        done
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    eprintln!("{what}: {} in {:.1} s", jobs.len(), begin.elapsed().as_secs_f64());
    done.into_iter().map(|(_, result)| result).collect()
}

/// Every pair of a kind and one of `count` seeds from `first` on.
pub fn pairs(kinds: &[Kind], first: u64, count: u64) -> Vec<(Kind, u64)> {
    kinds.iter().flat_map(|kind| (first..first.saturating_add(count)).map(|seed| (*kind, seed))).collect()
}

/// The middle of what was measured; NaN of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of the others does not exceed; NaN of nothing.
pub fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
