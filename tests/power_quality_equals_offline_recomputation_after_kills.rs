//! Promise: `kill -9` of the processor before it produces events of power quality, before it commits them and right after that changes nothing:
//! Kafka holds the events that one computation over all readings gives, each once and in the same order.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use std::collections::BTreeMap;

use anyhow::Context;
use contracts::topics::{EVENTS, READINGS};
use contracts::{EventRecord, ReadingRecord};
use measure::{ClockQuality, Hertz, Raw, Reading, StreamId, UnixMillis, Volts};
use promises::child::{Child, Halt};
use promises::{PATIENCE, Stage};
use stream_processor::metrics::Metrics;
use stream_processor::quality::{Output, Rules, Settings, Watch};
use testkit::await_until;
use testkit::kafka::Row;

const METERS: i64 = 8;
/// 2026-11-30 00:00 UTC.
const BEGIN_MS: i64 = 1_795_996_800_000;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_phase() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    stage.quality = true;
    stage.create_topics().await?;
    let config = stage.processor_config("processor")?;
    let mut hour = 0;
    for phase in ["before_produce", "before_commit", "after_commit_before_ack"] {
        let mut victim = Child::processor(program, &config, Halt::Park(phase))?;
        victim.owns(&[0, 1, 2, 3]).await?;
        write(&stage, hour).await?;
        hour += 1;
        victim.halted().await.with_context(|| phase.to_owned())?;
        victim.kill().await?;
    }
    let mut last = Child::processor(program, &config, Halt::Never)?;
    last.owns(&[0, 1, 2, 3]).await?;
    write(&stage, hour).await?;

    let expected = recomputed(&stage.topic(&READINGS).await?)?;
    let count = expected.values().map(Vec::len).sum::<usize>();
    assert!(count > 100, "{count} events prove little");
    let written = await_until("all events are in Kafka", PATIENCE, async || {
        let rows = stage.topic(&EVENTS).await?;
        Ok((rows.len() >= count).then_some(rows))
    });
    let mut partitions: BTreeMap<i32, Vec<EventRecord>> = BTreeMap::new();
    for row in written.await? {
        partitions.entry(row.partition).or_default().push(serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?);
    }
    for (partition, expected) in &expected {
        assert!(partitions.get(partition) == Some(expected), "partition {partition}");
    }
    Ok(())
}

/// An hour of every meter, a reading each half minute, with low and high voltages of all lengths, and half an hour that is missing.
async fn write(stage: &Stage, hour: i64) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for number in hour * 120..(hour + 1) * 120 {
        for meter in 0..METERS {
            if meter == 3 && (40..100).contains(&(number % 120)) {
                continue;
            }
            let voltage = match (number * 7 + meter * 13) % 61 {
                0..=2 => 180_000,
                3..=9 => 200_000,
                10 => 260_000,
                _ => 230_000,
            };
            let time = UnixMillis(BEGIN_MS + number * 30_000 + meter);
            let reading = Reading {
                time,
                clock: ClockQuality::Synchronised,
                frequency: Hertz::from_millihertz(50_000),
                raw: Raw { voltage: Volts::from_millivolts(voltage), ..Raw::default() },
                ..Reading::default()
            };
            let id = format!("M{meter}");
            let record = ReadingRecord::new(&id.parse()?, StreamId(1), u64::try_from(number)? + 1, time.saturating_add(200), &reading);
            rows.push((id, serde_json::to_vec(&record)?));
        }
    }
    stage.write(&READINGS, rows).await
}

/// What one watch a partition makes of all readings.
fn recomputed(readings: &[Row]) -> anyhow::Result<BTreeMap<i32, Vec<EventRecord>>> {
    let rules = std::sync::Arc::new(Rules::new(&Settings::default(), None)?);
    let mut partitions: BTreeMap<i32, (Watch, Vec<Output>)> = BTreeMap::new();
    for row in readings {
        let reading: ReadingRecord = serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?;
        let empty = || (Watch::new(rules.clone(), None, Metrics::new()), Vec::new());
        let (watch, out) = partitions.entry(row.partition).or_insert_with(empty);
        watch.take(row.offset, &reading, out);
    }
    let event = |it| if let Output::Event(event) = it { Some(event) } else { None };
    Ok(partitions.into_iter().map(|(partition, (_, out))| (partition, out.into_iter().filter_map(event).collect())).collect())
}
