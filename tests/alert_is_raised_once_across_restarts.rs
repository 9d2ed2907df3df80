//! Promise: `kill -9` of the processor at any moment of raising an alert changes nothing: Kafka holds each change in an alert's life once, as
//! one computation over all intervals gives it. What somebody did to an alert is still so after the next death.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use anyhow::Context;
use contracts::alerts::{AlertActionKind, AlertState};
use contracts::topics::{ALERT_ACTIONS, ALERTS, FEEDER_INTERVALS, FEEDER_STATE, TOPOLOGY};
use contracts::{AlertActionRecord, AlertRecord, FeederIntervalRecord};
use fleet::feeder::{self, FeederConfig, Theft, TheftKind};
use measure::{FeederId, StreamId, UnixMillis};
use promises::child::{Child, Halt};
use promises::{PATIENCE, Stage};
use stream_processor::analytics::partition::{Output, Partition};
use stream_processor::balance::topology::Feeder;
use stream_processor::metrics::Metrics;
use testkit::await_until;
use testkit::kafka::Row;

/// The processor's default.
const SETTLE_MS: i64 = 7_200_000;
const STORM_MS: i64 = 60_000;
const THIEF: usize = 13;
/// 2026-11-01 00:00 UTC.
const BEGIN_MS: i64 = 1_793_491_200_000;

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_raises() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    stage.analytics = true;
    stage.create_topics().await?;
    let id: FeederId = "F1".parse()?;
    let topology = feeder::topology(&id)?;
    stage.write(&TOPOLOGY, vec![(id.to_string(), serde_json::to_vec(&topology)?)]).await?;
    let log = log(&id)?;
    let raised = raised_at(&log, &Feeder::of(topology.clone())?);
    let first = *raised.first().context("nothing is ever raised")?;
    let config = stage.processor_config("processor")?;

    // The weeks in which nothing happens, with a death at their beginning.
    write(&stage, &log[..first]).await?;
    let mut victim = Child::processor(program, &config, Halt::Park("before_commit"))?;
    victim.halted().await.context("learning")?;
    victim.kill().await?;
    let mut victim = Child::processor(program, &config, Halt::Never)?;
    let days = i64::try_from(first)? / (21 * 96);
    await_until("what was learned is kept", PATIENCE, async || {
        Ok((i64::try_from(stage.topic(&FEEDER_STATE).await?.len())? > days).then_some(()))
    })
    .await?;
    victim.kill().await?;
    // The interval that raises is waiting for whoever comes.
    let mut victim = Child::processor(program, &config, Halt::Park("before_produce"))?;
    write(&stage, &log[first..=first + 21 * 96 * 3]).await?;
    victim.halted().await.context("before_produce")?;
    victim.kill().await?;
    for phase in ["before_commit", "after_commit_before_ack"] {
        let mut victim = Child::processor(program, &config, Halt::Park(phase))?;
        victim.halted().await.context(phase)?;
        victim.kill().await?;
    }
    let mut last = Child::processor(program, &config, Halt::Never)?;
    last.owns(&[0, 1, 2, 3]).await?;
    write(&stage, &log[first + 21 * 96 * 3 + 1..]).await?;
    let expected = recomputed(&log, &Feeder::of(topology)?);
    assert!(expected.len() >= 2, "{expected:?}");
    let written = alerts(&stage, expected.len()).await?;
    assert_eq!(written, expected);

    let alert = &written[0];
    let acknowledge = AlertActionRecord {
        action: StreamId(7),
        alert: alert.alert,
        feeder: id.clone(),
        kind: AlertActionKind::Acknowledge,
        until_ms: None,
        who: "ann".to_owned(),
        note: "crew sent".to_owned(),
    };
    stage.write(&ALERT_ACTIONS, vec![(id.to_string(), serde_json::to_vec(&acknowledge)?)]).await?;
    let written = alerts(&stage, expected.len() + 1).await?;
    let last_one = written.last().context("there are some")?;
    assert_eq!((last_one.alert, last_one.state, last_one.who.as_deref()), (alert.alert, AlertState::Acknowledged, Some("ann")));
    last.kill().await?;
    // A successor knows that it is acknowledged: the same once more changes nothing, and clearing it does.
    let again = AlertActionRecord { action: StreamId(8), ..acknowledge.clone() };
    let clear = AlertActionRecord { action: StreamId(9), kind: AlertActionKind::Clear, ..acknowledge };
    let rows = [again, clear].iter().map(|it| Ok((id.to_string(), serde_json::to_vec(it)?))).collect::<anyhow::Result<_>>()?;
    stage.write(&ALERT_ACTIONS, rows).await?;
    let _successor = Child::processor(program, &config, Halt::Never)?;
    let written = alerts(&stage, expected.len() + 2).await?;
    assert_eq!(written.last().map(|it| (it.alert, it.state, it.action)), Some((alert.alert, AlertState::Cleared, Some(StreamId(9)))));
    Ok(())
}

