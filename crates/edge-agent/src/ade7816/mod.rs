//! ADE7816 chips on buses of this machine. The bus makes whoever talks wait, so each chip has a thread of its own; a task asks that thread for
//! a poll at a time, and does not wait for it where it hangs: then its channels are told as silent, and no other meter waits.
//!
//! The chip forgets its energies. It goes on from the registers that the journal remembers ([`edge_core::Edge::registers`]).
//!
//! Rejected: tasks for blocking calls on the runtime's own threads. One that hangs would keep the process from ending.

mod fault;
mod probe;
mod wire;
mod worker;

use std::time::{Duration, Instant};

use edge_core::Registers;
use edge_core::edge::NoData;
use measure::Channel;
use meters::ade7816::Totals;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::bus::next_due;
use crate::config::{Config, Device};
use crate::input::{Inbox, Input, What};
use crate::metrics::{BusMetrics, Metrics};
use crate::options::Options;
use crate::start_error::StartError;

pub use fault::Fault;
pub use probe::{read, version};
pub use wire::{Open, Wire};
use worker::Worker;

/// A poll that takes longer hangs: Linux gives up a transfer after a second, and a poll has thirty.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is being read when it is told to stop is waited for so long.
const LAST_POLL: Duration = Duration::from_secs(1);

/// A chip that nobody polls yet.
pub(crate) struct Chip {
    meter: usize,
    every: Duration,
    worker: Worker,
}

/// The chips of a configuration, each with its port opened once: one that never was there is a mistake.
pub(crate) fn chips(
    config: &Config,
    inputs: &mpsc::Sender<Input>,
    options: &mut Options,
    metrics: &Metrics,
) -> Result<Vec<Chip>, StartError> {
    let mut chips = Vec::new();
    for (index, meter) in config.meter.iter().enumerate() {
        let (Device::Ade7816(chip), Some(settings), Some(every)) = (&meter.device, meter.chip()?, meter.device.every()) else { continue };
        let mut open = match (options.chips.remove(&meter.id), chip.wired()) {
            (Some(open), _) => open,
            (None, Some(interface)) => {
                let path = chip.port.clone();
                Box::new(move || Wire::open(&path, interface)) as Open
            }
            (None, None) => continue,
        };
        let failed = |source| StartError::Chip { meter: meter.id.clone(), port: chip.port.clone(), source };
        open().map_err(failed)?;
        let (name, inbox) = (chip.port.display().to_string(), Inbox::new(index, inputs.clone()));
        let worker = Worker::new(name, open, (settings, chip.channels), inbox, metrics.bus.clone(), metrics.chip.clone());
        chips.push(Chip { meter: index, every, worker });
    }
    Ok(chips)
}

impl Chip {
    /// Whose it is.
    pub const fn meter(&self) -> usize {
        self.meter
    }

    /// Goes on from these registers, by channel; from zero where there are none.
    pub fn resume(&mut self, registers: impl IntoIterator<Item = Option<Registers>>) {
        let all = self.worker.totals.iter_mut().zip(&self.worker.settings.channels).zip(registers);
        for ((totals, calibration), registers) in all {
            let Registers { import, export } = registers.unwrap_or_default();
            *totals = Totals::of_registers(import, export, calibration.watt_hours_per_count);
        }
    }

    /// Polls until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { every, worker, .. } = self;
        let (name, channels, inbox, metrics) = (worker.name.clone(), worker.channels, worker.inbox.clone(), worker.bus.clone());
        let ((polls, asked_for), (done, mut answers)) = (mpsc::channel(1), mpsc::channel(1));
        // It ends when nobody asks any more. A thread that hangs is left behind, and ends with the process.
        std::thread::spawn(move || worker.run(asked_for, &done));
        let hangs = Hangs { name, channels, inbox, metrics };
        let (mut due, mut asked) = (Instant::now(), None::<Instant>);
        loop {
            tokio::select! {
                _ = answers.recv(), if asked.is_some() => asked = None,
                () = sleep_until(due.into()) => {
                    let now = Instant::now();
                    let (next, skipped) = next_due(due, every, now);
                    due = next;
                    hangs.metrics.polls_skipped.inc_by(skipped);
                    match asked {
                        None if polls.try_send(()).is_ok() => asked = Some(now),
                        Some(at) if now.saturating_duration_since(at) < PATIENCE => _ = hangs.metrics.polls_skipped.inc(),
                        // It hangs, or its thread is gone.
                        _ => hangs.tell(now),
                    }
                }
                () = stop.cancelled() => break,
            }
        }
        if asked.is_some() {
            let _ = timeout(LAST_POLL, answers.recv()).await;
        }
    }
}

/// Tells for a thread that does not.
struct Hangs {
    name: String,
    channels: Channel,
    inbox: Inbox,
    metrics: BusMetrics,
}

impl Hangs {
    fn tell(&self, at: Instant) {
        self.metrics.fault("chip_hangs");
        tracing::debug!(port = self.name, "chip hangs");
        for channel in 0..self.channels {
            if !self.inbox.try_tell(What::Sample { at, channel, result: Err(NoData::Timeout) }) {
                self.metrics.samples_dropped.inc();
            }
        }
    }
}
