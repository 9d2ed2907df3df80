//! Another implementation's clients: Mosquitto's tools, where they are installed.

use std::path::Path;
use std::process::Stdio;

use pki::{IssueOptions, Role};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{PATIENCE, configuration, up};

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
    broker.shutdown().await;
}
