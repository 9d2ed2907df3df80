//! The demo's meters, each with an agent of its own: simulated homes, a module that answers with captured replies, a meter with an optical
//! port, and the prepaid meter of six flats, all three on pseudo-terminals.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use edge_agent::config::{Broker, Bus, Config, Device, Iec62056, Meter, Mode, Parity};
use edge_agent::{Observation, Options, Running};
use fleet::audit::{Tally, record};
use fleet::household::{Household, HouseholdConfig};
use fleet::load::Load;
use fleet::optical_meter::{self, OpticalMeter};
use fleet::pzem_module::{self, PzemLine};
use fleet::sensor::{Profile, Sensor};
use measure::{MeterId, Text, WattHours};
use meters::iec62056_21::identification::Baud;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::flats::{self, Flats};
use super::papers::Papers;
use super::sample;
use super::stand::{Stand, Threads};

/// From sample to sample.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples that wait for a journal.
const SAMPLES_MAX: usize = 16;
/// Every sample is worth sending, so that there is much to lose in a short time.
const HEARTBEAT_MS: u64 = 1_000;
/// Agents come back soon after the broker, so that a short demo is enough to see it.
const RECONNECT_FIRST_MS: u64 = 200;
const RECONNECT_MAX_MS: u64 = 1_000;
/// Registers of meters that have been there for years, in Wh: the least, and how far they differ.
const REGISTER_WH: u64 = 1_234_567;
const REGISTER_WH_SPREAD: u64 = 19_999_999;
/// How long agents may drain in the end.
const DRAIN_MS: u64 = 90_000;
/// The meter with the captured replies: its name, its serial line and its address there.
const PZEM: &str = "pzem";
const LINE: &str = "main";
const ADDRESS: u8 = 1;
/// The meter with an optical port: its name, what is behind it, and its register at first, in 0.01 Wh.
const OPTICAL: &str = "optical";
const OPTICAL_W: f64 = 5_000.0;
const OPTICAL_REGISTER: i64 = 6_156_128_900;

/// What all journals together accepted; shared with their threads.
#[derive(Clone, Default)]
pub struct Accepted(Arc<Mutex<Tally>>);

impl Accepted {
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records.
    pub fn total(&self) -> u64 {
        self.lock().total()
    }

    /// For one agent.
    fn options(&self) -> Options {
        let this = self.clone();
        Options::default().accepted(move |rows| {
            let mut tally = this.lock();
            rows.iter().for_each(|row| tally.add(record::accepted(&row.meter, &row.record)));
        })
    }
}

/// Where the meters find what they need.
#[derive(Clone, Debug)]
pub struct Site {
    /// The broker.
    pub broker: SocketAddr,
    /// A directory for journals.
    pub journals: PathBuf,
    /// How many simulated homes.
    pub homes: u16,
    /// Where chance begins.
    pub seed: u64,
}

/// All meters at work.
pub struct Homes {
    agents: Stand<Vec<(MeterId, Running)>>,
    accepted: Accepted,
    /// They answer as long as these live.
    _line: PzemLine,
    _optical: OpticalMeter,
}

/// An agent to be started.
struct Plan {
    id: MeterId,
    config: Config,
    options: Options,
}

impl Homes {
    /// Starts them all.
    pub async fn start(site: &Site, papers: &mut Papers, flats: &Flats) -> anyhow::Result<Self> {
        let accepted = Accepted::default();
        let (mut plans, mut samplers) = (Vec::new(), Vec::new());
        for number in 1..=site.homes {
            let id: MeterId = format!("home-{number:02}").parse()?;
            let device = Device::Supplied { name: Text::try_from("simulated").unwrap_or_default() };
            let config = site.config(papers, &id, device)?;
            let (sender, samples) = mpsc::channel(SAMPLES_MAX);
            let seed = site.seed.wrapping_add(number.into());
            samplers.push(sampler(seed, first_sample(number, site.homes), sender));
            plans.push(Plan { options: accepted.options().source(id.clone(), samples), id, config });
        }
        let (line, config) = site.pzem(papers)?;
        plans.push(Plan { id: PZEM.parse()?, config, options: accepted.options() });
        let (optical, config) = site.optical(papers)?;
        plans.push(Plan { id: OPTICAL.parse()?, config, options: accepted.options() });
        let id: MeterId = flats::METER.parse()?;
        let mut config = site.config(papers, &id, flats.device())?;
        flats.complete(&mut config);
        plans.push(Plan { id, config, options: accepted.options() });

        // An agent's owner waits for its disk on a thread of its own.
        let threads = Threads { name: "agents", workers: 2, blocking: plans.len().saturating_add(16), killable: false };
        let agents = Stand::start(threads, async {
            samplers.into_iter().for_each(|sampler| drop(tokio::spawn(sampler)));
            let mut agents = Vec::new();
            for Plan { id, config, options } in plans {
                agents.push((id, edge_agent::start(config, options).await?));
            }
            Ok(agents)
        });
        Ok(Self { agents: agents.await?, accepted, _line: line, _optical: optical })
    }

    /// Loads the credit of the flats.
    pub async fn load_credit(&self, flats: &Flats) -> anyhow::Result<()> {
        let agent = self.agents.get().into_iter().flatten().find(|(id, _)| id.as_str() == flats::METER);
        let (_, agent) = agent.context("the agent of the flats is not there")?;
        flats.load_credit(agent).await
    }

