//! Promise: after an outage an urgent event goes ahead of everything that piled up before it.

use contracts::EventRecord;
use measure::EventKind;
use promises::child::{Child, Halt};
use promises::{Books, Home, PATIENCE, Stage, books};
use testkit::await_until;

#[tokio::test(flavor = "multi_thread")]
async fn urgent_event_overtakes_backlog() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    // Nobody to talk to: rows pile up and become backlog after a second.
    stage.kill_broker();
    let books = Books::default();
    let mut home = Home::start(&mut stage, "home", 1, &books, |config| config.delivery.live_ms = 1_000).await?;
    home.await_waiting(15).await?;
    home.set_alarm(true);
    let before = home.waiting();
    await_until("the alarm is journalled", PATIENCE, async || Ok((home.waiting() > before).then_some(()))).await?;
    stage.start_broker().await?;
    home.stop_measuring();
    home.await_drained().await?;
    books.settle(&stage).await?;

    let events = books::events(&stage).await?;
    let alarm = events.iter().find_map(|event| match event {
        EventRecord::Event(it) if it.kind == EventKind::PowerAlarm => Some((it.seq, it.time_ms)),
        _ => None,
    });
    let (seq, time) = alarm.expect("the alarm is in Kafka");
    let readings = books::readings(&stage).await?;
    let backlog: Vec<_> = readings.iter().filter(|reading| time.millis_since(reading.time_ms) > 2_000).collect();
    assert!(backlog.len() >= 10, "{} readings are older than the event", backlog.len());
    assert!(
        backlog.iter().all(|reading| reading.seq > seq),
        "event {seq} went ahead of {:?}",
        backlog.iter().map(|it| it.seq).collect::<Vec<_>>()
    );
    Ok(())
}
