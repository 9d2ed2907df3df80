//! Alerts and the topology as rows. They are few: PostgreSQL takes them out of their JSON, one statement a record.

use contracts::{AlertId, AlertRecord, FeederRecord};
use measure::FeederId;

use super::columns::Timestamp;
use crate::grid::read_feeder;
use crate::sink::metrics::Skipped;

/// An alert that has a place in the table: the last record of an alert counts.
pub(super) struct AlertRow {
    pub(super) id: AlertId,
    pub(super) json: String,
}

/// A feeder that has a place in the table, or none any more.
pub(super) struct FeederRow {
    pub(super) id: FeederId,
    pub(super) json: Option<String>,
}

/// The latest state of an alert.
pub(super) const UPSERT_ALERT: &str = "\
    insert into alerts (alert, rule, severity, feeder, pole, meter, state, at, shelved_until, who, note, action, since, detected, delay_ms, \
    statistic, threshold, unit, false_alarms_per_feeder_year_max, cause, missing_current_a, evidence) \
    select alert, rule, severity, feeder, pole, meter, state, to_timestamp(at_ms / 1000.0), to_timestamp(shelved_until_ms / 1000.0), who, note, \
    action, to_timestamp(since_ms / 1000.0), to_timestamp(detected_ms / 1000.0), delay_ms, statistic, threshold, unit, \
    false_alarms_per_feeder_year_max, cause, missing_current_a, evidence \
    from jsonb_to_record($1::text::jsonb) as it (alert text, rule text, severity text, feeder text, pole text, meter text, state text, \
    at_ms bigint, shelved_until_ms bigint, who text, note text, action text, since_ms bigint, detected_ms bigint, delay_ms bigint, \
    statistic double precision, threshold double precision, unit text, false_alarms_per_feeder_year_max double precision, cause text, \
    missing_current_a double precision, evidence jsonb) \
    on conflict (alert) do update set \
    (rule, severity, feeder, pole, meter, state, at, shelved_until, who, note, action, since, detected, delay_ms, statistic, \
    threshold, unit, false_alarms_per_feeder_year_max, cause, missing_current_a, evidence) = \
    (excluded.rule, excluded.severity, excluded.feeder, excluded.pole, excluded.meter, excluded.state, excluded.at, \
    excluded.shelved_until, excluded.who, excluded.note, excluded.action, excluded.since, excluded.detected, excluded.delay_ms, \
    excluded.statistic, excluded.threshold, excluded.unit, excluded.false_alarms_per_feeder_year_max, excluded.cause, \
    excluded.missing_current_a, excluded.evidence)";

/// What hung on a feeder.
pub(super) const DELETE_HOUSES: &str = "delete from houses where feeder = $1";

/// What hangs on it now.
pub(super) const INSERT_HOUSES: &str = "\
    insert into houses (feeder, meter, line_meter, line_class, pole, pole_number, class, line_side, loop_ohm, contract_power_w, phase) \
    select feeder.id, house.meter, feeder.line_meter, feeder.line_class, house.pole, array_position(feeder.poles, house.pole), house.class, \
    house.line_side, house.loop_ohm, house.contract_power_w, house.phase \
    from jsonb_to_record($1::text::jsonb) as feeder (id text, line_meter text, line_class double precision, poles text[], houses jsonb), \
    jsonb_to_recordset(feeder.houses) as house (meter text, pole text, class double precision, line_side text, loop_ohm double precision, \
    contract_power_w double precision, phase text)";

impl AlertRow {
    /// Of a record's value.
    pub(super) fn of(value: &[u8]) -> Result<Self, Skipped> {
        let record: AlertRecord = serde_json::from_slice(value).map_err(|_| Skipped::Unreadable)?;
        let times = [Some(record.at_ms), record.shelved_until_ms, Some(record.since_ms), Some(record.detected_ms)];
        if times.into_iter().flatten().any(|it| Timestamp::of(it).is_none()) {
            return Err(Skipped::Unstorable);
        }
        Ok(Self { id: record.alert, json: storable(&record)? })
    }
}

impl FeederRow {
    /// Of a record of the topology. What can't be so counts as taken away, as it does for the analytics.
    pub(super) fn of(key: &[u8], value: &[u8]) -> Result<Self, Skipped> {
        let id: FeederId = std::str::from_utf8(key).ok().and_then(|it| it.parse().ok()).ok_or(Skipped::Unreadable)?;
        let json = match read_feeder(key, value) {
            Ok(feeder) => storable::<FeederRecord>(&feeder.record()).ok(),
            Err(_) => None,
        };
        Ok(Self { id, json })
    }
}

/// As JSON that PostgreSQL takes: its texts hold no zero.
fn storable<T: serde::Serialize>(record: &T) -> Result<String, Skipped> {
    let json = serde_json::to_string(record).map_err(|_| Skipped::Unstorable)?;
    if json.contains("\\u0000") { Err(Skipped::Unstorable) } else { Ok(json) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn golden(name: &str) -> Value {
        let text = match name {
            "alerts" => include_str!("../../../../contracts/golden/alerts.v1.json"),
            _ => include_str!("../../../../contracts/golden/grid.topology.v1.json"),
        };
        serde_json::from_str::<Vec<Value>>(text).unwrap().remove(0)
    }

    #[test]
    fn an_alert_needs_times_and_texts_that_postgresql_knows() {
        let of = |change: &dyn Fn(&mut Value)| {
            let mut alert = golden("alerts");
            change(&mut alert);
            AlertRow::of(alert.to_string().as_bytes()).map(|_| ())
        };
        assert_eq!(of(&|_| ()), Ok(()));
        assert_eq!(of(&|it| it["note"] = json!("a\0b")), Err(Skipped::Unstorable));
        assert_eq!(of(&|it| it["at_ms"] = json!(i64::MAX)), Err(Skipped::Unstorable));
        assert_eq!(of(&|it| it["statistic"] = json!("many")), Err(Skipped::Unreadable));
    }

    #[test]
    fn a_feeder_that_cannot_be_so_is_taken_away() {
        let feeder = golden("topology");
        let of = |key: &[u8], it: &Value| FeederRow::of(key, it.to_string().as_bytes()).map(|it| it.json.is_some());
        assert_eq!(of(b"F1", &feeder), Ok(true));
        assert_eq!(of(b"F2", &feeder), Ok(false), "under another's key");
        assert_eq!(of(b"F 1", &feeder), Err(Skipped::Unreadable));
        let mut twice = feeder.clone();
        twice["houses"][1]["meter"] = feeder["houses"][0]["meter"].clone();
        assert_eq!(of(b"F1", &twice), Ok(false));
        assert!(FeederRow::of(b"F1", b"").is_ok_and(|it| it.json.is_none()), "a tombstone");
    }
}
