//! Promise: what a real PZEM-004T answers on its serial line is in Kafka, to the last digit, once and in order, and operators see it.

use std::sync::{Arc, Mutex};

use contracts::topics::{LATEST, LEDGER};
use contracts::{LedgerRecord, LiveValue};
use edge_agent::Options;
use edge_agent::config::Device;
use fleet::pzem_module::{PzemLine, Source, captured};
use measure::MeterId;
use pki::Role;
use promises::child::{Child, Halt};
use promises::meter::{Heard, RawMeter};
use promises::{Books, PATIENCE, Stage, books, home};
use testkit::await_until;

const ADDRESS: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn reading_reaches_kafka() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let identity = stage.client("operator", Role::Operator)?;
    let mut operator = RawMeter::open(&stage, &identity, "operator")?;
    operator.let_in().await?;
    operator.subscribe("live/#").await?;

    // The module remembers which of its captured replies it gave.
    let given = Arc::new(Mutex::new(Vec::new()));
    let source: Source = Box::new({
        let (given, mut replies) = (given.clone(), captured().into_iter().cycle());
        move || {
            let reply = replies.next();
            given.lock().unwrap().extend(reply);
            reply
        }
    });
    let line = PzemLine::start([(ADDRESS, source)])?;
    let meter: MeterId = "pzem".parse()?;
    let books = Books::default();
    let device = Device::Pzem004t { bus: "main".to_owned(), address: ADDRESS, poll_ms: 500, calibration_file: None };
    let config = home::on_line(&mut stage, &meter, ("main", line.path()), device)?;
    let agent = edge_agent::start(config, Options::default().accepted(books.observer())).await?;

    let live: LiveValue = loop {
        if let Heard::Message(topic, payload) = operator.hear().await? {
            assert_eq!(topic, "live/pzem");
            break serde_json::from_slice(&payload)?;
        }
    };
    await_until("ten readings are in Kafka", PATIENCE, async || Ok((books::readings(&stage).await?.len() >= 10).then_some(()))).await?;
    let drained = agent.shutdown().await;
    assert_eq!(drained.rows_left, 0, "after an orderly end nothing waits in the journal");
    let verdict = books.settle(&stage).await?;
    assert!(verdict.produced >= 10);

    let readings = books::by_meter(books::readings(&stage).await?).remove(&meter).unwrap();
    // Kafka has a part of what the module answered, in the same order: report on change leaves replies out, nothing adds any.
    let given = given.lock().unwrap().clone();
    let mut answers = given.iter();
    for reading in &readings {
        let raw = [
            reading.raw_voltage_v.as_f64() * 10.0,
            reading.raw_current_a.as_f64() * 1000.0,
            reading.raw_active_power_w.as_f64() * 10.0,
            reading.import_wh.as_f64(),
        ];
        assert!(answers.any(|registers| quantities(registers) == raw.map(f64::round)), "nobody measured {reading:?}");
    }
    assert!(readings.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].time_ms < pair[1].time_ms), "in order");
    assert!(
        readings.iter().any(|reading| reading.seq == live.seq && reading.voltage_v == live.voltage_v),
        "live shows a reading of Kafka's"
    );

    let ledger = stage.topic(&LEDGER).await?;
    let through = ledger.iter().filter_map(|row| match serde_json::from_slice(row.value.as_deref()?).ok()? {
        LedgerRecord::Through(row) if row.meter == meter => Some(row.through),
        _ => None,
    });
    assert_eq!(through.max(), Some(verdict.committed), "the ledger counts every record");
    await_until("the latest reading is published", PATIENCE, async || Ok((!stage.topic(&LATEST).await?.is_empty()).then_some(()))).await
}

/// Voltage, current, power and energy as the module's manual has them: counts of 0.1 V, 1 mA, 0.1 W and 1 Wh, low word first.
fn quantities(registers: &fleet::pzem_module::Registers) -> [f64; 4] {
    let [voltage, current, current_high, power, power_high, energy, energy_high, ..] = registers.map(f64::from);
    let double = |low: f64, high: f64| low + 65_536.0 * high;
    [voltage, double(current, current_high), double(power, power_high), double(energy, energy_high)]
}
