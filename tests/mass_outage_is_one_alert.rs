//! Promise: 214 meters of a feeder that are lost within eight seconds are one alert, and one house without supply on a feeder that has it is
//! the alert of its own service line. Operators hear both on MQTT, a `kill -9` of the processor raises neither again, and both are cleared
//! once when the meters are heard again.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use contracts::alerts::{AlertSeverity, AlertState};
use contracts::quality::QualityKind;
use contracts::topics::{ALERTS, EVENTS, READINGS, TOPOLOGY};
use contracts::{AlertRecord, EventRecord, FeederRecord, HouseRecord, ReadingRecord};
use measure::{MeterId, Raw, Reading, StreamId, UnixMillis, Volts};
use pki::Role;
use promises::child::{Child, Halt};
use promises::meter::{Heard, RawMeter};
use promises::{PATIENCE, Stage};
use testkit::await_until;

/// Houses of the feeder that loses its supply.
const HOUSES: usize = 214;
/// Within which they are lost.
const OUTAGE: Duration = Duration::from_secs(8);
/// From heartbeat to heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The meters that are supplied.
type Supplied = Arc<Mutex<BTreeSet<String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn lost_together_and_alone() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    (stage.quality, stage.analytics) = (true, true);
    stage.keys.insert("quality", "rules = { silence_ms = 12000 }".to_owned());
    stage.keys.insert("analytics", "storm_ms = 12000".to_owned());
    stage.create_topics().await?;
    publish(&stage, "F1", HOUSES).await?;
    publish(&stage, "F2", 4).await?;
    let all: BTreeSet<String> = meters("F1", HOUSES).chain(meters("F2", 4)).collect();
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let identity = stage.client("operator", Role::Operator)?;
    let mut operator = RawMeter::open(&stage, &identity, "operator")?;
    operator.let_in().await?;
    operator.subscribe("alert/#").await?;
    let supplied: Supplied = Arc::new(Mutex::new(all.clone()));
    let stage = Arc::new(stage);
    let hearts = tokio::spawn(beat(Arc::clone(&stage), Arc::clone(&supplied)));
    await_until("everyone is heard", PATIENCE, async || Ok((stage.topic(&READINGS).await?.len() > 3 * all.len()).then_some(()))).await?;

    remove(&supplied, "F2-2");
    let mut pace = tokio::time::interval(OUTAGE / u32::try_from(HOUSES)?);
    for number in 1..=HOUSES {
        pace.tick().await;
        remove(&supplied, &format!("F1-{number}"));
    }
    let raised = alerts(&stage, 2).await?;
    let [feeder, house] = ["F1", "F2"].map(|id| raised.iter().find(|it| it.feeder.as_str() == id));
    let (feeder, house) = (feeder.context("F1 is told")?, house.context("F2 is told")?);
    assert_eq!((feeder.meter.as_ref(), feeder.cause.as_deref(), feeder.severity), (None, Some("line"), AlertSeverity::Critical));
    assert_eq!((feeder.statistic, feeder.rule.as_str()), (f64::from(u32::try_from(HOUSES)?), "supply_lost"));
    assert_eq!(feeder.evidence.len(), HOUSES);
    let meter = house.meter.as_ref().map(MeterId::as_str);
    assert_eq!((meter, house.cause.as_deref(), house.severity), (Some("F2-2"), Some("service_line"), AlertSeverity::Warning));
    for expected in [feeder, house] {
        assert!(expected.delay_ms > 12_000 && expected.state == AlertState::Raised, "{expected:?}");
    }
    let mut heard = BTreeSet::new();
    while heard.len() < 2 {
        if let Heard::Message(topic, payload) = operator.hear().await? {
            let record: AlertRecord = serde_json::from_slice(&payload)?;
            assert!([feeder, house].contains(&&record), "{record:?}");
            heard.insert(topic);
        }
    }
    assert_eq!(heard, BTreeSet::from(["alert/critical/F1".to_owned(), "alert/warning/F2-2".to_owned()]));

    processor.kill().await?;
    let mut successor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    successor.owns(&[0, 1, 2, 3]).await?;
    *supplied.lock().unwrap_or_else(PoisonError::into_inner) = all.clone();
    let told = alerts(&stage, 4).await?;
    let cleared: Vec<_> = told.iter().filter(|it| it.state == AlertState::Cleared).map(|it| it.alert).collect();
    assert_eq!((told.len(), cleared.len()), (4, 2), "{told:?}");
    assert!(cleared.contains(&feeder.alert) && cleared.contains(&house.alert));
    hearts.abort();

    // Each silence began once and ended once, whoever told it.
    let mut silences: Vec<(String, bool)> = Vec::new();
    for row in stage.topic(&EVENTS).await? {
        if let EventRecord::PowerQuality(it) = serde_json::from_slice(row.value.as_deref().unwrap_or_default())? {
            assert_eq!(it.kind, QualityKind::Silent, "{it:?}");
            silences.push((it.meter.to_string(), it.end_ms.is_some()));
        }
    }
    silences.sort();
    let lost = (1..=HOUSES).map(|number| format!("F1-{number}")).chain(["F2-2".to_owned()]);
    let mut expected: Vec<_> = lost.flat_map(|meter| [(meter.clone(), false), (meter, true)]).collect();
    expected.sort();
    assert_eq!(silences, expected);
    Ok(())
}

