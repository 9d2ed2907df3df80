//! `ferraris doctor` on simulated meters at pseudo-terminals, and on a real Kafka.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use fleet::optical_meter::{Mode, OpticalMeter, Settings};
use fleet::push_meter::{PushMeter, telegram, transmission};
use fleet::pzem_module::{PzemLine, Source, captured};
use fleet::terminal::Terminal;
use meters::iec62056_21::identification::Baud;
use serde_json::{Value, json};
use testkit::KafkaHandle;

fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferraris")).arg("doctor").args(arguments).env_remove("RUST_LOG").output().expect("runs")
}

fn on(port: &Path) -> (Option<i32>, Value) {
    let output = doctor(&["--json", "--port", &port.display().to_string()]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

#[test]
fn each_kind_of_meter_is_found() {
    let module = |address| (address, Box::new(|| captured().first().copied()) as Source);
    let pzem = PzemLine::start([module(1)]).expect("a terminal");
    let (code, report) = on(pzem.path());
    assert_eq!((code, &report["driver"]), (Some(0), &json!("pzem-004t")), "{report}");
    assert!(report["found"][0].as_str().is_some_and(|text| text.starts_with("address 248: 242.7 V")), "{report}");
    let shown = pzem.path().display().to_string();
    assert_eq!(report["read_with"], format!("ferraris read --driver pzem-004t --port {shown}"));

    // Two of them are found by their addresses.
    let two = PzemLine::start([module(3), module(5)]).expect("a terminal");
    let (code, report) = on(two.path());
    assert_eq!((code, report["found"].as_array().map(Vec::len)), (Some(0), Some(2)), "{report}");

    let said = || transmission(b"\x0a\x01ABC\0\0\0\0\x07", &[(1, 319_906)]);
    let sml = PushMeter::start(9_600, Duration::from_secs(1), Box::new(said)).expect("a terminal");
    let (code, report) = on(sml.path());
    assert_eq!((code, &report["driver"]), (Some(0), &json!("sml")), "{report}");
    assert_eq!(report["tried"].as_array().map(Vec::len), Some(1), "Modbus came first: {report}");
}

#[test]
fn the_bus_of_a_chip_is_known_by_its_name() {
    let output = doctor(&["--port", "/dev/i2c-99"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), complaint.lines().count()), (Some(2), 1), "{complaint}");
    assert!(complaint.contains("there is no /dev/i2c-99: "), "{complaint}");
}

#[test]
fn a_telegram_at_another_speed_than_smls_is_found() {
    let said = || telegram("ABC5P1", &[("1-0:1.8.0", "1*kWh".into())]);
    let p1 = PushMeter::start(115_200, Duration::from_secs(1), Box::new(said)).expect("a terminal");
    let (code, report) = on(p1.path());
    assert_eq!((code, &report["driver"], &report["found"][0]), (Some(0), &json!("dsmr-p1"), &json!("ABC5P1")), "{report}");
}

#[test]
fn an_optical_meter_signs_on_last() {
    let mode = Mode::C(Baud::B9600);
    let settings = Settings { manufacturer: "ABC".into(), name: "TEST".into(), address: "1".into(), mode, password: None };
    let meter = OpticalMeter::start(settings, Box::new(Vec::new), true).expect("a terminal");
    let (code, report) = on(meter.path());
    assert_eq!(
        (code, &report["driver"], &report["found"][0]),
        (Some(0), &json!("iec62056-21"), &json!("ABC5TEST, mode C up to 9600 baud")),
        "{report}"
    );
    assert_eq!(report["tried"].as_array().map(Vec::len), Some(3), "{report}");
    assert_eq!(meter.readouts(), 0, "it is asked who it is, and no more");
}

#[test]
fn an_empty_port_and_one_that_is_not_there() {
    let nobody = Terminal::open().expect("a terminal");
    let output = doctor(&["--port", &nobody.path().display().to_string()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("Nothing answers and nothing is said") && text.contains("has the port open, too"), "{text}");

    for (arguments, expected) in [
        (&["--port", "/dev/ttyNOWHERE"][..], "there is no /dev/ttyNOWHERE: "),
        (&["--port", "/dev/null"], "is it a serial port"),
        (&[], "--kafka"),
    ] {
        let output = doctor(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_kafka_alone_acknowledges_before_it_has_written() {
    let kafka = KafkaHandle::shared().await.expect("a Kafka");
    let prefix = kafka.fresh_prefix();
    let create = ["topics", "create", "--kafka", kafka.bootstrap(), "--topic-prefix", &prefix];
    let missing = doctor(&["--json", "--kafka", kafka.bootstrap(), "--topic-prefix", &prefix]);
    let report: Value = serde_json::from_slice(&missing.stdout).expect("JSON");
    assert!(missing.status.code() == Some(1) && report["missing"].as_array().is_some_and(|names| !names.is_empty()), "{report}");

    let created = Command::new(env!("CARGO_BIN_EXE_ferraris")).args(create).output().expect("runs");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let output = doctor(&["--json", "--kafka", kafka.bootstrap(), "--topic-prefix", &prefix]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["brokers"], &report["missing"]), (Some(1), &json!(1), &json!([])), "{report}");
    assert_eq!((&report["topics"][0]["replicas"], &report["topics"][0]["min_insync_replicas"]), (&json!(1), &json!(1)), "{report}");
    assert!(report["verdict"].as_str().is_some_and(|text| text.contains("fsync")), "{report}");
}
