//! The program: its words about bad input, and its end at SIGTERM.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use common::{DEADLINE, S, World, frame};
use stream_processor::Config;
use testkit::await_until;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stream-processor"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Fails with one line on standard error that holds `words`.
fn assert_one_line(output: &Output, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains(words) && text.lines().count() == 1, "{text}");
    assert!(text.matches("os error").count() <= 1, "the cause is told twice: {text}");
}

#[test]
fn the_printed_configuration_is_one() {
    let output = program().arg("--print-config").output().unwrap();
    Config::parse(&String::from_utf8(output.stdout).unwrap(), "printed", []).unwrap();
}

#[test]
fn bad_input_is_one_clear_line() {
    let missing = program().args(["--config", "/nowhere/processor.toml"]).output().unwrap();
    assert_one_line(&missing, "/nowhere/processor.toml");
    let partitions = program().env("FERRARIS_PROCESSOR__TOPICS__PARTITIONS", "3").output().unwrap();
    assert_one_line(&partitions, "topics.partitions must divide 64");
    let certificate = program()
        .env("FERRARIS_PROCESSOR__MQTT__CA_FILE", "/nowhere/ca.pem")
        .env("FERRARIS_PROCESSOR__HTTP__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert_one_line(&certificate, "mqtt.ca_file /nowhere/ca.pem");
    let calendar = program()
        .env("FERRARIS_PROCESSOR__INTERVALS__CALENDAR_FILE", "/nowhere/calendar.toml")
        .env("FERRARIS_PROCESSOR__HTTP__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert_one_line(&calendar, "/nowhere/calendar.toml");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_one_line(&program().env("FERRARIS_PROCESSOR__HTTP__LISTEN", &address).output().unwrap(), &format!("http.listen {address}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains() {
    let mut world = World::new().await;
    let config = world.config("processor-1");
    let server = config.mqtt.servers.first().unwrap().to_string();
    let set = |key: &str, value: &str| (format!("FERRARIS_PROCESSOR__{key}"), value.to_owned());
    let path = |path: &std::path::Path| path.display().to_string();
    let mut child = program()
        .envs([
            set("MQTT__SERVERS", &format!("[{server:?}]")),
            set("MQTT__CLIENT_ID", "processor-1"),
            set("MQTT__CA_FILE", &path(&config.mqtt.ca_file)),
            set("MQTT__CERTIFICATE_FILE", &path(&config.mqtt.certificate_file)),
            set("MQTT__KEY_FILE", &path(&config.mqtt.key_file)),
            set("KAFKA__BOOTSTRAP_SERVERS", &world.bootstrap),
            set("KAFKA__TOPIC_PREFIX", &world.prefix),
            set("HTTP__LISTEN", "127.0.0.1:0"),
            set("LOG__FORMAT", "json"),
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let words = std::thread::spawn(move || {
        let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        lines.iter().map(|line| line.pointer("/fields/message").unwrap().as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    let mut meter = world.meter("M1").await;
    meter.deliver(frame(S, 1, 3), S, 3).await;
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let status = await_until("the program ends", DEADLINE, async || Ok(child.try_wait()?)).await.unwrap();
    let words = words.join().unwrap();
    assert!(status.success(), "{words:?}");
    for expected in ["stream processor started", "partition ready", "draining", "partition given up"] {
        assert!(words.iter().any(|word| word == expected), "{expected}: {words:?}");
    }
}
