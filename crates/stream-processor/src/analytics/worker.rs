//! One owned partition: a thread that restores, reads, judges and commits.

use std::time::{Duration, Instant};

use contracts::{AlertActionRecord, AlertRecord, FeederEventRecord, FeederIntervalRecord, FeederStateRecord};
use measure::{FeederId, UnixMillis};
use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::Analytics;
use super::partition::{Output, Partition};
use super::source::{Log, Position, Source};
use crate::balance::topology::Feeder;
use crate::clock::unix_now;
use crate::derive::Mark;
use crate::derive::source::{Progress, after};
use crate::grid::read_feeder;
use crate::kafka::Group;
use crate::metrics::{ActionRefused, Ended, Unsent};
use crate::observer::Phase;
use crate::ownership::Lost;
use crate::records::Outgoing;
use crate::transaction::{Failed, Stop, Transactor};

/// Longest sleep of a worker with nothing to do; a request to stop is seen as fast.
const IDLE: Duration = Duration::from_millis(100);
/// What is found is committed at once from so many bytes on: states of feeders are large, and fall due together.
const BYTES_MAX: usize = 4_000_000;
/// What led to nothing is committed so often: a successor would read it again.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How often the brain is told what time it is.
const TICK: Duration = Duration::from_millis(500);

/// Works a partition until it is asked to stop or has lost it.
pub(super) fn work(analytics: &Analytics, partition: i32, stop: &Stop) -> Result<(), Lost> {
    let transactor = match Transactor::open(&analytics.clients, Group::ANALYTICS, partition, stop) {
        Err(_) if stop.requested() => return Ok(()),
        opened => opened?,
    };
    let topic = analytics.clients.topic(&contracts::topics::FEEDER_INTERVALS);
    let unreadable = |source| Lost::Source { topic: topic.clone(), source };
    let source = Source::open(&analytics.clients, partition).map_err(unreadable)?;
    let mut worker = Worker {
        analytics,
        partition,
        transactor,
        taken: source.start,
        committed: source.start,
        brain: Partition::new(analytics.settle_ms, analytics.storm_ms, analytics.metrics.clone()),
        outputs: Vec::new(),
        bytes: 0,
        last_commit: Instant::now(),
        last_tick: Instant::now(),
        source,
    };
    if !worker.restore(stop).map_err(unreadable)? {
        return Ok(());
    }
    while !stop.requested() {
        worker.read().map_err(unreadable)?;
        worker.tick();
        if worker.is_due() {
            worker.commit(stop)?;
        }
    }
    worker.commit(stop)
}

struct Worker<'a> {
    analytics: &'a Analytics,
    partition: i32,
    transactor: Transactor,
    source: Source,
    brain: Partition,
    taken: Position,
    committed: Position,
    outputs: Vec<Output>,
    /// Bytes of the states among the outputs.
    bytes: usize,
    last_commit: Instant,
    last_tick: Instant,
}

