//! An agent in this process, and what its meters measure.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use edge_agent::config::{Broker, Bus, Config, Device, Meter};
use edge_agent::{Drained, Observation, Options, Running};
use edge_core::Sample;
use measure::{Amperes, Hertz, MeterId, PowerFactor, Raw, Text, Volts, WattHours, Watts};
use pki::Role;
use testkit::await_until;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::{Books, PATIENCE, Stage};

/// From sample to sample: a meter reports no oftener.
const SECOND: Duration = Duration::from_secs(1);

/// An agent's configuration with one meter on a line that it reads: what `line` names is its bus, and `device` says how it is read.
pub fn on_line(stage: &mut Stage, meter: &MeterId, (bus, line): (&str, &Path), device: Device) -> anyhow::Result<Config> {
    let identity = stage.client(meter.as_str(), Role::Meter)?;
    let mut config = Config::new(broker(stage)?, stage.dir().join("journal.sqlite"));
    config.report.heartbeat_ms = 1_000;
    config.shutdown.grace_ms = 10_000;
    config.bus.insert(bus.to_owned(), Bus::at(line));
    config.meter.push(Meter::new(meter.clone(), identity.certificate, identity.key, device));
    Ok(config)
}

/// An agent with meters that measure something new every second.
pub struct Home {
    agent: Running,
    samplers: Vec<JoinHandle<()>>,
    alarm: watch::Sender<bool>,
}

impl Home {
    /// Starts an agent whose meters measure at once. `adjust` may change its configuration first.
    pub async fn start(
        stage: &mut Stage,
        name: &str,
        meters: u16,
        books: &Books,
        adjust: impl FnOnce(&mut Config),
    ) -> anyhow::Result<Self> {
        let mut config = config(stage, name, meters)?;
        adjust(&mut config);
        Self::resume(config, books).await
    }

    /// Starts an agent with a configuration of an earlier one, on its journal.
    pub async fn resume(config: Config, books: &Books) -> anyhow::Result<Self> {
        let mut options = Options::default().accepted(books.observer());
        let (alarm, _) = watch::channel(false);
        let mut samplers = Vec::new();
        for (number, meter) in (0..).zip(&config.meter) {
            let (sender, samples) = mpsc::channel(16);
            options = options.source(meter.id.clone(), samples);
            samplers.push(tokio::spawn(sampler(number, sender, alarm.subscribe())));
        }
        Ok(Self { agent: edge_agent::start(config, options).await?, samplers, alarm })
    }

    /// The agent.
    pub const fn agent(&self) -> &Running {
        &self.agent
    }

    /// Switches the meters' own power alarm, which is an urgent event.
    pub fn set_alarm(&self, on: bool) {
        self.alarm.send_replace(on);
    }

    /// Rows that wait in the journal.
    pub fn waiting(&self) -> i64 {
        self.agent.metrics().journal.rows.get()
    }

    /// Waits until the journal holds this many rows at least.
    pub async fn await_waiting(&self, rows: i64) -> anyhow::Result<()> {
        await_until(&format!("{rows} rows wait in the journal"), PATIENCE, async || Ok((self.waiting() >= rows).then_some(()))).await
    }

    /// Waits until the journal has accepted so many records more.
    pub async fn await_measured(&self, books: &Books, more: u64) -> anyhow::Result<()> {
        let enough = books.total().saturating_add(more);
        await_until(&format!("{more} more records"), PATIENCE, async || Ok((books.total() >= enough).then_some(()))).await
    }

    /// The meters measure no more; what is journalled still travels.
    pub fn stop_measuring(&mut self) {
        self.samplers.drain(..).for_each(|sampler| sampler.abort());
    }

    /// Waits until everything is acknowledged.
    pub async fn await_drained(&self) -> anyhow::Result<()> {
        await_until("the journal is empty", PATIENCE, async || Ok((self.waiting() == 0).then_some(()))).await
    }

    /// Stops the agent in an orderly way.
    pub async fn shutdown(mut self) -> Drained {
        self.stop_measuring();
        self.agent.shutdown().await
    }
}

/// An agent's configuration with `meters` meters, named after it, whose samples the test supplies.
pub fn config(stage: &mut Stage, name: &str, meters: u16) -> anyhow::Result<Config> {
    let mut config = Config::new(broker(stage)?, stage.dir().join(format!("{name}.sqlite")));
    config.report.heartbeat_ms = 1_000;
    config.shutdown.grace_ms = 10_000;
    for number in 0..meters {
        let id: MeterId = format!("{name}-{number}").parse()?;
        let identity = stage.client(id.as_str(), Role::Meter)?;
        config.meter.push(supplied(id, identity.certificate, identity.key));
    }
    Ok(config)
}

/// A meter whose samples somebody supplies.
pub fn supplied(id: MeterId, certificate_file: PathBuf, key_file: PathBuf) -> Meter {
    Meter::new(id, certificate_file, key_file, Device::Supplied { name: Text::try_from("simulated").unwrap_or_default() })
}

/// The stage's broker, for an agent that comes back soon.
pub fn broker(stage: &mut Stage) -> anyhow::Result<Broker> {
    let ca: PathBuf = stage.client(&format!("ca-{:08x}", rand::random::<u32>()), Role::Operator)?.ca;
    let mqtt = stage.mqtt();
    Ok(Broker { reconnect_first_ms: 100, reconnect_max_ms: 1_000, ..Broker::at(mqtt.ip().to_string(), mqtt.port(), ca) })
}

/// A load that is another one each second.
pub fn sample(number: u16, second: u32, alarm: bool) -> Sample {
    let watts = 100.0 + 40.0 * f64::from(second % 50) + f64::from(number);
    let volts = 230.0 - watts / 1_000.0;
    let raw = Raw {
        voltage: Volts::from_f64(volts).unwrap_or_default(),
        current: Amperes::from_f64(watts / volts).unwrap_or_default(),
        active_power: Watts::from_f64(watts).unwrap_or_default(),
        frequency: Hertz::from_millihertz(50_000),
        power_factor: PowerFactor::from_thousandths(1_000),
    };
    Sample { raw, import: WattHours::from_f64(f64::from(second / 10)).unwrap_or_default(), export: WattHours::default(), alarm }
}

async fn sampler(number: u16, sender: mpsc::Sender<Observation>, mut alarm: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(SECOND);
    for second in 0.. {
        // The alarm is seen at once, as a meter's interrupt would be.
        tokio::select! {
            _ = clock.tick() => {}
            Ok(()) = alarm.changed() => {}
        }
        let now = sample(number, second, *alarm.borrow_and_update());
        if sender.send(Observation { at: Instant::now(), channel: 0, result: Ok(now) }).await.is_err() {
            return;
        }
    }
}