    /// What the journals accept.
    pub fn accepted(&self) -> Accepted {
        self.accepted.clone()
    }

    /// How many records wait in each meter's journal.
    pub fn waiting(&self) -> Vec<(MeterId, u64)> {
        let agents = self.agents.get().into_iter().flatten();
        agents.map(|(id, agent)| (id.clone(), u64::try_from(agent.metrics().journal.rows.get()).unwrap_or(0))).collect()
    }

    /// Stops measuring and waits until every journal is empty. What all of them accepted, and how many rows are left all the same.
    pub async fn drain(self) -> anyhow::Result<(Tally, u64)> {
        let left = self.agents.retire(|agents| async {
            let mut draining = tokio::task::JoinSet::new();
            agents.into_iter().for_each(|(_, agent)| drop(draining.spawn(agent.shutdown())));
            draining.join_all().await.into_iter().fold(0, |left: u64, drained| left.saturating_add(drained.rows_left))
        });
        let left = left.await?;
        let tally = self.accepted.lock().clone();
        Ok((tally, left))
    }
}

impl Site {
    fn config(&self, papers: &mut Papers, id: &MeterId, device: Device) -> anyhow::Result<Config> {
        let pair = papers.meter(id.as_str())?;
        let broker = Broker {
            reconnect_first_ms: RECONNECT_FIRST_MS,
            reconnect_max_ms: RECONNECT_MAX_MS,
            ..Broker::at(self.broker.ip().to_string(), self.broker.port(), papers.ca())
        };
        let mut config = Config::new(broker, self.journals.join(format!("{id}.sqlite")));
        config.report.heartbeat_ms = HEARTBEAT_MS;
        config.shutdown.grace_ms = DRAIN_MS;
        config.meter.push(Meter::new(id.clone(), pair.certificate, pair.key, device));
        Ok(config)
    }

    /// A module that answers with the captured replies, over and over again, and the configuration of the agent that reads it.
    fn pzem(&self, papers: &mut Papers) -> anyhow::Result<(PzemLine, Config)> {
        let mut replies = pzem_module::captured().into_iter().cycle();
        let source: pzem_module::Source = Box::new(move || replies.next());
        let line = PzemLine::start([(ADDRESS, source)]).context("cannot open a pseudo-terminal for the PZEM module")?;
        let poll_ms = u64::try_from(SAMPLE_EVERY.as_millis())?;
        let device = Device::Pzem004t { bus: LINE.to_owned(), address: ADDRESS, poll_ms, calibration_file: None };
        let mut config = self.config(papers, &PZEM.parse()?, device)?;
        config.bus.insert(LINE.to_owned(), Bus::at(line.path()));
        Ok((line, config))
    }

    /// A meter by IEC 62056-21 with a steady load behind it, and the configuration of the agent that reads it.
    fn optical(&self, papers: &mut Papers) -> anyhow::Result<(OpticalMeter, Config)> {
        let load = Load::new(OPTICAL_W, WattHours::from_centiwatthours(OPTICAL_REGISTER), || true);
        let settings = optical_meter::Settings {
            manufacturer: "FER".to_owned(),
            name: "DEMO".to_owned(),
            address: "100000".to_owned(),
            mode: optical_meter::Mode::C(Baud::B9600),
            password: None,
        };
        let meter = OpticalMeter::start(settings, Box::new(move || shown(&load)), true);
        let meter = meter.context("cannot open a pseudo-terminal for the optical meter")?;
        let device = Device::Iec62056(Iec62056 {
            bus: LINE.to_owned(),
            address: String::new(),
            mode: Mode::Readout,
            registers: Vec::new(),
            password_file: None,
            baud_max: 19_200,
            parity: Parity::Even,
            wake_up: false,
            poll_s: 2,
            deadline_s: 30,
        });
        let mut config = self.config(papers, &OPTICAL.parse()?, device)?;
        config.bus.insert(LINE.to_owned(), Bus::at(meter.path()));
        Ok((meter, config))
    }
}

/// What a meter with an optical port shows of a load.
fn shown(load: &Load) -> Vec<(String, String)> {
    let watt_hours = load.register().centiwatthours().div_euclid(100);
    let kilo = format!("{:06}.{:03}*kWh", watt_hours.div_euclid(1_000), watt_hours.rem_euclid(1_000));
    vec![("0.0.0".to_owned(), "100000".to_owned()), ("1.8.0".to_owned(), kilo)]
}

/// Homes are measured one after the other, not all at once.
fn first_sample(number: u16, homes: u16) -> Duration {
    SAMPLE_EVERY.saturating_mul(number.into()).checked_div(homes.into()).unwrap_or_default()
}

/// Lives in a home second by second, and measures it.
async fn sampler(seed: u64, first: Duration, sender: mpsc::Sender<Observation>) {
    let mut household = Household::new(seed, &HouseholdConfig::default());
    let mut sensor = Sensor::new(seed, Profile::PZEM_LAGGING)
        .with_register(REGISTER_WH.saturating_add(seed.wrapping_mul(REGISTER_WH) % REGISTER_WH_SPREAD));
    let mut clock = interval_at(Instant::now().checked_add(first).unwrap_or_else(Instant::now), SAMPLE_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let observation = sample::observation(&sensor.sample(&household.second()));
        if sender.send(observation).await.is_err() {
            return;
        }
    }
}
