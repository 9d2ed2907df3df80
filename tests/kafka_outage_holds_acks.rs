//! Promise: while Kafka is away nothing is acknowledged and nothing is lost; when it is back everything drains without a restart.

use promises::child::{Child, Halt};
use promises::{Books, Home, Stage};
use testkit::Kafka;

#[tokio::test(flavor = "multi_thread")]
async fn kafka_outage_holds_acks() -> anyhow::Result<()> {
    // A Kafka of its own: the others' must not go away.
    let mut kafka = Kafka::start().await?;
    let mut stage = Stage::new().await?.on_kafka(kafka.bootstrap());
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let books = Books::default();
    let mut home = Home::start(&mut stage, "home", 4, &books, |config| config.delivery.resend_max_ms = 4_000).await?;
    books.settle(&stage).await?;

    kafka.stop();
    // Long enough for requests to time out and the group's session to end.
    home.await_waiting(60).await?;
    let waiting = home.waiting();
    home.await_waiting(waiting + 20).await?;
    kafka.resume().await?;

    home.stop_measuring();
    home.await_drained().await?;
    let verdict = books.settle(&stage).await?;
    assert!(verdict.committed >= 80, "{verdict:?}");
    assert!(processor.terminate(promises::PATIENCE).await?.success(), "the processor lived through it");
    assert_eq!(home.shutdown().await.rows_left, 0);
    Ok(())
}
