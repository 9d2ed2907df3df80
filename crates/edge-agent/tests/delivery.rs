//! The agent against a real MQTT broker that forgets everything when it is restarted.
#![expect(clippy::expect_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{HeadEnd, Taken};
use edge_agent::config::{Broker, Device, Meter};
use edge_agent::{Accepted, Config, Observation, Options, Running, start};
use edge_core::Sample;
use measure::{Amperes, Flags, GapReason, Hertz, MeterId, PowerFactor, Raw, Record, Volts, WattHours, Watts};
use pki::Role;
use tempfile::TempDir;
use testkit::{Credentials, Identity, Mosquitto, await_until};
use tokio::sync::mpsc;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

struct Site {
    credentials: Credentials,
    processor: Identity,
    broker: Mosquitto,
    folder: TempDir,
    accepted: Arc<Mutex<Vec<Accepted>>>,
}

/// An agent and where its samples go in.
struct Agent {
    running: Running,
    samples: BTreeMap<MeterId, mpsc::Sender<Observation>>,
}

impl Site {
    async fn new() -> Self {
        let mut credentials = Credentials::new().expect("an authority");
        let server = credentials.server("broker").expect("a certificate");
        let processor = credentials.client("processor-1", Role::Service).expect("a certificate");
        let broker = Mosquitto::start(&credentials, &server).await.expect("Mosquitto");
        Self { credentials, processor, broker, folder: tempfile::tempdir().expect("a folder"), accepted: Arc::default() }
    }

    fn config(&mut self, meters: &[&str]) -> Config {
        let ids: Vec<MeterId> = meters.iter().map(|id| id.parse().expect("an id")).collect();
        let identities: Vec<Identity> = meters.iter().map(|id| self.credentials.client(id, Role::Meter).expect("a certificate")).collect();
        let mut broker = Broker::at("127.0.0.1", self.broker.port(), &identities[0].ca);
        (broker.reconnect_first_ms, broker.reconnect_max_ms) = (20, 200);
        let mut config = Config::new(broker, self.folder.path().join("journal"));
        config.report.spacing_ms = 0;
        config.delivery.resend_first_ms = 300;
        // Nobody waits so long, but a busy machine may need more than the default.
        config.shutdown.grace_ms = 600_000;
        config.journal.limit_bytes = 4 << 20;
        config.meter = ids
            .into_iter()
            .zip(identities)
            .map(|(id, Identity { certificate, key, .. })| {
                Meter::new(id, certificate, key, Device::Supplied { name: "simulated".parse().expect("short") })
            })
            .collect();
        config
    }

    async fn start(&self, config: &Config) -> Agent {
        let accepted = self.accepted.clone();
        let mut options = Options::default().accepted(move |rows| accepted.lock().expect("nobody panicked").extend(rows));
        let mut samples = BTreeMap::new();
        for meter in &config.meter {
            let (sender, receiver) = mpsc::channel(64);
            samples.insert(meter.id.clone(), sender);
            options = options.source(meter.id.clone(), receiver);
        }
        Agent { running: start(config.clone(), options).await.expect("starts"), samples }
    }

    fn accepted(&self) -> Vec<Accepted> {
        self.accepted.lock().expect("nobody panicked").clone()
    }

    /// Waits until the head-end has every accepted row, each once and as it was accepted, and returns what it has.
    async fn all_arrive(&self, head_end: &HeadEnd) -> Taken {
        let missing = || {
            let mut taken = head_end.taken();
            self.accepted().into_iter().filter(|row| !take(taken.get_mut(&row.meter), &row.record)).count()
        };
        await_until("every accepted row is in the head-end", DEADLINE, async || Ok((missing() == 0).then_some(()))).await.expect("arrives");
        let taken = head_end.taken();
        assert_eq!(taken.values().map(Vec::len).sum::<usize>(), self.accepted().len(), "nothing came twice");
        taken
    }
}

/// Takes one such record out.
fn take(taken: Option<&mut Vec<Record>>, record: &Record) -> bool {
    let Some(taken) = taken else { return false };
    taken.iter().position(|other| other == record).map(|at| taken.swap_remove(at)).is_some()
}

