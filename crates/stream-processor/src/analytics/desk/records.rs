//! Records of alerts from what the tests find, and alerts from records.

use contracts::AlertRecord;
use contracts::alerts::{AlertEvidence, AlertSeverity, AlertState};
use measure::{FeederId, UnixMillis};

use crate::alert::{Alert, State};
use crate::balance::evidence::false_alarms_per_meter_year;
use crate::balance::finding::{Finding, Subject, Test};

/// None in 14 feeder-years of simulated honest feeders (docs/theft.md): with 95 % confidence fewer than 3 / 14 a year ("rule of three").
const OF_THE_FEEDERS_TESTS: f64 = 0.22;
/// None in 1,000 simulated years of honest pairs (docs/theft.md): the same rule, for a feeder of twenty such pairs.
const OF_PAIRS: f64 = 20.0 * 3.0 / 1_000.0;
/// Meters of the simulated feeders.
const METERS: f64 = 20.0;

fn false_alarms(test: Test) -> Option<f64> {
    match test {
        Test::Balance | Test::VoltageDrop => Some(OF_THE_FEEDERS_TESTS),
        Test::Pair => Some(OF_PAIRS),
        Test::EdgeEvidence => Some(METERS * false_alarms_per_meter_year()),
        // A measurement, and no inference; how often meters are offline is not known from a simulation.
        Test::Unbalance | Test::SupplyLost => None,
    }
}

/// A whole feeder in the dark is to be acted on; a house, and thieves, are to be looked at.
fn severity(finding: &Finding) -> AlertSeverity {
    match (finding.test, &finding.subject) {
        (Test::SupplyLost, Subject::Feeder(_)) => AlertSeverity::Critical,
        _ => AlertSeverity::Warning,
    }
}

/// The record of an alert that begins.
pub(super) fn raised(change: &Alert, feeder: &FeederId, finding: &Finding, now: UnixMillis) -> AlertRecord {
    let (pole, meter) = match &finding.subject {
        Subject::Feeder(_) => (None, None),
        Subject::Pole(_, pole) => (Some(pole.clone()), None),
        Subject::Meter(meter) => (None, Some(meter.clone())),
    };
    AlertRecord {
        alert: change.id,
        rule: finding.test.name().to_owned(),
        severity: severity(finding),
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
        false_alarms_per_feeder_year_max: false_alarms(finding.test),
        cause: finding.cause.clone(),
        missing_current_a: finding.amperes,
        evidence: finding.evidence.iter().map(|(time_ms, value)| AlertEvidence { time_ms: *time_ms, value: *value }).collect(),
    }
}

/// The next record of an alert.
pub(super) fn changed(before: &AlertRecord, change: &Alert, note: Option<&str>) -> AlertRecord {
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
pub(super) fn alert(test: Test, record: &AlertRecord) -> Alert {
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