/// Twenty-two days of a feeder, with a thief from the sixteenth on.
fn log(id: &FeederId) -> anyhow::Result<Vec<FeederIntervalRecord>> {
    let theft = Some(Theft { kind: TheftKind::Scaled(0.3), house: THIEF, from_day: 15 });
    let mut log = Vec::new();
    for (quarter, number) in feeder::simulate(21, &FeederConfig { days: 22, stress: false, theft }).iter().zip(0..) {
        log.append(&mut feeder::records(id, UnixMillis(BEGIN_MS + number * 900_000), quarter)?);
    }
    Ok(log)
}

async fn write(stage: &Stage, log: &[FeederIntervalRecord]) -> anyhow::Result<()> {
    let rows = log.iter().map(|it| Ok((it.feeder.to_string(), serde_json::to_vec(it)?)));
    stage.write(&FEEDER_INTERVALS, rows.collect::<anyhow::Result<_>>()?).await
}

/// What one partition, never interrupted, makes of each interval.
fn outputs(log: &[FeederIntervalRecord], feeder: &Feeder) -> Vec<Vec<AlertRecord>> {
    let mut partition = Partition::new(SETTLE_MS, STORM_MS, Metrics::new());
    partition.topology(0, UnixMillis(0), &feeder.id.clone(), Some(feeder.clone()), &mut Vec::new());
    let outputs = log.iter().zip(0..).map(|(record, offset)| {
        let mut out = Vec::new();
        partition.interval(offset, UnixMillis(0), record, &mut out);
        out.into_iter().filter_map(|it| if let Output::Alert(record) = it { Some(*record) } else { None }).collect()
    });
    outputs.collect()
}

fn recomputed(log: &[FeederIntervalRecord], feeder: &Feeder) -> Vec<AlertRecord> {
    outputs(log, feeder).into_iter().flatten().collect()
}

/// The places in the log with which an alert is raised.
fn raised_at(log: &[FeederIntervalRecord], feeder: &Feeder) -> Vec<usize> {
    let outputs = outputs(log, feeder);
    outputs.iter().enumerate().filter(|(_, it)| it.iter().any(|it| it.state == AlertState::Raised)).map(|(at, _)| at).collect()
}

/// The alerts in Kafka as soon as there are so many; when Kafka got what changed them is another matter in each run.
async fn alerts(stage: &Stage, count: usize) -> anyhow::Result<Vec<AlertRecord>> {
    let rows = await_until("the alerts are in Kafka", PATIENCE, async || {
        let rows = stage.topic(&ALERTS).await?;
        Ok((rows.len() >= count).then_some(rows))
    });
    let alert = |row: &Row| {
        let record: AlertRecord = serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?;
        Ok(AlertRecord { at_ms: UnixMillis(0), ..record })
    };
    rows.await?.iter().map(alert).collect()
}
