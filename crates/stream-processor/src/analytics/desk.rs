//! The alerts of a partition's feeders: what the tests find, and what people do about it, as records of `alerts.v1`.

mod records;

use std::collections::{BTreeMap, BTreeSet};

use contracts::alerts::{AlertActionKind, AlertState};
use contracts::{AlertActionRecord, AlertId, AlertRecord};
use measure::{FeederId, MeterId, UnixMillis};

use self::records::{alert, changed, raised};
use crate::alert::{Action, Alerts, Refused, Rule, State};
use crate::balance::finding::{Finding, Subject, Test};
use crate::outage::STORM;

/// How long a supply must be back to count as back, in ms.
const SUPPLY_OFF_MS: i64 = 30_000;

/// The tests of theft have delays of their own, in their sums, and so has that of the phases; a hook on the line is no storm. A lost supply is one.
const fn rule(test: Test, storm_ms: i64) -> Rule {
    let name = test.name();
    match test {
        Test::SupplyLost => Rule { name, on_ms: storm_ms, off_ms: SUPPLY_OFF_MS, window_ms: 3_600_000, storm: STORM },
        _ => Rule { name, on_ms: 0, off_ms: 0, window_ms: 86_400_000, storm: usize::MAX },
    }
}

const TESTS: [Test; 6] = [Test::Balance, Test::VoltageDrop, Test::Pair, Test::EdgeEvidence, Test::Unbalance, Test::SupplyLost];

/// Alerts that were cleared by somebody whose condition may hold still: as many are remembered over a restart.
const CLEARED_MAX: usize = 10_000;

/// Why an alert is cleared though its condition has not ended.
const TOPOLOGY_CHANGED: &str = "the feeder's topology changed: what was known of it does not hold any more";

/// All open alerts of a partition.
#[derive(Debug)]
pub struct Desk {
    rules: Vec<(Test, Alerts)>,
    /// Each open alert's record, as it was written last.
    open: BTreeMap<AlertId, AlertRecord>,
    /// When the first shelf ends.
    shelf: Option<UnixMillis>,
    /// What somebody cleared before a restart.
    cleared: BTreeSet<AlertId>,
}

impl Desk {
    /// No alerts yet. A lost supply is told after `storm_ms`, and by then of all that were lost together.
    pub fn new(storm_ms: i64) -> Self {
        let rules = TESTS.map(|test| (test, Alerts::new(rule(test, storm_ms)))).to_vec();
        Self { rules, open: BTreeMap::new(), shelf: None, cleared: BTreeSet::new() }
    }

    /// A record that a predecessor wrote. Of each alert the last one must be given last.
    pub fn restore(&mut self, record: AlertRecord) {
        if record.state == AlertState::Cleared {
            self.open.remove(&record.alert);
            if record.who.is_some() && record.rule == Test::SupplyLost.name() && self.cleared.len() < CLEARED_MAX {
                self.cleared.insert(record.alert);
            }
        } else {
            self.cleared.remove(&record.alert);
            self.open.insert(record.alert, record);
        }
    }

    /// All of them are given.
    pub fn restored(&mut self) {
        for record in self.open.values() {
            if let Some((test, alerts)) = self.rules.iter_mut().find(|(test, _)| test.name() == record.rule) {
                match test {
                    // Whom it stands for is told by what was lost.
                    Test::SupplyLost => alerts.reopen(alert(*test, record)),
                    _ => alerts.restore(alert(*test, record)),
                }
            }
        }
        self.next_shelf();
    }

    /// A test found something, and Kafka's clock says `now`.
    pub fn find(&mut self, feeder: &FeederId, finding: &Finding, now: UnixMillis) -> Vec<AlertRecord> {
        let Some((_, alerts)) = self.rules.iter_mut().find(|(test, _)| *test == finding.test) else { return Vec::new() };
        let subject = finding.subject.to_string();
        // Meters' clocks may be ahead of Kafka's: what was found is not in the future.
        let known = now.max(finding.at);
        alerts.condition(&subject, None, finding.begins, if finding.begins { finding.since } else { known });
        let changes = alerts.tick(known);
        let records = changes.into_iter().filter_map(|change| match change.state {
            State::Raised if change.subject == subject => Some(raised(&change, feeder, finding, now)),
            _ => Some(AlertRecord { at_ms: now, ..changed(self.open.get(&change.id)?, &change, None) }),
        });
        let records: Vec<_> = records.collect();
        self.keep(&records);
        records
    }

