//! Promise: two gates behind a TCP balancer serve as one. A gate that is killed takes nothing with it: its meters move to the other one,
//! and when it comes back it serves again. Nothing is lost, nothing doubled.
//!
//! A meter that came to another gate has no session left at the first one: the newer one stays.
//!
//! The balancer is HAProxy as deploy/haproxy configures it, the gates are processes, and the processor has a connection to each.

use std::time::Duration;

use measure::{MeterId, Reading, Record, StreamId, UnixMillis};
use pki::Role;
use promises::child::{Child, Halt};
use promises::meter::{RawMeter, frame};
use promises::{Books, Gates, Home, PATIENCE};
use testkit::await_until;
use wire::topic::Topic;

const METERS: u16 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn two_gates_behind_a_balancer_lose_nothing() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_gate");
    let (mut stage, mut gates) = Gates::stage(program, 2).await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let books = Books::default();
    let mut home = Home::start(&mut stage, "home", METERS, &books, |_| {}).await?;

    // Both have meters, and those of both have their records in Kafka.
    gates.await_meters(|of| of.iter().sum::<u64>() == u64::from(METERS) && of.iter().all(|meters| *meters > 0)).await?;
    books.settle(&stage).await?;
    for (victim, other) in [(0, 1), (1, 0)] {
        // It dies with frames in its router: they were acknowledged by MQTT and are in nobody's disk but the meters'.
        gates.kill(victim).await?;
        gates.await_meters(|of| of[other] == u64::from(METERS)).await?;
        let before = books.settle(&stage).await?.committed;
        home.await_measured(&books, u64::from(METERS)).await?;
        let after = books.settle(&stage).await?.committed;
        assert!(after > before, "all meters are served by the gate that is left: {before}, {after}");
        gates.resume(victim).await?;
    }
    home.stop_measuring();
    home.await_drained().await?;
    let verdict = books.settle(&stage).await?;
    assert!(verdict.committed >= u64::from(METERS) * 4, "{verdict:?}");
    assert_eq!(home.shutdown().await.rows_left, 0);
    assert!(processor.terminate(promises::PATIENCE).await?.success());
    Ok(())
}

/// Delivers record `seq`, again and again if need be: a processor that has not subscribed yet does not hear it.
async fn deliver(meter: &mut RawMeter, id: &MeterId, seq: u64) -> anyhow::Result<()> {
    let reading = Reading { time: UnixMillis(1_800_000_000_000).saturating_add(i64::try_from(seq)?), ..Reading::default() };
    let bytes = frame(StreamId(7), seq, &[Record::Reading(reading)]);
    await_until("the record is acknowledged", PATIENCE, async || {
        meter.send(id, bytes.clone()).await?;
        match tokio::time::timeout(Duration::from_secs(1), meter.ack_through(StreamId(7), seq)).await {
            Ok(acknowledged) => acknowledged.map(Some),
            Err(_) => Ok(None),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_moved_has_one_session() -> anyhow::Result<()> {
    let (mut stage, gates) = Gates::stage(env!("CARGO_BIN_EXE_gate"), 2).await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let (id, papers): (MeterId, _) = ("mover".parse()?, stage.client("mover", Role::Meter)?);
    let down = Topic::down(&id).to_string();

    // At the first gate, at the second, and at the first again: each time the session that it left, still open, is closed.
    let mut left: Option<RawMeter> = None;
    for (seq, number) in (1..).zip([0, 1, 0]) {
        let mut meter = RawMeter::open_at(gates.address(number)?, &papers, "mover")?;
        meter.let_in().await?;
        meter.subscribe(&down).await?;
        if let Some(mut older) = left.replace(meter) {
            older.ended().await?;
        }
        // The newer one is served, by the gate that it is at.
        let meter = left.as_mut().expect("it was put there");
        deliver(meter, &id, seq).await?;
    }
    gates.await_meters(|of| of == [1, 0]).await?;
    Ok(())
}
