//! Promise: `kill -9` of the agent loses nothing that its journal accepted, and doubles nothing.
//!
//! How the test knows that the kill hit the phase: while nobody commits (no processor runs) nothing can be acknowledged, so every row
//! that the agent said it accepted is in the journal and, its link being up, on its way.

use fleet::audit::Identity;
use measure::{MeterId, UnixMillis};
use promises::child::{Child, Halt};
use promises::{Stage, books, home};
use testkit::await_until;

/// Rows before each kill.
const ROWS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn agent_kill_loses_nothing() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_agent");
    let mut stage = Stage::new().await?;
    let mut config = home::config(&mut stage, "home", 2)?;
    let meters = std::mem::take(&mut config.meter);
    let path = stage.dir().join("agent.toml");
    std::fs::write(&path, toml::to_string(&config)?)?;

    // Three lives end by a kill with rows accepted, numbered and unacknowledged; each opens a stream of its own.
    let mut accepted = Vec::new();
    for _ in 0..3 {
        let mut agent = Child::agent(program, &path, &meters)?;
        for _ in 0..ROWS {
            accepted.push(agent.line("a row was accepted", identity).await?);
        }
        agent.kill().await?;
        accepted.extend(agent.remaining_lines().await.iter().filter_map(|line| identity(line)));
    }
    let processor_config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &processor_config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    let mut agent = Child::agent(program, &path, &meters)?;
    accepted.push(agent.line("a row was accepted", identity).await?);
    await_until("everything accepted is in Kafka", promises::PATIENCE, async || {
        accepted.extend(agent.lines_now().iter().filter_map(|line| identity(line)));
        let held = books::held(&stage).await?;
        Ok(accepted.iter().all(|identity| held.count(identity) > 0).then_some(()))
    })
    .await?;
    assert!(agent.terminate(promises::PATIENCE).await?.success());
    let rest = agent.remaining_lines().await;
    accepted.extend(rest.iter().filter_map(|line| identity(line)));
    assert!(rest.iter().any(|line| line == "left 0"), "the journal is empty at the end: {rest:?}");

    let held = books::held(&stage).await?;
    for identity in &accepted {
        assert_eq!(held.count(identity), 1, "{identity:?}");
    }
    // A row may be committed to the journal by the very turn that the kill hit before it was told: it is in Kafka, once, like any other.
    let verdict = fleet::audit::compare(&Default::default(), &held);
    assert_eq!(verdict.repeated, []);
    let mut foreign = verdict.foreign.clone();
    foreign.dedup();
    assert_eq!(foreign.len(), verdict.foreign.len(), "no record is there twice");
    assert!(books::readings(&stage).await?.iter().map(|it| it.stream).collect::<std::collections::BTreeSet<_>>().len() >= 4);
    Ok(())
}

fn identity(line: &str) -> Option<Identity> {
    let mut words = line.strip_prefix("accepted ")?.split(' ');
    let meter: MeterId = words.next()?.parse().ok()?;
    Some(Identity { meter, time: UnixMillis(words.next()?.parse().ok()?), digest: words.next()?.parse().ok()? })
}
