//! Which meters of a feeder have no supply, and where it is lost: pure, from what is heard of each meter.
//!
//! A meter is lost that is silent, that measures no voltage, or that said with its last gasp that its supply fails. Of silence alone nobody can say whether supply or connection is gone. What the
//! others say tells where:
//!
//! | lost | the line's meter | so it is |
//! |---|---|---|
//! | many | lost as well | the feeder's supply |
//! | many | has supply | the line |
//! | one house | has supply | that house's service line, or its meter's connection |
//! | the line's meter only | | that meter |
//! | anything else | lost as well | not to be said: the meter alone is named |

use std::collections::BTreeMap;

use contracts::FeederEventRecord;
use contracts::feeders::FeederEventKind;
use measure::{FeederId, MeterId, UnixMillis};

use crate::balance::finding::{Finding, Subject, Test};
use crate::balance::topology::Feeder;

/// A last gasp that neither silence nor a missing voltage has confirmed for so long is forgotten, in ms.
pub const GASP_MS: i64 = 600_000;
/// So many meters of a feeder that are lost together are one outage.
pub const STORM: usize = 3;

/// A meter without supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The event that told it first.
    pub offset: i64,
    /// When the head-end knew.
    pub at: UnixMillis,
    /// Since when.
    pub since: UnixMillis,
    silent: bool,
    interrupted: bool,
    gasped: bool,
}

/// What an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The meter is lost now.
    Lost(Lost),
    /// It is back.
    Back,
}

/// The lost meters of each feeder.
#[derive(Clone, Debug, Default)]
pub struct Outages {
    feeders: BTreeMap<FeederId, BTreeMap<MeterId, Lost>>,
}

impl Outages {
    /// Takes the event at `offset`, which Kafka got at `at`; what it changed.
    pub fn take(&mut self, offset: i64, at: UnixMillis, event: &FeederEventRecord) -> Option<Turn> {
        use FeederEventKind::{Heard, Interrupted, LastGasp, Silent, Supplied};
        let lost = self.feeders.entry(event.feeder.clone()).or_default();
        match event.kind {
            Silent | Interrupted | LastGasp => {
                let is_new = !lost.contains_key(&event.meter);
                let new = Lost { offset, at, since: event.since_ms, silent: false, interrupted: false, gasped: false };
                let it = lost.entry(event.meter.clone()).or_insert(new);
                it.silent |= event.kind == Silent;
                it.interrupted |= event.kind == Interrupted;
                it.gasped |= event.kind == LastGasp;
                is_new.then_some(Turn::Lost(*it))
            }
            // Who is heard again says anew whether there is a voltage.
            Heard => lost.remove(&event.meter).map(|_| Turn::Back),
            Supplied => {
                let it = lost.get_mut(&event.meter)?;
                it.interrupted = false;
                if it.silent {
                    return None;
                }
                lost.remove(&event.meter).map(|_| Turn::Back)
            }
            _ => None,
        }
    }

    /// It is `now`: the meters whose gasp was heard and nothing that confirms it for [`GASP_MS`], which count as lost no more.
    pub fn expire(&mut self, now: UnixMillis) -> Vec<(FeederId, MeterId)> {
        let doubtful = |it: &Lost| it.gasped && !it.silent && !it.interrupted && now.millis_since(it.at) >= GASP_MS;
        let expired = self.feeders.iter().flat_map(|(feeder, lost)| {
            let meters = lost.iter().filter(|(_, it)| doubtful(it)).map(|(meter, _)| meter);
            meters.map(|meter| (feeder.clone(), meter.clone()))
        });
        let expired: Vec<_> = expired.collect();
        for (feeder, meter) in &expired {
            self.feeders.get_mut(feeder).and_then(|lost| lost.remove(meter));
        }
        expired
    }

    /// The lost meters of a feeder.
    pub fn of(&self, feeder: &FeederId) -> impl Iterator<Item = (&MeterId, &Lost)> {
        self.feeders.get(feeder).into_iter().flatten()
    }

    /// All lost meters, and their feeders.
    pub fn all(&self) -> impl Iterator<Item = (&FeederId, &MeterId, &Lost)> {
        self.feeders.iter().flat_map(|(feeder, lost)| lost.iter().map(move |(meter, lost)| (feeder, meter, lost)))
    }

    /// Keeps what a feeder still has.
    pub fn keep(&mut self, id: &FeederId, feeder: Option<&Feeder>) {
        match feeder {
            Some(feeder) => {
                let lost = self.feeders.entry(id.clone()).or_default();
                lost.retain(|meter, _| feeder.meters().any(|it| it == meter));
            }
            None => _ = self.feeders.remove(id),
        }
    }

    /// Keeps what each feeder has, by the topology.
    pub fn keep_known<'a>(&mut self, feeder: impl Fn(&FeederId) -> Option<&'a Feeder>) {
        let ids: Vec<FeederId> = self.feeders.keys().cloned().collect();
        for id in ids {
            self.keep(&id, feeder(&id));
        }
    }

    /// The feeder on which a meter is lost.
    pub fn feeder_of(&self, meter: &MeterId) -> Option<&FeederId> {
        self.feeders.iter().find(|(_, lost)| lost.contains_key(meter)).map(|(feeder, _)| feeder)
    }

    /// The first event that a successor needs.
    pub fn first_offset(&self) -> Option<i64> {
        self.all().map(|(.., lost)| lost.offset).min()
    }

    /// What is to be said of a subject that has been lost for long enough, at `now`.
    pub fn finding(&self, feeder: &Feeder, subject: Subject, now: UnixMillis) -> Option<Finding> {
        let lost: Vec<(&MeterId, &Lost)> = self.of(&feeder.id).collect();
        let line_lost = lost.iter().any(|(meter, _)| **meter == feeder.line_meter);
        let told: Vec<UnixMillis> = match &subject {
            Subject::Meter(named) => lost.iter().filter(|(meter, _)| *meter == named).map(|(_, it)| it.since).collect(),
            Subject::Feeder(_) | Subject::Pole(..) => lost.iter().map(|(_, it)| it.since).collect(),
        };
        let cause = match &subject {
            Subject::Meter(meter) if *meter == feeder.line_meter => "line_meter",
            Subject::Meter(_) if line_lost => "meter",
            Subject::Meter(_) => "service_line",
            Subject::Feeder(_) | Subject::Pole(..) if line_lost => "feeder",
            Subject::Feeder(_) | Subject::Pole(..) => "line",
        };
        let mut times = told;
        times.sort_unstable();
        let since = *times.first()?;
        let is_storm = matches!(subject, Subject::Feeder(_));
        Some(Finding {
            test: Test::SupplyLost,
            subject,
            begins: true,
            statistic: times.len() as f64,
            threshold: if is_storm { STORM as f64 } else { 1.0 },
            unit: "meters",
            since,
            at: now,
            evidence: times.iter().zip(1..).map(|(time, count)| (*time, f64::from(count))).collect(),
            amperes: None,
            cause: Some(cause.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests;
