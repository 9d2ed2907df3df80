//! An agent without a broker: its rows stay in the journal.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_agent::config::{Broker, Device, Meter};
use edge_agent::{Accepted, Config, Options, Running, StartError, start};
use measure::{MeterId, Reading, Record};
use pki::Role;
use tempfile::TempDir;
use testkit::{Credentials, await_until};

const DEADLINE: Duration = Duration::from_secs(90);

/// See the module.
pub struct Site {
    pub config: Config,
    /// Where its journal lies.
    pub folder: TempDir,
    /// What the journal accepted.
    pub accepted: Arc<Mutex<Vec<Accepted>>>,
    credentials: Credentials,
}

impl Site {
    pub fn new() -> Self {
        let (mut credentials, folder) = (Credentials::new().expect("an authority"), tempfile::tempdir().expect("a folder"));
        let ca = credentials.server("broker").expect("a certificate").ca;
        let mut config = Config::new(Broker::at("127.0.0.1", 9, ca), folder.path().join("journal"));
        config.report.spacing_ms = 0;
        config.shutdown.grace_ms = 200;
        Self { config, folder, accepted: Arc::default(), credentials }
    }

    /// A meter with a certificate.
    pub fn add(&mut self, id: &str, device: Device) -> MeterId {
        let identity = self.credentials.client(id, Role::Meter).expect("a certificate");
        let id: MeterId = id.parse().expect("an id");
        self.config.meter.push(Meter::new(id.clone(), identity.certificate, identity.key, device));
        id
    }

    pub async fn start(&self, options: Options) -> Result<Running, StartError> {
        let sink = self.accepted.clone();
        start(self.config.clone(), options.accepted(move |rows| sink.lock().expect("nobody panicked").extend(rows))).await
    }

    /// What the journal accepted of a meter, in order.
    pub fn records(&self, meter: &str) -> Vec<Record> {
        let meter: MeterId = meter.parse().expect("an id");
        let accepted = self.accepted.lock().expect("nobody panicked");
        accepted.iter().filter(|row| row.meter == meter).map(|row| row.record.clone()).collect()
    }

    pub fn readings(&self, meter: &str) -> Vec<Reading> {
        let reading = |record| if let Record::Reading(reading) = record { Some(reading) } else { None };
        self.records(meter).into_iter().filter_map(reading).collect()
    }

    pub async fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        await_until(what, DEADLINE, async || Ok(condition(self).then_some(()))).await.expect("in time");
    }
}
