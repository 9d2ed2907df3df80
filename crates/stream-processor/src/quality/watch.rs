//! The meters of one partition, and what is kept of them.
//!
//! A meter's state is kept with everything that is told of it, and every quarter of an hour. So between a state and where its
//! successor goes on nothing was told, and readings in between can be taken again without a word.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::{MeterStateRecord, ReadingRecord};
use measure::{MeterId, UnixMillis};

use super::Output;
use super::meter::{Meter, NotJudged};
use super::rules::Rules;
use crate::metrics::{Metrics, Unjudged};

/// Meters of one partition: a bound for the memory. Further ones are counted and not watched.
const METERS_MAX: usize = 1_000_000;
/// A state is no older than this when a successor needs it, in ms of the head-end's time.
const KEEP_MS: i64 = 900_000;
/// A meter that was silent for so long is forgotten, in ms.
const FORGET_MS: i64 = 30 * 86_400_000;
/// What was received so long ago or less is new: whoever takes it is at the end of the log, in ms.
const CAUGHT_UP_MS: i64 = 10_000;

/// Says what power a meter's contract allows, in W.
pub trait Contracts: Send + Sync {
    /// Of this meter; none if nobody knows.
    fn power_w(&self, meter: &MeterId) -> Option<f64>;
}

struct Known {
    state: Meter,
    /// Readings before this offset are in it.
    from: i64,
    /// The first reading in it that is not kept, and when it was received.
    unkept: Option<(i64, UnixMillis)>,
}

/// See the module.
pub struct Watch {
    rules: Arc<Rules>,
    contracts: Option<Arc<dyn Contracts>>,
    meters: BTreeMap<MeterId, Known>,
    /// The meters with unkept readings, by the first of them.
    unkept: BTreeMap<i64, MeterId>,
    next: i64,
    /// When the last reading was received.
    newest: UnixMillis,
    /// Since when this instance has listened without falling behind.
    listening: Option<UnixMillis>,
    metrics: Metrics,
}

impl Watch {
    /// Knows no meter yet.
    pub fn new(rules: Arc<Rules>, contracts: Option<Arc<dyn Contracts>>, metrics: Metrics) -> Self {
        Self {
            rules,
            contracts,
            meters: BTreeMap::new(),
            unkept: BTreeMap::new(),
            next: 0,
            newest: UnixMillis::default(),
            listening: None,
            metrics,
        }
    }

    /// What a predecessor kept of a meter; the last one counts.
    pub fn restore(&mut self, meter: MeterId, record: Option<&MeterStateRecord>) {
        self.meters.remove(&meter);
        let Some(record) = record else { return };
        match load(&record.state) {
            Some(state) => _ = self.meters.insert(meter, Known { state, from: record.next_offset, unkept: None }),
            None => _ = self.metrics.meter_states_unreadable.inc(),
        }
    }

    /// Takes a reading again that a predecessor took. Nothing follows from it.
    pub fn replay(&mut self, offset: i64, reading: &ReadingRecord) {
        // What it told, or why it told nothing, was said then.
        let _ = self.apply(offset, reading, &mut Vec::new());
    }

    /// Takes the reading at `offset`; offsets grow. Whatever it holds, it does no more than be counted.
    pub fn take(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<Output>) {
        let before = out.len();
        match self.apply(offset, reading, out) {
            Err(NotJudged::Clock) => self.metrics.unjudged(Unjudged::Clock),
            Err(NotJudged::Late) => self.metrics.unjudged(Unjudged::Late),
            Err(NotJudged::Rejected) => self.metrics.unjudged(Unjudged::Rejected),
            Err(NotJudged::Channels) => self.metrics.unjudged(Unjudged::Full),
            Ok(()) => {}
        }
        let is_due = |it: &Known| it.unkept.is_some_and(|(_, since)| reading.received_ms.millis_since(since) >= KEEP_MS);
        if out.len() > before || self.meters.get(&reading.meter).is_some_and(is_due) {
            self.keep(&reading.meter, offset.saturating_add(1), out);
        }
    }

    /// It is `now` at the head-end; `is_idle` says that there was no further reading just now. Meters that were not heard for too long are
    /// silent. Only time in which this instance listened counts: it may be that the readings were there and nobody took them.
    pub fn tick(&mut self, now: UnixMillis, is_idle: bool, out: &mut Vec<Output>) {
        let caught_up = is_idle || now.millis_since(self.newest) < CAUGHT_UP_MS;
        let listening = *self.listening.get_or_insert(now);
        if !caught_up {
            self.listening = Some(now);
            return;
        }
        let heard_by = now.saturating_add(-self.rules.silence_ms);
        if listening > heard_by {
            return;
        }
        let silent = |(_, known): &(&MeterId, &Known)| !known.state.is_silent && known.state.heard <= heard_by;
        let silent: Vec<MeterId> = self.meters.iter().filter(silent).map(|(meter, _)| meter.clone()).collect();
        for meter in silent {
            let contract = self.contract(&meter);
            let Some(known) = self.meters.get_mut(&meter) else { continue };
            known.state.fall_silent(&meter, &self.rules, contract, now, out);
            self.keep(&meter, self.next, out);
        }
        let forgotten = |(_, known): &(&MeterId, &Known)| known.state.is_silent && now.millis_since(known.state.heard) >= FORGET_MS;
        let forgotten: Vec<MeterId> = self.meters.iter().filter(forgotten).map(|(meter, _)| meter.clone()).collect();
        for meter in forgotten {
            self.meters.remove(&meter);
            out.push(Output::Gone(meter));
        }
    }

    /// The first reading that a successor needs besides the states that were kept.
    pub fn low_water(&self) -> i64 {
        self.unkept.first_key_value().map_or(self.next, |(first, _)| *first)
    }

    /// Meters that are watched.
    pub fn meters(&self) -> usize {
        self.meters.len()
    }

    fn contract(&self, meter: &MeterId) -> Option<f64> {
        self.contracts.as_ref()?.power_w(meter)
    }

    fn apply(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<Output>) -> Result<(), NotJudged> {
        self.next = offset.saturating_add(1);
        self.newest = self.newest.max(reading.received_ms);
        let contract = self.contract(&reading.meter);
        if !self.meters.contains_key(&reading.meter) {
            if self.meters.len() >= METERS_MAX {
                return Err(NotJudged::Channels);
            }
            self.meters.insert(reading.meter.clone(), Known { state: Meter::default(), from: offset, unkept: None });
        }
        let Some(known) = self.meters.get_mut(&reading.meter).filter(|it| offset >= it.from) else { return Ok(()) };
        if known.unkept.is_none() {
            known.unkept = Some((offset, reading.received_ms));
            self.unkept.insert(offset, reading.meter.clone());
        }
        known.state.take(reading, &self.rules, contract, out)
    }

    fn keep(&mut self, meter: &MeterId, next: i64, out: &mut Vec<Output>) {
        let Some(known) = self.meters.get_mut(meter) else { return };
        let mut bytes = Vec::new();
        if let Err(error) = ciborium::into_writer(&known.state, &mut bytes) {
            tracing::error!(%error, "a meter's state has no form");
            return;
        }
        known.from = next;
        if let Some((first, _)) = known.unkept.take() {
            self.unkept.remove(&first);
        }
        let state = STANDARD.encode(bytes);
        out.push(Output::State(MeterStateRecord { meter: meter.clone(), next_offset: next, state }));
    }
}

fn load(text: &str) -> Option<Meter> {
    let bytes = STANDARD.decode(text).ok()?;
    ciborium::from_reader(bytes.as_slice()).ok()
}
