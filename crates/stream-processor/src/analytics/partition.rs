//! All feeders of a partition, and their alerts: a function of the partition's logs, without I/O.
//!
//! Four logs meet here, and nothing fixes the order in which they are read. So only intervals and events are ever taken again, each for what
//! depends on nothing else: what an action, another topology or time changed is written with the offset up to which was read, and stands
//! before a successor as a fact.

use std::collections::BTreeMap;

use contracts::{AlertActionRecord, AlertRecord, FeederEventRecord, FeederIntervalRecord, FeederStateRecord};
use measure::{FeederId, UnixMillis};

use super::desk::Desk;
use super::mind::Mind;
use super::signs::{Signs, is_sign};
use crate::alert::Refused;
use crate::balance::finding::{Finding, Subject, Test};
use crate::balance::topology::Feeder;
use crate::balance::watch::Dropped;
use crate::metrics::{ActionRefused, LeftOut, Metrics, Unused};
use crate::outage::{Outages, Turn};

/// A feeder whose oldest unkept interval is so many records back is kept, that a successor need not read more again.
const BEHIND_MAX: i64 = 100_000;

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A change in an alert's life.
    Alert(Box<AlertRecord>),
    /// What is known of a feeder now.
    State(FeederStateRecord),
    /// A feeder is not watched any more.
    Gone(FeederId),
}

#[derive(Debug)]
struct Known {
    mind: Mind,
    /// Intervals before this offset are in it.
    from: i64,
    /// The first interval that is in it and not kept.
    unkept: Option<i64>,
}

/// See the module.
#[derive(Debug)]
pub struct Partition {
    settle_ms: i64,
    feeders: BTreeMap<FeederId, Known>,
    /// The feeders with unkept intervals, by the first of them.
    unkept: BTreeMap<i64, FeederId>,
    desk: Desk,
    outages: Outages,
    signs: Signs,
    metrics: Metrics,
}

impl Partition {
    /// Nothing is known. A quarter of an hour is not waited for longer than `settle_ms` of its meters' time; a lost supply waits `storm_ms` for
    /// others of its feeder.
    pub fn new(settle_ms: i64, storm_ms: i64, metrics: Metrics) -> Self {
        let desk = Desk::new(storm_ms);
        let (outages, signs) = (Outages::default(), Signs::default());
        Self { settle_ms, feeders: BTreeMap::new(), unkept: BTreeMap::new(), desk, outages, signs, metrics }
    }

    /// What a predecessor kept of a feeder; none if it is not watched any more. The last one counts.
    pub fn restore_feeder(&mut self, feeder: FeederId, record: Option<&FeederStateRecord>) {
        self.feeders.remove(&feeder);
        let Some(record) = record else { return };
        match Mind::load(&record.state) {
            Ok(mind) if mind.feeder().id == feeder => {
                self.feeders.insert(feeder, Known { mind, from: record.next_offset, unkept: None });
            }
            Ok(_) => _ = self.metrics.feeder_states_unreadable.inc(),
            Err(error) => {
                tracing::warn!(%feeder, %error, "the feeder is learned anew");
                self.metrics.feeder_states_unreadable.inc();
            }
        }
    }

    /// What a predecessor wrote of an alert. The last one counts.
    pub fn restore_alert(&mut self, record: AlertRecord) {
        self.desk.restore(record);
    }

    /// All alerts are given.
    pub fn restored(&mut self) {
        self.desk.restored();
    }

    /// The first offset that no predecessor has taken, as far as the states tell.
    pub fn next(&self) -> i64 {
        self.feeders.values().map(|it| it.from).max().unwrap_or(0)
    }

    /// Takes an interval again whose consequences a predecessor wrote.
    pub fn replay(&mut self, offset: i64, record: &FeederIntervalRecord) {
        if let Some(known) = self.feeders.get_mut(&record.feeder).filter(|it| offset >= it.from) {
            // What it told, or why it told nothing, was said then.
            let _ = known.mind.take(&record.interval, self.settle_ms);
            self.mark(&record.feeder, offset);
        }
    }

