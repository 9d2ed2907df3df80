//! Promise: what a P1 port and a German meter say unasked is in Kafka, to the last digit, in order, though each third message is damaged.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: small numbers; what is not there fails the test"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_agent::Options;
use edge_agent::config::{Bus, Device};
use fleet::push_meter::{PushMeter, telegram, transmission};
use measure::{Flags, MeterId};
use promises::child::{Child, Halt};
use promises::{Books, PATIENCE, Stage, books, home};
use testkit::await_until;

/// What was said, in tenths of a Wh, and the bytes of it; each third has a bit flipped.
fn source(shown: &Arc<Mutex<Vec<u64>>>, bytes: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Box<dyn FnMut() -> Vec<u8> + Send> {
    let shown = shown.clone();
    Box::new(move || {
        let mut shown = shown.lock().unwrap();
        let tenths = 615_612_890 + shown.len() as u64 * 70;
        shown.push(tenths);
        let mut said = bytes(tenths);
        if shown.len().is_multiple_of(3) {
            let middle = said.len() / 2;
            said[middle] ^= 0x01;
        }
        said
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn pushing_meters_reach_kafka() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    let shown = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
    let kilo = |tenths: u64| format!("{:06}.{:03}*kWh", tenths / 10_000, tenths / 10 % 1_000);
    let said =
        move |tenths| telegram("ABC5P1", &[("1-0:1.8.0", kilo(tenths)), ("1-0:2.8.0", kilo(104_900)), ("1-0:31.7.0", "002*A".into())]);
    let p1 = PushMeter::start(115_200, Duration::from_millis(400), source(&shown[0], said))?;
    let said = |tenths| transmission(b"\x0a\x01ABC\0\0\0\0\x07", &[(1, tenths), (2, 104_900)]);
    let sml = PushMeter::start(9_600, Duration::from_millis(400), source(&shown[1], said))?;

    let meters: [MeterId; 2] = ["p1".parse()?, "sml".parse()?];
    let books = Books::default();
    let mut config =
        home::on_line(&mut stage, &meters[0], ("p1", p1.path()), toml::from_str::<Device>("device = 'dsmr-p1'\nbus = 'p1'\npoll_s = 1")?)?;
    let other =
        home::on_line(&mut stage, &meters[1], ("sml", sml.path()), toml::from_str::<Device>("device = 'sml'\nbus = 'sml'\npoll_s = 1")?)?;
    config.meter.extend(other.meter);
    config.bus.insert("sml".to_owned(), Bus::at(sml.path()));
    let agent = edge_agent::start(config, Options::default().accepted(books.observer())).await?;

    await_until("three readings of each are in Kafka", PATIENCE, async || {
        let read = books::by_meter(books::readings(&stage).await?);
        Ok(meters.iter().all(|meter| read.get(meter).is_some_and(|readings| readings.len() >= 3)).then_some(()))
    })
    .await?;
    assert_eq!(agent.shutdown().await.rows_left, 0, "after an orderly end nothing waits in the journal");
    books.settle(&stage).await?;

    let mut read = books::by_meter(books::readings(&stage).await?);
    for (meter, shown) in meters.iter().zip(&shown) {
        let shown = shown.lock().unwrap().clone();
        let mut answers = shown.iter();
        for reading in read.remove(meter).unwrap() {
            let import = reading.import_wh.as_f64();
            assert!(answers.any(|tenths| *tenths as f64 / 10.0 == import), "{meter} never showed {import} Wh, or earlier");
            assert_eq!(reading.export_wh.as_f64(), 10_490.0);
            assert!(reading.flags.contains(Flags::REGISTERS_ONLY), "{:?}", reading.flags);
        }
    }
    Ok(())
}
