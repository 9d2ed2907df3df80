//! The chip's owner, on a thread that may wait for the bus: starts it, reads it, and starts it again when it has forgotten itself.

use std::time::Instant;

use edge_core::Sample;
use edge_core::edge::NoData;
use linux_embedded_hal::Delay;
use measure::Channel;
use meters::ade7816::{Ade7816, CHANNELS, Events, Settings, Totals};
use tokio::sync::mpsc;

use super::fault::Fault;
use super::wire::{Open, Wire};
use crate::input::{Inbox, What};
use crate::metrics::{BusMetrics, ChipMetrics};
use crate::options::Observation;

/// Rounds in a row whose words can't be, after which the chip is started anew.
const DAMAGED_MAX: u8 = 3;

/// See the module.
pub(super) struct Worker {
    pub name: String,
    pub open: Open,
    pub settings: Settings,
    pub channels: Channel,
    /// Of the last whole round: a chip that is started goes on from here.
    pub totals: [Totals; CHANNELS],
    pub inbox: Inbox,
    pub bus: BusMetrics,
    pub metrics: ChipMetrics,
    state: State,
}

/// What is there now.
#[derive(Default)]
struct State {
    chip: Option<Ade7816<Wire>>,
    /// When each energy was read last.
    read_at: Vec<Instant>,
    damaged: u8,
    /// What the log was told last: that it is read, or that it is not.
    told: Option<bool>,
    happened: Events,
    clipped: [bool; CHANNELS],
}

impl Worker {
    pub fn new(
        name: String,
        open: Open,
        (settings, channels): (Settings, Channel),
        inbox: Inbox,
        bus: BusMetrics,
        metrics: ChipMetrics,
    ) -> Self {
        Self { name, open, settings, channels, totals: [Totals::default(); CHANNELS], inbox, bus, metrics, state: State::default() }
    }

    /// Polls when asked, and says so when it is done, until nobody asks any more.
    pub fn run(mut self, mut polls: mpsc::Receiver<()>, done: &mpsc::Sender<()>) {
        while polls.blocking_recv().is_some() {
            self.poll();
            if done.blocking_send(()).is_err() {
                return;
            }
        }
    }

    /// Starts the chip, or reads it once.
    fn poll(&mut self) {
        let Some(mut chip) = self.state.chip.take() else {
            // A mean power needs a time that it is over: readings begin with the next poll.
            if let Err(fault) = self.start() {
                self.missed(&fault);
            }
            return;
        };
        match self.round(&mut chip) {
            Ok(samples) => {
                self.totals = chip.totals();
                self.state.chip = Some(chip);
                self.state.damaged = 0;
                if self.state.told.replace(true) != Some(true) {
                    tracing::info!(port = self.name, "chip is read");
                }
                samples.into_iter().for_each(|sample| self.tell(sample));
            }
            Err(fault) => {
                self.missed(&fault);
                self.mend(chip, &fault);
            }
        }
    }

    fn mend(&mut self, mut chip: Ade7816<Wire>, fault: &Fault) {
        match fault {
            Fault::Reset => {
                if let Err(fault) = self.start() {
                    self.bus.fault(fault.name());
                    tracing::debug!(port = self.name, %fault, "chip cannot be started");
                }
            }
            Fault::Damaged(_) => {
                self.state.damaged = self.state.damaged.saturating_add(1);
                if self.state.damaged < DAMAGED_MAX {
                    self.state.chip = Some(chip);
                } else {
                    // The next poll starts it.
                    self.state.damaged = 0;
                }
            }
            // It may well count on behind a wire that is loose or an adapter that was unplugged: what it has counted is not thrown away.
            Fault::Gone(_) | Fault::Silent(_) | Fault::NotReady | Fault::NotKept(_) => {
                if let Ok(port) = (self.open)() {
                    chip.reconnect(port);
                }
                self.state.chip = Some(chip);
            }
        }
    }

    fn start(&mut self) -> Result<(), Fault> {
        let port = (self.open)()?;
        let chip = Ade7816::start(port, &mut Delay, self.settings, self.totals)?;
        self.state.read_at = vec![Instant::now(); self.channels.into()];
        self.state.chip = Some(chip);
        tracing::debug!(port = self.name, "chip is started");
        Ok(())
    }

    /// All channels, and then what happened: channels that a chip without memory has shown are not told.
    fn round(&mut self, chip: &mut Ade7816<Wire>) -> Result<Vec<Observation>, Fault> {
        let mut samples = Vec::with_capacity(self.channels.into());
        for (channel, read_at) in (0..self.channels).zip(&mut self.state.read_at) {
            let at = Instant::now();
            let reading = chip.read(channel, at.saturating_duration_since(*read_at))?;
            *read_at = at;
            if let Some(reading) = &reading {
                let clipped = self.state.clipped.get_mut(usize::from(channel));
                let before = clipped.map(|clipped| std::mem::replace(clipped, reading.clips));
                if reading.clips {
                    self.metrics.clipped.inc();
                }
                if reading.clips && before == Some(false) {
                    tracing::info!(port = self.name, channel, "the front end clips: voltage or current is larger than it reads");
                }
            }
            let over = |current: f64| self.settings.over_current.is_some_and(|level| current > level);
            // A value beyond all records is damaged, too.
            let result = reading.ok_or(NoData::Damaged).map(|it| Sample {
                raw: it.raw,
                import: it.import,
                export: it.export,
                alarm: it.clips || over(it.raw.current.as_f64()),
            });
            samples.push(Observation { at, channel, result });
        }
        let events = chip.events()?;
        self.happened(events);
        if events.reset { Err(Fault::Reset) } else { Ok(samples) }
    }

    fn happened(&mut self, events: Events) {
        let before = std::mem::replace(&mut self.state.happened, events);
        for (name, now, before) in [
            ("reset", events.reset, before.reset),
            ("sag", events.sag, before.sag),
            ("over_voltage", events.over_voltage, before.over_voltage),
            ("over_current", events.over_current, before.over_current),
        ] {
            if now {
                self.metrics.happened(name);
            }
            if now && !before {
                tracing::info!(port = self.name, event = name, "chip tells");
            }
        }
    }

    /// No channel was read.
    fn missed(&mut self, fault: &Fault) {
        self.bus.fault(fault.name());
        if self.state.told.replace(false) != Some(false) {
            tracing::warn!(port = self.name, %fault, "chip cannot be read; trying again");
        }
        for channel in 0..self.channels {
            self.tell(Observation { at: Instant::now(), channel, result: Err(fault.no_data()) });
        }
    }

    fn tell(&self, Observation { at, channel, result }: Observation) {
        if !self.inbox.try_tell(What::Sample { at, channel, result }) {
            self.bus.samples_dropped.inc();
        }
    }
}
