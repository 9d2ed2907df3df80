//! `ferraris read` on a simulated meter at a pseudo-terminal.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use fleet::optical_meter::{Mode, OpticalMeter, Settings};
use fleet::push_meter::{PushMeter, telegram, transmission};
use fleet::pzem_module::{Fault, PzemLine, captured};
use meters::iec62056_21::identification::Baud;
use serde_json::json;

fn meter() -> OpticalMeter {
    let shown = || [("0.0.0", "12345"), ("1.8.0", "001234.567*kWh")].map(|(a, v)| (a.to_owned(), v.to_owned())).into();
    let mode = Mode::C(Baud::B9600);
    let settings = Settings { manufacturer: "ABC".into(), name: "TEST".into(), address: "1".into(), mode, password: Some("secret".into()) };
    OpticalMeter::start(settings, Box::new(shown), true).expect("a terminal")
}

fn read(meter: &OpticalMeter, more: &[&str]) -> Output {
    read_with("iec62056-21", meter.path(), more)
}

fn read_with(driver: &str, port: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferraris"));
    command.args(["read", "--driver", driver, "--port"]).arg(port).args(more).env_remove("RUST_LOG");
    command.output().expect("runs")
}

fn registers(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn complaint(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), text.lines().count(), output.stdout.is_empty()), (Some(code), 1, true), "{text}");
    text
}

#[test]
fn a_pzem_alone_on_its_port_or_by_its_address() {
    let line = PzemLine::start([(7, Box::new(|| captured().first().copied()) as fleet::pzem_module::Source)]).expect("a terminal");
    for more in [&["--json"][..], &["--json", "--address", "7"]] {
        let shown = registers(&read_with("pzem-004t", line.path(), more));
        assert_eq!(
            shown["registers"][0],
            json!({ "address": "voltage", "obis": null, "repeated": false, "values": [{ "value": "242.7", "unit": "V" }] })
        );
    }
    let table = read_with("pzem-004t", line.path(), &[]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(text.starts_with("pzem-004t at address 248\n") && text.contains("3247.2") && text.contains("Wh"), "{text}");

    assert!(complaint(&read_with("pzem-004t", line.path(), &["--address", "8"]), 1).contains("device is silent"));
    line.set_fault(7, Fault::Corrupt);
    assert!(complaint(&read_with("pzem-004t", line.path(), &[]), 1).contains("checksum"));
    assert!(complaint(&read_with("pzem-004t", line.path(), &["--address", "x"]), 2).contains("use 1 to 247"));
    assert!(complaint(&read_with("pzem-004t", line.path(), &["--register", "1.8.0"]), 2).contains("iec62056-21"));
}

#[test]
fn meters_that_talk_unasked_are_listened_to() {
    let sets = || telegram("ISK5\\2M550E", &[("1-0:1.8.1", "000576.239*kWh".into()), ("1-0:1.8.2", "000465.162*kWh".into())]);
    let p1 = PushMeter::start(115_200, Duration::from_millis(300), Box::new(sets)).expect("a terminal");
    let shown = registers(&read_with("dsmr-p1", p1.path(), &["--json"]));
    assert_eq!((&shown["meter"], &shown["registers"][1]["values"][0]["value"]), (&json!("ISK5\\2M550E"), &json!("000465.162")));

    let said = || transmission(b"\x0a\x01ABC\0\0\0\0\x07", &[(1, 319_906), (2, 10)]);
    let sml = PushMeter::start(9_600, Duration::from_millis(300), Box::new(said)).expect("a terminal");
    let shown = registers(&read_with("sml", sml.path(), &["--json"]));
    assert_eq!(shown["meter"], "0a014142430000000007");
    assert_eq!(
        shown["registers"][0],
        json!({ "address": "1-0:1.8.0", "obis": "1-0:1.8.0", "repeated": false, "values": [{ "value": "31990.6", "unit": "Wh" }] })
    );

    let wrong = read_with("sml", p1.path(), &["--deadline-s", "2"]);
    assert!(complaint(&wrong, 1).contains("no message began"));
    assert!(complaint(&read_with("sml", sml.path(), &["--address", "1"]), 2).contains("--address"));
}

#[test]
fn a_chip_without_a_bus_is_told_in_one_line() {
    const FRONT: [&str; 4] = ["--divider", "750", "--volts-per-ampere", "0.02"];
    let chip = |port: &str, more: &[&str]| read_with("ade7816", Path::new(port), &[&FRONT[..], more].concat());
    assert!(complaint(&chip("/dev/i2c-99", &[]), 2).contains("there is no /dev/i2c-99: "));
    assert!(complaint(&chip("/dev/spidev9.9", &["--json"]), 2).contains("there is no /dev/spidev9.9: "));
    assert!(complaint(&chip("/dev/ttyUSB0", &[]), 2).contains("name /dev/i2c-… or /dev/spidev…"));
    assert!(complaint(&chip("/dev/i2c-99", &["--wh-per-count", "0"]), 2).contains("--wh-per-count 0 makes no sense"));
    assert!(complaint(&chip("/dev/i2c-99", &["--address", "3"]), 2).contains("0x38"));
    let nothing_between = read_with("ade7816", Path::new("/dev/i2c-99"), &FRONT[..2]);
    assert!(complaint(&nothing_between, 2).contains("needs --divider and --volts-per-ampere"));
    let no_divider = ["--divider", "0", "--volts-per-ampere", "0.02"];
    assert!(complaint(&read_with("ade7816", Path::new("/dev/i2c-99"), &no_divider), 2).contains("--divider 0 makes no sense"));
    assert!(complaint(&read_with("pzem-004t", Path::new("/dev/null"), &FRONT), 2).contains("are for --driver ade7816"));
}

#[test]
fn a_table_for_people_and_json_for_programs() {
    let meter = meter();
    let table = read(&meter, &[]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert_eq!(table.status.code(), Some(0), "{}", String::from_utf8_lossy(&table.stderr));
    let words: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(words.first(), Some(&vec!["ABC5TEST"]), "{text}");
    assert_eq!(words.last(), Some(&vec!["1.8.0", "001234.567", "kWh"]), "{text}");

    let json = read(&meter, &["--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(value["registers"][1]["values"][0]["value"], "001234.567");
}

#[test]
fn a_refusal_and_a_silent_meter_are_told_in_one_line() {
    let meter = meter();
    let refused = read(&meter, &["--register", "1.8.0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("meter refused the register"));
    meter.set_silent(true);
    let silent = read(&meter, &[]);
    let text = String::from_utf8_lossy(&silent.stderr).into_owned();
    assert_eq!((silent.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("meter is silent"), "{text}");
}
