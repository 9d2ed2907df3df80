//! Promise: a meter's calibration corrects its readings, and which one was in force is in Kafka, once, before them.

use contracts::EventRecord;
use edge_agent::config::Device;
use edge_agent::{Options, calibration};
use fleet::pzem_module::{PzemLine, Source, captured};
use measure::{EventKind, MeterId};
use promises::child::{Child, Halt};
use promises::{Books, PATIENCE, Stage, books, home};
use testkit::await_until;

#[tokio::test(flavor = "multi_thread")]
async fn calibration_reaches_kafka() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    let mut replies = captured().into_iter().cycle();
    let line = PzemLine::start([(1, Box::new(move || replies.next()) as Source)])?;
    let file = calibration::File {
        version: 2,
        date: "2026-12-01".to_owned(),
        instrument: "reference 7".to_owned(),
        voltage_gain: 0.95,
        current_gain: 1.0,
    };
    let path = stage.dir().join("calibration.toml");
    file.save(&path)?;
    let meter: MeterId = "calibrated".parse()?;
    let books = Books::default();
    let device = Device::Pzem004t { bus: "main".to_owned(), address: 1, poll_ms: 500, calibration_file: Some(path) };
    let config = home::on_line(&mut stage, &meter, ("main", line.path()), device)?;
    let agent = edge_agent::start(config, Options::default().accepted(books.observer())).await?;

    await_until("readings are in Kafka", PATIENCE, async || Ok((books::readings(&stage).await?.len() >= 3).then_some(()))).await?;
    agent.shutdown().await;
    books.settle(&stage).await?;

    let told: Vec<_> =
        books::events(&stage).await?.into_iter().filter_map(|it| if let EventRecord::Event(it) = it { Some(it) } else { None }).collect();
    let values = |kind| told.iter().filter(|event| event.kind == kind).map(|event| (event.value, event.seq)).collect::<Vec<_>>();
    let readings = books::readings(&stage).await?;
    let first = readings.iter().map(|reading| reading.seq).min().unwrap();
    for (kind, value) in [(EventKind::Calibrated, 220_261_201), (EventKind::VoltageGain, 950_000), (EventKind::CurrentGain, 1_000_000)] {
        let told = values(kind);
        assert!(matches!(told[..], [(it, seq)] if it == value && seq < first), "{kind:?}: {told:?}, readings from {first} on");
    }
    for reading in &readings {
        let (estimate, raw) = (reading.voltage_v.as_f64(), reading.raw_voltage_v.as_f64());
        assert!((estimate - raw * 0.95).abs() < 5.0, "{estimate} V of {raw} V");
    }
    Ok(())
}
