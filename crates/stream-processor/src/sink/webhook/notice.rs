//! An alert as Alertmanager's API (version 2, `POST /api/v2/alerts`) takes it, and which ones it has to be told of again.
//!
//! An Alertmanager keeps nothing over a restart and ends what it is not told of again. So every alert that holds is repeated, with an end
//! that lies a few repetitions ahead, as Prometheus does it.

use std::collections::BTreeMap;

use contracts::AlertRecord;
use contracts::alerts::{AlertId, AlertState};
use jiff::Timestamp;
use measure::UnixMillis;
use serde_json::{Map, Value, json};

/// Most alerts that are repeated; of further ones only their changes are told.
const OPEN_MAX: usize = 10_000;
/// An alert ends by itself when it was not told for so many repetitions.
const REPETITIONS: i64 = 5;

/// The alerts that hold.
#[derive(Debug, Default)]
pub(super) struct Open {
    alerts: BTreeMap<AlertId, AlertRecord>,
}

impl Open {
    /// Takes what became of an alert; false if it holds and there is no room to remember it.
    pub(super) fn take(&mut self, record: &AlertRecord) -> bool {
        if !holds(record.state) {
            self.alerts.remove(&record.alert);
            return true;
        }
        let has_room = self.alerts.len() < OPEN_MAX || self.alerts.contains_key(&record.alert);
        if has_room {
            self.alerts.insert(record.alert, AlertRecord { evidence: Vec::new(), ..record.clone() });
        }
        has_room
    }

    /// The alert is deleted.
    pub(super) fn forget(&mut self, alert: AlertId) {
        self.alerts.remove(&alert);
    }

    /// What is to be told again at `now`.
    pub(super) fn notices(&self, now: UnixMillis, repeat_ms: i64) -> Vec<Value> {
        self.alerts.values().filter_map(|it| notice(it, now, repeat_ms)).collect()
    }
}

/// Whether somebody should still be told. Shelved ones are told again when they come off the shelf.
const fn holds(state: AlertState) -> bool {
    matches!(state, AlertState::Raised | AlertState::Acknowledged)
}

/// The alert at `now`; `None` if its times have no name in the calendar.
pub(super) fn notice(record: &AlertRecord, now: UnixMillis, repeat_ms: i64) -> Option<Value> {
    let (start, end) = if holds(record.state) {
        // It never begins after it is told, whatever the meters' clocks say.
        (record.since_ms.min(now), now.0.checked_add(repeat_ms.checked_mul(REPETITIONS)?)?)
    } else {
        (record.since_ms.min(record.at_ms), record.at_ms.0)
    };
    let time = |ms: i64| Timestamp::from_millisecond(ms).ok().map(|it| it.to_string());
    // An alert is the same to an Alertmanager as long as its labels are: nothing that changes in its life is one.
    let mut labels = Map::new();
    labels.insert("alertname".to_owned(), json!(record.rule));
    labels.insert("alert".to_owned(), json!(record.alert));
    labels.insert("severity".to_owned(), json!(record.severity.name()));
    labels.insert("feeder".to_owned(), json!(record.feeder));
    labels.extend(record.pole.iter().map(|pole| ("pole".to_owned(), json!(pole))));
    labels.extend(record.meter.iter().map(|meter| ("meter".to_owned(), json!(meter))));
    let place = match (&record.meter, &record.pole) {
        (Some(meter), _) => format!("at meter {meter} of feeder {}", record.feeder),
        (None, Some(pole)) => format!("at pole {pole} of feeder {}", record.feeder),
        (None, None) => format!("on feeder {}", record.feeder),
    };
    let AlertRecord { rule, statistic, threshold, unit, .. } = record;
    let mut annotations = Map::new();
    annotations.insert("summary".to_owned(), json!(format!("{rule} {place}: {statistic} {unit}, threshold {threshold} {unit}")));
    annotations.insert("state".to_owned(), json!(record.state.name()));
    annotations.insert("detected".to_owned(), json!(time(record.detected_ms.0)?));
    annotations.extend(record.who.iter().map(|who| ("who".to_owned(), json!(who))));
    annotations.extend(record.note.iter().map(|note| ("note".to_owned(), json!(note))));
    Some(json!({ "labels": labels, "annotations": annotations, "startsAt": time(start.0)?, "endsAt": time(end)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_000_600_000);

    fn record(state: AlertState) -> AlertRecord {
        let golden: Vec<AlertRecord> = serde_json::from_str(include_str!("../../../../contracts/golden/alerts.v1.json")).unwrap();
        let it = golden.into_iter().next().unwrap();
        AlertRecord { state, since_ms: UnixMillis(1_795_000_000_000), at_ms: UnixMillis(1_795_000_300_000), ..it }
    }

    #[test]
    fn what_holds_ends_a_few_repetitions_from_now_and_what_is_over_ended_then() {
        let raised = notice(&record(AlertState::Raised), NOW, 60_000).unwrap();
        assert_eq!((&raised["startsAt"], &raised["endsAt"]), (&json!("2026-11-18T11:06:40Z"), &json!("2026-11-18T11:21:40Z")));
        let cleared = notice(&record(AlertState::Cleared), NOW, 60_000).unwrap();
        assert_eq!(cleared["endsAt"], json!("2026-11-18T11:11:40Z"));
        assert_eq!(raised["labels"], cleared["labels"], "the same alert");
        assert_eq!(cleared["annotations"]["state"], json!("cleared"));
    }

    #[test]
    fn no_alert_begins_after_its_end() {
        for state in [AlertState::Raised, AlertState::Cleared] {
            let ahead = AlertRecord { since_ms: UnixMillis(NOW.0 + 1_000_000_000), ..record(state) };
            let it = notice(&ahead, NOW, 60_000).unwrap();
            assert!(it["startsAt"].as_str().unwrap() <= it["endsAt"].as_str().unwrap(), "{it}");
        }
        let nowhere = AlertRecord { since_ms: UnixMillis(i64::MIN), ..record(AlertState::Raised) };
        assert_eq!(notice(&nowhere, NOW, 60_000), None);
    }

    #[test]
    fn only_what_holds_is_told_again_and_memory_has_an_end() {
        let mut open = Open::default();
        let raised = record(AlertState::Raised);
        assert!(open.take(&raised));
        assert_eq!(open.notices(NOW, 60_000).len(), 1);
        open.take(&record(AlertState::Shelved));
        assert_eq!(open.notices(NOW, 60_000).len(), 0);
        for number in 0..OPEN_MAX {
            assert!(open.take(&AlertRecord { alert: AlertId(number as u128), ..raised.clone() }));
        }
        assert!(!open.take(&AlertRecord { alert: AlertId(u128::MAX), ..raised.clone() }));
        open.forget(AlertId(1));
        assert!(open.take(&AlertRecord { alert: AlertId(u128::MAX), ..raised }));
    }
}
