//! Promise: frames that come twice, overlap, or leave a hole become each record once, in order; a hole is answered with what is missing.

use std::time::Duration;

use measure::{ClockQuality, Event, EventKind, MeterId, Record, StreamId, UnixMillis};
use promises::child::{Child, Halt};
use promises::meter::{RawMeter, frame};
use promises::{PATIENCE, Stage, books};
use testkit::await_until;

const STREAM: StreamId = StreamId(0xfeed);

fn records(numbers: std::ops::RangeInclusive<i64>) -> Vec<Record> {
    let event = |value| Event { time: UnixMillis(value), clock: ClockQuality::Synchronised, channel: 0, kind: EventKind::ClockSet, value };
    numbers.map(|number| Record::Event(event(number))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_and_overlap_are_one_record() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let id: MeterId = "odd-meter".parse()?;
    let mut meter = RawMeter::connect(&mut stage, id.as_str()).await?;

    meter.send(&id, frame(STREAM, 1, &records(1..=3))).await?;
    meter.ack_through(STREAM, 3).await?;
    // The same again is answered, and adds nothing.
    meter.send(&id, frame(STREAM, 1, &records(1..=3))).await?;
    meter.ack_through(STREAM, 3).await?;
    // Two known, two new.
    meter.send(&id, frame(STREAM, 2, &records(2..=5))).await?;
    meter.ack_through(STREAM, 5).await?;
    // A hole: nothing of it is taken, and the answer says where to go on. Such answers come once a second at most, so it asks until one comes.
    let answer = await_until("a hole is answered", PATIENCE, async || {
        meter.send(&id, frame(STREAM, 9, &records(9..=10))).await?;
        Ok(tokio::time::timeout(Duration::from_millis(500), meter.ack()).await.ok())
    });
    assert_eq!(answer.await??.through, 5);
    meter.send(&id, frame(STREAM, 6, &records(6..=10))).await?;
    meter.ack_through(STREAM, 10).await?;

    let numbers: Vec<_> = books::events(&stage).await?.iter().filter_map(|event| event.place()).map(|(_, _, seq)| seq).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    Ok(())
}
