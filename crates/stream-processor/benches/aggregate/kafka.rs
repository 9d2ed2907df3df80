//! Consume, transform, produce, on the real Kafka.

use contracts::topics::READINGS;
use stream_processor::config::Config;
use stream_processor::interval::{Calendar, Rules, Settings};
use stream_processor::kafka::Clients;
use stream_processor::topics;
use testkit::Kafka;
use testkit::kafka::write_topic;

use crate::figure::{Figure, Target};
use crate::member;
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

        let rules = Rules::new(Settings::default(), Calendar::default()).unwrap();
        let done = member::run(clients, &config, rules, count).await;
        vec![
            Figure::new("from Kafka to Kafka in transactions", done.rate, "readings/s").target(Target::AtLeast(100_000.0)),
            Figure::new("interval records written", done.written as f64, ""),
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
