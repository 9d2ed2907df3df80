//! Promise: a command is carried out once, however often its bytes come and from wherever: copies are refused, also over a restart of
//! agent and processor, and so is what is foreign, out of order, expired, damaged or signed by somebody else; each with its reason, and
//! what became of a command is in Kafka once.

use measure::{MeterId, UnixMillis, Verdict};
use pki::Role;
use promises::child::{Child, Halt};
use promises::meter::RawMeter;
use promises::office::{self, Office};
use promises::{Books, Home, PATIENCE, Stage};
use testkit::await_until;
use wire::command::{Action, Command};
use wire::topic::Topic;

const INTERVAL: Action = Action::ReportInterval { heartbeat_ms: 2_000 };

#[tokio::test(flavor = "multi_thread")]
async fn replayed_command_is_refused() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let (mut stage, office, books) = (Stage::new().await?, Office::default(), Books::default());
    stage.commands = true;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let mut config_of_home = None;
    let home = Home::start(&mut stage, "home", 1, &books, |config| {
        config.commands.keys = vec![Office::default().key(), office.key()];
        config_of_home = Some(config.clone());
    });
    let home = home.await?;
    let meter: MeterId = "home-0".parse()?;

    let first = Office::command(&meter, 100, INTERVAL);
    let captured = office.send(&stage, &first).await?;
    assert_eq!(office::await_outcome(&stage, 100).await?.verdict, Verdict::Done);

    // Somebody has got into a service, and has everything that ever went to the meter.
    let identity = stage.client("intruder", Role::Service)?;
    let mut intruder = RawMeter::open(&stage, &identity, "intruder")?;
    intruder.let_in().await?;
    let topic = Topic::command(&meter).to_string();
    let other = Office::command(&"home-1".parse()?, 101, INTERVAL);
    let expired = Command { expires: UnixMillis(office::now().0 - 1), ..Office::command(&meter, 102, INTERVAL) };
    let forged = Office::default().sign(&Office::command(&meter, 103, INTERVAL));
    let mut damaged = office.sign(&Office::command(&meter, 104, INTERVAL));
    damaged.truncate(50);
    let late = office.sign(&Office::command(&meter, 99, INTERVAL));
    for bytes in [captured.clone(), office.sign(&other), office.sign(&expired), forged, damaged, late.clone(), late] {
        intruder.publish(&topic, false, bytes).await?;
    }
    for verdict in [Verdict::Foreign, Verdict::BadSignature, Verdict::Malformed] {
        office::await_refusal(&stage, verdict).await?;
    }
    assert_eq!(office::await_outcome(&stage, 102).await?.verdict, Verdict::Expired);
    assert_eq!(office::await_outcome(&stage, 99).await?.verdict, Verdict::Reordered);
    await_replayed(&home, 2).await?;

    // Neither forgets: the agent by its journal, the processor by Kafka.
    processor.kill().await?;
    let drained = home.shutdown();
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    assert_eq!(drained.await.rows_left, 0);
    let home = Home::resume(config_of_home.expect("it was started"), &books).await?;
    await_until("the meter hears the copy", PATIENCE, async || {
        // It may not be online yet.
        intruder.publish(&topic, false, captured.clone()).await?;
        Ok((count(&home, Verdict::Replayed) > 0).then_some(()))
    })
    .await?;
    let last = Office::command(&meter, 200, INTERVAL);
    office.send(&stage, &last).await?;
    assert_eq!(office::await_outcome(&stage, 200).await?.verdict, Verdict::Done);

    assert_eq!(home.shutdown().await.rows_left, 0);
    books.settle(&stage).await?;
    for number in [99, 100, 102, 200] {
        assert_eq!(office::outcomes(&stage, number).await?.len(), 1, "command {number} is answered once");
    }
    for number in [101, 103, 104] {
        assert_eq!(office::outcomes(&stage, number).await?, [], "command {number} is none of the meter's");
    }
    Ok(())
}

async fn await_replayed(home: &Home, times: u64) -> anyhow::Result<()> {
    await_until("copies are counted", PATIENCE, async || Ok((count(home, Verdict::Replayed) >= times).then_some(()))).await
}

fn count(home: &Home, verdict: Verdict) -> u64 {
    let wanted = format!("ferraris_agent_commands_total{{reason=\"{}\"}} ", verdict.name());
    home.agent().metrics().encode().lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok()).unwrap_or(0)
}