impl Agent {
    /// A sample whose power differs from the one before by more than the bounds.
    async fn measure(&self, meter: &str, n: usize) {
        let watts = if n.is_multiple_of(2) { 1_000 } else { 9_000 };
        let raw = Raw {
            voltage: Volts::from_millivolts(230_000),
            current: Amperes::from_milliamperes(watts * 100 / 230),
            active_power: Watts::from_deciwatts(watts),
            frequency: Hertz::from_millihertz(50_000),
            power_factor: PowerFactor::from_thousandths(1_000),
        };
        let import = WattHours::from_centiwatthours(i64::try_from(n).expect("few") * 100);
        let sample = Sample { raw, import, ..Sample::default() };
        let meter: MeterId = meter.parse().expect("an id");
        self.samples[&meter].send(Observation::now(sample)).await.expect("the agent listens");
    }

    async fn measure_many(&self, meters: &[&str], count: std::ops::Range<usize>) {
        let mut pace = tokio::time::interval(Duration::from_millis(3));
        for n in count {
            pace.tick().await;
            for meter in meters {
                self.measure(meter, n).await;
            }
        }
    }
}

fn readings(records: &[Record]) -> usize {
    records.iter().filter(|record| matches!(record, Record::Reading(_))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_accepted_arrives_once_though_broker_and_acknowledgements_get_lost() {
    let mut site = Site::new().await;
    let head_end = HeadEnd::start(site.broker.port(), &site.processor);
    let meters = ["M1", "M2", "M3"];
    let config = site.config(&meters);
    let agent = site.start(&config).await;
    for round in 0..3 {
        agent.measure_many(&meters, round * 100..round * 100 + 100).await;
        head_end.lose_acks(5);
        site.broker.stop();
        agent.measure_many(&meters, round * 100 + 100..round * 100 + 120).await;
        site.broker.resume().await.expect("Mosquitto");
    }
    let taken = site.all_arrive(&head_end).await;
    for meter in &config.meter {
        assert!(matches!(taken[&meter.id][0], Record::Hello(_)));
        assert!(readings(&taken[&meter.id]) >= 300, "{} readings", readings(&taken[&meter.id]));
    }

    head_end.lose_acks(u64::MAX);
    agent.measure_many(&meters, 320..340).await;
    let repeated = head_end.repeated();
    let again = async || Ok((head_end.repeated() > repeated).then_some(()));
    await_until("lost acknowledgements make records come again", DEADLINE, again).await.expect("they come");
    head_end.lose_acks(0);
    site.all_arrive(&head_end).await;
    let drained = agent.running.shutdown().await;
    assert_eq!(drained.rows_left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_measured_without_a_broker_arrives_after_a_restart() {
    let mut site = Site::new().await;
    let config = site.config(&["M1"]);
    site.broker.stop();
    let agent = site.start(&config).await;
    agent.measure_many(&["M1"], 0..40).await;
    let drained = timeout(DEADLINE, agent.running.shutdown()).await.expect("without a connection there is nothing to wait for");
    assert_eq!(drained.rows_left, site.accepted().len() as u64);
    assert!(drained.rows_left > 40, "{}", drained.rows_left);

    site.broker.resume().await.expect("Mosquitto");
    let head_end = HeadEnd::start(site.broker.port(), &site.processor);
    let agent = site.start(&config).await;
    site.all_arrive(&head_end).await;
    assert_eq!(agent.running.shutdown().await.rows_left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_what_is_on_its_way() {
    let mut site = Site::new().await;
    let head_end = HeadEnd::start(site.broker.port(), &site.processor);
    let config = site.config(&["M1", "M2"]);
    let agent = site.start(&config).await;
    let metrics = || agent.running.metrics().encode();
    await_until("both are connected", DEADLINE, async || Ok(metrics().contains("links_connected 2").then_some(())))
        .await
        .expect("connects");
    for n in 0..60 {
        agent.measure("M1", n).await;
    }
    assert_eq!(agent.running.shutdown().await.rows_left, 0);
    let taken = head_end.taken();
    assert_eq!(taken.values().map(Vec::len).sum::<usize>(), site.accepted().len());
    assert!(readings(&taken[&config.meter[0].id]) >= 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_is_told_in_gaps() {
    let mut site = Site::new().await;
    let mut config = site.config(&["M1"]);
    config.journal.limit_bytes = 32 * 1024;
    site.broker.stop();
    let agent = site.start(&config).await;
    agent.measure_many(&["M1"], 0..400).await;
    await_until("all samples are handled", DEADLINE, async || {
        Ok(agent.running.metrics().encode().contains("ferraris_agent_samples_total 400\n").then_some(()))
    })
    .await
    .expect("handled");
    let measured = site.accepted().iter().filter(|row| matches!(row.record, Record::Reading(_))).count();
    assert!(measured >= 390, "{measured} readings were worth a row");

    site.broker.resume().await.expect("Mosquitto");
    let head_end = HeadEnd::start(site.broker.port(), &site.processor);
    let meter = &config.meter[0].id;
    let told = await_until("what is left and what is missing add up", DEADLINE, async || {
        let taken = head_end.taken().remove(meter).unwrap_or_default();
        let missing = taken.iter().filter_map(|record| match record {
            Record::Gap(gap) if gap.reason == GapReason::JournalFull => Some(gap.count),
            _ => None,
        });
        let missing: u64 = missing.sum();
        Ok((missing > 0 && readings(&taken) as u64 + missing == measured as u64).then_some(taken))
    });
    let taken = told.await.expect("adds up");
    assert!(readings(&taken) > 50);
    let snapshot = |record: &Record| matches!(record, Record::Reading(reading) if reading.flags.contains(Flags::SNAPSHOT));
    assert!(taken.iter().any(snapshot), "snapshots are kept longest");
    assert_eq!(agent.running.shutdown().await.rows_left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_trusted_and_do_not_stop_the_others() {
    let mut site = Site::new().await;
    let head_end = HeadEnd::start(site.broker.port(), &site.processor);
    let mut config = site.config(&["M1", "M2"]);
    let mut other = Credentials::new().expect("an authority");
    let stranger = other.client("M2", Role::Meter).expect("a certificate");
    (config.meter[1].certificate_file, config.meter[1].key_file) = (stranger.certificate, stranger.key);
    let agent = site.start(&config).await;
    agent.measure_many(&["M1", "M2"], 0..20).await;
    let (one, two) = (&config.meter[0].id, &config.meter[1].id);
    await_until("the other meter's rows arrive", DEADLINE, async || {
        Ok((head_end.taken().get(one).is_some_and(|taken| readings(taken) >= 20)).then_some(()))
    })
    .await
    .expect("arrive");
    assert_eq!(head_end.taken().get(two), None);
    let ended = |line: &str| line.starts_with("ferraris_agent_connections_ended_total") && !line.ends_with(" 0");
    assert!(agent.running.metrics().encode().lines().any(ended));
    assert!(agent.running.shutdown().await.rows_left >= 20, "what a stranger measured stays");

    // And the other way round: a broker of another authority hears nothing from us.
    let mut config = site.config(&["M3"]);
    config.broker.ca_file = other.server("broker").expect("a certificate").ca;
    config.journal.path = site.folder.path().join("other");
    let agent = site.start(&config).await;
    await_until("the broker is refused", DEADLINE, async || {
        Ok(agent.running.metrics().encode().contains("connections_ended_total{reason=\"tls\"}").then_some(()))
    })
    .await
    .expect("refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_may_have_another_name() {
    let mut site = Site::new().await;
    let head_end = HeadEnd::start(site.broker.port(), &site.processor);
    let mut config = site.config(&["M1"]);
    config.broker.server_name = Some("localhost".into());
    let agent = site.start(&config).await;
    agent.measure_many(&["M1"], 0..5).await;
    site.all_arrive(&head_end).await;
    config.broker.server_name = Some("elsewhere.example.org".into());
    config.journal.path = site.folder.path().join("other");
    let other = site.start(&config).await;
    await_until("the name is refused", DEADLINE, async || {
        Ok(other.running.metrics().encode().contains("connections_ended_total{reason=\"tls\"}").then_some(()))
    })
    .await
    .expect("refused");
    agent.running.shutdown().await;
}