impl Worker<'_> {
    /// Knows what the predecessor knew. False if it was asked to stop meanwhile.
    fn restore(&mut self, stop: &Stop) -> Result<bool, KafkaError> {
        let (source, brain, metrics) = (&self.source, &mut self.brain, &self.analytics.metrics);
        let states = source.drain(Log::State, 0, stop, |message| {
            if let Some(feeder) = key(message) {
                let record = message.payload().map(serde_json::from_slice::<FeederStateRecord>).transpose();
                let record = record.inspect_err(|_| _ = metrics.feeder_states_unreadable.inc()).ok().flatten();
                brain.restore_feeder(feeder, record.as_ref());
            }
            true
        })?;
        let alerts = source.drain(Log::Alerts, 0, stop, |message| {
            if let Some(Ok(record)) = message.payload().map(serde_json::from_slice::<AlertRecord>) {
                brain.restore_alert(record);
            }
            true
        })?;
        brain.restored();
        // Where the group's offsets have expired, what was kept says how far its owner had come.
        let Progress { next, low_water } = source.start.intervals;
        let next = next.max(brain.next());
        let replayed = source.drain(Log::Intervals, low_water.offset, stop, |message| {
            if message.offset() < next
                && let Ok(record) = serde_json::from_slice::<FeederIntervalRecord>(message.payload().unwrap_or_default())
            {
                metrics.feeder_intervals_replayed.inc();
                brain.replay(message.offset(), &record);
            }
            after(message) < next
        })?;
        self.taken.intervals.next = next;
        let events = source.start.events;
        let mut lost = Vec::new();
        let events_replayed = events.next <= events.low_water.offset
            || source.drain(Log::Events, events.low_water.offset, stop, |message| {
                if message.offset() < events.next
                    && let Ok(record) = serde_json::from_slice::<FeederEventRecord>(message.payload().unwrap_or_default())
                {
                    lost.push((message.offset(), now(message), record));
                }
                after(message) < events.next
            })?;
        for (offset, at, record) in &lost {
            brain.replay_event(*offset, *at, record);
        }
        let mut gone: Vec<FeederId> = brain.feeders().cloned().collect();
        let (mut topology, mut changes) = (0, Vec::new());
        let told = source.drain(Log::Topology, 0, stop, |message| {
            topology = after(message);
            if let Some(id) = key(message) {
                changes.retain(|(known, _, _)| *known != id);
                gone.retain(|known| *known != id);
                let feeder = feeder(metrics, message);
                changes.push((id, feeder, now(message)));
            }
            true
        })?;
        if !(states && alerts && replayed && events_replayed && told) {
            return Ok(false);
        }
        // Compaction has taken even the tombstones of feeders that are long gone.
        let gone = gone.into_iter().map(|id| (id, None, UnixMillis::default()));
        for (id, feeder, now) in changes.into_iter().chain(gone) {
            brain.topology(next, now, &id, feeder, &mut self.outputs);
        }
        brain.events_restored();
        let actions = self.taken.actions;
        let logs = [(Log::Intervals, next), (Log::Events, events.next), (Log::Actions, actions), (Log::Topology, topology)];
        self.source.assign(&logs)?;
        tracing::info!(partition = self.partition, next, actions, feeders = self.brain.feeders().count(), "partition's feeders assigned");
        Ok(true)
    }

    /// Takes what there is, until a commit is due or nothing has come for a while.
    fn read(&mut self) -> Result<(), KafkaError> {
        let until = self.last_commit.checked_add(self.analytics.commit_interval).unwrap_or(self.last_commit);
        loop {
            let wait = if self.outputs.is_empty() { IDLE } else { until.saturating_duration_since(Instant::now()).min(IDLE) };
            let Some((log, message)) = self.source.next(wait)? else { return Ok(()) };
            let (metrics, now, before) = (&self.analytics.metrics, now(&message), self.outputs.len());
            match log {
                Log::Intervals => {
                    match serde_json::from_slice::<FeederIntervalRecord>(message.payload().unwrap_or_default()) {
                        Ok(record) => self.brain.interval(message.offset(), now, &record, &mut self.outputs),
                        Err(error) => {
                            metrics.feeder_intervals_unreadable.inc();
                            tracing::warn!(offset = message.offset(), %error, "no interval: passed over");
                        }
                    }
                    metrics.feeder_intervals_taken.inc();
                    self.taken.intervals.next = after(&message);
                }
                Log::Events => {
                    match serde_json::from_slice::<FeederEventRecord>(message.payload().unwrap_or_default()) {
                        Ok(event) => self.brain.event(message.offset(), now, &event, &mut self.outputs),
                        Err(error) => {
                            metrics.feeder_events_unused.inc();
                            tracing::warn!(offset = message.offset(), %error, "no event: passed over");
                        }
                    }
                    metrics.feeder_events_taken.inc();
                    self.taken.events.next = after(&message);
                }
                Log::Actions => {
                    match serde_json::from_slice::<AlertActionRecord>(message.payload().unwrap_or_default()) {
                        Ok(action) => self.brain.action(now, &action, &mut self.outputs),
                        Err(error) => {
                            metrics.refused(ActionRefused::Unreadable);
                            tracing::warn!(offset = message.offset(), %error, "no action: passed over");
                        }
                    }
                    self.taken.actions = after(&message);
                }
                Log::Topology => {
                    if let Some(id) = key(&message) {
                        let next = self.taken.intervals.next;
                        self.brain.topology(next, now, &id, feeder(metrics, &message), &mut self.outputs);
                    }
                }
                Log::State | Log::Alerts => {}
            }
            self.bytes = self.bytes.saturating_add(self.outputs.iter().skip(before).map(size).sum());
            if self.bytes >= BYTES_MAX || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Says what time it is.
    fn tick(&mut self) {
        if self.last_tick.elapsed() >= TICK {
            self.last_tick = Instant::now();
            self.brain.tick(unix_now(), &mut self.outputs);
        }
    }

    fn is_due(&self) -> bool {
        let waited = self.last_commit.elapsed();
        // What somebody did is taken even if it changed nothing.
        if self.outputs.is_empty() && self.taken.actions == self.committed.actions {
            let intervals = self.taken.intervals.next > self.committed.intervals.next;
            (intervals || self.taken.events.next > self.committed.events.next) && waited >= PROGRESS_INTERVAL
        } else {
            self.bytes >= BYTES_MAX || waited >= self.analytics.commit_interval
        }
    }

    /// Writes what follows from what was taken so far, and how far that is, in one transaction; then tells operators.
    fn commit(&mut self, stop: &Stop) -> Result<(), Lost> {
        let next = self.taken.intervals.next;
        let low_water = Mark { offset: self.brain.low_water(next), now: UnixMillis::default() };
        let of_events = self.taken.events.next;
        let events_from = Mark { offset: self.brain.low_water_of_events(of_events), now: UnixMillis::default() };
        let events = Progress { next: of_events, low_water: events_from };
        let position = Position { intervals: Progress { next, low_water }, events, actions: self.taken.actions };
        let offsets = |it: &Position| (it.intervals.next, it.events.next, it.actions);
        if self.outputs.is_empty() && offsets(&position) == offsets(&self.committed) {
            return Ok(());
        }
        let start = Instant::now();
        self.analytics.observer.phase(self.partition, Phase::BeforeProduce);
        let written = self.write(position, stop);
        let metrics = &self.analytics.metrics;
        metrics.ended(match &written {
            Ok(()) => Ended::Committed,
            Err(Lost::Transaction(failed)) => failed.ended(),
            Err(_) => Ended::Unknown,
        });
        written?;
        (self.committed, self.last_commit, self.bytes) = (position, start, 0);
        self.analytics.observer.phase(self.partition, Phase::AfterCommitBeforeAck);
        for output in self.outputs.drain(..) {
            match output {
                Output::Alert(record) => {
                    metrics.alerts.inc();
                    if !self.analytics.links.alert(&record) {
                        metrics.unsent(Unsent::Alert, 1);
                    }
                }
                Output::State(_) | Output::Gone(_) => _ = metrics.feeder_states.inc(),
            }
        }
        Ok(())
    }

    fn write(&self, position: Position, stop: &Stop) -> Result<(), Lost> {
        let (alerts, states) = (self.source.name(Log::Alerts), self.source.name(Log::State));
        let records = self.outputs.iter().map(|output| {
            Ok(match output {
                Output::Alert(record) => (alerts, record.alert.to_string(), Some(serde_json::to_vec(record)?)),
                Output::State(record) => (states, record.feeder.to_string(), Some(serde_json::to_vec(record)?)),
                Output::Gone(feeder) => (states, feeder.to_string(), None),
            })
        });
        let records: Vec<_> = records.collect::<serde_json::Result<_>>().map_err(Failed::Encode)?;
        let outgoing = records.iter().map(|(topic, key, value)| Outgoing {
            topic,
            key: key.as_bytes(),
            value: value.as_deref(),
            headers: None,
            partition: None,
        });
        self.transactor.write(outgoing, stop)?;
        let (offsets, group) = self.source.offsets(position).map_err(Failed::Unknown)?;
        self.transactor.send_offsets(&offsets, group, stop)?;
        self.analytics.observer.phase(self.partition, Phase::BeforeCommit);
        Ok(self.transactor.commit(stop)?)
    }
}

fn size(output: &Output) -> usize {
    if let Output::State(record) = output { record.state.len() } else { 0 }
}

/// A record's feeder; other keys are nobody's.
fn key(message: &BorrowedMessage<'_>) -> Option<FeederId> {
    std::str::from_utf8(message.key()?).ok()?.parse().ok()
}

/// The feeder in a record of the topology; none if it is taken away, or can't be so.
fn feeder(metrics: &crate::metrics::Metrics, message: &BorrowedMessage<'_>) -> Option<Feeder> {
    let read = |value| read_feeder(message.key().unwrap_or_default(), value);
    read(message.payload()?).inspect_err(|_| _ = metrics.topology_unreadable.inc()).ok()
}

/// When Kafka got a record.
fn now(message: &BorrowedMessage<'_>) -> UnixMillis {
    UnixMillis(message.timestamp().to_millis().unwrap_or_default())
}
