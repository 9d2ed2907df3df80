//! The Mosquitto that we ship a configuration for keeps meters apart. Its own command-line clients speak to it.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pki::Role;
use testkit::{Credentials, Identity, Mosquitto, await_until};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_meter_speaks_only_as_itself_and_not_after_its_revocation() {
    let mut credentials = Credentials::new().unwrap();
    let server = credentials.server("broker-1").unwrap();
    let meter = credentials.client("M0001", Role::Meter).unwrap();
    let processor = credentials.client("processor-1", Role::Service).unwrap();
    let mosquitto = Mosquitto::start(&credentials, &server).await.unwrap();
    let publish =
        |topic: &str, text: &str| client("mosquitto_pub", &mosquitto, &meter).args(["-q", "1", "-t", topic, "-m", text]).output().unwrap();

    // One message of its own and one that is a lie: whatever order they are sent in, the first to arrive is its own.
    let mut listening = Listener(client("mosquitto_sub", &mosquitto, &processor).args(["-t", "f1/+/+/up", "-C", "1"]).spawn().unwrap());
    await_until("the processor hears the meter", PATIENCE, async || {
        publish("f1/00/M0002/up", "forged");
        assert!(publish("f1/00/M0001/up", "true").status.success());
        Ok(listening.0.try_wait()?)
    })
    .await
    .unwrap();
    assert_eq!(listening.heard(), "true\n");

    credentials.authority().revoke("M0001").unwrap();
    mosquitto.reload().unwrap();
    let refused = async || Ok(Some(publish("f1/00/M0001/up", "late")).filter(|it: &Output| !it.status.success()));
    await_until("the revoked meter is refused", PATIENCE, refused).await.unwrap();
}

fn client(program: &str, mosquitto: &Mosquitto, identity: &Identity) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &mosquitto.port().to_string()]);
    command.arg("--cafile").arg(&identity.ca).arg("--cert").arg(&identity.certificate).arg("--key").arg(&identity.key);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

struct Listener(Child);

impl Listener {
    fn heard(&mut self) -> String {
        std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
