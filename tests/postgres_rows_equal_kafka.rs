//! Promise: PostgreSQL holds what Kafka holds: each reading once, each interval in its latest revision, each alert in its latest state, each
//! house where it hangs now, to the last digit. `kill -9` of the
//! processor before it stores rows, before it commits them and right after that changes nothing; nor does a PostgreSQL that goes away and
//! comes back, nor one that is brought back from a backup, nor records that no row can be made of.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use std::collections::BTreeMap;

use anyhow::Context;
use contracts::intervals::IntervalLength;
use contracts::topics::{ALERTS, INTERVALS, READINGS, TOPOLOGY};
use contracts::{AlertId, AlertRecord, FeederRecord, IntervalRecord, ReadingRecord};
use measure::{Channel, ClockQuality, MeterId, Reading, Register, StreamId, UnixMillis, Volts, WattHours, Watts};
use promises::child::{Child, Halt};
use promises::rows::{HouseRow, get};
use promises::{PATIENCE, Rows, Stage};
use testkit::{Postgres, await_until};

const METERS: u16 = 12;
/// 2026-11-29 00:00 UTC; what the readings say of time.
const BEGIN_MS: i64 = 1_795_910_400_000;
/// As the documents have it.
const SCHEMA: &str = "ferraris";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    let identity = stage.credentials.server("postgres")?;
    let mut postgres = Postgres::start_with_tls(&identity).await?;
    stage.create_topics().await?;
    // One makes intervals, the other rows, so that it is known which one a death is of.
    stage.intervals = true;
    let deriving = stage.processor_config("deriving")?;
    stage.intervals = false;
    stage.sinks = format!(
        "[postgres]\nenabled = true\nurl = '{}'\nschema = '{SCHEMA}'\nca_file = '{}'\ncommit_interval_ms = 100\n",
        postgres.url(),
        identity.ca.display()
    );
    let storing = stage.processor_config("storing")?;
    let _deriving = Child::processor(program, &deriving, Halt::Never)?;

    let mut hour = 0;
    for phase in ["before_produce", "before_commit", "after_commit_before_ack"] {
        let mut victim = Child::processor(program, &storing, Halt::Park(phase))?;
        write(&stage, hour).await?;
        hour += 1;
        victim.halted().await.with_context(|| phase.to_owned())?;
        victim.kill().await?;
    }
    let mut last = Child::processor(program, &storing, Halt::Never)?;
    let http = last.http().await?;
    equal(&stage, &postgres).await.context("after the deaths")?;

    let backup = offsets(&postgres).await?;
    postgres.stop()?;
    write(&stage, hour).await?;
    await_until("it says that PostgreSQL is away", PATIENCE, async || {
        let ready = get(http, "/readyz").await?;
        Ok((ready.contains(" 503 ") && ready.contains("postgres: stuck on 4 partitions")).then_some(()))
    })
    .await?;
    postgres.resume().await?;
    write(&stage, hour + 1).await?;
    equal(&stage, &postgres).await.context("after PostgreSQL's outage")?;
    let metrics = get(http, "/metrics").await?;
    assert!(metrics.contains("sink_failures_total{sink=\"Postgres\",reason=\"Unreachable\"}"), "{metrics}");
    assert!(metrics.contains("sink_records_skipped_total{sink=\"Postgres\",reason=\"Unreadable\"}"), "{metrics}");
    assert!(metrics.contains("sink_records_skipped_total{sink=\"Postgres\",reason=\"Unstorable\"}"), "{metrics}");
    assert!(!get(http, "/readyz").await?.contains("postgres"), "it is stuck no longer");

    // A backup of an hour ago: its rows and offsets agree, and the rest comes again.
    last.kill().await?;
    bring_back(&postgres, &backup).await?;
    let _successor = Child::processor(program, &storing, Halt::Never)?;
    equal(&stage, &postgres).await.context("after the backup")?;
    queries_of_the_documents(&postgres).await
}

/// An hour of every meter on two channels, a reading each half minute; half of the meters are offline for most of it, and what they measured
/// comes late. And what is no reading, or of no time.
async fn write(stage: &Stage, hour: i64) -> anyhow::Result<()> {
    let (mut records, mut backlog) = (Vec::new(), Vec::new());
    for half_minute in 0..120_i64 {
        let number = hour * 120 + half_minute;
        for (meter, channel) in (0..METERS).flat_map(|meter| [(meter, 0), (meter, 1)]) {
            let id: MeterId = format!("M{meter}").parse()?;
            let time = UnixMillis(BEGIN_MS + number * 30_000);
            let is_offline = meter % 2 == 0 && (20..100).contains(&half_minute);
            let received = if is_offline { BEGIN_MS + (hour * 120 + 115) * 30_000 } else { time.0 + 200 };
            let row = row(&id, channel, number, time, received)?;
            if is_offline { backlog.push(row) } else { records.push(row) }
        }
        // Later than estimates wait for it.
        if half_minute == 115 {
            records.append(&mut backlog);
        }
    }
    records.push(("M1".to_owned(), b"{\"meter\":\"M1\"".to_vec()));
    records.push(row(&"M2".parse()?, 0, 1, UnixMillis(i64::MAX), BEGIN_MS)?);
    stage.write(&READINGS, records).await?;
    write_grid(stage, hour).await
}

