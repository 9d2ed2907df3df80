//! Promise: `kill -9` of the processor before it produces intervals, before it commits them and right after that changes nothing: Kafka
//! holds the records that one computation over all readings gives, each once and in the same order.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use std::collections::BTreeMap;

use anyhow::Context;
use contracts::topics::{INTERVALS, READINGS};
use contracts::{IntervalRecord, ReadingRecord};
use measure::{ClockQuality, MeterId, Reading, Register, StreamId, UnixMillis, Volts, WattHours, Watts};
use promises::child::{Child, Halt};
use promises::{PATIENCE, Stage};
use stream_processor::derive::{Mark, Transform};
use stream_processor::interval::{Aggregator, Calendar, Rules, Settings};
use testkit::await_until;
use testkit::kafka::Row;

const METERS: u16 = 8;
/// 2026-11-29 00:00 UTC; what the readings say of time, which has nothing to do with when they are written.
const BEGIN_MS: i64 = 1_795_910_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_phase() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    stage.intervals = true;
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
    assert!(count > 100 * usize::from(METERS), "{count} intervals prove little");
    let written = await_until("all intervals are in Kafka", PATIENCE, async || {
        let rows = stage.topic(&INTERVALS).await?;
        Ok((rows.len() >= count).then_some(rows))
    });
    let written = by_partition(&written.await?)?;
    for (partition, expected) in expected {
        assert!(written.get(&partition) == Some(&expected), "partition {partition}");
    }
    Ok(())
}

/// An hour of every meter, a reading each half minute, with an offline quarter of an hour of one of them that comes late.
async fn write(stage: &Stage, hour: i64) -> anyhow::Result<()> {
    let mut records = Vec::new();
    let mut backlog = Vec::new();
    for half_minute in 0..120_i64 {
        let number = hour * 120 + half_minute;
        for meter in 0..METERS {
            let id: MeterId = format!("M{meter}").parse()?;
            let time = UnixMillis(BEGIN_MS + number * 30_000);
            let is_offline = meter == 3 && (40..70).contains(&half_minute);
            let received = if is_offline { BEGIN_MS + (hour * 120 + 70) * 30_000 } else { time.0 + 200 };
            let energy = WattHours::from_centiwatthours(number * (100 + i64::from(meter)));
            let reading = Reading {
                time,
                clock: ClockQuality::Synchronised,
                voltage: Volts::from_millivolts(230_000 + i32::from(meter)),
                active_power: Watts::from_deciwatts(1_200),
                import: Register { raw: energy, integrated: energy },
                ..Reading::default()
            };
            let record = ReadingRecord::new(&id, StreamId(1), u64::try_from(number)? + 1, UnixMillis(received), &reading);
            let row = (id.to_string(), serde_json::to_vec(&record)?);
            if is_offline { backlog.push(row) } else { records.push(row) }
        }
        if half_minute == 70 {
            records.append(&mut backlog);
        }
    }
    stage.write(&READINGS, records).await
}

/// What one aggregator a partition makes of all readings.
fn recomputed(readings: &[Row]) -> anyhow::Result<BTreeMap<i32, Vec<IntervalRecord>>> {
    let rules = Rules::new(Settings::default(), Calendar::default())?;
    let mut partitions: BTreeMap<i32, (Aggregator, Vec<IntervalRecord>)> = BTreeMap::new();
    for row in readings {
        let reading: ReadingRecord = serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?;
        let empty = || (Aggregator::new(rules.clone(), Mark::BEGINNING.into()), Vec::new());
        let (aggregator, out) = partitions.entry(row.partition).or_insert_with(empty);
        Transform::take(aggregator, row.offset, &reading, out);
    }
    Ok(partitions.into_iter().map(|(partition, (_, records))| (partition, records)).collect())
}

fn by_partition(rows: &[Row]) -> anyhow::Result<BTreeMap<i32, Vec<IntervalRecord>>> {
    let mut partitions: BTreeMap<i32, Vec<IntervalRecord>> = BTreeMap::new();
    for row in rows {
        partitions.entry(row.partition).or_default().push(serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?);
    }
    Ok(partitions)
}
