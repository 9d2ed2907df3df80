//! Promise: a revoked meter's live session is cut within seconds, it does not get in again, and nobody else notices.

use measure::{ClockQuality, Event, EventKind, MeterId, Record, StreamId, UnixMillis};
use pki::Role;
use promises::Stage;
use promises::child::{Child, Halt};
use promises::meter::{Heard, RawMeter, frame};
use wire::topic::Topic;

fn record() -> Record {
    Record::Event(Event { time: UnixMillis(1), clock: ClockQuality::Synchronised, channel: 0, kind: EventKind::ClockSet, value: 1 })
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_meter_is_cut() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let (honest, stolen): (MeterId, MeterId) = ("honest".parse()?, "stolen".parse()?);
    let mut good = RawMeter::connect(&mut stage, honest.as_str()).await?;
    let papers = stage.client(stolen.as_str(), Role::Meter)?;
    let mut bad = RawMeter::open(&stage, &papers, stolen.as_str())?;
    bad.let_in().await?;
    bad.subscribe(&Topic::down(&stolen).to_string()).await?;
    bad.send(&stolen, frame(StreamId(1), 1, &[record()])).await?;
    bad.ack_through(StreamId(1), 1).await?;

    stage.credentials.authority().revoke(stolen.as_str())?;
    bad.ended().await?;
    let mut again = RawMeter::open(&stage, &papers, stolen.as_str())?;
    let heard = again.hear().await?;
    assert!(matches!(heard, Heard::Ended(_)), "{heard:?}");

    good.send(&honest, frame(StreamId(2), 1, &[record()])).await?;
    good.ack_through(StreamId(2), 1).await?;
    Ok(())
}