/// Two feeders that change by the hour, one of which is gone every other hour, and an alert of each hour that somebody shelves; and what is
/// neither.
async fn write_grid(stage: &Stage, hour: i64) -> anyhow::Result<()> {
    let mut feeder: FeederRecord = golden(include_str!("../crates/contracts/golden/grid.topology.v1.json"))?.remove(0);
    let line_side = (hour % 2 == 0).then(|| "S7".parse()).transpose()?;
    if let Some(house) = feeder.houses.first_mut() {
        (house.contract_power_w, house.loop_ohm, house.line_side) = (Some(1_000.5 + hour as f64), Some(0.3), line_side);
    }
    let mut rows = vec![("F1".to_owned(), serde_json::to_vec(&feeder)?)];
    feeder.id = "F2".parse()?;
    feeder.houses.truncate(1);
    if let Some(house) = feeder.houses.first_mut() {
        (house.meter, house.line_side) = (format!("M9{hour}").parse()?, None);
    }
    // What can't be so counts as taken away.
    rows.push(("F2".to_owned(), if hour % 2 == 0 { b"{}".to_vec() } else { serde_json::to_vec(&feeder)? }));
    stage.write(&TOPOLOGY, rows).await?;
    let mut alerts = vec![("nobody".to_owned(), b"{".to_vec())];
    for mut record in golden::<AlertRecord>(include_str!("../crates/contracts/golden/alerts.v1.json"))? {
        record.alert = AlertId(u128::try_from(hour)? + 1);
        record.at_ms = record.at_ms.saturating_add(hour * 3_600_001);
        alerts.push((record.feeder.to_string(), serde_json::to_vec(&record)?));
    }
    stage.write(&ALERTS, alerts).await
}

fn golden<T: serde::de::DeserializeOwned>(text: &str) -> anyhow::Result<Vec<T>> {
    Ok(serde_json::from_str(text)?)
}

fn row(id: &MeterId, channel: Channel, number: i64, time: UnixMillis, received: i64) -> anyhow::Result<(String, Vec<u8>)> {
    let energy = WattHours::from_centiwatthours(number * (101 + i64::from(channel)));
    let reading = Reading {
        time,
        clock: ClockQuality::Synchronised,
        channel,
        voltage: Volts::from_millivolts(230_001 + i32::try_from(number)?),
        active_power: Watts::from_deciwatts(1_203),
        import: Register { raw: energy, integrated: energy },
        ..Reading::default()
    };
    let record = ReadingRecord::new(id, StreamId(1), u64::try_from(number)? + 1, UnixMillis(received), &reading);
    Ok((id.to_string(), serde_json::to_vec(&record)?))
}

type ReadingKey = (MeterId, Channel, UnixMillis);
type IntervalKey = (MeterId, Channel, IntervalLength, UnixMillis);

/// Waits until all is taken, and compares.
async fn equal(stage: &Stage, postgres: &Postgres) -> anyhow::Result<()> {
    let rows = Rows::open(&postgres.url(), SCHEMA).await?;
    let mut last = (0, 0);
    let equal = await_until("the rows are what Kafka holds", PATIENCE, async || {
        let (readings, intervals) = in_kafka(stage).await?;
        let stored: BTreeMap<ReadingKey, ReadingRecord> =
            rows.readings().await?.into_iter().map(|it| ((it.meter.clone(), it.channel, it.time_ms), it)).collect();
        let latest: BTreeMap<IntervalKey, IntervalRecord> =
            rows.intervals().await?.into_iter().map(|it| ((it.meter.clone(), it.channel, it.length, it.start_ms), it)).collect();
        // Intervals of the last hour but the last two minutes must be there, or they are still to be derived.
        let is_settled = !intervals.is_empty() && last == (readings.len(), intervals.len());
        last = (readings.len(), intervals.len());
        let grid_is_equal = is_equal_grid(stage, &rows).await?;
        Ok((is_settled && grid_is_equal && stored == readings && latest == intervals).then_some(intervals))
    });
    let intervals = equal.await.with_context(|| format!("Kafka holds {last:?} readings and intervals"))?;
    assert!(intervals.values().any(|it| it.revision > 1), "no interval was revised: this proves little");
    Ok(())
}