    /// Takes the interval at `offset`, which Kafka got at `now`.
    pub fn interval(&mut self, offset: i64, now: UnixMillis, record: &FeederIntervalRecord, out: &mut Vec<Output>) {
        self.tell(now, out);
        let Some(known) = self.feeders.get_mut(&record.feeder) else { return self.metrics.unused(Unused::Feeder) };
        let before = known.mind.dropped();
        match known.mind.take(&record.interval, self.settle_ms) {
            Ok(findings) => {
                for finding in findings {
                    out.extend(self.desk.find(&record.feeder, &finding, now).into_iter().map(alert));
                }
            }
            Err(reason) => self.metrics.unused(reason),
        }
        self.left_out(before, known_dropped(&self.feeders, &record.feeder));
        self.mark(&record.feeder, offset);
        self.keep_due(&record.feeder, offset, out);
    }

    /// Takes an event again that a predecessor took, which Kafka got at `at`.
    pub fn replay_event(&mut self, offset: i64, at: UnixMillis, event: &FeederEventRecord) {
        if is_sign(event.kind) {
            self.signs.take(offset, at, event);
        } else {
            self.outages.take(offset, at, event);
        }
    }

    /// All events are taken again, and the topology is known.
    pub fn events_restored(&mut self) {
        let Self { feeders, desk, outages, .. } = self;
        outages.keep_known(|id| feeders.get(id).map(|it| it.mind.feeder()));
        for (feeder, meter, lost) in outages.all() {
            desk.restore_lost(feeder, meter, lost.at);
        }
    }

    /// Takes the event at `offset`, which Kafka got at `now`.
    pub fn event(&mut self, offset: i64, now: UnixMillis, event: &FeederEventRecord, out: &mut Vec<Output>) {
        let known = self.feeders.get(&event.feeder).is_some_and(|it| it.mind.feeder().meters().any(|it| *it == event.meter));
        if !known {
            self.metrics.feeder_events_unused.inc();
            return;
        }
        if is_sign(event.kind) {
            self.signs.take(offset, now, event);
            let found: Option<Finding> = self.signs.alarming(now).find(|(meter, ..)| **meter == event.meter).map(|(.., it)| it);
            if let Some(finding) = found {
                out.extend(self.desk.find(&event.feeder, &finding, now).into_iter().map(alert));
            }
            return;
        }
        match self.outages.take(offset, now, event) {
            Some(Turn::Lost(_)) => self.desk.supply(&event.feeder, &event.meter, true, now),
            Some(Turn::Back) => self.desk.supply(&event.feeder, &event.meter, false, now),
            None => {}
        }
    }

    /// Time passes: it is `now` at the head-end.
    pub fn tick(&mut self, now: UnixMillis, out: &mut Vec<Output>) {
        for (feeder, meter) in self.outages.expire(now) {
            self.desk.supply(&feeder, &meter, false, now);
        }
        self.tell(now, out);
        let alarming: Vec<_> = self.signs.alarming(now).map(|(meter, ..)| meter.clone()).collect();
        for (feeder, meter) in self.desk.named(Test::EdgeEvidence) {
            if !alarming.contains(&meter) {
                let over = Finding::over(Test::EdgeEvidence, Subject::Meter(meter), now);
                out.extend(self.desk.find(&feeder, &over, now).into_iter().map(alert));
            }
        }
        self.signs.forget(now);
    }

    fn tell(&mut self, now: UnixMillis, out: &mut Vec<Output>) {
        let Self { feeders, desk, outages, .. } = self;
        let describe = |name: &str| {
            let subject: Subject = name.parse().ok()?;
            let id = match &subject {
                Subject::Feeder(id) | Subject::Pole(id, _) => id.clone(),
                Subject::Meter(meter) => outages.feeder_of(meter)?.clone(),
            };
            let feeder = feeders.get(&id)?.mind.feeder();
            Some((id, outages.finding(feeder, subject, now)?))
        };
        out.extend(desk.tick(now, describe).into_iter().map(alert));
    }

    /// The first event that a successor needs, if `next` is the first that was not taken.
    pub fn low_water_of_events(&self, next: i64) -> i64 {
        self.outages.first_offset().into_iter().chain(self.signs.first_offset()).min().unwrap_or(next)
    }

