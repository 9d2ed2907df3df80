use proptest::prelude::*;

use super::*;

const LOST: Rule = Rule { name: "supply_lost", on_ms: 10_000, off_ms: 30_000, window_ms: 3_600_000, storm: 10 };
const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn at(ms: i64) -> UnixMillis {
    START.saturating_add(ms)
}

#[test]
fn a_feeder_of_214_meters_lost_in_eight_seconds_is_one_alert() {
    let mut alerts = Alerts::new(LOST);
    let mut told = Vec::new();
    for second in 0..=40 {
        for meter in 0..214_i64 {
            if meter * 8_000 / 214 / 1000 == second {
                alerts.condition(&format!("M{meter}"), Some("F1"), true, at(meter * 8_000 / 214));
            }
        }
        told.extend(alerts.tick(at(second * 1000)));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].subject.as_str(), told[0].members, told[0].since), ("F1", 214, START));
    for meter in 0..214 {
        alerts.condition(&format!("M{meter}"), Some("F1"), false, at(50_000 + meter));
    }
    assert_eq!(alerts.tick(at(80_000)), []);
    let told = alerts.tick(at(81_000));
    assert_eq!((told.len(), told[0].state), (1, State::Cleared));
}

#[test]
fn who_is_lost_while_the_feeder_is_out_is_no_alert_of_its_own() {
    let mut alerts = Alerts::new(LOST);
    (0..20).for_each(|meter| alerts.condition(&format!("M{meter}"), Some("F1"), true, at(0)));
    assert_eq!(alerts.tick(at(10_000)).len(), 1);
    alerts.condition("M20", Some("F1"), true, at(60_000));
    alerts.condition("M21", Some("F2"), true, at(60_000));
    let told = alerts.tick(at(70_000));
    assert_eq!(told.iter().map(|it| it.subject.as_str()).collect::<Vec<_>>(), ["M21"]);
    (0..20).for_each(|meter| alerts.condition(&format!("M{meter}"), Some("F1"), false, at(80_000)));
    assert_eq!(alerts.tick(at(110_000)), [], "the last of them is still out");
    alerts.condition("M20", Some("F1"), false, at(120_000));
    let told = alerts.tick(at(150_000));
    assert_eq!(told.iter().map(|it| (it.subject.as_str(), it.state, it.members)).collect::<Vec<_>>(), [("F1", State::Cleared, 21)]);
}

#[test]
fn a_flicker_is_no_alert_and_a_short_return_no_end() {
    let mut alerts = Alerts::new(LOST);
    alerts.condition("M1", Some("F1"), true, at(0));
    assert_eq!(alerts.tick(at(9_999)), []);
    alerts.condition("M1", Some("F1"), false, at(9_999));
    assert_eq!(alerts.tick(at(20_000)), []);
    alerts.condition("M1", Some("F1"), true, at(20_000));
    assert_eq!(alerts.tick(at(30_000)).len(), 1);
    alerts.condition("M1", Some("F1"), false, at(40_000));
    alerts.condition("M1", Some("F1"), true, at(69_000));
    assert_eq!(alerts.tick(at(80_000)), []);
}

#[test]
fn what_people_do() {
    let mut alerts = Alerts::new(LOST);
    alerts.condition("M1", None, true, at(0));
    let id = alerts.tick(at(10_000))[0].id;
    assert_eq!(alerts.act(AlertId(1), Action::Acknowledge, "ann", "", at(11_000)), Err(Refused::Unknown));
    assert_eq!(alerts.act(id, Action::Acknowledge, "ann", "crew sent", at(11_000)).unwrap().state, State::Acknowledged);
    assert_eq!(alerts.act(id, Action::Acknowledge, "ann", "", at(12_000)), Err(Refused::Idle));
    assert_eq!(alerts.act(id, Action::Shelve(at(12_000)), "ann", "", at(12_000)), Err(Refused::Idle));
    assert_eq!(alerts.act(id, Action::Acknowledge, &"x".repeat(TEXT_MAX + 1), "", at(12_000)), Err(Refused::Text));
    alerts.act(id, Action::Shelve(at(60_000)), "bob", "known", at(12_000)).unwrap();
    assert_eq!(alerts.tick(at(59_999)), []);
    assert_eq!(alerts.tick(at(61_000))[0].state, State::Raised, "it still holds when the shelf ends");
}

#[test]
fn what_somebody_clears_stays_quiet_until_it_has_ended() {
    let mut alerts = Alerts::new(LOST);
    alerts.condition("M1", None, true, at(0));
    let id = alerts.tick(at(10_000))[0].id;
    assert_eq!(alerts.act(id, Action::Clear, "ann", "a test", at(11_000)).unwrap().state, State::Cleared);
    assert_eq!(alerts.act(id, Action::Acknowledge, "ann", "", at(12_000)), Err(Refused::Unknown));
    alerts.condition("M1", None, true, at(20_000));
    assert_eq!(alerts.tick(at(40_000)), []);
    alerts.condition("M1", None, false, at(50_000));
    assert_eq!(alerts.tick(at(90_000)), []);
    alerts.condition("M1", None, true, at(100_000));
    assert_eq!(alerts.tick(at(110_000)).len(), 1);
}

#[test]
fn what_was_open_goes_on_with_a_successor() {
    let mut alerts = Alerts::new(LOST);
    alerts.condition("M1", None, true, at(0));
    let id = alerts.tick(at(10_000))[0].id;
    let shelved = alerts.act(id, Action::Shelve(at(60_000)), "ann", "", at(11_000)).unwrap();
    let mut successor = Alerts::new(LOST);
    successor.restore(shelved);
    for alerts in [&mut alerts, &mut successor] {
        assert_eq!(alerts.tick(at(60_000))[0].state, State::Raised);
        alerts.condition("M1", None, false, at(70_000));
        assert_eq!(alerts.tick(at(100_000))[0].state, State::Cleared);
    }
}

proptest! {
    /// Whatever happens, deriving it again gives the same records; each id is raised and cleared in turn.
    #[test]
    fn lives_are_orderly_and_repeatable(steps in prop::collection::vec((0_u8..30, any::<bool>(), 0_i64..20_000), 1..200)) {
        let run = || {
            let (mut alerts, mut now, mut told) = (Alerts::new(LOST), 0_i64, Vec::new());
            for (subject, holds, step) in &steps {
                now = now.saturating_add(*step);
                alerts.condition(&format!("M{subject}"), Some(["F1", "F2"][usize::from(subject % 2)]), *holds, at(now));
                told.extend(alerts.tick(at(now)));
            }
            (told, alerts.open().count())
        };
        let (told, open) = run();
        prop_assert_eq!(&told, &run().0);
        let mut living = std::collections::BTreeSet::new();
        for alert in &told {
            match alert.state {
                State::Cleared => prop_assert!(living.remove(&alert.id), "cleared and not raised: {:?}", alert),
                _ => prop_assert!(living.insert(alert.id), "raised twice: {:?}", alert),
            }
        }
        prop_assert_eq!(living.len(), open);
    }
}
