//! Promise: who asks a meter for a reading gets a fresh one of each channel, in Kafka and on the channel's own `live/`, and the answer that
//! it is there; also when the meter was offline when he asked and the processor that heard him was killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::{LiveValue, ReadingRecord};
use edge_agent::config::Channel;
use edge_agent::{Observation, Options};
use measure::{Account, Flags, MeterId, Verdict};
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

    // A meter with nothing to tell: the loads of its two channels never change, and the next sign of life is an hour away.
    let mut config = home::config(&mut stage, "quiet", 1)?;
    config.meter.iter_mut().for_each(|it| it.channel = vec![Channel::new(0), Channel::new(1)]);
    config.report.heartbeat_ms = 3_600_000;
    config.commands.keys = vec![office.key()];
    let (sender, samples) = mpsc::channel(16);
    let sampler = tokio::spawn(async move {
        let mut clock = tokio::time::interval(Duration::from_millis(200));
        loop {
            clock.tick().await;
            for channel in [0, 1] {
                let sample = Observation { at: Instant::now(), channel, result: Ok(home::sample(0, 0, false)) };
                if sender.send(sample).await.is_err() {
                    return;
                }
            }
        }
    });
    let options = Options::default().source(meter.clone(), samples).accepted(books.observer());
    let agent = edge_agent::start(config, options).await?;

    let outcome = office::await_outcome(&stage, 1).await?;
    assert_eq!((outcome.verdict, &outcome.meter), (Verdict::Done, &meter));
    let answers = requested(&stage).await?;
    assert_eq!(answers.iter().map(|it| it.channel).collect::<Vec<_>>(), [0, 1], "a reading of each channel");
    assert!(answers.iter().all(|it| it.time_ms >= asked && it.time_ms <= outcome.time_ms), "they are fresh");

    // And again while everything is up: the second ones are readings of their own, and operators see each on its channel's topic.
    let asked = office::now();
    office.send(&stage, &Office::command(&meter, 2, Action::Read)).await?;
    let mut live = BTreeMap::new();
    while live.len() < 2 {
        if let Heard::Message(topic, payload) = operator.hear().await? {
            let value: LiveValue = serde_json::from_slice(&payload)?;
            assert_eq!(topic, if value.channel == 0 { "live/quiet-0" } else { "live/quiet-0/1" });
            assert_eq!(value.account, Some(Account::new(&meter, value.channel)));
            if value.time_ms >= asked && value.flags.contains(Flags::REQUESTED) {
                live.insert(value.channel, value.seq);
            }
        }
    }
    assert_eq!(office::await_outcome(&stage, 2).await?.verdict, Verdict::Done);
    let answers = requested(&stage).await?;
    assert!(live.iter().all(|(channel, seq)| answers.iter().any(|it| (it.channel, it.seq) == (*channel, *seq))), "live shows the answers");
    assert_eq!(answers.len(), 4);

    sampler.abort();
    assert_eq!(agent.shutdown().await.rows_left, 0);
    books.settle(&stage).await?;
    for number in [1, 2] {
        assert_eq!(office::outcomes(&stage, number).await?.len(), 1);
    }
    Ok(())
}

/// The readings that were asked for, by channel: which is read first depends on when the command comes.
async fn requested(stage: &Stage) -> anyhow::Result<Vec<ReadingRecord>> {
    let mut requested = books::readings(stage).await?;
    requested.retain(|reading| reading.flags.contains(Flags::REQUESTED));
    requested.sort_by_key(|reading| (reading.channel, reading.seq));
    Ok(requested)
}
