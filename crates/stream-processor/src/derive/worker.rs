//! One owned partition: a thread that reads, derives and commits.

use std::time::{Duration, Instant};

use contracts::{MeterStateRecord, ReadingRecord};
use measure::MeterId;
use rdkafka::Message;
use rdkafka::error::KafkaError;

use super::source::{Progress, Source, after};
use super::{Derive, Mark, Place, Transform};
use crate::clock::unix_now;
use crate::metrics::Ended;
use crate::observer::Phase;
use crate::ownership::Lost;
use crate::records::Outgoing;
use crate::transaction::{Failed, Stop, Transactor};

/// Longest sleep of a worker with nothing to do; a request to stop is seen as fast.
const IDLE: Duration = Duration::from_millis(100);
/// What is derived is committed at once from so many outputs on.
const OUTPUTS_MAX: usize = 4_000;
/// What led to nothing is committed so often: a successor would read it again.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How often the transform is told what time it is.
const TICK: Duration = Duration::from_secs(1);

/// Works a partition until it is asked to stop or has lost it.
pub(super) fn work<T: Transform>(derive: &Derive<T>, partition: i32, stop: &Stop) -> Result<(), Lost> {
    let transactor = match Transactor::open(&derive.clients, derive.group, partition, stop) {
        Err(_) if stop.requested() => return Ok(()),
        opened => opened?,
    };
    let topic = derive.clients.topic(&contracts::topics::READINGS);
    let unreadable = |source| Lost::Source { topic: topic.clone(), source };
    let source = Source::open(&derive.clients, derive.group, topic.clone(), partition).map_err(unreadable)?;
    let Progress { next, low_water } = source.start;
    tracing::info!(partition, next, low_water = low_water.offset, "partition's readings assigned");
    let now = Instant::now();
    let mut worker = Worker {
        derive,
        partition,
        transactor,
        target: derive.clients.topic(&derive.target),
        states: derive.states.map(|topic| derive.clients.topic(&topic)),
        transform: (derive.transform)(low_water),
        next,
        committed: source.start,
        outputs: Vec::new(),
        bytes: Vec::new(),
        last_commit: now,
        last_tick: now,
        is_replaying: low_water.offset < next,
        source,
    };
    if !worker.restore(stop).map_err(unreadable)? {
        return Ok(());
    }
    while !stop.requested() {
        let is_idle = worker.read().map_err(unreadable)?;
        worker.tick(is_idle);
        if worker.is_due() {
            worker.commit(stop)?;
        }
    }
    worker.commit(stop)
}

struct Worker<'a, T: Transform> {
    derive: &'a Derive<T>,
    partition: i32,
    transactor: Transactor,
    source: Source,
    target: String,
    states: Option<String>,
    transform: T,
    /// The first reading that was not taken.
    next: i64,
    committed: Progress,
    outputs: Vec<T::Output>,
    bytes: Vec<u8>,
    last_commit: Instant,
    last_tick: Instant,
    /// Whether readings that a predecessor took are still to come.
    is_replaying: bool,
}

