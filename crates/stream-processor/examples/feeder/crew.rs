//! Many feeders on all cores; the results are in the order of their numbers, however long each takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Feeders between two lines of progress.
const STEP: u64 = 20;

/// Runs each number below `count`; tells how far it is on stderr under this name.
pub fn run<T: Send>(name: &str, count: u64, each: impl Fn(u64) -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut results = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return anyhow::Ok(results);
            }
            results.push((number, each(number)?));
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(STEP) || done == count {
                eprintln!("{name}: {done} of {count} feeders");
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, |it| it.get());
    let mut all = thread::scope(|scope| {
        let crew: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let results = crew.into_iter().map(|it| it.join().map_err(|_| anyhow::anyhow!("a feeder's run ended in a panic"))?);
        results.collect::<anyhow::Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}
