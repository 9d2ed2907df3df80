//! The owner of the journal and of all brains: one loop, select → action → apply, then what must always hold again.
//!
//! Everything that happened since the last turn, to any meter, is handled in one transaction; when it is committed, and not before, the
//! frames that were numbered in it are handed to their links. One commit costs the disk one flush of some milliseconds, however many
//! meters took part, so a turn takes what has gathered meanwhile. The loop has a thread of its own, for SQLite makes it wait.
//!
//! When a transaction fails it is rolled back, its frames are forgotten, and the brains that took part read their state again; what
//! was lost becomes a gap. While the journal cannot be used nothing is taken from the queue, so that whoever fills it waits.
//!
//! Rejected: a task and a journal per meter. A gateway of fifty meters would flush its disk fifty times a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_core::Registers;
use edge_core::clock::Now;
use measure::{Channel, EventKind, GapReason};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::brain::Brain;
use crate::clock::Clock;
use crate::input::Input;
use crate::journal_sqlite::{Accepted, Salvaged, Store, StoreError};
use crate::keypad::Pad;
use crate::metrics::Metrics;
use crate::relays::State;

/// Inputs handled in one transaction at most.
const INPUTS_PER_TURN: usize = 256;
/// Wait before a journal that failed is tried again.
const MEND_EVERY: Duration = Duration::from_secs(1);

/// Called with rows when their commit has returned. For whoever keeps account of what was accepted.
pub type Observer = Box<dyn FnMut(Vec<Accepted>) + Send>;

/// What a committed transaction leaves to be done.
struct Outcome {
    /// Meter and bytes of each frame to publish.
    frames: Vec<(usize, Vec<u8>)>,
    accepted: Vec<Accepted>,
}

/// What to do next.
enum Action {
    Handle(Vec<Input>),
    Mend,
    /// Told to stop, or nobody is left to tell anything.
    Stop,
}

/// See the module.
pub struct Owner {
    store: Store,
    brains: Vec<Brain>,
    inputs: mpsc::Receiver<Input>,
    clock: Clock,
    metrics: Arc<Metrics>,
    observer: Option<Observer>,
    /// The reason for gaps of what the failed transaction held, until the journal can be used again.
    broken: Option<GapReason>,
    /// The last transaction failed, and somebody was told.
    failing: bool,
    stop: CancellationToken,
    abandon: CancellationToken,
    grace: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Rows that stay in the journal until the next start.
    pub rows_left: u64,
}

/// What a brain begins with.
pub struct Beginning {
    /// Its configuration.
    pub config: edge_core::edge::Config,
    /// The way to its link.
    pub frames: mpsc::Sender<Vec<u8>>,
    /// The way to its relays.
    pub relays: watch::Sender<Vec<State>>,
    pub(crate) pad: Option<Pad>,
}

/// What an owner is made of.
pub struct Parts {
    /// The journals.
    pub store: Store,
    /// In the journals' order.
    pub brains: Vec<Beginning>,
    /// Everybody's inputs.
    pub inputs: mpsc::Receiver<Input>,
    /// Time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who keeps account.
    pub observer: Option<Observer>,
    /// When to stop taking samples and drain.
    pub stop: CancellationToken,
    /// When to end at once.
    pub abandon: CancellationToken,
    /// How long to drain.
    pub grace: Duration,
}

