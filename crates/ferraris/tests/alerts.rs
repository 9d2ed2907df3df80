//! From a topology's file to an alert that somebody clears: all of it with the command, a real processor and a real Kafka.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "test code: small numbers, hexadecimal digits"
)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use contracts::topics::FEEDER_INTERVALS;
use fleet::feeder::{self, FeederConfig, Theft, TheftKind};
use measure::{FeederId, UnixMillis};
use serde_json::Value;
use stream_processor::{Config, Nobody};
use testkit::kafka::write_topic;
use testkit::{KafkaHandle, await_until};

const THIEF: usize = 13;
const PATIENCE: Duration = Duration::from_secs(90);

/// The command, with where Kafka is.
struct Ferraris {
    bootstrap: String,
    prefix: String,
}

impl Ferraris {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferraris"));
        command.args(arguments).args(["--kafka", &self.bootstrap, "--topic-prefix", &self.prefix]);
        command.env_remove("RUST_LOG").env("USER", "ann").stdin(Stdio::null()).output().unwrap()
    }

    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }

    fn alerts(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.good(&[&["alerts", "list", "--json"], arguments].concat());
        text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_is_found_and_the_alert_dealt_with() {
    let kafka = KafkaHandle::shared().await.unwrap();
    let ferraris = Ferraris { bootstrap: kafka.bootstrap().to_owned(), prefix: kafka.fresh_prefix() };
    ferraris.good(&["topics", "create"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("feeders.toml");
    write_topology(&file);
    let file = file.to_str().unwrap();
    assert!(ferraris.good(&["topology", "publish", file]).contains("1 written, 0 removed, 0 as they were"));
    assert!(ferraris.good(&["topology", "publish", file]).contains("0 written, 0 removed, 1 as they were"));
    assert_eq!(ferraris.good(&["alerts", "list"]), "no open alerts\n");
    assert!(ferraris.refused(&["alerts", "clear", "7f3a"]).contains("no alert's id begins with 7f3a"));

    let mut config = Config::parse("[mqtt]\nservers = ['mqtt://127.0.0.1:1']\n[http]\nlisten = '127.0.0.1:0'", "test", []).unwrap();
    (config.kafka.bootstrap_servers, config.kafka.topic_prefix) = (ferraris.bootstrap.clone(), ferraris.prefix.clone());
    let processor = stream_processor::start(config, Arc::new(Nobody)).await.unwrap();
    write_topic(&ferraris.bootstrap, &FEEDER_INTERVALS.name_with(&ferraris.prefix), log()).await.unwrap();
    let alerts = await_until("both tests have found the thief", PATIENCE, async || {
        let alerts = ferraris.alerts(&["--feeder", "F1"]);
        Ok((alerts.len() >= 2).then_some(alerts))
    });
    let alerts = alerts.await.unwrap();
    let named = alerts.iter().find(|it| it["rule"] == "voltage_drop").unwrap();
    assert_eq!(named["meter"], feeder::house_meter(&id(), THIEF).unwrap().as_str());
    let (named, balance) = (&named["alert"], &alerts.iter().find(|it| it["rule"] == "feeder_balance").unwrap()["alert"]);
    let (named, balance) = (named.as_str().unwrap(), balance.as_str().unwrap());

    let said = ferraris.good(&["alerts", "acknowledge", &named[..12], "--note", "crew sent"]);
    assert!(said.contains("acknowledged by ann (crew sent)"), "{said}");
    assert!(ferraris.refused(&["alerts", "acknowledge", named]).contains("acknowledged already by ann"));
    let said = ferraris.good(&["alerts", "shelve", balance, "--for", "8h", "--who", "bob"]);
    assert!(said.contains("shelved until 20") && said.contains("by bob"), "{said}");
    let listed = ferraris.good(&["alerts", "list"]);
    assert!(listed.contains("acknowledged by ann") && listed.contains("feeder F1") && listed.contains(&named[..8]), "{listed}");
    ferraris.good(&["alerts", "clear", named, "--note", "hook removed"]);
    assert_eq!(ferraris.alerts(&[]).len(), 1);
    assert_eq!(ferraris.alerts(&["--all"]).len(), 2);
    assert!(ferraris.refused(&["alerts", "acknowledge", named]).contains("cleared already by ann"));
    processor.shutdown().await.unwrap();
}

fn id() -> FeederId {
    "F1".parse().unwrap()
}

fn write_topology(file: &Path) {
    let record = feeder::topology(&id()).unwrap();
    let mut text =
        format!("[[feeder]]\nid = '{}'\nline_meter = '{}'\nline_class = 0.5\npoles = {:?}\n", record.id, record.line_meter, record.poles);
    for house in record.houses {
        text += &format!("[[feeder.house]]\nmeter = '{}'\npole = '{}'\n", house.meter, house.pole);
    }
    std::fs::write(file, text).unwrap();
}

/// Twenty days of the feeder, with a thief from the sixteenth on.
fn log() -> Vec<(String, Vec<u8>)> {
    let theft = Some(Theft { kind: TheftKind::Scaled(0.3), house: THIEF, from_day: 15 });
    let quarters = feeder::simulate(21, &FeederConfig { days: 20, stress: false, theft });
    let records = quarters.iter().zip(0..).flat_map(|(it, number)| feeder::records(&id(), UnixMillis(number * 900_000), it).unwrap());
    records.map(|it| (it.feeder.to_string(), serde_json::to_vec(&it).unwrap())).collect()
}
