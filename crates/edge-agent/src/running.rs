//! Building an agent from its configuration, and taking it down again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edge_core::edge;
use edge_core::keypad::Key;
use edge_core::outbox;
use measure::{MeterId, Text};
use meters::transaction::Timing;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ade7816;
use crate::agent::{Beginning, Drained, Owner, Parts};
use crate::bus::{self, Bus, Polled};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Device, Meter};
use crate::input::{Inbox, Input, QUEUE_INPUTS, What};
use crate::journal_sqlite::Store;
use crate::keypad::{self, Pad};
use crate::link::{Link, QUEUE_FRAMES};
use crate::metrics::Metrics;
use crate::options::{Observation, Options};
use crate::port::Port;
use crate::relays::{Relays, State};
use crate::start_error::StartError;
use crate::tls::{self, Files, TlsError};
use crate::{clock, condition, health};

/// An agent at work. Dropping it stops it without draining.
#[derive(Debug)]
pub struct Running {
    /// Stops measuring.
    rest: CancellationToken,
    /// Starts draining.
    drain: CancellationToken,
    /// Ends everything else.
    stop: CancellationToken,
    owner: JoinHandle<Drained>,
    sources: TaskTracker,
    tasks: TaskTracker,
    health_addr: Option<SocketAddr>,
    metrics: Arc<Metrics>,
    relays: BTreeMap<MeterId, watch::Receiver<Vec<State>>>,
    keypads: BTreeMap<MeterId, (Inbox, watch::Receiver<String>)>,
}

impl Running {
    /// Where `/healthz` and `/metrics` are.
    pub const fn health_addr(&self) -> Option<SocketAddr> {
        self.health_addr
    }

    /// What a meter's relays are to be, now and as they change.
    pub fn relays(&self, meter: &MeterId) -> Option<watch::Receiver<Vec<State>>> {
        self.relays.get(meter).cloned()
    }

    /// Presses a key of a meter's keypad; false if it has none.
    pub async fn press(&self, meter: &MeterId, key: Key) -> bool {
        let Some((inbox, _)) = self.keypads.get(meter) else { return false };
        inbox.tell(What::Key(key)).await;
        true
    }

    /// What a meter's display shows, now and as it changes.
    pub fn display(&self, meter: &MeterId) -> Option<watch::Receiver<String>> {
        self.keypads.get(meter).map(|(_, display)| display.clone())
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Stops measuring, commits what was measured, waits for acknowledgements for as long as the configuration allows, and says
    /// goodbye to the broker.
    pub async fn shutdown(mut self) -> Drained {
        self.rest.cancel();
        finish(&self.sources).await;
        self.drain.cancel();
        let drained = (&mut self.owner).await;
        self.stop.cancel();
        finish(&self.tasks).await;
        // The owner panicked: that was printed where it happened, and nothing is known of the journal's rows.
        drained.unwrap_or(Drained { rows_left: u64::MAX })
    }

    /// Returns when the owner has ended by itself, which only a panic makes it do.
    pub async fn failed(&mut self) {
        let _ = (&mut self.owner).await;
    }
}

async fn finish(tasks: &TaskTracker) {
    tasks.close();
    tasks.wait().await;
}

impl Drop for Running {
    fn drop(&mut self) {
        self.rest.cancel();
        self.drain.cancel();
        self.stop.cancel();
    }
}

/// Starts an agent and runs it until `shutdown`, then drains it.
///
/// # Errors
/// See [`StartError`].
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<Drained, StartError> {
    let running = start(config, Options::default()).await?;
    shutdown.await;
    Ok(running.shutdown().await)
}

/// Starts an agent on the caller's runtime.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub async fn start(config: Config, mut options: Options) -> Result<Running, StartError> {
    config.check()?;
    let metrics = Arc::new(Metrics::new());
    let [rest, drain, stop] = [(); 3].map(|()| CancellationToken::new());
    let (measuring, tasks) = (TaskTracker::new(), TaskTracker::new());
    let (sender, inputs) = mpsc::channel(QUEUE_INPUTS);
    let (links, frames) = links(&config, &sender, &metrics)?;
    let buses = buses(&config, &sender, &metrics)?;
    let sources = sources(&config, &sender, &mut options)?;
    let chips = ade7816::chips(&config, &sender, &mut options, &metrics)?;
    let (listener, health_addr) = listener(&config).await?;
    let (movers, wanted): (Vec<_>, Vec<_>) = config.meter.iter().map(|meter| relays(meter, &metrics)).unzip();
    let watched = config.meter.iter().zip(&wanted).map(|(meter, wanted)| (meter.id.clone(), wanted.subscribe())).collect();
    let (pads, listeners) = keypads(&config)?;
    let keypads = displays(&config, &pads, &sender);
    let parts = Prepared { frames, wanted, pads, inputs, metrics: metrics.clone(), stop: drain.clone(), abandon: stop.clone() };
    let owner = owner(&config, options, parts).await?;

