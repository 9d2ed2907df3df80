//! Promise: two processors share the partitions; one that is stopped past its session loses them to the other, and when it goes on it is
//! fenced: what it was about to commit does not count a second time.
//!
//! How the test knows that the stop hit the phase: the process says that it has written a transaction and not yet committed it, and
//! stops itself there by SIGSTOP; it goes on only after the other one owns everything and has committed the same records.

use promises::child::{Child, Halt};
use promises::{Books, Home, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn two_processors_share_and_take_over() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    let configs = [stage.processor_config("first")?, stage.processor_config("second")?];

    let mut first = Child::processor(program, &configs[0], Halt::Freeze("before_commit"))?;
    first.owns(&[0, 1, 2, 3]).await?;
    let mut second = Child::processor(program, &configs[1], Halt::Never)?;
    let theirs = second.owns_some("a part of the partitions", |owned| !owned.is_empty()).await?;
    // It gives up one after the other, and says so each time.
    let rest = |owned: &[i32]| !owned.is_empty() && owned.iter().all(|partition| !theirs.contains(partition));
    first.owns_some("the rest of the partitions", rest).await?;

    // Enough meters that each partition has some.
    let books = Books::default();
    let mut home = Home::start(&mut stage, "home", 16, &books, |_| {}).await?;
    first.halted().await?;
    second.owns(&[0, 1, 2, 3]).await?;
    // What the first one had in its transaction is committed now, by the second.
    books.settle(&stage).await?;

    first.thaw()?;
    let again = first.owns_some("nothing, for it was fenced", <[i32]>::is_empty).await?;
    assert!(again.is_empty());
    first.owns_some("a part of the partitions again", |owned| !owned.is_empty()).await?;
    home.stop_measuring();
    home.await_drained().await?;
    let verdict = books.settle(&stage).await?;
    assert!(verdict.committed >= 32, "{verdict:?}");
    assert!(first.terminate(promises::PATIENCE).await?.success());
    assert!(second.terminate(promises::PATIENCE).await?.success());
    assert_eq!(home.shutdown().await.rows_left, 0);
    Ok(())
}
