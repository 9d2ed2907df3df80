//! Promise: whatever a meter says, it says as itself: another's topic, another's name and foreign ears are refused, and Kafka never holds a
//! record of a meter that did not send it.

use measure::{ClockQuality, Event, EventKind, MeterId, Record, StreamId, UnixMillis};
use pki::Role;
use promises::child::{Child, Halt};
use promises::meter::{Heard, RawMeter, frame};
use promises::{Stage, books};
use rumqttc::ConnectReturnCode;
use wire::topic::Topic;

fn record() -> Record {
    Record::Event(Event { time: UnixMillis(1), clock: ClockQuality::Synchronised, channel: 0, kind: EventKind::ClockSet, value: 1 })
}

#[tokio::test(flavor = "multi_thread")]
async fn meter_speaks_only_as_itself() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let (honest, thief): (MeterId, MeterId) = ("honest".parse()?, "thief".parse()?);

    // Another's name as client id.
    let papers = stage.client("thief", Role::Meter)?;
    let mut liar = RawMeter::open(&stage, &papers, "honest")?;
    assert!(matches!(liar.hear().await?, Heard::Connected(ConnectReturnCode::BadClientId | ConnectReturnCode::NotAuthorized)));

    // Another's topic, or a topic of its own that is no meter's: the connection ends each time.
    let forged = [
        Topic::up(&honest).to_string(),
        format!("f1/{}/thief/up", if Topic::up(&thief).to_string().starts_with("f1/00") { "01" } else { "00" }),
        Topic::down(&thief).to_string(),
        Topic::down(&honest).to_string(),
        "live/thief".to_owned(),
        "state/thief".to_owned(),
        "alert/critical/thief".to_owned(),
        "anything".to_owned(),
    ];
    for topic in &forged {
        let mut meter = RawMeter::open(&stage, &papers, "thief")?;
        meter.let_in().await?;
        meter.publish(topic, false, frame(StreamId(1), 1, &[record()])).await?;
        assert!(!meter.ended().await?.is_empty(), "{topic}");
    }
    // Its own topic, but to be kept.
    let mut meter = RawMeter::open(&stage, &papers, "thief")?;
    meter.let_in().await?;
    meter.publish(&Topic::up(&thief).to_string(), true, frame(StreamId(1), 1, &[record()])).await?;
    meter.ended().await?;

    // Foreign ears.
    let mut meter = RawMeter::open(&stage, &papers, "thief")?;
    meter.let_in().await?;
    for filter in ["#", "+/#", "f1/#", "f1/+/+/up", &Topic::down(&honest).to_string(), "live/#", "state/honest"] {
        meter.ask_for(filter).await?;
        match meter.hear().await? {
            Heard::Subscribed(granted) => assert!(!granted, "{filter} was granted"),
            Heard::Ended(_) => {
                meter = RawMeter::open(&stage, &papers, "thief")?;
                meter.let_in().await?;
            }
            other => panic!("{filter}: {other:?}"),
        }
    }

    // The honest one is still served, and Kafka has its record and no other.
    let mut meter = RawMeter::connect(&mut stage, "honest").await?;
    meter.send(&honest, frame(StreamId(2), 1, &[record()])).await?;
    meter.ack_through(StreamId(2), 1).await?;
    let places: Vec<_> =
        books::events(&stage).await?.iter().filter_map(|event| event.place()).map(|(meter, stream, _)| (meter.clone(), stream)).collect();
    assert_eq!(places, [(honest, StreamId(2))]);
    Ok(())
}
