//! Promise: what a meter shows at its optical port is in Kafka, to the last digit, once and in order, and says that it is registers only.

use std::sync::{Arc, Mutex};

use edge_agent::Options;
use edge_agent::config::Device;
use fleet::optical_meter::{Mode, OpticalMeter, Settings};
use measure::{Flags, MeterId};
use meters::iec62056_21::identification::Baud;
use promises::child::{Child, Halt};
use promises::{Books, PATIENCE, Stage, books, home};
use testkit::await_until;

#[tokio::test(flavor = "multi_thread")]
async fn optical_meter_reaches_kafka() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    // The meter remembers what it showed: more each time.
    let shown = Arc::new(Mutex::new(Vec::new()));
    let source = Box::new({
        let shown = shown.clone();
        move || {
            let mut shown = shown.lock().unwrap();
            let watt_hours: u64 = 61_561_289 + shown.len() as u64 * 7;
            shown.push(watt_hours);
            let kilo = |watt_hours: u64| format!("{:06}.{:03}*kWh", watt_hours / 1_000, watt_hours % 1_000);
            vec![
                ("0.0".to_owned(), "          100000".to_owned()),
                ("1.8.0".to_owned(), kilo(watt_hours)),
                ("2.8.0".to_owned(), kilo(10_490)),
                ("32.7".to_owned(), "241*V".to_owned()),
            ]
        }
    });
    let settings = Settings {
        manufacturer: "ABC".into(),
        name: "OPTICAL".into(),
        address: "100000".into(),
        mode: Mode::C(Baud::B9600),
        password: None,
    };
    let line = OpticalMeter::start(settings, source, true)?;
    let meter: MeterId = "optical".parse()?;
    let books = Books::default();
    let device: Device = toml::from_str("device = 'iec62056-21'\nbus = 'head'\npoll_s = 1")?;
    let config = home::on_line(&mut stage, &meter, ("head", line.path()), device)?;
    let agent = edge_agent::start(config, Options::default().accepted(books.observer())).await?;

    await_until("three readings are in Kafka", PATIENCE, async || Ok((books::readings(&stage).await?.len() >= 3).then_some(()))).await?;
    let drained = agent.shutdown().await;
    assert_eq!(drained.rows_left, 0, "after an orderly end nothing waits in the journal");
    books.settle(&stage).await?;

    let readings = books::by_meter(books::readings(&stage).await?).remove(&meter).unwrap();
    let shown = shown.lock().unwrap().clone();
    let mut answers = shown.iter();
    for reading in &readings {
        let import = reading.import_wh.as_f64();
        assert!(answers.any(|watt_hours| *watt_hours as f64 == import), "the meter never showed {import} Wh, or earlier");
        assert_eq!((reading.export_wh.as_f64(), reading.import_integrated_wh), (10_490.0, reading.import_wh));
        assert!(reading.flags.contains(Flags::REGISTERS_ONLY), "{:?}", reading.flags);
    }
    Ok(())
}
