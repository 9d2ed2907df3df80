//! The demo's meters: simulated homes, each with an agent of its own, and one module that answers with captured replies on a
//! pseudo-terminal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use edge_agent::config::{Broker, Bus, Config, Device, Meter};
use edge_agent::{Observation, Options, Running};
use fleet::audit::{Tally, record};
use fleet::household::{Household, HouseholdConfig};
use fleet::pzem_module::{self, PzemLine};
use fleet::sensor::{Profile, Sensor};
use measure::{MeterId, Text};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

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
    /// Answers as long as it lives.
    _line: PzemLine,
}

/// An agent to be started.
struct Plan {
    id: MeterId,
    config: Config,
    options: Options,
}

impl Homes {
    /// Starts them all.
    pub async fn start(site: &Site, papers: &mut Papers) -> anyhow::Result<Self> {
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
        Ok(Self { agents: agents.await?, accepted, _line: line })
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
