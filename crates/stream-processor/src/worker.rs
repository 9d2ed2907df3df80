//! One owned partition: a thread that takes frames, commits them and acknowledges.
//!
//! A thread and not a task, because librdkafka's transactional calls block; a slow commit of one partition holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contracts::topics::KafkaTopic;
use measure::MeterId;

use crate::acks::Acks;
use crate::clock::unix_now;
use crate::derive::{Copied, Copies};
use crate::gasp::Gasps;
use crate::grid::Grid;
use crate::kafka::{Clients, Group};
use crate::latest::Latest;
use crate::ledger::{self, LedgerError};
use crate::links::Links;
use crate::live::Live;
use crate::metrics::{Dropped, Ended, Metrics, Unsent};
use crate::observer::{Observer, Phase};
use crate::ownership::{Lost, Work};
use crate::quality;
use crate::records::{Names, Outbox, Outgoing};
use crate::routes::{Frame, Routes};
use crate::shard::{Limits, Outcome, Partition, Rebuild, Useless};
use crate::transaction::{Failed, Stop, Transactor};

/// Longest sleep of a worker with nothing to do.
const IDLE: Duration = Duration::from_secs(1);
/// Longest sleep of a worker with an open batch that does not look whether frames have come. At 25,000 frames/s and partition an eighth
/// of its queue fills meanwhile.
const DOZE: Duration = Duration::from_millis(5);

/// What all workers of an instance share.
pub struct Shared {
    /// Makes their clients.
    pub clients: Clients,
    /// Names of the topics.
    pub names: Names,
    /// Where frames come from.
    pub routes: Arc<Routes>,
    /// Where acknowledgements and live values go.
    pub links: Links,
    /// Which feeder a meter is on, if those who watch feeders are told of last gasps.
    pub grid: Option<Arc<Grid>>,
    /// `meter.latest.v1`, if it is wanted.
    pub latest: Option<Latest>,
    /// Counters.
    pub metrics: Metrics,
    /// Looks on.
    pub observer: Arc<dyn Observer>,
    /// Number of partitions.
    pub partitions: u16,
    /// Bounds of a partition's memory.
    pub limits: Limits,
    /// Frames that may wait for a partition.
    pub queue_frames_max: usize,
    /// Least time between the starts of two transactions.
    pub commit_interval: Duration,
    /// Least time between two live values of a channel, in ms; none are published without it.
    pub live_interval_ms: Option<i64>,
    /// Set when the instance is to end as if it had died: whatever a worker is at, it leaves it lying there.
    pub abandoned: AtomicBool,
}

impl Shared {
    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

impl Work for Shared {
    fn group(&self) -> Group {
        Group::INGEST
    }

