//! Promise: a meter that cannot reach anybody cuts off a channel whose credit is used up, after a warning and the grace, stays off over
//! a restart, and tells all of it when it is back; a top-up that waited for it closes the relay again.
#![expect(clippy::arithmetic_side_effects, reason = "test code: the numbers are its own")]

use std::path::Path;
use std::time::{Duration, Instant};

use contracts::EventRecord;
use edge_agent::config::{Channel, Credit};
use edge_agent::{Config, Observation, Options, Running};
use edge_core::Sample;
use measure::{EventKind, MeterId, Verdict, WattHours};
use promises::child::{Child, Halt};
use promises::office::{self, Office};
use promises::{Books, PATIENCE, Stage, books, home};
use testkit::await_until;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wire::command::{Action, Amount};

/// A meter whose register counts on, by a Wh each tenth of a second, as long as its relay is closed.
fn load(agent: &Running, meter: &MeterId, samples: mpsc::Sender<Observation>, register: watch::Sender<i64>) -> JoinHandle<()> {
    let relays = agent.relays(meter);
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(Duration::from_millis(100));
        loop {
            clock.tick().await;
            let closed = relays.as_ref().is_none_or(|relays| relays.borrow().iter().all(|relay| relay.closed));
            register.send_modify(|register| *register += i64::from(closed));
            let import = WattHours::from_centiwatthours(*register.borrow() * 100);
            let sample = Sample { import, ..home::sample(0, 0, false) };
            if samples.send(Observation { at: Instant::now(), channel: 0, result: Ok(sample) }).await.is_err() {
                return;
            }
        }
    })
}

async fn start(
    config: &Config,
    meter: &MeterId,
    books: &Books,
    register: &watch::Sender<i64>,
) -> anyhow::Result<(Running, JoinHandle<()>)> {
    let (sender, samples) = mpsc::channel(16);
    let options = Options::default().source(meter.clone(), samples).accepted(books.observer());
    let agent = edge_agent::start(config.clone(), options).await?;
    let load = load(&agent, meter, sender, register.clone());
    Ok((agent, load))
}

async fn await_relay(file: &Path, wanted: &str) -> anyhow::Result<()> {
    let what = format!("the relay is {wanted}");
    await_until(&what, PATIENCE, async || Ok(std::fs::read_to_string(file).is_ok_and(|text| text == wanted).then_some(()))).await
}

async fn told(stage: &Stage) -> anyhow::Result<Vec<(i64, EventKind)>> {
    let kinds = [EventKind::CreditLow, EventKind::DisconnectWarning, EventKind::Disconnected, EventKind::Reconnected];
    let event = |event| if let EventRecord::Event(it) = event { Some((it.time_ms.0, it.kind)) } else { None };
    let mut told: Vec<_> = books::events(stage).await?.into_iter().filter_map(event).filter(|(_, kind)| kinds.contains(kind)).collect();
    told.sort_by_key(|(time, _)| *time);
    Ok(told)
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_meter_disconnects_itself() -> anyhow::Result<()> {
    let (mut stage, office, books) = (Stage::new().await?, Office::default(), Books::default());
    stage.commands = true;
    stage.shut_broker().await;
    let meter: MeterId = "prepaid-0".parse()?;
    let (relay, light) = (stage.dir().join("relay"), stage.dir().join("light"));
    let mut config = home::config(&mut stage, "prepaid", 1)?;
    config.commands.keys = vec![office.key()];
    config.shutdown.grace_ms = 10_000;
    config.meter[0].channel = vec![Channel {
        credit: Some(Credit::Energy),
        low: 0.005,
        grace_s: 2,
        relay_file: Some(relay.clone()),
        light_file: Some(light.clone()),
        ..Channel::new(0)
    }];
    let (register, _) = watch::channel(1_000);

    // Nobody is there. The channel has no credit: it is warned, and cut when the grace has passed, not before.
    let began = Instant::now();
    let (agent, consumer) = start(&config, &meter, &books, &register).await?;
    await_relay(&relay, "1").await?;
    await_until("the light blinks", PATIENCE, async || Ok(std::fs::read_to_string(&light).is_ok_and(|it| it == "2").then_some(()))).await?;
    await_relay(&relay, "0").await?;
    assert!(began.elapsed() >= Duration::from_secs(2), "within the grace nobody is cut off");
    await_until("the light is dark", PATIENCE, async || Ok(std::fs::read_to_string(&light).is_ok_and(|it| it == "0").then_some(())))
        .await?;

    // It stays off over a restart, whatever somebody has done to the relay meanwhile.
    consumer.abort();
    agent.shutdown().await;
    std::fs::write(&relay, "1")?;
    let (agent, consumer) = start(&config, &meter, &books, &register).await?;
    await_relay(&relay, "0").await?;
    let off_at = *register.borrow();

    // A top-up waits for it, and closes the relay when it is back.
    let processor_config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &processor_config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let amount = Amount::MilliwattHours(1_000_000_000);
    office.send(&stage, &Office::command(&meter, 1, Action::TopUp { channel: 0, amount })).await?;
    stage.start_broker().await?;
    await_relay(&relay, "1").await?;
    let outcome = office::await_outcome(&stage, 1).await?;
    assert_eq!(outcome.verdict, Verdict::Done);
    // What was taken since the first look at the register, and no more, is debited.
    let taken = 1_000_000_000 - outcome.value;
    assert!(taken > 0 && taken <= (off_at - 1_000) * 1_000, "{taken} mWh of {off_at}");

    consumer.abort();
    assert_eq!(agent.shutdown().await.rows_left, 0);
    books.settle(&stage).await?;
    let kinds: Vec<EventKind> = told(&stage).await?.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, [EventKind::CreditLow, EventKind::DisconnectWarning, EventKind::Disconnected, EventKind::Reconnected]);
    Ok(())
}