    /// Somebody does something, and Kafka's clock says `now`.
    pub fn act(&mut self, action: &AlertActionRecord, now: UnixMillis) -> Result<AlertRecord, Refused> {
        let record = self.open.get(&action.alert).filter(|it| it.feeder == action.feeder).ok_or(Refused::Unknown)?;
        if record.action == Some(action.action) {
            return Err(Refused::Idle);
        }
        if action.who.is_empty() {
            return Err(Refused::Text);
        }
        let what = match (action.kind, action.until_ms) {
            (AlertActionKind::Acknowledge, _) => Action::Acknowledge,
            (AlertActionKind::Clear, _) => Action::Clear,
            (AlertActionKind::Shelve, Some(until)) => Action::Shelve(until),
            (AlertActionKind::Shelve, None) => return Err(Refused::Idle),
        };
        let (_, alerts) = self.rules.iter_mut().find(|(test, _)| test.name() == record.rule).ok_or(Refused::Unknown)?;
        let change = alerts.act(action.alert, what, &action.who, &action.note, now)?;
        let record = AlertRecord { action: Some(action.action), ..changed(record, &change, None) };
        self.keep(std::slice::from_ref(&record));
        Ok(record)
    }

    /// A meter of a feeder lost its supply, or has it back; known at `at`. What follows is told by a [`Self::tick`].
    pub fn supply(&mut self, feeder: &FeederId, meter: &MeterId, is_lost: bool, at: UnixMillis) {
        let (subject, group) = names(feeder, meter);
        if let Some(alerts) = self.alerts(Test::SupplyLost) {
            alerts.condition(&subject, Some(&group), is_lost, at);
        }
    }

    /// A meter that had lost its supply when a predecessor left.
    pub fn restore_lost(&mut self, feeder: &FeederId, meter: &MeterId, at: UnixMillis) {
        let (subject, group) = names(feeder, meter);
        let cleared = std::mem::take(&mut self.cleared);
        if let Some(alerts) = self.alerts(Test::SupplyLost) {
            alerts.restore_held(&subject, Some(&group), at, |id| cleared.contains(&id));
        }
        self.cleared = cleared;
    }

    /// The clock says `now`: shelves may have ended, and what waited is told. `describe` says what is to be said of a subject without supply.
    pub fn tick(&mut self, now: UnixMillis, describe: impl Fn(&str) -> Option<(FeederId, Finding)>) -> Vec<AlertRecord> {
        let is_due = self.shelf.is_some_and(|until| until <= now) || self.rules.iter().any(|(_, alerts)| alerts.is_waiting());
        if !is_due {
            return Vec::new();
        }
        let Self { rules, open, .. } = self;
        let changes = rules.iter_mut().flat_map(|(test, alerts)| alerts.tick(now).into_iter().map(|change| (*test, change)));
        let records = changes.filter_map(|(test, change)| match open.get(&change.id) {
            Some(before) => Some(changed(before, &change, None)),
            None if test == Test::SupplyLost => {
                let (feeder, finding) = describe(&change.subject)?;
                Some(raised(&change, &feeder, &finding, now))
            }
            None => None,
        });
        let records: Vec<_> = records.collect();
        self.keep(&records);
        records
    }

    /// The meters that this test has named, and their feeders, while the alert is open.
    pub fn named(&self, test: Test) -> Vec<(FeederId, MeterId)> {
        let of_test = self.open.values().filter(|it| it.rule == test.name());
        of_test.filter_map(|it| Some((it.feeder.clone(), it.meter.clone()?))).collect()
    }

    /// A feeder is another one now: what was open there is over.
    pub fn forget(&mut self, feeder: &FeederId, now: UnixMillis) -> Vec<AlertRecord> {
        let mut records = Vec::new();
        for record in self.open.values().filter(|it| it.feeder == *feeder) {
            if let Some((_, alerts)) = self.rules.iter_mut().find(|(test, _)| test.name() == record.rule) {
                records.extend(alerts.forget(record.alert, now).map(|change| changed(record, &change, Some(TOPOLOGY_CHANGED))));
            }
        }
        self.keep(&records);
        records
    }

    fn alerts(&mut self, test: Test) -> Option<&mut Alerts> {
        self.rules.iter_mut().find(|(it, _)| *it == test).map(|(_, alerts)| alerts)
    }

    fn keep(&mut self, records: &[AlertRecord]) {
        records.iter().cloned().for_each(|record| self.restore(record));
        self.next_shelf();
    }

    fn next_shelf(&mut self) {
        self.shelf = self.open.values().filter_map(|it| it.shelved_until_ms).min();
    }
}

/// A meter and its feeder as subjects.
fn names(feeder: &FeederId, meter: &MeterId) -> (String, String) {
    (Subject::Meter(meter.clone()).to_string(), Subject::Feeder(feeder.clone()).to_string())
}
