//! Lines to paste into another terminal while the demo runs.

use std::net::SocketAddr;
use std::path::Path;

use contracts::topics::READINGS;

use super::stage::Stage;

/// An operator's certificate for a line. A certificate holds one session at a time, so each line has its own.
pub struct Operator<'a> {
    /// Common name.
    pub name: &'a str,
    /// Directory of the authority.
    pub pki: &'a Path,
}

impl Operator<'_> {
    fn path(&self, extension: &str) -> String {
        quoted(&self.pki.join("issued").join(format!("{}.{extension}", self.name)).display().to_string())
    }

    fn ca(&self) -> String {
        quoted(&self.pki.join("ca.pem").display().to_string())
    }
}

/// The lines: live values by MQTT, readings from Kafka, and the same with our own tools.
pub fn lines(broker: SocketAddr, mosquitto: &Operator<'_>, tail: &Operator<'_>, stage: &Stage) -> Vec<String> {
    // As this program was called, so that it is found again.
    let program = quoted(&std::env::args().next().unwrap_or_else(|| "ferraris".to_owned()));
    let (host, port, kafka) = (broker.ip(), broker.port(), &stage.address().kafka);
    let prefix = &stage.address().topic_prefix;
    let gaps_prefix = if prefix.is_empty() { String::new() } else { format!(" --topic-prefix {prefix}") };
    vec![
        format!(
            "mosquitto_sub -h {host} -p {port} --cafile {} --cert {} --key {} -i {} -t 'live/#' -v",
            mosquitto.ca(),
            mosquitto.path("pem"),
            mosquitto.path("key"),
            mosquitto.name
        ),
        format!("kcat -b {kafka} -C -q -u -o beginning -t {}", stage.address().topic(READINGS.name)),
        format!("{program} tail --broker {broker} --ca {} --cert {} --key {}", tail.ca(), tail.path("pem"), tail.path("key")),
        format!("{program} gaps --kafka {kafka}{gaps_prefix}"),
    ]
}

/// For a shell: quoted unless plain.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_a_shell() {
        assert_eq!(quoted("/tmp/.x/ca.pem"), "/tmp/.x/ca.pem");
        assert_eq!(quoted("/tmp/a b'c"), r"'/tmp/a b'\''c'");
    }
}