    // Nothing was started before, so nothing is left behind when a step above fails.
    for bus in buses {
        measuring.spawn(bus.run(rest.clone()));
    }
    for mut chip in chips {
        chip.resume(owner.registers(chip.meter()));
        measuring.spawn(chip.run(rest.clone()));
    }
    for (inbox, samples) in sources {
        measuring.spawn(forward(inbox, samples, rest.clone()));
    }
    if config.condition.enabled() {
        let inboxes = (0..config.meter.len()).map(|index| Inbox::new(index, sender.clone())).collect();
        measuring.spawn(condition::watch(config.condition.clone(), inboxes, metrics.condition_unreadable.clone(), rest.clone()));
    }
    for (meter, port) in listeners {
        let Some((inbox, _)) = keypads.get(&meter) else { continue };
        measuring.spawn(keypad::listen(port, inbox.clone(), metrics.keys_unknown.clone(), rest.clone()));
    }
    for meter in &config.meter {
        let file = meter.keypad.as_ref().and_then(|it| it.display_file.clone());
        let Some((file, (_, shown))) = file.zip(keypads.get(&meter.id)) else { continue };
        tasks.spawn(keypad::display(file, shown.clone(), metrics.displays_failed.clone(), stop.clone()));
    }
    for mover in movers {
        tasks.spawn(mover.run(stop.clone()));
    }
    for link in links {
        tasks.spawn(link.run(stop.child_token()));
    }
    if let Some(listener) = listener {
        tasks.spawn(health::serve(listener, metrics.clone(), stop.clone()));
    }
    let runtime = tokio::runtime::Handle::current();
    let owner = tokio::task::spawn_blocking(move || runtime.block_on(owner.run()));
    Ok(Running { rest, drain, stop, owner, sources: measuring, tasks, health_addr, metrics, relays: watched, keypads })
}

/// What the owner shares with the others.
struct Prepared {
    frames: Vec<mpsc::Sender<Vec<u8>>>,
    wanted: Vec<watch::Sender<Vec<State>>>,
    pads: Vec<Option<Pad>>,
    inputs: mpsc::Receiver<Input>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    abandon: CancellationToken,
}

