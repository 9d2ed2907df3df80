//! What readings of meters give away, by meter, for a week.

use std::collections::BTreeMap;

use contracts::FeederEventRecord;
use contracts::feeders::FeederEventKind;
use measure::{FeederId, MeterId, UnixMillis};

use crate::balance::evidence::{Evidence, THRESHOLD, WINDOW_MS};
use crate::balance::finding::{Finding, Subject, Test};

/// The evidence on a partition's meters.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    meters: BTreeMap<MeterId, (FeederId, Evidence)>,
    /// Events that still count, and when they were.
    counting: BTreeMap<i64, UnixMillis>,
}

/// Whether an event is a sign, and not about supply.
pub const fn is_sign(kind: FeederEventKind) -> bool {
    use FeederEventKind::{Heard, Interrupted, LastGasp, Silent, Supplied};
    !matches!(kind, Silent | Heard | LastGasp | Interrupted | Supplied)
}

impl Signs {
    /// Takes the event at `offset`, which Kafka got at `at`.
    pub fn take(&mut self, offset: i64, at: UnixMillis, event: &FeederEventRecord) {
        self.counting.insert(offset, at);
        let (feeder, evidence) = self.meters.entry(event.meter.clone()).or_insert_with(|| (event.feeder.clone(), Evidence::default()));
        feeder.clone_from(&event.feeder);
        evidence.push(event.kind, at);
    }

    /// The meters whose evidence suffices.
    pub fn alarming(&self, now: UnixMillis) -> impl Iterator<Item = (&MeterId, &FeederId, Finding)> {
        let alarming = self.meters.iter().filter(move |(_, (_, evidence))| evidence.is_alarming(now));
        alarming.filter_map(move |(meter, (feeder, evidence))| Some((meter, feeder, finding(meter, evidence, now)?)))
    }

    /// Forgets what does not count any more.
    pub fn forget(&mut self, now: UnixMillis) {
        let old = |at: &UnixMillis| now.millis_since(*at) >= WINDOW_MS;
        while self.counting.first_entry().is_some_and(|it| old(it.get())) {
            self.counting.pop_first();
        }
        self.meters.retain(|_, (_, evidence)| evidence.recent(now).next().is_some());
    }

    /// Forgets a feeder.
    pub fn forget_feeder(&mut self, feeder: &FeederId) {
        self.meters.retain(|_, (of, _)| of != feeder);
    }

    /// The first event that a successor needs.
    pub fn first_offset(&self) -> Option<i64> {
        self.counting.first_key_value().map(|(offset, _)| *offset)
    }

    /// Whether there is nothing to watch.
    pub fn is_empty(&self) -> bool {
        self.meters.is_empty()
    }
}

fn finding(meter: &MeterId, evidence: &Evidence, now: UnixMillis) -> Option<Finding> {
    let mut recent: Vec<_> = evidence.recent(now).collect();
    recent.sort_by_key(|(_, seen, _)| *seen);
    let name = |kind: &FeederEventKind| Some(serde_json::to_value(kind).ok()?.as_str()?.to_owned());
    let kinds: Vec<String> = recent.iter().filter_map(|(kind, ..)| name(kind)).collect();
    Some(Finding {
        test: Test::EdgeEvidence,
        subject: Subject::Meter(meter.clone()),
        begins: true,
        statistic: evidence.log_odds(now),
        threshold: THRESHOLD,
        unit: "log-odds",
        since: recent.first()?.1,
        at: now,
        evidence: recent.iter().map(|(_, seen, weight)| (*seen, *weight)).collect(),
        amperes: None,
        cause: Some(kinds.join(", ")),
    })
}
