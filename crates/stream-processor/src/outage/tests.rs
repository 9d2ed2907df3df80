use contracts::{FeederRecord, HouseRecord};

use super::*;

const AT: UnixMillis = UnixMillis(1_800_000_000_000);

fn feeder() -> Feeder {
    let house = |number: usize| HouseRecord {
        meter: format!("M{number}").parse().unwrap(),
        pole: "p".to_owned(),
        class: 1.0,
        line_side: None,
        loop_ohm: None,
        contract_power_w: None,
        phase: None,
    };
    let houses = (1..=5).map(house).collect();
    let record =
        FeederRecord { id: "F1".parse().unwrap(), line_meter: "L".parse().unwrap(), line_class: 1.0, poles: vec!["p".to_owned()], houses };
    Feeder::of(record).unwrap()
}

fn event(meter: &str, kind: FeederEventKind) -> FeederEventRecord {
    FeederEventRecord {
        feeder: "F1".parse().unwrap(),
        meter: meter.parse().unwrap(),
        kind,
        since_ms: AT.saturating_add(-180_000),
        at_ms: AT,
    }
}

fn lost(meters: &[&str]) -> Outages {
    let mut outages = Outages::default();
    for (meter, offset) in meters.iter().zip(7..) {
        assert!(matches!(outages.take(offset, AT, &event(meter, FeederEventKind::Silent)), Some(Turn::Lost(_))));
    }
    outages
}

fn cause(outages: &Outages, subject: &str) -> Option<String> {
    outages.finding(&feeder(), subject.parse().unwrap(), AT)?.cause
}

#[test]
fn where_the_supply_is_lost_is_told_by_the_others() {
    for (meters, subject, expected) in [
        (&["M1", "M2", "M3", "L"][..], "feeder F1", "feeder"),
        (&["M1", "M2", "M3"], "feeder F1", "line"),
        (&["M2"], "meter M2", "service_line"),
        (&["M2", "L"], "meter M2", "meter"),
        (&["L"], "meter L", "line_meter"),
    ] {
        assert_eq!(cause(&lost(meters), subject).as_deref(), Some(expected), "{meters:?}");
    }
    assert_eq!(cause(&lost(&["M1"]), "meter M2"), None, "it is not lost");
}

#[test]
fn a_finding_counts_who_is_lost_and_since_when() {
    let finding = lost(&["M1", "M2", "M3", "M4"]).finding(&feeder(), "feeder F1".parse().unwrap(), AT).unwrap();
    assert_eq!((finding.statistic, finding.threshold, finding.delay_ms()), (4.0, 3.0, 180_000));
    assert_eq!(finding.evidence.len(), 4);
}

#[test]
fn silence_and_no_voltage_are_both_a_loss_and_either_keeps_it() {
    use FeederEventKind::{Heard, Interrupted, Silent, Supplied};
    let mut outages = Outages::default();
    let mut take = |kind| outages.take(3, AT, &event("M1", kind)).map(|it| it == Turn::Back);
    assert_eq!(take(Interrupted), Some(false));
    assert_eq!(take(Silent), None, "lost already");
    assert_eq!(take(Supplied), None, "still silent");
    assert_eq!(take(Heard), Some(true));
    assert_eq!(take(Heard), None);
    assert_eq!(take(FeederEventKind::Stuck), None);
    assert_eq!(outages.first_offset(), None);
}

#[test]
fn a_last_gasp_is_a_loss_until_it_is_heard_or_forgotten() {
    use FeederEventKind::{Heard, LastGasp, Silent};
    let mut outages = Outages::default();
    for (meter, offset) in ["M1", "M2", "M3"].into_iter().zip(7..) {
        assert!(matches!(outages.take(offset, AT, &event(meter, LastGasp)), Some(Turn::Lost(_))));
    }
    assert_eq!(cause(&outages, "feeder F1").as_deref(), Some("line"));
    assert_eq!(outages.take(10, AT, &event("M1", Heard)), Some(Turn::Back));
    assert_eq!(outages.take(11, AT, &event("M2", Silent)), None, "it is lost already, and from now on for sure");
    assert_eq!(outages.expire(AT.saturating_add(GASP_MS - 1)), []);
    let expired = outages.expire(AT.saturating_add(GASP_MS));
    assert_eq!(expired, [("F1".parse().unwrap(), "M3".parse().unwrap())], "nothing confirms it");
    assert_eq!((outages.all().count(), outages.first_offset()), (1, Some(8)));
}

#[test]
fn a_topology_that_lacks_a_meter_forgets_it() {
    let mut outages = lost(&["M1", "M5"]);
    assert_eq!(outages.first_offset(), Some(7));
    let mut smaller = feeder();
    smaller.houses.remove(0);
    outages.keep(&smaller.id, Some(&smaller));
    assert_eq!(outages.first_offset(), Some(8));
    outages.keep_known(|_| None);
    assert_eq!(outages.all().count(), 0);
}
