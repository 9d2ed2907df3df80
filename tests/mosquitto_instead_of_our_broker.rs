//! Promise: agents and processor work unchanged with Mosquitto, as deploy/mosquitto configures it, and a Mosquitto that dies and forgets loses
//! nothing either.

use pki::Role;
use promises::child::{Child, Halt};
use promises::meter::{Heard, RawMeter};
use promises::{Books, Home, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_instead_of_our_broker() -> anyhow::Result<()> {
    let (mut stage, mut mosquitto) = Stage::with_mosquitto().await?;
    let config = stage.processor_config("processor-1")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let books = Books::default();
    let mut home = Home::start(&mut stage, "home", 4, &books, |_| {}).await?;
    books.settle(&stage).await?;

    mosquitto.stop();
    home.await_waiting(12).await?;
    mosquitto.resume().await?;
    home.stop_measuring();
    home.await_drained().await?;
    let verdict = books.settle(&stage).await?;
    assert!(verdict.committed >= 16, "{verdict:?}");

    // An operator sees the last values, which Mosquitto retained; a meter does not see another's.
    let papers = stage.client("operator-1", Role::Operator)?;
    let mut operator = RawMeter::open(&stage, &papers, "operator-1")?;
    operator.let_in().await?;
    operator.subscribe("live/#").await?;
    loop {
        if let Heard::Message(topic, _) = operator.hear().await? {
            assert!(topic.starts_with("live/home-"), "{topic}");
            break;
        }
    }
    assert_eq!(home.shutdown().await.rows_left, 0);
    assert!(processor.terminate(promises::PATIENCE).await?.success());
    Ok(())
}