/// Whether alerts and houses are the latest that Kafka holds.
async fn is_equal_grid(stage: &Stage, rows: &Rows) -> anyhow::Result<bool> {
    let mut feeders: BTreeMap<Vec<u8>, Vec<HouseRow>> = BTreeMap::new();
    for row in stage.topic(&TOPOLOGY).await? {
        let feeder = serde_json::from_slice::<FeederRecord>(row.value.as_deref().unwrap_or_default());
        feeders.insert(row.key.context("a feeder")?, feeder.map(|it| HouseRow::of(&it)).unwrap_or_default());
    }
    let mut alerts: BTreeMap<AlertId, AlertRecord> = BTreeMap::new();
    for row in stage.topic(&ALERTS).await? {
        let Ok(record) = serde_json::from_slice::<AlertRecord>(row.value.as_deref().unwrap_or_default()) else { continue };
        alerts.insert(record.alert, record);
    }
    let stored: BTreeMap<AlertId, AlertRecord> = rows.alerts().await?.into_iter().map(|it| (it.alert, it)).collect();
    let houses: Vec<HouseRow> = feeders.into_values().flatten().collect();
    Ok(!alerts.is_empty() && !houses.is_empty() && stored == alerts && rows.houses().await? == houses)
}

async fn in_kafka(stage: &Stage) -> anyhow::Result<(BTreeMap<ReadingKey, ReadingRecord>, BTreeMap<IntervalKey, IntervalRecord>)> {
    let mut readings = BTreeMap::new();
    for row in stage.topic(&READINGS).await? {
        let Ok(record) = serde_json::from_slice::<ReadingRecord>(row.value.as_deref().context("a tombstone")?) else { continue };
        if record.time_ms != UnixMillis(i64::MAX) {
            let before = readings.insert((record.meter.clone(), record.channel, record.time_ms), record);
            assert_eq!(before, None, "Kafka holds each reading once");
        }
    }
    let mut intervals: BTreeMap<IntervalKey, IntervalRecord> = BTreeMap::new();
    for row in stage.topic(&INTERVALS).await? {
        let record: IntervalRecord = serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?;
        let key = (record.meter.clone(), record.channel, record.length, record.start_ms);
        if intervals.get(&key).is_none_or(|it| it.revision < record.revision) {
            intervals.insert(key, record);
        }
    }
    Ok((readings, intervals))
}

/// They run as they stand there; and what they say of a register is so.
async fn queries_of_the_documents(postgres: &Postgres) -> anyhow::Result<()> {
    let rows = Rows::open(&postgres.url(), SCHEMA).await?;
    let queries: Vec<&str> = include_str!("../docs/sinks.md").split("```sql\n").skip(1).filter_map(|it| it.split("```").next()).collect();
    assert!(queries.len() >= 4, "{queries:?}");
    for query in queries {
        rows.client().query(query, &[]).await.with_context(|| query.to_owned())?;
    }
    // M1 is never offline.
    let advance = "select sum(import_wh) from ferraris.intervals where meter = 'M1' and channel = 1 and length = '1h' \
                   and start < '2026-11-29T02:00:00Z'";
    let advance: f64 = rows.client().query_one(advance, &[]).await?.try_get(0)?;
    assert!((advance - 240.0 * 1.02).abs() < 0.015, "two hours of 120 readings, 1.02 Wh from one to the next: {advance}");
    Ok(())
}

/// The offsets by topic and partition, with what a backup holds besides.
async fn offsets(postgres: &Postgres) -> anyhow::Result<Vec<(String, i32, i64)>> {
    let rows = Rows::open(&postgres.url(), SCHEMA).await?;
    // Accounts are made by the table, and nobody else may write them.
    let copies = "create table readings_before as table readings; create table intervals_before as table intervals; \
                  create table alerts_before as table alerts; create table houses_before as table houses; \
                  alter table readings_before drop column account; alter table intervals_before drop column account";
    rows.client().batch_execute(copies).await?;
    let found = rows.client().query("select topic, partition, next_offset from kafka_offsets", &[]).await?;
    Ok(found.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

async fn bring_back(postgres: &Postgres, offsets: &[(String, i32, i64)]) -> anyhow::Result<()> {
    let rows = Rows::open(&postgres.url(), SCHEMA).await?;
    let back = "truncate readings, intervals, alerts, houses; insert into readings table readings_before; \
                insert into intervals table intervals_before; insert into alerts table alerts_before; insert into houses table houses_before";
    rows.client().batch_execute(back).await?;
    for (topic, partition, next) in offsets {
        let update = "update kafka_offsets set next_offset = $3 where topic = $1 and partition = $2";
        rows.client().execute(update, &[topic, partition, next]).await?;
    }
    Ok(())
}
