//! PZEM modules on a pseudo-terminal, read by the agent: what they say becomes rows, what they don't say becomes no data.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_agent::bus::exchange;
use edge_agent::config::{Broker, Bus, Device, Meter};
use edge_agent::metrics::BusMetrics;
use edge_agent::optical::{Question, What, converse};
use edge_agent::{Accepted, Config, Options, Running, StartError, start};
use fleet::optical_meter::{Mode, OpticalMeter, Settings};
use fleet::pzem_module::{Fault, PzemLine, Registers, captured};
use measure::{EventKind, MeterId, Record, WattHours};
use meters::iec62056_21::identification::Baud;
use meters::iec62056_21::session;
use meters::modbus::{Address, ReplyError};
use meters::pzem004t::{ReadAll, ReadSettings, ResetEnergy, SetAlarmThreshold};
use meters::transaction::{NoData, Timing};
use pki::Role;
use serial2_tokio::SerialPort;
use tempfile::TempDir;
use testkit::{Credentials, await_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// Patient with a module whose answer a busy machine brings late.
const PATIENT: Timing = Timing { reply: Duration::from_secs(20), deadline: DEADLINE, ..Timing::BAUD_9600 };

fn address(address: u8) -> Address {
    Address::new(address).expect("an address")
}

/// A module that measures the same for ever.
fn constant(address: u8, registers: Registers) -> (u8, fleet::pzem_module::Source) {
    (address, Box::new(move || Some(registers)))
}

fn open(line: &PzemLine) -> SerialPort {
    SerialPort::open(line.path(), 9_600).expect("opens")
}

#[tokio::test]
async fn the_captured_replies_come_through_a_real_terminal() {
    let mut replies = captured().into_iter();
    let line = PzemLine::start([(1, Box::new(move || replies.next()) as fleet::pzem_module::Source)]).expect("a terminal");
    let (port, metrics) = (open(&line), BusMetrics::default());
    for expected in captured() {
        let answer = exchange(&port, ReadAll, address(1), PATIENT, &metrics).await.expect("the port lives");
        let measurement = answer.expect("an answer");
        assert_eq!(fleet::pzem_module::registers(&measurement), expected);
    }
    let timing = Timing { attempts: 1, ..Timing::BAUD_9600 };
    let ended = exchange(&port, ReadAll, address(1), timing, &metrics).await.expect("the port lives");
    assert_eq!(ended, Err(NoData::Silent), "the recording has ended, and that is no zero");
    assert_eq!((line.requests(), metrics.stale_bytes.get()), (52, 0));
}

#[tokio::test]
async fn commands_and_faults_on_the_line() {
    let registers = captured()[0];
    let line = PzemLine::start([constant(1, registers), constant(2, captured()[1])]).expect("a terminal");
    let (port, metrics) = (open(&line), BusMetrics::default());
    let once = Timing { attempts: 1, ..Timing::BAUD_9600 };
    let ask = async |timing| exchange(&port, ReadAll, address(1), timing, &metrics).await.expect("the port lives");

    assert_eq!(exchange(&port, SetAlarmThreshold(500), address(1), PATIENT, &metrics).await.expect("lives"), Ok(()));
    let settings = exchange(&port, ReadSettings, address(1), PATIENT, &metrics).await.expect("lives").expect("an answer");
    assert_eq!(settings.alarm_threshold.deciwatts(), 5_000);
    assert_eq!(exchange(&port, ResetEnergy, address(1), PATIENT, &metrics).await.expect("lives"), Ok(()));
    let measurement = ask(PATIENT).await.expect("an answer");
    assert_eq!((measurement.energy.centiwatthours(), measurement.alarm), (0, true));

    line.set_fault(1, Fault::Silent);
    assert_eq!(ask(Timing::BAUD_9600).await, Err(NoData::Silent));
    line.set_fault(1, Fault::Corrupt);
    assert_eq!(ask(PATIENT).await, Err(ReplyError::Checksum.into()));
    line.set_fault(1, Fault::Truncated);
    let short = Timing { reply: Duration::from_secs(2), ..once };
    assert_eq!(ask(short).await, Err(ReplyError::Short { got: 22, expected: 25 }.into()));
    assert!(exchange(&port, ReadAll, address(2), PATIENT, &metrics).await.expect("lives").is_ok(), "the other module is well");

    // The reply comes when nobody waits for it any more; the next question gets its own answer, not that one.
    line.set_fault(1, Fault::Late(Duration::from_secs(2)));
    let said = line.bytes_said();
    assert_eq!(ask(once).await, Err(NoData::Silent));
    line.set_fault(1, Fault::None);
    await_until("the late reply is there", DEADLINE, async || Ok((line.bytes_said() == said + 25).then_some(()))).await.expect("comes");
    let before = metrics.stale_bytes.get();
    let answer = exchange(&port, ReadAll, address(2), PATIENT, &metrics).await.expect("lives").expect("an answer");
    assert_eq!(fleet::pzem_module::registers(&answer), captured()[1]);
    assert_eq!(metrics.stale_bytes.get() - before, 25, "the late reply was thrown away");
}

#[tokio::test]
async fn an_optical_meter_is_read_out_through_a_real_terminal() {
    let settings = Settings {
        manufacturer: "ABC".into(),
        name: "TEST".into(),
        address: "12345".into(),
        mode: Mode::C(Baud::B9600),
        password: Some("secret".into()),
    };
    let shown = || [("0.0.0", "12345"), ("1.8.0", "001234.567*kWh"), ("2.8.0", "000010.490*kWh")].map(|(a, v)| (a.into(), v.into())).into();
    let meter = OpticalMeter::start(settings, Box::new(shown), true).expect("a terminal");
    let mut port = SerialPort::open(meter.path(), 9_600).expect("opens");
    let question =
        |what| Question { address: String::new(), what, baud_max: Baud::B19200, parity: true, wake_up: false, deadline: DEADLINE };
    let both =
        edge_core::Registers { import: WattHours::from_centiwatthours(123_456_700), export: WattHours::from_centiwatthours(1_049_000) };

    let told = converse(&mut port, &question(What::Readout)).await.expect("the port lives").expect("a readout");
    assert_eq!(told.identification.as_ref().map(|it| it.name().to_owned()), Some("TEST".to_owned()));
    assert_eq!(told.registers(&What::Readout).expect("registers"), both);

    // Again on the same port, which has the speed of the last readout.
    let what = What::Registers { password: Some("secret".into()), names: vec!["1.8.0".into(), "2.8.0".into()] };
    let told = converse(&mut port, &question(what.clone())).await.expect("the port lives").expect("replies");
    assert_eq!(told.registers(&what).expect("registers"), both);
    let wrong = What::Registers { password: Some("guess".into()), names: vec!["1.8.0".into()] };
    let refused = converse(&mut port, &question(wrong)).await.expect("the port lives");
    assert_eq!(refused, Err(session::NoData::Refused("the password")));

    meter.set_silent(true);
    assert_eq!(converse(&mut port, &question(What::Readout)).await.expect("the port lives"), Err(session::NoData::Silent));
}

/// An agent on these lines, without a broker: its rows stay in the journal.
struct Site {
    running: Running,
    accepted: Arc<Mutex<Vec<Accepted>>>,
    _credentials: Credentials,
    folder: TempDir,
}

/// The port of a line, by a name of our own: the system gives the name of a terminal that is gone to the next one, which may be another
/// test's.
fn port(folder: &TempDir, index: usize) -> PathBuf {
    folder.path().join(format!("port{index}"))
}

fn config(credentials: &mut Credentials, folder: &TempDir, lines: &[&PzemLine], meters: &[(&str, usize, u8)]) -> Config {
    let ca = credentials.server("broker").expect("a certificate").ca;
    let mut config = Config::new(Broker::at("127.0.0.1", 9, ca), folder.path().join("journal"));
    for (index, line) in lines.iter().enumerate() {
        std::os::unix::fs::symlink(line.path(), port(folder, index)).expect("a link");
        config.bus.insert(format!("bus{index}"), Bus::at(port(folder, index)));
    }
    for (id, bus, address) in meters {
        let identity = credentials.client(id, Role::Meter).expect("a certificate");
        let device = Device::Pzem004t { bus: format!("bus{bus}"), address: *address, poll_ms: 150, calibration_file: None };
        config.meter.push(Meter::new(id.parse().expect("an id"), identity.certificate, identity.key, device));
    }
    config.report.spacing_ms = 0;
    config.shutdown.grace_ms = 200;
    config
}

impl Site {
    async fn start(lines: &[&PzemLine], meters: &[(&str, usize, u8)]) -> Self {
        let (mut credentials, folder) = (Credentials::new().expect("an authority"), tempfile::tempdir().expect("a folder"));
        let config = config(&mut credentials, &folder, lines, meters);
        let accepted: Arc<Mutex<Vec<Accepted>>> = Arc::default();
        let sink = accepted.clone();
        let options = Options::default().accepted(move |rows| sink.lock().expect("nobody panicked").extend(rows));
        Self { running: start(config, options).await.expect("starts"), accepted, _credentials: credentials, folder }
    }

    fn count(&self, meter: &str, wanted: impl Fn(&Record) -> bool) -> usize {
        let meter: MeterId = meter.parse().expect("an id");
        self.accepted.lock().expect("nobody panicked").iter().filter(|row| row.meter == meter && wanted(&row.record)).count()
    }

    async fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        await_until(what, DEADLINE, async || Ok(condition(self).then_some(()))).await.expect("in time");
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.running.metrics().encode();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

fn is_reading(record: &Record) -> bool {
    matches!(record, Record::Reading(_))
}

fn is_event(kind: EventKind) -> impl Fn(&Record) -> bool {
    move |record| matches!(record, Record::Event(event) if event.kind == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_replies_become_rows_of_the_journal() {
    let mut replies = captured().into_iter().cycle();
    let line = PzemLine::start([(1, Box::new(move || replies.next()) as fleet::pzem_module::Source)]).expect("a terminal");
    let site = Site::start(&[&line], &[("M1", 0, 1)]).await;
    site.wait("readings of the first load steps", |site| site.count("M1", is_reading) >= 10).await;
    let accepted = site.accepted.lock().expect("nobody panicked").clone();
    let Some(Record::Reading(first)) = accepted.iter().map(|row| row.record.clone()).find(is_reading) else { panic!("no reading") };
    assert_eq!((first.raw.voltage.millivolts(), first.raw.active_power.deciwatts()), (242_700, 32_472));
    site.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_module_and_a_lost_port_leave_the_others_alone() {
    let mut energy = 0;
    let changing: fleet::pzem_module::Source = Box::new(move || {
        energy += 1;
        let mut registers = captured()[energy % 11];
        registers[5] = u16::try_from(energy).unwrap_or(0);
        Some(registers)
    });
    let line = PzemLine::start([(1, changing), constant(2, captured()[0])]).expect("a terminal");
    let other = PzemLine::start([constant(1, captured()[1])]).expect("a terminal");
    let site = Site::start(&[&line, &other], &[("M1", 0, 1), ("M2", 0, 2), ("M3", 1, 1)]).await;
    site.wait("all three are read", |site| ["M1", "M2", "M3"].iter().all(|meter| site.count(meter, is_reading) > 0)).await;

    line.set_fault(2, Fault::Silent);
    std::fs::remove_file(port(&site.folder, 1)).expect("there");
    drop(other);
    site.wait("the silent module is told", |site| site.count("M2", is_event(EventKind::DeviceSilent)) >= 1).await;
    site.wait("the lost port is told", |site| site.count("M3", is_event(EventKind::DeviceSilent)) >= 1).await;
    let samples = site.metric("ferraris_agent_samples_total");
    site.wait("the first module is read on", |site| site.metric("ferraris_agent_samples_total") > samples + 20).await;
    assert!(site.metric("ferraris_agent_no_data_total{reason=\"timeout\"}") > 0);
    assert!(site.metric("ferraris_agent_no_data_total{reason=\"unavailable\"}") > 0);

    line.set_fault(2, Fault::None);
    site.wait("it is back", |site| site.count("M2", is_event(EventKind::DeviceBack)) >= 1).await;
    site.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_in_one_line() {
    let (mut credentials, folder) = (Credentials::new().expect("an authority"), tempfile::tempdir().expect("a folder"));
    let line = PzemLine::start([constant(1, captured()[0])]).expect("a terminal");
    let sound = config(&mut credentials, &folder, &[&line], &[("M1", 0, 1)]);
    let problem = async |change: &dyn Fn(&mut Config)| {
        let mut config = sound.clone();
        change(&mut config);
        let Err(error) = start(config, Options::default()).await else { panic!("starts") };
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        (error, text)
    };
    let (error, text) = problem(&|config| config.bus.get_mut("bus0").expect("there").port = "/dev/ttyNOWHERE".into()).await;
    assert!(matches!(error, StartError::Port { .. }) && text.contains("can't open serial port /dev/ttyNOWHERE (bus.bus0.port)"), "{text}");
    let (error, text) = problem(&|config| config.meter[0].key_file = "/nowhere.key".into()).await;
    assert!(matches!(error, StartError::Tls(_)) && text.starts_with("can't read /nowhere.key"), "{text}");
    let (error, text) = problem(&|config| config.meter[0].key_file = config.meter[0].certificate_file.clone()).await;
    assert!(matches!(error, StartError::Tls(_)) && text.ends_with("holds no private key"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound");
    let (error, text) = problem(&|config| config.health.listen = Some(address)).await;
    assert!(matches!(error, StartError::Bind { .. }) && text.contains(&address.to_string()), "{text}");
    let (error, text) = problem(&|config| config.journal.path = "/nowhere/journal".into()).await;
    assert!(matches!(error, StartError::Journal(_)) && text.contains("create the folder /nowhere"), "{text}");
    let (error, text) = problem(&|config| config.meter[0].device = Device::Supplied { name: "x".parse().expect("short") }).await;
    assert!(matches!(error, StartError::NoSource(_)) && text == "no source of samples was given for meter M1", "{text}");
    start(sound, Options::default()).await.expect("nothing is left of the failures").shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_over_http() {
    let (mut credentials, folder) = (Credentials::new().expect("an authority"), tempfile::tempdir().expect("a folder"));
    let line = PzemLine::start([constant(1, captured()[0])]).expect("a terminal");
    let mut config = config(&mut credentials, &folder, &[&line], &[("M1", 0, 1)]);
    config.health.listen = Some(([127, 0, 0, 1], 0).into());
    let running = start(config, Options::default()).await.expect("starts");
    let address = running.health_addr().expect("listens");
    let get = async |path: &str| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("writes");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("reads");
        text
    };
    assert!(get("/healthz").await.starts_with("HTTP/1.1 200"));
    await_until("samples are counted", DEADLINE, async || {
        let text = get("/metrics").await;
        Ok((text.contains("ferraris_agent_samples_total") && !text.contains("ferraris_agent_samples_total 0")).then_some(()))
    })
    .await
    .expect("counted");
    running.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is free again");
}
