//! A keypad on a serial port: what is typed is done with the journal, and the display tells what came of it.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_agent::config::{Broker, Bus, Channel, Credit, Device, Keypad, Meter};
use edge_agent::{Accepted, Config, Options, Running, start};
use edge_core::code::{Code, Secret};
use edge_core::keypad::Key;
use fleet::load::Load;
use fleet::pzem_module::PzemLine;
use fleet::terminal::Terminal;
use measure::{EventKind, MeterId, Record, WattHours};
use pki::Role;
use testkit::{Credentials, await_until};

const DEADLINE: Duration = Duration::from_secs(60);

fn told(accepted: &Mutex<Vec<Accepted>>, kind: EventKind) -> Vec<(u8, i64)> {
    let accepted = accepted.lock().expect("nobody panicked");
    let event = |row: &Accepted| if let Record::Event(event) = row.record { Some(event) } else { None };
    accepted.iter().filter_map(event).filter(|event| event.kind == kind).map(|event| (event.channel, event.value)).collect()
}

/// Waits until one event of the kind is told: rows are told of after the display has changed.
async fn one(accepted: &Mutex<Vec<Accepted>>, kind: EventKind) -> (u8, i64) {
    let first = async || Ok(told(accepted, kind).first().copied());
    await_until(&format!("{} is told", kind.name()), DEADLINE, first).await.expect("in time")
}

async fn shown(running: &Running, meter: &MeterId, what: impl Fn(&str) -> bool) {
    let mut display = running.display(meter).expect("a display");
    let in_time = tokio::time::timeout(DEADLINE, display.wait_for(|text| what(text))).await;
    assert!(in_time.is_ok(), "it shows {:?}", *running.display(meter).expect("a display").borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_loaded_once_and_a_channel_switched() {
    let (mut credentials, folder) = (Credentials::new().expect("an authority"), tempfile::tempdir().expect("a folder"));
    let place = |name: &str| folder.path().join(name);
    let ca = credentials.server("broker").expect("a certificate").ca;
    let keys = Terminal::open().expect("a terminal");
    let load = Load::new(1_000.0, WattHours::default(), || true);
    let line = PzemLine::start([(1, load.source())]).expect("a terminal");
    for (name, target) in [("keypad", keys.path()), ("bus", line.path())] {
        std::os::unix::fs::symlink(target, place(name)).expect("a link");
    }
    std::fs::write(place("codes"), "0b".repeat(32)).expect("writes");

    let mut config = Config::new(Broker::at("127.0.0.1", 9, ca), place("journal"));
    config.shutdown.grace_ms = 200;
    config.bus.insert("main".to_owned(), Bus::at(place("bus")));
    let (id, identity): (MeterId, _) = ("M1".parse().expect("an id"), credentials.client("M1", Role::Meter).expect("a certificate"));
    let device = Device::Pzem004t { bus: "main".to_owned(), address: 1, poll_ms: 200, calibration_file: None };
    let mut meter = Meter::new(id.clone(), identity.certificate, identity.key, device);
    meter.code_secret_file = Some(place("codes"));
    meter.keypad = Some(Keypad { port: Some(place("keypad")), display_file: Some(place("display")), ..Keypad::default() });
    meter.channel = vec![Channel { identification: Some("17".to_owned()), credit: Some(Credit::Energy), ..Channel::new(0) }];
    config.meter.push(meter);
    let accepted: Arc<Mutex<Vec<Accepted>>> = Arc::default();
    let sink = accepted.clone();
    let options = Options::default().accepted(move |rows| sink.lock().expect("nobody panicked").extend(rows));
    let running = start(config, options).await.expect("starts");

    // One kWh for channel 0.
    let code = Code { meter: id.clone(), channel: 0, serial: 7, tenths: 10 }.digits(&Secret([11; 32])).expect("it fits");
    keys.write(b"99#").expect("the line lives");
    shown(&running, &id, |text| text == "unknown account").await;
    keys.write(b"x17#").expect("the line lives");
    shown(&running, &id, |text| text.starts_with("1 credit 2 load")).await;
    keys.write(format!("2{code}#").as_bytes()).expect("the line lives");
    shown(&running, &id, |text| text.starts_with("credit 1.000") || text.starts_with("credit 0.9")).await;
    let credit = one(&accepted, EventKind::CodeAccepted).await;
    assert!(matches!(credit, (0, 900_000..=1_000_000)), "{credit:?}");
    keys.write(format!("2{code}#").as_bytes()).expect("the line lives");
    shown(&running, &id, |text| text == "the code is used").await;
    assert_eq!(one(&accepted, EventKind::CodeRefused).await, (0, 3));
    assert_eq!(told(&accepted, EventKind::CodeAccepted), [credit], "it is good once");
    let written = async || Ok(std::fs::read_to_string(place("display")).is_ok_and(|text| text == "the code is used\n").then_some(()));
    await_until("the file has what the display shows", DEADLINE, written).await.expect("in time");

    keys.write(b"4").expect("the line lives");
    shown(&running, &id, |text| text == "switched off").await;
    assert_eq!(one(&accepted, EventKind::Disconnected).await, (0, 2), "by the consumer");
    assert!(running.press(&id, Key::Star).await, "a key may come from elsewhere as well");
    shown(&running, &id, |text| text == "account?").await;
    assert!(!running.press(&"M2".parse().expect("an id"), Key::Star).await, "there is no such meter");
    let metrics = running.metrics().encode();
    assert!(metrics.contains("ferraris_agent_keys_unknown_total 1"), "the x is counted: {metrics}");
    running.shutdown().await;
}