    /// Takes what somebody did, which Kafka got at `now`.
    pub fn action(&mut self, now: UnixMillis, action: &AlertActionRecord, out: &mut Vec<Output>) {
        match self.desk.act(action, now) {
            Ok(record) => out.push(alert(record)),
            Err(refused) => {
                tracing::info!(alert = %action.alert, action = %action.action, %refused, "action refused");
                self.metrics.refused(match refused {
                    Refused::Unknown => ActionRefused::Unknown,
                    Refused::Idle => ActionRefused::Idle,
                    Refused::Text => ActionRefused::Text,
                });
            }
        }
    }

    /// A feeder is so now, or not there any more; intervals from `next` on count for it. One that is as it was is left alone.
    pub fn topology(&mut self, next: i64, now: UnixMillis, id: &FeederId, feeder: Option<Feeder>, out: &mut Vec<Output>) {
        let before = self.feeders.get(id).map(|it| it.mind.feeder());
        if before == feeder.as_ref() {
            return;
        }
        // Alerts may be open even of one whose state could not be read.
        out.extend(self.desk.forget(id, now).into_iter().map(alert));
        if let Some(first) = self.feeders.remove(id).and_then(|it| it.unkept) {
            self.unkept.remove(&first);
        }
        self.signs.forget_feeder(id);
        self.outages.keep(id, feeder.as_ref());
        for (meter, lost) in self.outages.of(id) {
            self.desk.supply(id, meter, true, lost.at);
        }
        match feeder {
            Some(feeder) => {
                self.feeders.insert(id.clone(), Known { mind: Mind::new(feeder), from: next, unkept: None });
                self.keep(id, next, out);
            }
            None => out.push(Output::Gone(id.clone())),
        }
    }

    /// The feeders that are watched.
    pub fn feeders(&self) -> impl Iterator<Item = &FeederId> {
        self.feeders.keys()
    }

    /// From where on a successor must take intervals again, if `next` is the first that was not taken.
    pub fn low_water(&self, next: i64) -> i64 {
        self.unkept.first_key_value().map_or(next, |(first, _)| *first)
    }

    fn mark(&mut self, feeder: &FeederId, offset: i64) {
        if let Some(known) = self.feeders.get_mut(feeder).filter(|it| it.unkept.is_none()) {
            known.unkept = Some(offset);
            self.unkept.insert(offset, feeder.clone());
        }
    }

    fn keep_due(&mut self, feeder: &FeederId, offset: i64, out: &mut Vec<Output>) {
        let next = offset.saturating_add(1);
        if self.feeders.get(feeder).is_some_and(|it| it.mind.is_due()) {
            self.keep(feeder, next, out);
        }
        let behind = self.unkept.first_key_value().filter(|(first, _)| offset.saturating_sub(**first) >= BEHIND_MAX);
        if let Some(feeder) = behind.map(|(_, feeder)| feeder.clone()) {
            self.keep(&feeder, next, out);
        }
    }

    fn keep(&mut self, feeder: &FeederId, next: i64, out: &mut Vec<Output>) {
        let Some(known) = self.feeders.get_mut(feeder) else { return };
        let Some(state) = known.mind.keep() else { return };
        known.from = next;
        if let Some(first) = known.unkept.take() {
            self.unkept.remove(&first);
        }
        out.push(Output::State(FeederStateRecord { feeder: feeder.clone(), next_offset: next, state }));
    }

    fn left_out(&self, before: Dropped, now: Dropped) {
        let since = |of: fn(&Dropped) -> u64| of(&now).saturating_sub(of(&before));
        for (reason, count) in
            [(LeftOut::Line, since(|it| it.line)), (LeftOut::Energy, since(|it| it.energy)), (LeftOut::Voltage, since(|it| it.voltage))]
        {
            if count > 0 {
                self.metrics.left_out(reason, count);
            }
        }
    }
}

fn known_dropped(feeders: &BTreeMap<FeederId, Known>, feeder: &FeederId) -> Dropped {
    feeders.get(feeder).map(|it| it.mind.dropped()).unwrap_or_default()
}

fn alert(record: AlertRecord) -> Output {
    Output::Alert(Box::new(record))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::string_slice, reason = "test code: small numbers, base64")]
mod tests;
