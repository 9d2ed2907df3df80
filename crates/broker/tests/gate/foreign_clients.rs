//! Clients of other houses: Mosquitto's tools, where they are installed, and Eclipse Paho for Python.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use pki::{IssueOptions, Role};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{PATIENCE, configuration, shard, up};

#[tokio::test(flavor = "multi_thread")]
async fn mosquittos_tools_publish_and_subscribe() {
    if Command::new("mosquitto_pub").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_err() {
        eprintln!("not run: no mosquitto_pub here (apt-get install mosquitto-clients)");
        return;
    }
    let (_dir, mut authority, config) = configuration();
    let broker = broker::start(config).await.unwrap();
    let port = broker.mqtts_addr().port().to_string();
    let ca = authority.ca_path();
    let mut tool = |program: &str, name: &str, role: Role| {
        let issued = authority.issue(name, role, &IssueOptions { renew: true, ..IssueOptions::default() }).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &port, "-i", name, "-q", "1", "-V", "mqttv311"]);
        command.args(["--cafile", &path(&ca), "--cert", &path(&issued.certificate), "--key", &path(&issued.key)]);
        command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    // Keeps publishing until the subscriber, which starts in its own time, has got one.
    let mut subscriber = tool("mosquitto_sub", "p1", Role::Service);
    let subscriber = subscriber.args(["-t", "f1/+/+/up", "-C", "1", "-v", "-k", "30"]).spawn().unwrap();
    let received = subscriber.wait_with_output();
    tokio::pin!(received);
    let output = loop {
        let mut publisher = tool("mosquitto_pub", "m1", Role::Meter);
        let status = timeout(PATIENCE, publisher.args(["-t", &up("m1"), "-m", "hello"]).status()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        if let Ok(output) = timeout(std::time::Duration::from_millis(300), &mut received).await {
            break output.unwrap();
        }
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{} hello\n", up("m1")));

    // A retained value is there for an operator who comes later.
    let mut publisher = tool("mosquitto_pub", "p2", Role::Service);
    assert!(publisher.args(["-t", "live/m1", "-m", "230", "-r"]).status().await.unwrap().success());
    let mut operator = tool("mosquitto_sub", "anna", Role::Operator);
    let output = timeout(PATIENCE, operator.args(["-t", "live/#", "-C", "1", "-v"]).output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "live/m1 230\n");

    // What is refused is told: a client id that is not the certificate's, and MQTT 5.
    let mut wrong = tool("mosquitto_pub", "m2", Role::Meter);
    let output = wrong.args(["-i", "m3", "-t", "x", "-m", "y"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("identifier rejected"), "{text}");
    let mut five = tool("mosquitto_pub", "m2", Role::Meter);
    let output = five.args(["-V", "mqttv5", "-t", &up("m2"), "-m", "y"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.to_lowercase().contains("protocol version"), "{text}");
    let mut five = tool("mosquitto_sub", "anna", Role::Operator);
    let output = timeout(PATIENCE, five.args(["-V", "5", "-t", "live/#"]).output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("Unsupported Protocol Version"), "{text}");

    // A persistent session is accepted, though nothing is kept for it; QoS 2 is granted as QoS 1.
    let mut lasting = tool("mosquitto_sub", "anna", Role::Operator);
    let output =
        timeout(PATIENCE, lasting.args(["-c", "-q", "2", "-t", "live/#", "-C", "1", "-F", "%q %r %p"]).output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 1 230\n");
    broker.shutdown().await;
}

/// The cases in `paho/cases.py`, by name: none may vanish unnoticed.
const CASES: [&str; 14] = [
    "publish_and_subscribe_at_qos_0_and_1",
    "five_hundred_messages_arrive_once_and_in_order",
    "retained_values_are_replayed_and_forgotten",
    "presence_of_meters_is_told",
    "a_persistent_session_is_accepted_and_nothing_is_kept",
    "pings_keep_a_session_and_silence_ends_it",
    "overlapping_filters_bring_a_message_once",
    "unsubscribed_is_not_heard",
    "filters_that_are_not_granted_get_128",
    "a_newer_session_replaces_the_older",
    "refusals_have_the_protocols_codes",
    "qos_2_and_foreign_topics_end_the_connection",
    "nobody_comes_without_a_certificate",
    "an_operator_comes_by_websocket",
];

/// A Python with Eclipse Paho under `build/`, made at the first use.
async fn python_with_paho() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let output = Command::new(root.join("dev")).args(["step", "paho"]).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "./dev step paho\n{}{}", text(&output.stdout), text(&output.stderr));
    root.join(text(&output.stdout).trim())
}

#[tokio::test(flavor = "multi_thread")]
async fn eclipse_paho_gets_what_is_promised() {
    let python = python_with_paho().await;
    let (_dir, mut authority, mut config) = configuration();
    config.listen.websocket = Some(([127, 0, 0, 1], 0).into());
    for (name, role) in [("m1", Role::Meter), ("m2", Role::Meter), ("p1", Role::Service), ("anna", Role::Operator)] {
        authority.issue(name, role, &IssueOptions::default()).unwrap();
    }
    let broker = broker::start(config).await.unwrap();
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate/paho/cases.py"));
    command.args(["127.0.0.1", &broker.mqtts_addr().port().to_string(), &broker.websocket_addr().unwrap().port().to_string()]);
    command.arg(authority.dir()).args(["m1", "m2"].map(|meter| format!("{meter}={}", shard(meter)))).kill_on_drop(true);
    let output = timeout(10 * PATIENCE, command.output()).await.expect("the cases take too long").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out.lines().collect::<Vec<_>>(), CASES.map(|case| format!("ok {case}")), "{out}{err}\n{}", broker.metrics());
    assert!(output.status.success(), "{err}");
    broker.shutdown().await;
}