/// Opens the journal and starts the brains, on a thread that may wait for the disk.
async fn owner(config: &Config, options: Options, prepared: Prepared) -> Result<Owner, StartError> {
    let brains: Vec<_> = config.meter.iter().map(|meter| brain(config, meter)).collect::<Result<_, _>>()?;
    let ids: Vec<_> = config.meter.iter().map(|meter| meter.id.clone()).collect();
    let (journal, grace) = (config.journal.clone(), config.shutdown.grace());
    let opened = tokio::task::spawn_blocking(move || {
        let clock = Clock::new(options.wall.unwrap_or_else(|| Box::new(clock::system)));
        let (store, salvaged) = Store::open(&journal.path, &ids, journal.limit_bytes, clock.utc())?;
        let Prepared { frames, wanted, pads, inputs, metrics, stop, abandon } = prepared;
        let all = brains.into_iter().zip(frames).zip(wanted).zip(pads);
        let brains = all.map(|(((config, frames), relays), pad)| Beginning { config, frames, relays, pad }).collect();
        let parts = Parts { store, brains, inputs, clock, metrics, observer: options.observer, stop, abandon, grace };
        Ok(Owner::start(parts, &salvaged)?)
    });
    match opened.await {
        Ok(owner) => owner,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn brain(config: &Config, meter: &Meter) -> Result<edge::Config, ConfigError> {
    let identity = outbox::Identity {
        device: meter.device.name(),
        software: Text::try_from(concat!("edge-agent ", env!("CARGO_PKG_VERSION"))).unwrap_or_default(),
        configuration: config.fingerprint(),
    };
    let outbox = outbox::Config {
        identity,
        resend_first_ms: config.delivery.resend_first_ms,
        resend_max_ms: config.delivery.resend_max_ms,
        live_ms: config.delivery.live_ms,
        ..outbox::Config::default()
    };
    let channels = vec![estimator::Config::new(estimator::load::SensorNoise::PZEM_004T); meter.channels()];
    let usual = edge_core::ChannelConfig::default();
    // One readout that fails is no silence yet.
    let polls_ms = meter.device.every().map_or(0, |every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX).saturating_mul(3));
    let channel = edge_core::ChannelConfig { silent_after_ms: usual.silent_after_ms.max(polls_ms), ..usual };
    let calibrations = meter.calibrations()?;
    let commands = config.commands.to_core(&meter.id, meter.device.every())?;
    let (prepaid, code_secret) = (meter.prepaid()?, meter.code_secret()?);
    Ok(edge::Config {
        outbox,
        report: config.report.to_core()?,
        channel,
        channels,
        calibrations,
        commands,
        prepaid,
        code_secret,
        condition: config.condition.to_core()?,
        keeps_registers: matches!(meter.device, Device::Ade7816(_)),
    })
}

type Keypads = (Vec<Option<Pad>>, Vec<(MeterId, Port)>);

/// The keypads, and those that are on a port.
fn keypads(config: &Config) -> Result<Keypads, StartError> {
    let mut listeners = Vec::new();
    for meter in &config.meter {
        let Some(path) = meter.keypad.as_ref().and_then(|it| it.port.as_ref()) else { continue };
        let failed = |source| StartError::Keypad { meter: meter.id.clone(), port: path.clone(), source };
        listeners.push((meter.id.clone(), Port::open(path, bus::BAUD, false).map_err(failed)?));
    }
    Ok((config.meter.iter().map(Pad::new).collect(), listeners))
}

fn displays(config: &Config, pads: &[Option<Pad>], inputs: &mpsc::Sender<Input>) -> BTreeMap<MeterId, (Inbox, watch::Receiver<String>)> {
    let all = config.meter.iter().zip(pads).enumerate();
    let with_one =
        all.filter_map(|(index, (meter, pad))| Some((meter.id.clone(), (Inbox::new(index, inputs.clone()), pad.as_ref()?.display()))));
    with_one.collect()
}

fn relays(meter: &Meter, metrics: &Metrics) -> (Relays, watch::Sender<Vec<State>>) {
    let (sender, wanted) = watch::channel(Vec::new());
    (Relays::new(meter.id.clone(), &meter.channel, wanted, metrics.relays_failed.clone()), sender)
}

type Links = (Vec<Link>, Vec<mpsc::Sender<Vec<u8>>>);

fn links(config: &Config, inputs: &mpsc::Sender<Input>, metrics: &Metrics) -> Result<Links, TlsError> {
    let pairs = config.meter.iter().enumerate().map(|(index, meter)| {
        let files = Files { ca: &config.broker.ca_file, certificate: &meter.certificate_file, key: &meter.key_file };
        let tls = tls::client(files, config.broker.server_name.as_deref())?;
        let (sender, frames) = mpsc::channel(QUEUE_FRAMES);
        let inbox = Inbox::new(index, inputs.clone());
        let obeys = config.commands.enabled();
        Ok((
            Link { meter: meter.id.clone(), broker: config.broker.clone(), tls, frames, inbox, obeys, metrics: metrics.link.clone() },
            sender,
        ))
    });
    Ok(pairs.collect::<Result<Vec<_>, TlsError>>()?.into_iter().unzip())
}

fn buses(config: &Config, inputs: &mpsc::Sender<Input>, metrics: &Metrics) -> Result<Vec<Bus>, StartError> {
    let mut buses = Vec::new();
    for (name, settings) in &config.bus {
        let all = config.meter.iter().enumerate().map(|(index, meter)| polled(name, index, meter, inputs));
        let polled = all.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect::<Vec<_>>();
        if polled.is_empty() {
            continue;
        }
        let attempts = u32::from(settings.attempts);
        let reply = Duration::from_millis(settings.reply_timeout_ms);
        let deadline = reply.saturating_add(Timing::BAUD_9600.settle).saturating_mul(attempts).saturating_add(Duration::from_millis(100));
        let timing = Timing { reply, attempts: settings.attempts, deadline, ..Timing::BAUD_9600 };
        let failed = |source| StartError::Port { bus: name.clone(), port: settings.port.clone(), source };
        buses.push(Bus::open(&settings.port, settings.optional, timing, polled, metrics.bus.clone()).map_err(failed)?);
    }
    Ok(buses)
}

fn polled(name: &str, index: usize, meter: &Meter, inputs: &mpsc::Sender<Input>) -> Result<Vec<Polled>, ConfigError> {
    let every = meter.device.every().filter(|_| meter.device.bus() == Some(name));
    let Some(every) = every else { return Ok(Vec::new()) };
    let polled = |(channel, question)| Polled { channel, question, every, inbox: Inbox::new(index, inputs.clone()) };
    Ok(meter.questions()?.into_iter().map(polled).collect())
}

type Source = (Inbox, mpsc::Receiver<Observation>);

fn sources(config: &Config, inputs: &mpsc::Sender<Input>, options: &mut Options) -> Result<Vec<Source>, StartError> {
    let supplied = config.meter.iter().enumerate().filter(|(_, meter)| matches!(meter.device, Device::Supplied { .. }));
    let sources = supplied.map(|(index, meter)| {
        let samples = options.sources.remove(&meter.id).ok_or_else(|| StartError::NoSource(meter.id.clone()))?;
        Ok((Inbox::new(index, inputs.clone()), samples))
    });
    sources.collect()
}

/// Hands a caller's samples on; the caller waits while the journal cannot keep up. What waits when told to stop is handed on, too.
async fn forward(inbox: Inbox, mut samples: mpsc::Receiver<Observation>, stop: CancellationToken) {
    loop {
        let observation = tokio::select! {
            biased;
            observation = samples.recv() => observation,
            () = stop.cancelled() => None,
        };
        let Some(Observation { at, channel, result }) = observation else { return };
        inbox.tell(What::Sample { at, channel, result }).await;
    }
}

async fn listener(config: &Config) -> Result<(Option<TcpListener>, Option<SocketAddr>), StartError> {
    let Some(address) = config.health.listen else { return Ok((None, None)) };
    let failed = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((Some(listener), Some(bound)))
}
