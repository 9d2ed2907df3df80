//! Promise: SIGTERM is not a fault. A processor commits and acknowledges what it has before it goes; an agent empties its journal; a broker
//! lets its sessions go. Each ends by itself, with success.

use promises::child::{Child, Halt};
use promises::{Books, Home, PATIENCE, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_drains() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let books = Books::default();
    let home = Home::start(&mut stage, "home", 8, &books, |_| {}).await?;
    books.settle(&stage).await?;

    // The successor takes over at once: the group was left, not lost.
    let asked = std::time::Instant::now();
    assert!(processor.terminate(PATIENCE).await?.success());
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    println!("a successor owned everything {:?} after SIGTERM", asked.elapsed());

    // The agent goes first, while there is somebody to acknowledge.
    assert_eq!(home.shutdown().await.rows_left, 0, "the journal is empty");
    let verdict = books.settle(&stage).await?;
    assert_eq!(verdict.committed, books.total());
    tokio::time::timeout(PATIENCE, stage.shut_broker()).await?;
    assert!(processor.terminate(PATIENCE).await?.success(), "a processor without a broker ends as well");
    Ok(())
}
