//! The alerts of a partition's feeders: what the tests find, and what people do about it, as records of `alerts.v1`.

use std::collections::BTreeMap;

use contracts::alerts::{AlertActionKind, AlertEvidence, AlertSeverity, AlertState};
use contracts::{AlertActionRecord, AlertId, AlertRecord};
use measure::{FeederId, UnixMillis};

use crate::alert::{Action, Alert, Alerts, Refused, Rule, State};
use crate::balance::finding::{Finding, Subject, Test};

/// The tests have delays of their own, in their sums; a hook on the line is no storm.
const fn rule(test: Test) -> Rule {
    Rule { name: test.name(), on_ms: 0, off_ms: 0, window_ms: 86_400_000, storm: usize::MAX }
}

const TESTS: [Test; 2] = [Test::Balance, Test::VoltageDrop];

/// None in 2.5 feeder-years of simulated honest feeders (docs/theft.md): with 95 % confidence fewer than 3 / 2.5 a year ("rule of three").
const FALSE_ALARMS_PER_FEEDER_YEAR_MAX: f64 = 1.2;

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
}

impl Default for Desk {
    fn default() -> Self {
        Self { rules: TESTS.map(|test| (test, Alerts::new(rule(test)))).to_vec(), open: BTreeMap::new(), shelf: None }
    }
}

impl Desk {
    /// A record that a predecessor wrote. Of each alert the last one must be given last.
    pub fn restore(&mut self, record: AlertRecord) {
        if record.state == AlertState::Cleared {
            self.open.remove(&record.alert);
        } else {
            self.open.insert(record.alert, record);
        }
    }

    /// All of them are given.
    pub fn restored(&mut self) {
        for record in self.open.values() {
            if let Some((test, alerts)) = self.rules.iter_mut().find(|(test, _)| test.name() == record.rule) {
                alerts.restore(alert(*test, record));
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

    /// Kafka's clock says `now`: shelves may have ended.
    pub fn tick(&mut self, now: UnixMillis) -> Vec<AlertRecord> {
        if self.shelf.is_none_or(|until| until > now) {
            return Vec::new();
        }
        let changes = self.rules.iter_mut().flat_map(|(_, alerts)| alerts.tick(now));
        let records: Vec<_> = changes.filter_map(|change| Some(changed(self.open.get(&change.id)?, &change, None))).collect();
        self.keep(&records);
        records
    }

    /// A feeder is another one now: what was open there is over.
    pub fn forget(&mut self, feeder: &FeederId, now: UnixMillis) -> Vec<AlertRecord> {
        let mut records = Vec::new();
        for record in self.open.values().filter(|it| it.feeder == *feeder) {
            if let Some((test, alerts)) = self.rules.iter_mut().find(|(test, _)| test.name() == record.rule) {
                alerts.condition(&alert(*test, record).subject, None, false, now);
                records.extend(alerts.tick(now).into_iter().map(|change| changed(record, &change, Some(TOPOLOGY_CHANGED))));
            }
        }
        self.keep(&records);
        records
    }

    fn keep(&mut self, records: &[AlertRecord]) {
        records.iter().cloned().for_each(|record| self.restore(record));
        self.next_shelf();
    }

    fn next_shelf(&mut self) {
        self.shelf = self.open.values().filter_map(|it| it.shelved_until_ms).min();
    }
}

/// The record of an alert that begins.
fn raised(change: &Alert, feeder: &FeederId, finding: &Finding, now: UnixMillis) -> AlertRecord {
    let (pole, meter) = match &finding.subject {
        Subject::Feeder(_) => (None, None),
        Subject::Pole(_, pole) => (Some(pole.clone()), None),
        Subject::Meter(meter) => (None, Some(meter.clone())),
    };
    AlertRecord {
        alert: change.id,
        rule: finding.test.name().to_owned(),
        severity: AlertSeverity::Warning,
        feeder: feeder.clone(),
        pole,
        meter,
        state: AlertState::Raised,
        at_ms: now,
        shelved_until_ms: None,
        who: None,
        note: None,
        action: None,
        since_ms: finding.since,
        detected_ms: finding.at,
        delay_ms: finding.delay_ms(),
        statistic: finding.statistic,
        threshold: finding.threshold,
        unit: finding.unit.to_owned(),
        false_alarms_per_feeder_year_max: FALSE_ALARMS_PER_FEEDER_YEAR_MAX,
        missing_current_a: finding.amperes,
        evidence: finding.evidence.iter().map(|(time_ms, value)| AlertEvidence { time_ms: *time_ms, value: *value }).collect(),
    }
}

/// The next record of an alert.
fn changed(before: &AlertRecord, change: &Alert, note: Option<&str>) -> AlertRecord {
    let (state, shelved_until_ms) = match change.state {
        State::Raised => (AlertState::Raised, None),
        State::Acknowledged => (AlertState::Acknowledged, None),
        State::Shelved(until) => (AlertState::Shelved, Some(until)),
        State::Cleared => (AlertState::Cleared, None),
    };
    let (who, words) = change.who.clone().unzip();
    let note = words.filter(|it| !it.is_empty()).or_else(|| note.map(str::to_owned));
    AlertRecord { state, shelved_until_ms, at_ms: change.at, who, note, action: None, ..before.clone() }
}

/// The life of an alert as a record tells it.
fn alert(test: Test, record: &AlertRecord) -> Alert {
    let subject = match (&record.meter, &record.pole) {
        (Some(meter), _) => Subject::Meter(meter.clone()),
        (None, Some(pole)) => Subject::Pole(record.feeder.clone(), pole.clone()),
        (None, None) => Subject::Feeder(record.feeder.clone()),
    };
    let state = match (record.state, record.shelved_until_ms) {
        (AlertState::Shelved, Some(until)) => State::Shelved(until),
        (AlertState::Acknowledged, _) => State::Acknowledged,
        (AlertState::Cleared, _) => State::Cleared,
        (AlertState::Raised | AlertState::Shelved, _) => State::Raised,
    };
    Alert {
        id: record.alert,
        rule: test.name(),
        subject: subject.to_string(),
        state,
        since: record.since_ms,
        at: record.at_ms,
        members: 1,
        who: record.who.clone().map(|who| (who, record.note.clone().unwrap_or_default())),
    }
}
