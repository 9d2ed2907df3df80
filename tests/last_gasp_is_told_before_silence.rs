//! Promise: meters that say with their last gasp that the supply fails are an outage long before their silence would tell, and no more when they
//! measure a voltage again; a `kill -9` of the processor raises it no second time.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use std::time::{SystemTime, UNIX_EPOCH};

use contracts::alerts::AlertState;
use contracts::topics::{ALERTS, TOPOLOGY};
use contracts::{AlertRecord, FeederRecord, HouseRecord};
use measure::{ClockQuality, Event, EventKind, Hertz, MeterId, Raw, Reading, Record, Seq, StreamId, UnixMillis, Volts};
use promises::child::{Child, Halt};
use promises::meter::{RawMeter, frame};
use promises::{PATIENCE, Stage};
use testkit::await_until;

const STREAM: StreamId = StreamId(0x6a59);
/// Silence would tell after an hour.
const SILENCE_MS: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_meters_that_can_still_speak() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    (stage.quality, stage.analytics) = (true, true);
    stage.keys.insert("quality", format!("rules = {{ silence_ms = {SILENCE_MS} }}"));
    stage.keys.insert("analytics", "storm_ms = 2000".to_owned());
    stage.create_topics().await?;
    let ids: Vec<MeterId> = ["F1-1", "F1-2", "F1-3"].iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
    publish(&stage, &ids).await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    let mut meters = Vec::new();
    for id in &ids {
        meters.push(RawMeter::connect(&mut stage, id.as_str()).await?);
    }
    tell(&mut meters, &ids, 1, reading).await?;
    tell(&mut meters, &ids, 2, gasp).await?;
    let raised = alerts(&stage, 1).await?;
    let [outage] = &raised[..] else { anyhow::bail!("one outage: {raised:?}") };
    assert_eq!((outage.rule.as_str(), outage.state, outage.meter.as_ref()), ("supply_lost", AlertState::Raised, None));
    assert_eq!((outage.statistic, outage.cause.as_deref()), (3.0, Some("line")));
    assert!(outage.delay_ms < SILENCE_MS / 10, "{} ms from the first gasp to the alert", outage.delay_ms);

    processor.kill().await?;
    let mut successor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    successor.owns(&[0, 1, 2, 3]).await?;
    // The successor heard no gasp: another one tells it whom to wait for.
    tell(&mut meters, &ids, 3, gasp).await?;
    tell(&mut meters, &ids, 4, reading).await?;
    let told = alerts(&stage, 2).await?;
    let states: Vec<_> = told.iter().map(|it| (it.alert, it.state)).collect();
    assert_eq!(states, [(outage.alert, AlertState::Raised), (outage.alert, AlertState::Cleared)]);
    Ok(())
}

fn gasp(time: UnixMillis) -> Record {
    Record::Event(Event { time, clock: ClockQuality::Synchronised, channel: 0, kind: EventKind::SupplyFailing, value: 0 })
}

fn reading(time: UnixMillis) -> Record {
    let raw = Raw { voltage: Volts::from_millivolts(230_000), ..Raw::default() };
    let (clock, frequency) = (ClockQuality::Synchronised, Hertz::from_millihertz(50_000));
    Record::Reading(Reading { time, clock, frequency, voltage: raw.voltage, raw, ..Reading::default() })
}

/// Each meter's record of that number, which is in Kafka when this is over.
async fn tell(meters: &mut [RawMeter], ids: &[MeterId], number: Seq, record: fn(UnixMillis) -> Record) -> anyhow::Result<()> {
    for (meter, id) in meters.iter_mut().zip(ids) {
        let now = UnixMillis(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
        let frame = frame(STREAM, number, &[record(now)]);
        // A processor that has just begun may not be subscribed yet.
        await_until("the record is acknowledged", PATIENCE, async || {
            meter.send(id, frame.clone()).await?;
            let acknowledged = tokio::time::timeout(std::time::Duration::from_secs(1), meter.ack_through(STREAM, number)).await;
            Ok(acknowledged.is_ok_and(|it| it.is_ok()).then_some(()))
        })
        .await?;
    }
    Ok(())
}

async fn publish(stage: &Stage, ids: &[MeterId]) -> anyhow::Result<()> {
    let house = |meter: &MeterId| HouseRecord {
        meter: meter.clone(),
        pole: "p".to_owned(),
        class: 1.0,
        line_side: None,
        loop_ohm: None,
        contract_power_w: None,
        phase: None,
    };
    let houses = ids.iter().map(house).collect();
    let (id, line_meter) = ("F1".parse()?, "F1-L".parse()?);
    let record = FeederRecord { id, line_meter, line_class: 0.5, poles: vec!["p".to_owned()], houses };
    stage.write(&TOPOLOGY, vec![("F1".to_owned(), serde_json::to_vec(&record)?)]).await
}

/// All records of alerts, as soon as there are so many.
async fn alerts(stage: &Stage, count: usize) -> anyhow::Result<Vec<AlertRecord>> {
    let rows = await_until("the alerts are in Kafka", 2 * PATIENCE, async || {
        let rows = stage.topic(&ALERTS).await?;
        Ok((rows.len() >= count).then_some(rows))
    });
    rows.await?.iter().map(|row| Ok(serde_json::from_slice(row.value.as_deref().unwrap_or_default())?)).collect()
}
