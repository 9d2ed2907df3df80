//! Promise: `kill -9` of the processor before it produces, before it commits, and between commit and acknowledgement loses nothing and
//! doubles nothing.
//!
//! How a test knows that the kill hit the phase: the process says so and stays there, and Kafka and the journal show it (nothing committed
//! before the commit; everything committed and nothing acknowledged after it).

use promises::child::{Child, Halt};
use promises::{Books, Home, PATIENCE, Stage};
use testkit::await_until;

#[tokio::test(flavor = "multi_thread")]
async fn before_it_produces() -> anyhow::Result<()> {
    killed_at("before_produce", false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn before_it_commits() -> anyhow::Result<()> {
    killed_at("before_commit", false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_commit_before_the_acknowledgement() -> anyhow::Result<()> {
    killed_at("after_commit_before_ack", true).await
}

async fn killed_at(phase: &'static str, committed: bool) -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut victim = Child::processor(program, &config, Halt::Park(phase))?;
    victim.owns(&[0, 1, 2, 3]).await?;

    // One meter: all its records are in the partition that halts.
    let books = Books::default();
    let mut home = Home::start(&mut stage, "home", 1, &books, |_| {}).await?;
    victim.halted().await?;
    if committed {
        await_until("the commit is visible", PATIENCE, async || Ok((books.compare(&stage).await?.committed > 0).then_some(()))).await?;
    } else {
        assert_eq!(books.compare(&stage).await?.committed, 0, "nothing is committed at {phase}");
    }
    home.await_waiting(3).await?;
    let not_acknowledged = home.waiting();
    assert!(u64::try_from(not_acknowledged)? >= books.total(), "nothing was acknowledged at {phase}");
    victim.kill().await?;

    let mut successor = Child::processor(program, &config, Halt::Never)?;
    successor.owns(&[0, 1, 2, 3]).await?;
    home.stop_measuring();
    home.await_drained().await?;
    let verdict = books.settle(&stage).await?;
    assert_eq!(verdict.committed, books.total());
    assert_eq!(home.shutdown().await.rows_left, 0);
    Ok(())
}