impl<T: Transform> Worker<'_, T> {
    /// Knows what the predecessor kept. False if it was asked to stop meanwhile.
    fn restore(&mut self, stop: &Stop) -> Result<bool, KafkaError> {
        let Some(states) = &self.states else { return Ok(true) };
        let (transform, metrics) = (&mut self.transform, &self.derive.metrics);
        self.source.drain(states, stop, |message| {
            let Some(meter) = message.key().and_then(|it| std::str::from_utf8(it).ok()?.parse::<MeterId>().ok()) else { return };
            let state = message.payload().map(serde_json::from_slice::<MeterStateRecord>).transpose();
            let state = state.inspect_err(|_| _ = metrics.meter_states_unreadable.inc()).ok().flatten();
            transform.restore(meter, state.as_ref());
        })
    }

    /// Says what time it is. What a predecessor has taken must have been taken again by then.
    fn tick(&mut self, is_idle: bool) {
        if self.states.is_none() || self.is_replaying || self.last_tick.elapsed() < TICK {
            return;
        }
        self.last_tick = Instant::now();
        // A Kafka that does not answer is no silence of the meters.
        let is_idle = is_idle && self.source.is_reachable();
        self.transform.tick(unix_now(), is_idle, &mut self.outputs);
    }

    /// Takes what there is, until a commit is due or nothing has come for a while. Whether there is nothing more just now.
    fn read(&mut self) -> Result<bool, KafkaError> {
        let until = self.last_commit.checked_add(self.derive.commit_interval).unwrap_or(self.last_commit);
        loop {
            let wait = if self.outputs.is_empty() { IDLE } else { until.saturating_duration_since(Instant::now()).min(IDLE) };
            let Some(message) = self.source.next(wait)? else { return Ok(true) };
            let metrics = &self.derive.metrics;
            let is_replay = message.offset() < self.committed.next;
            match serde_json::from_slice::<ReadingRecord>(message.payload().unwrap_or_default()) {
                Ok(reading) if is_replay => self.transform.replay(message.offset(), &reading, &mut self.outputs),
                Ok(reading) => self.transform.take(message.offset(), &reading, &mut self.outputs),
                Err(error) => {
                    metrics.readings_unreadable.inc();
                    tracing::warn!(offset = message.offset(), %error, "no reading: passed over");
                }
            }
            self.is_replaying = after(&message) < self.committed.next;
            if is_replay {
                // What follows from it was written by a predecessor.
                self.outputs.clear();
                metrics.readings_replayed.inc();
            } else {
                self.next = after(&message);
                metrics.readings_taken.inc();
            }
            if self.outputs.len() >= OUTPUTS_MAX || Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    fn is_due(&self) -> bool {
        let waited = self.last_commit.elapsed();
        if self.outputs.is_empty() {
            self.next > self.committed.next && waited >= PROGRESS_INTERVAL
        } else {
            self.outputs.len() >= OUTPUTS_MAX || waited >= self.derive.commit_interval
        }
    }

    /// Writes what follows from the readings taken so far, and how far that is, in one transaction.
    fn commit(&mut self, stop: &Stop) -> Result<(), Lost> {
        if self.next == self.committed.next && self.outputs.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let progress = Progress { next: self.next, low_water: self.low_water() };
        self.derive.observer.phase(self.partition, Phase::BeforeProduce);
        let written = self.write(progress, stop);
        let metrics = &self.derive.metrics;
        metrics.ended(match &written {
            Ok(()) => Ended::Committed,
            Err(Lost::Transaction(failed)) => failed.ended(),
            Err(_) => Ended::Unknown,
        });
        written?;
        metrics.derived.inc_by(u64::try_from(self.outputs.len()).unwrap_or(u64::MAX));
        self.outputs.clear();
        (self.committed, self.last_commit) = (progress, start);
        self.derive.observer.phase(self.partition, Phase::AfterCommitBeforeAck);
        Ok(())
    }

    /// Not after what was taken.
    fn low_water(&self) -> Mark {
        let mark = self.transform.low_water();
        Mark { offset: mark.offset.min(self.next), ..mark }
    }

    fn write(&mut self, progress: Progress, stop: &Stop) -> Result<(), Lost> {
        self.bytes.clear();
        let mut ends = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            serde_json::to_writer(&mut self.bytes, output).map_err(Failed::Encode)?;
            ends.push(self.bytes.len());
        }
        let copies: Vec<_> = self.derive.copy.iter().flat_map(|copy| self.outputs.iter().filter_map(|it| copy.copy(it))).collect();
        let mut start = 0;
        let records = self.outputs.iter().zip(ends).filter_map(|(output, end)| {
            let value = self.bytes.get(std::mem::replace(&mut start, end)..end);
            let (topic, value) = match T::place(output) {
                Place::Target => (&self.target, value),
                Place::State => (self.states.as_ref()?, value),
                Place::StateGone => (self.states.as_ref()?, None),
                Place::CopyOnly => return None,
            };
            Some(Outgoing { topic, key: T::meter(output).as_str().as_bytes(), value, headers: None, partition: None })
        });
        let copied = copies.iter().map(Outgoing::of);
        self.transactor.write(records.chain(copied), stop)?;
        let (offsets, group) = self.source.offsets(progress).map_err(Failed::Unknown)?;
        self.transactor.send_offsets(&offsets, group, stop)?;
        self.derive.observer.phase(self.partition, Phase::BeforeCommit);
        Ok(self.transactor.commit(stop)?)
    }
}
