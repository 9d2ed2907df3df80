//! A member of the group that makes intervals, in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::topics::{INTERVALS, METER_PROFILES};
use stream_processor::Nobody;
use stream_processor::config::Config;
use stream_processor::derive::Derive;
use stream_processor::interval::{Aggregator, Rules};
use stream_processor::kafka::{Clients, Group};
use stream_processor::metrics::Metrics;
use stream_processor::ownership::{self, Ending};

/// What a member did.
pub struct Done {
    /// Readings by the second, from its first to its last.
    pub rate: f64,
    /// Interval records, in Kafka.
    pub written: u64,
}

/// Lets a member take all the readings that there are, which are `count`, and write what follows from them.
pub async fn run(clients: Clients, config: &Config, rules: Rules, count: u64) -> Done {
    let (metrics, ending) = (Metrics::new(), Arc::new(Ending::default()));
    let commit_interval = Duration::from_millis(config.intervals.commit_interval_ms);
    let derive = Derive {
        clients,
        group: Group::INTERVALS,
        target: INTERVALS,
        transform: Arc::new(move |mark| Aggregator::new(rules.clone(), mark.into())),
        states: Some(METER_PROFILES),
        copy: None,
        metrics: metrics.clone(),
        observer: Arc::new(Nobody),
        commit_interval,
    };
    let member = tokio::task::spawn_blocking({
        let ending = Arc::clone(&ending);
        move || ownership::run(&Arc::new(derive), &ending, Duration::from_secs(5))
    });
    while metrics.readings_taken.get() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (start, before) = (Instant::now(), metrics.readings_taken.get());
    while metrics.readings_taken.get() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rate = (count - before) as f64 / start.elapsed().as_secs_f64();
    // What follows from the last of them is still to be committed.
    let mut committed = u64::MAX;
    while committed != metrics.derived.get() {
        committed = metrics.derived.get();
        tokio::time::sleep(commit_interval + Duration::from_secs(1)).await;
    }
    ending.request();
    member.await.unwrap();
    Done { rate, written: metrics.derived.get() }
}
