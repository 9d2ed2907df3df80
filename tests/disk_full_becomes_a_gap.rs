//! Promise: a journal that is full gives up its oldest readings and says so: what Kafka holds and what its gaps count is everything that was
//! accepted, and no register snapshot and no event was given up for a reading.

use std::time::{Duration, Instant};

use contracts::EventRecord;
use edge_agent::config::Device;
use edge_agent::{Observation, Options};
use measure::{Flags, GapReason, Record};
use promises::child::{Child, Halt};
use promises::{Books, PATIENCE, Stage, books, home};
use testkit::{Fault, Proxy, await_until};
use tokio::sync::mpsc;

/// Seconds that the meter measures in one go; three times what the journal can hold.
const SECONDS: u32 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn disk_full_becomes_a_gap() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    // The way to the broker is closed for the agent only.
    let way = Proxy::start(stage.mqtt(), 1).await?;
    way.set(Fault::Refuse);
    let books = Books::default();
    let mut config = home::config(&mut stage, "home", 1)?;
    config.journal.limit_bytes = 24 * 1024;
    config.broker.port = way.address().port();
    assert!(matches!(config.meter[0].device, Device::Supplied { .. }));
    let (sender, samples) = mpsc::channel(16);
    let accepted = std::sync::Arc::new(std::sync::Mutex::new((0_u64, 0_u64)));
    let mut note = books.observer();
    let counted = accepted.clone();
    let options = Options::default().source(config.meter[0].id.clone(), samples).accepted(move |rows| {
        for row in &rows {
            let mut counted = counted.lock().unwrap();
            match &row.record {
                Record::Reading(reading) if reading.flags.contains(Flags::SNAPSHOT) => counted.1 += 1,
                Record::Reading(_) => counted.0 += 1,
                Record::Hello(_) | Record::Event(_) | Record::Gap(_) | Record::Outcome(_) => {}
            }
        }
        note(rows);
    });
    let agent = edge_agent::start(config, options).await?;
    // Five minutes of a meter's life, told at once: their times lie ahead, which is all the same to a journal.
    let start = Instant::now();
    for second in 0..SECONDS {
        let at = start + Duration::from_secs(second.into());
        sender.send(Observation { at, channel: 0, result: Ok(home::sample(0, second, false)) }).await?;
    }
    await_until("all are accepted", PATIENCE, async || {
        let counted = *accepted.lock().unwrap();
        Ok((counted.0 + counted.1 >= u64::from(SECONDS) * 9 / 10).then_some(()))
    })
    .await?;
    let waiting = agent.metrics().journal.rows.get();
    assert!(waiting < i64::from(SECONDS) / 2, "{waiting} rows wait: the journal gave some up");

    way.heal();
    await_until("the journal is empty", PATIENCE, async || Ok((agent.metrics().journal.rows.get() == 0).then_some(()))).await?;
    let counted = *accepted.lock().unwrap();
    let readings = books::readings(&stage).await?;
    let snapshots = readings.iter().filter(|reading| reading.flags.contains(Flags::SNAPSHOT)).count();
    let gaps: Vec<_> = books::events(&stage)
        .await?
        .into_iter()
        .filter_map(|event| match event {
            EventRecord::Gap(gap) => Some(gap),
            _ => None,
        })
        .collect();
    let missing: u64 = gaps.iter().map(|gap| gap.count).sum();
    println!("accepted {counted:?}, in Kafka {} readings, {} gaps that count {missing}", readings.len(), gaps.len());
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap.reason == GapReason::JournalFull), "{gaps:?}");
    assert_eq!(readings.len() as u64 + missing, counted.0 + counted.1, "what is not there is counted");
    assert_eq!(snapshots as u64, counted.1, "no snapshot was given up");
    // The oldest went: the gap lies before what was kept of the ordinary readings.
    let oldest = readings.iter().filter(|reading| !reading.flags.contains(Flags::SNAPSHOT)).map(|reading| reading.time_ms).min();
    assert!(gaps.iter().all(|gap| Some(gap.from_ms) < oldest), "{gaps:?} {oldest:?}");
    drop(agent);
    Ok(())
}