    /// The ledger: the member reads nothing of it and stands for ownership only.
    fn topic(&self) -> KafkaTopic {
        contracts::topics::LEDGER
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn work(&self, partition: i32, stop: &Stop) -> Result<(), Lost> {
        work(self, partition, stop)
    }

    fn close(&self, partition: i32) {
        self.routes.close(partition);
    }
}

fn work(shared: &Shared, partition: i32, stop: &Stop) -> Result<(), Lost> {
    let Some(mut worker) = Worker::open(shared, partition, stop)? else { return Ok(()) };
    let (sender, frames) = flume::bounded(shared.queue_frames_max);
    shared.routes.open(partition, sender);
    if stop.requested() {
        // The request may have come before there was a route to close.
        shared.routes.close(partition);
    }
    shared.metrics.partitions_owned.inc();
    tracing::info!(partition, streams = worker.state.streams(), incarnation = worker.state.incarnation(), "partition ready");
    let result = worker.serve(&frames, stop);
    shared.routes.close(partition);
    shared.metrics.partitions_owned.dec();
    worker.count_streams(0);
    for _ in frames.drain() {
        shared.metrics.dropped(Dropped::TransactionFailed);
    }
    Ok(result?)
}

struct Worker<'a> {
    shared: &'a Shared,
    partition: i32,
    transactor: Transactor,
    state: Partition,
    live: Live,
    outbox: Outbox,
    gasps: Gasps,
    /// By which link the frames of this batch came.
    ways: HashMap<MeterId, usize>,
    acks: Acks,
    next_commit: Instant,
    streams_counted: i64,
}

impl<'a> Worker<'a> {
    /// Opens the producer, then reads the ledger: this order makes the state complete. `None` if it was called off.
    fn open(shared: &'a Shared, partition: i32, stop: &Stop) -> Result<Option<Self>, Lost> {
        let start = Instant::now();
        let transactor = match Transactor::open(&shared.clients, Group::INGEST, partition, stop) {
            Err(_) if stop.requested() => return Ok(None),
            opened => opened?,
        };
        let mut rebuild = Rebuild::new(shared.limits);
        let mut live = Live::new(shared.live_interval_ms.unwrap_or(i64::MAX));
        let read = ledger::read(
            &shared.clients,
            shared.partitions,
            [partition],
            || stop.requested(),
            |entry| {
                if let (crate::shard::Row::Through { meter, .. }, Some(latest)) = (&entry.row, entry.latest) {
                    live.restore(meter, latest);
                }
                rebuild.row(entry.row);
            },
        );
        match read {
            Err(LedgerError::CalledOff) => return Ok(None),
            read => read?,
        }
        shared.metrics.rebuild_seconds.observe(start.elapsed().as_secs_f64());
        let state = rebuild.finish();
        let mut it = Self {
            shared,
            partition,
            transactor,
            state,
            live,
            outbox: Outbox::default(),
            gasps: Gasps::default(),
            ways: HashMap::new(),
            acks: Acks::default(),
            next_commit: Instant::now(),
            streams_counted: 0,
        };
        it.count_streams(it.state.streams());
        Ok(Some(it))
    }

    /// Takes frames and commits them until the route is closed; what is accepted by then is committed as well.
    fn serve(&mut self, frames: &flume::Receiver<Frame>, stop: &Stop) -> Result<(), Failed> {
        loop {
            self.doze(frames);
            match frames.recv_deadline(self.wake_up()) {
                Ok(frame) => {
                    self.handle(frame);
                    while !self.state.is_full() {
                        let Ok(frame) = frames.try_recv() else { break };
                        self.handle(frame);
                    }
                    self.acknowledge();
                }
                Err(flume::RecvTimeoutError::Timeout) => {}
                Err(flume::RecvTimeoutError::Disconnected) => return self.commit(stop),
            }
            if self.state.is_full() || Instant::now() >= self.next_commit {
                self.commit(stop)?;
            }
            self.show();
        }
    }

    /// While a batch waits for its commit no frame is urgent: sleeping a little lets many of them come for one wake-up.
    fn doze(&self, frames: &flume::Receiver<Frame>) {
        let left = self.next_commit.saturating_duration_since(Instant::now());
        let room = frames.len() < self.shared.queue_frames_max / 4;
        if room && !self.state.batch().is_empty() && !left.is_zero() {
            std::thread::sleep(left.min(DOZE));
        }
    }

    fn wake_up(&self) -> Instant {
        let now = Instant::now();
        if !self.state.batch().is_empty() {
            return self.next_commit;
        }
        let live = self.live.next_due().map_or(IDLE, |due| {
            let wait = u64::try_from(due.millis_since(unix_now())).unwrap_or(0);
            Duration::from_millis(wait).min(IDLE)
        });
        now.checked_add(live).unwrap_or(now)
    }

    fn handle(&mut self, frame: Frame) {
        let metrics = &self.shared.metrics;
        match self.state.handle_frame(&frame.meter, &frame.payload, unix_now()) {
            Outcome::Accepted { records, .. } => {
                metrics.records_accepted.inc_by(u64::try_from(records).unwrap_or(u64::MAX));
                self.ways.insert(frame.meter, frame.link);
            }
            Outcome::Poisoned { through, why } => {
                metrics.dropped(Dropped::BadBody);
                tracing::warn!(partition = self.partition, through, %why, "frame can't be read: kept in the dead letters and passed over");
                tracing::debug!(meter = %frame.meter, "meter of the unreadable frame");
                self.ways.insert(frame.meter, frame.link);
            }
            Outcome::Answer(ack, useless) => {
                metrics.dropped(dropped(useless));
                self.acks.add(frame.link, frame.meter, ack);
            }
            Outcome::Silent(useless) => metrics.dropped(dropped(useless)),
            Outcome::Rejected { why, .. } => {
                metrics.dropped(Dropped::BadFrame);
                tracing::debug!(meter = %frame.meter, %why, "damaged frame");
            }
            Outcome::Refused => metrics.dropped(Dropped::StreamsFull),
        }
    }