impl Owner {
    /// Starts the brains in one transaction. `salvaged` is what opening the journals brought to light.
    ///
    /// # Errors
    /// The journal failed at once, or the system has no randomness.
    pub fn start(parts: Parts, salvaged: &[Salvaged]) -> Result<Self, StartFailed> {
        let Parts { store, brains, inputs, clock, metrics, observer, stop, abandon, grace } = parts;
        let now = clock.now();
        store.begin()?;
        let mut started = Vec::new();
        for (index, beginning) in brains.into_iter().enumerate() {
            let Some(mut journal) = store.meter(index) else { continue };
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|_| StartFailed::Randomness)?;
            started.push(Brain::start(beginning, seed, now, &mut journal)?);
        }
        let mut owner =
            Self { store, brains: started, inputs, clock, metrics, observer, broken: None, failing: false, stop, abandon, grace };
        owner.tell_salvaged(salvaged, now)?;
        let accepted = owner.store.commit()?;
        owner.committed(Outcome { frames: Vec::new(), accepted });
        Ok(owner)
    }

    /// The registers of a meter's channels that the journal remembers for a device that forgets them, from channel 0.
    pub fn registers(&self, meter: usize) -> impl Iterator<Item = Option<Registers>> {
        let edge = self.brains.get(meter).map(|brain| &brain.edge);
        (0..=Channel::MAX).map(move |channel| edge?.registers(channel))
    }

    /// Runs until told to stop and drained, or for as long as that may take.
    pub async fn run(mut self) -> Drained {
        loop {
            match self.select().await {
                Action::Handle(inputs) => self.handle(inputs),
                Action::Mend => self.mend(),
                Action::Stop => break,
            }
        }
        self.drain().await;
        Drained { rows_left: self.store.rows() }
    }

    async fn select(&mut self) -> Action {
        if self.broken.is_some() {
            return tokio::select! {
                () = sleep(MEND_EVERY) => Action::Mend,
                () = self.stop.cancelled() => Action::Stop,
            };
        }
        let deadline = self.deadline();
        let mut inputs = Vec::new();
        tokio::select! {
            count = self.inputs.recv_many(&mut inputs, INPUTS_PER_TURN) => if count == 0 { Action::Stop } else { Action::Handle(inputs) },
            () = sleep_until(deadline.into()) => Action::Handle(inputs),
            () = self.stop.cancelled() => Action::Stop,
        }
    }

    /// When the first brain wants to be called.
    fn deadline(&self) -> Instant {
        self.clock.instant(self.brains.iter().filter_map(|brain| brain.edge.poll_timeout()).min().unwrap_or(u64::MAX))
    }

    /// One turn.
    fn handle(&mut self, inputs: Vec<Input>) {
        match self.transaction(inputs) {
            Ok(outcome) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("journal can be written again");
                }
                self.committed(outcome);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn transaction(&mut self, inputs: Vec<Input>) -> Result<Outcome, StoreError> {
        self.store.begin()?;
        let now = self.clock.now();
        for Input { meter, what } in inputs {
            let (Some(brain), Some(mut journal)) = (self.brains.get_mut(meter), self.store.meter(meter)) else { continue };
            brain.handle(what, now, &self.clock, &mut journal)?;
        }
        let mut frames = Vec::new();
        let stopping = self.stop.is_cancelled();
        for (index, brain) in self.brains.iter_mut().enumerate() {
            if stopping && let Some(mut journal) = self.store.meter(index) {
                brain.edge.handle_stop(&mut journal)?;
            }
            let due = brain.edge.poll_timeout().is_some_and(|at| at <= now.monotonic_ms);
            if !due && !brain.touched {
                continue;
            }
            let Some(mut journal) = self.store.meter(index) else { continue };
            let now = brain.not_before(now);
            brain.edge.handle_timeout(now);
            while let Some(transmit) = brain.edge.poll_transmit(now, &mut journal)? {
                frames.push((index, transmit.bytes));
            }
        }
        Ok(Outcome { frames, accepted: self.store.commit()? })
    }

    /// The disk has everything: frames may leave.
    fn committed(&mut self, Outcome { frames, accepted }: Outcome) {
        self.metrics.journal.commits.inc();
        for brain in self.brains.iter_mut().filter(|brain| brain.touched) {
            brain.edge.handle_committed();
            brain.show();
            brain.touched = false;
        }
        for (index, bytes) in frames {
            let sent = self.brains.get(index).map(|brain| brain.frames.try_send(bytes));
            if !matches!(sent, Some(Ok(()))) {
                // The link is slower than its window, or gone: the brain sends it again.
                self.metrics.link.frames_dropped.inc();
            }
        }
        if let Some(observer) = self.observer.as_mut().filter(|_| !accepted.is_empty()) {
            observer(accepted);
        }
        self.count();
    }

    fn failed(&mut self, error: &StoreError) {
        self.store.roll_back();
        let reason = if error.is_full() { GapReason::JournalFull } else { GapReason::JournalDamaged };
        self.metrics.journal.failed(if error.is_full() { "full" } else { "failed" });
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "journal cannot be written; what it was to hold becomes a gap");
        }
        self.broken = Some(reason);
        self.mend();
    }

    /// Brings brains and journal together again after a failure. What cannot be mended now is tried again later.
    fn mend(&mut self) {
        let Some(reason) = self.broken else { return };
        match self.try_mend(reason) {
            Ok(()) => self.broken = None,
            Err(error) => {
                self.store.roll_back();
                // A disk that is merely full needs no new connection; anything else does.
                let full = matches!(&error, MendFailed::Store(error) if error.is_full());
                self.broken = Some(if full { reason } else { GapReason::JournalDamaged });
                tracing::debug!(%error, "journal cannot be used; trying again");
            }
        }
    }

    fn try_mend(&mut self, reason: GapReason) -> Result<(), MendFailed> {
        let now = self.clock.now();
        let mut salvaged = Vec::new();
        if reason == GapReason::JournalDamaged {
            // Nobody knows what the old connection still believes.
            salvaged = self.store.reopen(self.clock.utc())?;
            if !salvaged.is_empty() {
                self.brains.iter_mut().for_each(|brain| brain.touched = true);
            }
        } else {
            self.store.empty_log();
        }
        self.store.begin().map_err(MendFailed::Store)?;
        for (index, brain) in self.brains.iter_mut().enumerate().filter(|(_, brain)| brain.touched) {
            if let Some(mut journal) = self.store.meter(index) {
                brain.edge.handle_commit_failed(&mut journal, reason).map_err(MendFailed::Store)?;
                brain.take_back();
            }
        }
        self.tell_salvaged(&salvaged, now).map_err(MendFailed::Store)?;
        let accepted = self.store.commit().map_err(MendFailed::Store)?;
        self.committed(Outcome { frames: Vec::new(), accepted });
        Ok(())
    }

    fn tell_salvaged(&mut self, salvaged: &[Salvaged], now: Now) -> Result<(), StoreError> {
        for told in salvaged {
            let index = self.store.index_of(&told.meter);
            let Some((index, brain)) = index.and_then(|index| Some((index, self.brains.get_mut(index)?))) else { continue };
            let Some(mut journal) = self.store.meter(index) else { continue };
            let lost = i64::try_from(told.lost).unwrap_or(i64::MAX);
            let now = brain.not_before(now);
            brain.edge.handle_event(now, &mut journal, 0, EventKind::JournalSalvaged, lost)?;
        }
        Ok(())
    }

    /// Nothing more is measured: what is queued is committed, and what is connected gets rid of what it has.
    async fn drain(&mut self) {
        let end = Instant::now().checked_add(self.grace).unwrap_or_else(Instant::now);
        while !self.abandon.is_cancelled() {
            let mut gathered = false;
            if self.broken.is_some() {
                self.mend();
            } else {
                let inputs = self.take_inputs();
                gathered = !inputs.is_empty();
                self.handle(inputs);
            }
            if self.broken.is_none() && !gathered && self.is_drained() || Instant::now() >= end {
                return;
            }
            if !gathered {
                self.wait_for_input(end).await;
            }
        }
    }

    fn take_inputs(&mut self) -> Vec<Input> {
        std::iter::from_fn(|| self.inputs.try_recv().ok()).take(INPUTS_PER_TURN).collect()
    }

    async fn wait_for_input(&mut self, end: Instant) {
        let deadline = self.deadline().min(end);
        let mut inputs = Vec::new();
        tokio::select! {
            _ = self.inputs.recv_many(&mut inputs, INPUTS_PER_TURN), if self.broken.is_none() => self.handle(inputs),
            () = sleep_until(deadline.into()) => {}
            () = sleep(MEND_EVERY), if self.broken.is_some() => {}
            () = self.abandon.cancelled() => {}
        }
    }

    /// Whether all brains with a connection have got rid of everything. Without a connection there is nothing to wait for.
    fn is_drained(&self) -> bool {
        self.brains.iter().enumerate().filter(|(_, brain)| brain.connected).all(|(index, brain)| {
            // A journal that cannot be read now will not be read in time either.
            self.store.meter(index).is_none_or(|journal| brain.edge.is_drained(&journal).unwrap_or(true))
        })
    }

    fn count(&mut self) {
        for brain in &mut self.brains {
            let counters = *brain.edge.counters();
            if counters != brain.counted {
                self.metrics.absorb(&brain.counted, &counters);
                brain.counted = counters;
            }
        }
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.journal.bytes.set(gauge(self.store.bytes()));
        self.metrics.journal.rows.set(gauge(self.store.rows()));
        self.metrics.journal.damaged_rows.set(gauge(self.store.damaged_rows()));
    }
}

/// The brains did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFailed {
    /// The journal failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Without randomness names of streams could repeat.
    #[error("the system has no randomness")]
    Randomness,
}

#[derive(Debug, thiserror::Error)]
enum MendFailed {
    #[error(transparent)]
    Open(#[from] crate::journal_sqlite::OpenError),
    #[error(transparent)]
    Store(StoreError),
}
