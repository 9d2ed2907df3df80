//! Promise: the broker may die with everything it remembers, twice in a row, while meters send; nothing is lost, nothing doubled.

use promises::child::{Child, Halt};
use promises::{Books, Home, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn broker_restart_loses_nothing() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let books = Books::default();
    let mut home = Home::start(&mut stage, "home", 6, &books, |_| {}).await?;

    for _ in 0..2 {
        // It dies with frames in its router: they were acknowledged by MQTT and are in nobody's disk but the meters'.
        books.settle(&stage).await?;
        let before = books.total();
        stage.kill_broker();
        home.await_waiting(12).await?;
        assert!(books.total() > before, "meters go on measuring without a broker");
        stage.start_broker().await?;
    }
    home.stop_measuring();
    home.await_drained().await?;
    let verdict = books.settle(&stage).await?;
    assert!(verdict.committed >= 24, "{verdict:?}");
    assert_eq!(home.shutdown().await.rows_left, 0);
    Ok(())
}