    /// What those are told besides who watch the feeders of the batch's meters.
    fn copies(&mut self) -> Vec<Copied> {
        let Some(grid) = &self.shared.grid else { return Vec::new() };
        let signs = self.gasps.signs(&self.state.batch().records);
        signs.into_iter().filter_map(|it| grid.copy(&quality::Output::Sign(it))).collect()
    }

    /// Commits the batch, if there is one, and acknowledges it.
    fn commit(&mut self, stop: &Stop) -> Result<(), Failed> {
        if self.state.batch().is_empty() || self.shared.is_abandoned() {
            return Ok(());
        }
        let (shared, start) = (self.shared, Instant::now());
        self.next_commit = start.checked_add(shared.commit_interval).unwrap_or(start);
        shared.observer.phase(self.partition, Phase::BeforeProduce);
        if shared.is_abandoned() {
            return Ok(());
        }
        let newest = self.outbox.fill(self.state.batch(), &self.live, unix_now())?;
        let copies = self.copies();
        let records = self.outbox.records(&shared.names).chain(copies.iter().map(Outgoing::of));
        let written = self.transactor.write(records, stop).and_then(|()| {
            shared.observer.phase(self.partition, Phase::BeforeCommit);
            // Abandoned, the transaction stays open, as that of a dead process does, until the next owner's producer aborts it.
            if shared.is_abandoned() { Ok(()) } else { self.transactor.commit(stop) }
        });
        if shared.is_abandoned() {
            return Ok(());
        }
        shared.metrics.ended(written.as_ref().map_or_else(Failed::ended, |()| Ended::Committed));
        written?;
        shared.metrics.transaction_seconds.observe(start.elapsed().as_secs_f64());
        shared.metrics.records_committed.inc_by(u64::try_from(self.state.batch().records.len()).unwrap_or(u64::MAX));
        shared.metrics.dead_letters.inc_by(u64::try_from(self.state.batch().dead_letters.len()).unwrap_or(u64::MAX));
        shared.metrics.readings_never_shown.inc_by(newest.never_shown());
        shared.observer.phase(self.partition, Phase::AfterCommitBeforeAck);
        if shared.is_abandoned() {
            return Ok(());
        }
        for (meter, ack) in self.state.committed() {
            let link = self.ways.get(&meter).copied().unwrap_or_default();
            self.acks.add(link, meter, ack);
        }
        self.ways.clear();
        self.acknowledge();
        newest.into_readings().for_each(|reading| self.live.offer(reading));
        self.count_streams(self.state.streams());
        Ok(())
    }

    /// Sends the acknowledgements that wait.
    fn acknowledge(&mut self) {
        self.shared.links.acknowledge(&mut self.acks, &self.shared.metrics);
    }

    /// Publishes what operators may see now.
    fn show(&mut self) {
        if self.shared.live_interval_ms.is_none() {
            return;
        }
        for reading in self.live.take_due(unix_now()) {
            if !self.shared.links.live(&reading) {
                self.shared.metrics.unsent(Unsent::Live, 1);
            }
            if self.shared.latest.as_ref().is_some_and(|latest| !latest.publish(self.partition, reading)) {
                self.shared.metrics.unsent(Unsent::Latest, 1);
            }
        }
    }

    fn count_streams(&mut self, streams: usize) {
        let streams = i64::try_from(streams).unwrap_or(i64::MAX);
        self.shared.metrics.streams.inc_by(streams.saturating_sub(self.streams_counted));
        self.streams_counted = streams;
    }
}

const fn dropped(useless: Useless) -> Dropped {
    match useless {
        Useless::Repeated => Dropped::Repeated,
        Useless::Hole => Dropped::Hole,
    }
}
