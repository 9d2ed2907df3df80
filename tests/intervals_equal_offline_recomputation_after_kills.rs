//! Promise: `kill -9` of the processor before it produces intervals, before it commits them and right after that changes nothing: Kafka
//! holds the records that one computation over all readings gives, each once and in the same order; and those of meters on a feeder once
//! more on the feeder's partition, each once. So it is with gaps that are estimated by like days which no replay reaches any more.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use std::collections::BTreeMap;

use anyhow::Context;
use contracts::intervals::{IntervalLength, Quality};
use contracts::topics::{FEEDER_INTERVALS, INTERVALS, READINGS, TOPOLOGY};
use contracts::{FeederIntervalRecord, IntervalRecord, ReadingRecord};
use measure::{ClockQuality, MeterId, Reading, Register, StreamId, UnixMillis, Volts, WattHours, Watts};
use promises::child::{Child, Halt};
use promises::{PATIENCE, Stage};
use stream_processor::balance::topology::Topology;
use stream_processor::derive::{Mark, Transform};
use stream_processor::interval::{Aggregator, Calendar, Output, Rules, Settings};
use testkit::await_until;
use testkit::kafka::Row;
use wire::topic::Shard;

const METERS: u16 = 8;
/// Readings of a meter in each phase: a day of them.
const STEPS: i64 = 480;
const STEP_MS: i64 = 180_000;
/// 2026-11-30 00:00 UTC, a Monday; what the readings say of time, which has nothing to do with when they are written.
const BEGIN_MS: i64 = 1_795_996_800_000;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_phase() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    stage.intervals = true;
    stage.create_topics().await?;
    publish_feeders(&stage).await?;
    let config = stage.processor_config("processor")?;
    let mut day = 0;
    for phase in ["before_produce", "before_commit", "after_commit_before_ack"] {
        let mut victim = Child::processor(program, &config, Halt::Park(phase))?;
        victim.owns(&[0, 1, 2, 3]).await?;
        write(&stage, day).await?;
        day += 1;
        victim.halted().await.with_context(|| phase.to_owned())?;
        victim.kill().await?;
    }
    let mut last = Child::processor(program, &config, Halt::Never)?;
    last.owns(&[0, 1, 2, 3]).await?;
    write(&stage, day).await?;

    let expected = recomputed(&stage.topic(&READINGS).await?)?;
    let count = expected.values().map(Vec::len).sum::<usize>();
    assert!(count > 100 * usize::from(METERS), "{count} intervals prove little");
    let by_like_days = expected.values().flatten().filter(|it| it.meter.as_str() == "M5" && it.quality == Quality::Estimated).count();
    assert!(by_like_days > 20, "{by_like_days} estimates of gaps of five hours prove little");
    let written = await_until("all intervals are in Kafka", PATIENCE, async || {
        let rows = stage.topic(&INTERVALS).await?;
        Ok((rows.len() >= count).then_some(rows))
    });
    let written = by_partition(&written.await?)?;
    for (partition, expected) in &expected {
        assert!(written.get(partition) == Some(expected), "partition {partition}");
    }
    let on_feeders: Vec<&IntervalRecord> = expected.values().flatten().filter(|it| feeder_of(it).is_some()).collect();
    assert!(on_feeders.len() > 10, "{} quarter hours prove little", on_feeders.len());
    let copies = stage.topic(&FEEDER_INTERVALS).await?;
    assert_eq!(copies.len(), on_feeders.len());
    for interval in on_feeders {
        let feeder = feeder_of(interval).context("it is on one")?;
        let copy = FeederIntervalRecord { feeder: feeder.parse()?, interval: interval.clone() };
        let copy = (feeder, serde_json::to_vec(&copy)?);
        let found = copies.iter().filter(|row| row.key.as_deref() == Some(copy.0.as_bytes()) && row.value.as_deref() == Some(&copy.1));
        let partitions: Vec<i32> = found.map(|row| row.partition).collect();
        assert_eq!(partitions, [Shard::of_feeder(&feeder.parse()?).partition(4)], "{interval:?}");
    }
    Ok(())
}

