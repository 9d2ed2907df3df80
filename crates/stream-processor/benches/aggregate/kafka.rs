//! Consume, transform, produce, on the real Kafka.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::topics::{INTERVALS, METER_PROFILES, READINGS};
use stream_processor::config::Config;
use stream_processor::derive::Derive;
use stream_processor::interval::{Aggregator, Calendar, Rules, Settings};
use stream_processor::kafka::{Clients, Group};
use stream_processor::metrics::Metrics;
use stream_processor::ownership::{self, Ending};
use stream_processor::{Nobody, topics};
use testkit::Kafka;
use testkit::kafka::write_topic;

use crate::figure::{Figure, Target};
use crate::readings::readings;

const METERS: usize = 5_000;
const CHUNK: usize = 50_000;

/// Readings by the second that intervals are made of and written, exactly once.
pub fn figures(count: u64) -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kafka = Kafka::start().await.unwrap();
        let mut config = Config::parse("", "bench", []).unwrap();
        config.kafka.bootstrap_servers = kafka.bootstrap().to_owned();
        let clients = Clients::new(&config.kafka).unwrap();
        topics::ensure(&clients, &config.topics).await.unwrap();
        write(kafka.bootstrap(), count).await;

        let (metrics, ending) = (Metrics::new(), Arc::new(Ending::default()));
        let rules = Rules::new(Settings::default(), Calendar::default()).unwrap();
        let derive = Derive {
            clients,
            group: Group::INTERVALS,
            target: INTERVALS,
            transform: Arc::new(move |mark| Aggregator::new(rules.clone(), mark.into())),
            states: Some(METER_PROFILES),
            copy: None,
            metrics: metrics.clone(),
            observer: Arc::new(Nobody),
            commit_interval: Duration::from_millis(config.intervals.commit_interval_ms),
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
        ending.request();
        member.await.unwrap();
        let derived = metrics.derived.get();
        vec![
            Figure::new("from Kafka to Kafka in transactions", rate, "readings/s").target(Target::AtLeast(100_000.0)),
            Figure::new("interval records written", derived as f64, ""),
        ]
    })
}

async fn write(bootstrap: &str, count: u64) {
    let mut rows = Vec::with_capacity(CHUNK);
    for reading in readings(METERS).take(usize::try_from(count).unwrap()) {
        let mut value = Vec::new();
        reading.write_json(&mut value);
        rows.push((reading.meter.to_string(), value));
        if rows.len() == CHUNK {
            write_topic(bootstrap, READINGS.name, std::mem::take(&mut rows)).await.unwrap();
        }
    }
    write_topic(bootstrap, READINGS.name, rows).await.unwrap();
}