/// The line's meter and those of the houses.
fn meters(feeder: &str, houses: usize) -> impl Iterator<Item = String> {
    std::iter::once(format!("{feeder}-L")).chain((1..=houses).map(move |number| format!("{feeder}-{number}")))
}

async fn publish(stage: &Stage, feeder: &str, houses: usize) -> anyhow::Result<()> {
    let house = |meter: String| {
        let (pole, class, line_side, loop_ohm, contract_power_w, phase) = ("p".to_owned(), 1.0, None, None, None, None);
        Ok(HouseRecord { meter: meter.parse()?, pole, class, line_side, loop_ohm, contract_power_w, phase })
    };
    let record = FeederRecord {
        id: feeder.parse()?,
        line_meter: format!("{feeder}-L").parse()?,
        line_class: 0.5,
        poles: vec!["p".to_owned()],
        houses: meters(feeder, houses).skip(1).map(house).collect::<anyhow::Result<_>>()?,
    };
    stage.write(&TOPOLOGY, vec![(feeder.to_owned(), serde_json::to_vec(&record)?)]).await
}

/// Whoever is supplied says so, again and again.
async fn beat(stage: Arc<Stage>, supplied: Supplied) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(HEARTBEAT);
    for seq in 1.. {
        pace.tick().await;
        let now = UnixMillis(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
        let raw = Raw { voltage: Volts::from_millivolts(230_000), ..Raw::default() };
        let frequency = measure::Hertz::from_millihertz(50_000);
        let reading = Reading { time: now, raw, frequency, ..Reading::default() };
        let meters = supplied.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let row = |meter: String| {
            let record = ReadingRecord::new(&meter.parse()?, StreamId(1), seq, now, &reading);
            Ok((meter, serde_json::to_vec(&record)?))
        };
        stage.write(&READINGS, meters.into_iter().map(row).collect::<anyhow::Result<_>>()?).await?;
    }
    Ok(())
}

fn remove(supplied: &Supplied, meter: &str) {
    supplied.lock().unwrap_or_else(PoisonError::into_inner).remove(meter);
}

/// All records of alerts, as soon as there are so many.
async fn alerts(stage: &Stage, count: usize) -> anyhow::Result<Vec<AlertRecord>> {
    let rows = await_until("the alerts are in Kafka", 2 * PATIENCE, async || {
        let rows = stage.topic(&ALERTS).await?;
        Ok((rows.len() >= count).then_some(rows))
    });
    rows.await?.iter().map(|row| Ok(serde_json::from_slice(row.value.as_deref().context("a tombstone")?)?)).collect()
}