/// The feeder of a quarter of an hour: M0 begins the line of F1, and M1 and M2 hang on it; M3 begins that of F2, with M4.
fn feeder_of(interval: &IntervalRecord) -> Option<&'static str> {
    let feeder = match interval.meter.as_str() {
        "M0" | "M1" | "M2" => "F1",
        "M3" | "M4" => "F2",
        _ => return None,
    };
    (interval.length == IntervalLength::QuarterHour).then_some(feeder)
}

async fn publish_feeders(stage: &Stage) -> anyhow::Result<()> {
    let text = "[[feeder]]\nid = 'F1'\nline_meter = 'M0'\npoles = ['p']\n\
        [[feeder.house]]\nmeter = 'M1'\npole = 'p'\n[[feeder.house]]\nmeter = 'M2'\npole = 'p'\n\
        [[feeder]]\nid = 'F2'\nline_meter = 'M3'\npoles = ['p']\n[[feeder.house]]\nmeter = 'M4'\npole = 'p'\n";
    let feeders = Topology::parse(text)?.feeders;
    let rows = feeders.iter().map(|it| Ok((it.id.to_string(), serde_json::to_vec(&it.record())?)));
    stage.write(&TOPOLOGY, rows.collect::<anyhow::Result<_>>()?).await
}

/// A day of every meter, a reading each three minutes. M3 is offline for an hour and a half and sends that late; M5 is silent for five hours of
/// the last two afternoons, and what it would have said is lost.
async fn write(stage: &Stage, day: i64) -> anyhow::Result<()> {
    let mut records = Vec::new();
    let mut backlog = Vec::new();
    for step in 0..STEPS {
        let number = day * STEPS + step;
        for meter in 0..METERS {
            let id: MeterId = format!("M{meter}").parse()?;
            let time = UnixMillis(BEGIN_MS + number * STEP_MS);
            let is_offline = meter == 3 && (40..70).contains(&step);
            if meter == 5 && day >= 2 && (270..370).contains(&step) {
                continue;
            }
            let received = if is_offline { BEGIN_MS + (day * STEPS + 70) * STEP_MS } else { time.0 + 200 };
            // Ten times as much from 16 to 18 o'clock on the first day, and more each day: one that is forgotten makes another mean.
            let evening = (9 + 3 * day) * (step - 320).clamp(0, 40);
            let before = day * 840 + 60 * day * (day - 1);
            let energy = WattHours::from_centiwatthours((before + step + evening) * (100 + i64::from(meter)));
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
        if step == 70 {
            records.append(&mut backlog);
        }
    }
    stage.write(&READINGS, records).await
}

/// What one aggregator a partition makes of all readings.
fn recomputed(readings: &[Row]) -> anyhow::Result<BTreeMap<i32, Vec<IntervalRecord>>> {
    let rules = Rules::new(Settings::default(), Calendar::default())?;
    let mut partitions: BTreeMap<i32, (Aggregator, Vec<Output>)> = BTreeMap::new();
    for row in readings {
        let reading: ReadingRecord = serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?;
        let empty = || (Aggregator::new(rules.clone(), Mark::BEGINNING.into()), Vec::new());
        let (aggregator, out) = partitions.entry(row.partition).or_insert_with(empty);
        Transform::take(aggregator, row.offset, &reading, out);
    }
    let intervals = |out: Vec<Output>| out.into_iter().filter_map(Output::interval).collect();
    Ok(partitions.into_iter().map(|(partition, (_, out))| (partition, intervals(out))).collect())
}

fn by_partition(rows: &[Row]) -> anyhow::Result<BTreeMap<i32, Vec<IntervalRecord>>> {
    let mut partitions: BTreeMap<i32, Vec<IntervalRecord>> = BTreeMap::new();
    for row in rows {
        partitions.entry(row.partition).or_default().push(serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?);
    }
    Ok(partitions)
}
