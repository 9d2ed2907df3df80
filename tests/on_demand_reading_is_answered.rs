//! Promise: who asks a meter for a reading gets a fresh one, in Kafka and on `live/`, and the answer that it is there; also when the meter
//! was offline when he asked and the processor that heard him was killed.

use std::time::{Duration, Instant};

use contracts::LiveValue;
use edge_agent::{Observation, Options};
use measure::{Flags, MeterId, Verdict};
use pki::Role;
use promises::child::{Child, Halt};
use promises::meter::{Heard, RawMeter};
use promises::office::{self, Office};
use promises::{Books, Stage, books, home};
use tokio::sync::mpsc;
use wire::command::Action;

#[tokio::test(flavor = "multi_thread")]
async fn on_demand_reading_is_answered() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let (mut stage, office, books) = (Stage::new().await?, Office::default(), Books::default());
    stage.commands = true;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    // Nobody is at home yet, and whoever heard it is gone.
    let meter: MeterId = "quiet-0".parse()?;
    let asked = office::now();
    office.send(&stage, &Office::command(&meter, 1, Action::Read)).await?;
    processor.kill().await?;
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let identity = stage.client("operator", Role::Operator)?;
    let mut operator = RawMeter::open(&stage, &identity, "operator")?;
    operator.let_in().await?;
    operator.subscribe("live/#").await?;

    // A meter with nothing to tell: the load never changes, and the next sign of life is an hour away.
    let mut config = home::config(&mut stage, "quiet", 1)?;
    config.report.heartbeat_ms = 3_600_000;
    config.commands.keys = vec![office.key()];
    let (sender, samples) = mpsc::channel(16);
    let sampler = tokio::spawn(async move {
        let mut clock = tokio::time::interval(Duration::from_millis(200));
        loop {
            clock.tick().await;
            let sample = Observation { at: Instant::now(), channel: 0, result: Ok(home::sample(0, 0, false)) };
            if sender.send(sample).await.is_err() {
                return;
            }
        }
    });
    let options = Options::default().source(meter.clone(), samples).accepted(books.observer());
    let agent = edge_agent::start(config, options).await?;

    let outcome = office::await_outcome(&stage, 1).await?;
    assert_eq!((outcome.verdict, &outcome.meter), (Verdict::Done, &meter));
    let answers = requested(&stage).await?;
    assert_eq!(answers.len(), 1, "one channel, one reading");
    assert!(answers[0].time_ms >= asked && answers[0].time_ms <= outcome.time_ms, "it is fresh");

    // And again while everything is up: the second one is a reading of its own, and operators see it.
    let asked = office::now();
    office.send(&stage, &Office::command(&meter, 2, Action::Read)).await?;
    let live = loop {
        if let Heard::Message(topic, payload) = operator.hear().await? {
            assert_eq!(topic, "live/quiet-0");
            let live: LiveValue = serde_json::from_slice(&payload)?;
            if live.time_ms >= asked && live.flags.contains(Flags::REQUESTED) {
                break live;
            }
        }
    };
    assert_eq!(office::await_outcome(&stage, 2).await?.verdict, Verdict::Done);
    let answers = requested(&stage).await?;
    assert!(answers.iter().any(|reading| reading.seq == live.seq), "live shows the answer");
    assert_eq!(answers.len(), 2);

    sampler.abort();
    assert_eq!(agent.shutdown().await.rows_left, 0);
    books.settle(&stage).await?;
    for number in [1, 2] {
        assert_eq!(office::outcomes(&stage, number).await?.len(), 1);
    }
    Ok(())
}

async fn requested(stage: &Stage) -> anyhow::Result<Vec<contracts::ReadingRecord>> {
    Ok(books::readings(stage).await?.into_iter().filter(|reading| reading.flags.contains(Flags::REQUESTED)).collect())
}
