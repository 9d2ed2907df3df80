//! `ferraris read` on a simulated meter at a pseudo-terminal.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::process::{Command, Output};

use fleet::optical_meter::{Mode, OpticalMeter, Settings};
use meters::iec62056_21::identification::Baud;

fn meter() -> OpticalMeter {
    let shown = || [("0.0.0", "12345"), ("1.8.0", "001234.567*kWh")].map(|(a, v)| (a.to_owned(), v.to_owned())).into();
    let mode = Mode::C(Baud::B9600);
    let settings = Settings { manufacturer: "ABC".into(), name: "TEST".into(), address: "1".into(), mode, password: Some("secret".into()) };
    OpticalMeter::start(settings, Box::new(shown), true).expect("a terminal")
}

fn read(meter: &OpticalMeter, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferraris"));
    command.args(["read", "--driver", "iec62056-21", "--port"]).arg(meter.path()).args(more).env_remove("RUST_LOG");
    command.output().expect("runs")
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
