//! Flink's half: `deploy/flink/topics.sql`, whose tables Flink must be able to read, then `deploy/flink/intervals.sql`, up to the end of what
//! is in Kafka now.

use std::time::Duration;

use contracts::flink_table_name;
use contracts::topics::{ALL, Cleanup, INTERVALS, KafkaTopic};
use testkit::flink::{self, Ran};

const TOPICS: &str = include_str!("../../../../deploy/flink/topics.sql");
const JOB: &str = include_str!("../../../../deploy/flink/intervals.sql");

/// Where the job writes.
pub const TARGET: KafkaTopic = KafkaTopic {
    name: "meter.intervals.flink.v1",
    key: "meter, channel, length and start, as JSON",
    cleanup: Cleanup::Compact,
    ..INTERVALS
};

/// As long as anybody would wait.
const DEADLINE: Duration = Duration::from_secs(1_800);

/// Runs the job on the Kafka at `bootstrap`.
pub async fn run(bootstrap: &str) -> anyhow::Result<Ran> {
    let here = |text: &str| text.replace("localhost:9092", bootstrap);
    let bounded = "ALTER TABLE `meter_readings_v1` SET ('scan.bounded.mode' = 'latest-offset');\n";
    // Its options are looked at when a table is used, not when it is made.
    let planned: String = ALL.iter().map(|it| format!("EXPLAIN SELECT * FROM `{}`;\n", flink_table_name(it))).collect();
    flink::run(&[&here(TOPICS), planned.as_str(), bounded, &here(JOB)].concat(), DEADLINE).await
}
