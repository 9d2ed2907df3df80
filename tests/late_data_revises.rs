//! Promise: what a meter sends late makes a new revision of each interval that it touches, and of no other; the highest revision is what
//! punctual readings would have given, and what was written before stays.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use std::collections::BTreeMap;

use contracts::intervals::{Checks, IntervalLength, Quality};
use contracts::topics::{INTERVALS, READINGS};
use contracts::{IntervalRecord, ReadingRecord};
use measure::{ClockQuality, Reading, Register, StreamId, UnixMillis, WattHours};
use promises::child::{Child, Halt};
use promises::{PATIENCE, Stage};
use testkit::await_until;

const MINUTE_MS: i64 = 60_000;
/// 2026-11-30 00:00 UTC.
const BEGIN_MS: i64 = 1_795_996_800_000;
/// Minutes in which the meter is offline.
const OFFLINE: std::ops::RangeInclusive<i64> = 66..=94;

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_half_hour_comes_late() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    stage.intervals = true;
    stage.create_topics().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    let punctual = (0..=180).filter(|minute| !OFFLINE.contains(minute)).map(|minute| (minute, minute));
    write(&stage, punctual).await?;
    // 01:05 to 01:35 brought 400 Wh: the quarter hours between are estimated from the registers around them.
    let first = quarters(&stage, |it| it.contains_key(&(105, 1))).await?;
    for (start, quality, energy) in [(60, Quality::Estimated, 233.33), (75, Quality::Estimated, 200.0), (90, Quality::Estimated, 166.67)] {
        let it = &first[&(start, 1)];
        assert_eq!((it.quality, it.import_wh, it.checks), (quality, wh(energy), Checks::GAP), "{it:?}");
    }
    // The backlog comes after three hours, and then time goes on.
    let late = OFFLINE.map(|minute| (minute, 200));
    write(&stage, late.chain((201..=230).map(|minute| (minute, minute)))).await?;
    let revised = quarters(&stage, |it| it.contains_key(&(90, 2)) && it.contains_key(&(195, 1))).await?;
    for (start, energy) in [(60, 300.0), (75, 150.0), (90, 150.0)] {
        let it = &revised[&(start, 2)];
        assert_eq!((it.quality, it.import_wh, it.checks, it.readings), (Quality::Actual, wh(energy), Checks::empty(), 15), "{it:?}");
        assert_eq!(revised[&(start, 1)], first[&(start, 1)], "what was written stays");
    }
    let touched: Vec<i64> = revised.keys().filter(|(_, revision)| *revision > 1).map(|(start, _)| *start).collect();
    // From 03:01 to 03:20 the meter said nothing either, and nothing came of that.
    assert_eq!(touched, [60, 75, 90]);
    for row in all(&stage).await?.iter().filter(|it| it.revision > 1) {
        let (start, end) = (row.start_ms.0 - BEGIN_MS, row.end_ms.0 - BEGIN_MS);
        assert!(start < 95 * MINUTE_MS && end > 65 * MINUTE_MS, "not touched: {row:?}");
    }
    Ok(())
}

fn wh(energy: f64) -> WattHours {
    WattHours::from_f64(energy).unwrap_or_default()
}

/// Readings of these minutes, received in those. 10 Wh a minute, and the double from 01:00 to 01:15.
async fn write(stage: &Stage, minutes: impl Iterator<Item = (i64, i64)>) -> anyhow::Result<()> {
    let row = |(minute, received): (i64, i64)| {
        let raw = WattHours::from_centiwatthours(100 * (1_000 + minute * 10 + (minute - 60).clamp(0, 15) * 10));
        let time = UnixMillis(BEGIN_MS + minute * MINUTE_MS);
        let reading = Reading { time, clock: ClockQuality::Synchronised, import: Register { raw, integrated: raw }, ..Reading::default() };
        let received = UnixMillis(BEGIN_MS + received * MINUTE_MS + 200);
        let record = ReadingRecord::new(&"M1".parse()?, StreamId(1), u64::try_from(minute)? + 1, received, &reading);
        Ok(("M1".to_owned(), serde_json::to_vec(&record)?))
    };
    stage.write(&READINGS, minutes.map(row).collect::<anyhow::Result<_>>()?).await
}

async fn all(stage: &Stage) -> anyhow::Result<Vec<IntervalRecord>> {
    let rows = stage.topic(&INTERVALS).await?;
    Ok(rows.iter().map(|row| serde_json::from_slice(row.value.as_deref().unwrap_or_default())).collect::<Result<_, _>>()?)
}

/// The quarter hours by their start in minutes and revision, as soon as they are `enough`.
async fn quarters(
    stage: &Stage,
    enough: impl Fn(&BTreeMap<(i64, u32), IntervalRecord>) -> bool,
) -> anyhow::Result<BTreeMap<(i64, u32), IntervalRecord>> {
    await_until("the intervals are in Kafka", PATIENCE, async || {
        let quarters = all(stage).await?.into_iter().filter(|it| it.length == IntervalLength::QuarterHour);
        let known: BTreeMap<_, _> = quarters.map(|it| (((it.start_ms.0 - BEGIN_MS) / MINUTE_MS, it.revision), it)).collect();
        Ok(enough(&known).then_some(known))
    })
    .await
}
