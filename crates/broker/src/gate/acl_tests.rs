use super::*;
use proptest::prelude::*;

fn id(text: &str) -> MeterId {
    text.parse().unwrap()
}

fn topic(meter: &str, leaf: &str) -> String {
    format!("f1/{}/{meter}/{leaf}", Shard::of(&id(meter)))
}

#[test]
fn a_meter_speaks_only_as_itself() {
    let (me, allowed) = (id("m12"), |topic: &str| publish(Role::Meter, &id("m12"), topic, false));
    assert_eq!(allowed(&topic("m12", "up")), Ok(Destination::Up));
    assert_eq!(publish(Role::Meter, &me, &topic("m12", "up"), true), Err(Refused::Retain));
    for other in ["m1", "m123", "M12", "m13"] {
        assert_eq!(allowed(&topic(other, "up")), Err(Refused::Foreign), "{other}");
    }
    let wrong = Shard::all().find(|shard| *shard != Shard::of(&me)).unwrap();
    assert_eq!(allowed(&format!("f1/{wrong}/m12/up")), Err(Refused::Foreign));
    for bad in [&topic("m12", "dn"), &topic("m12", "cmd"), "state/m12", "live/m12", "alert/info/m12", "f1/07/acks", "x", "/", "$SYS/x"] {
        assert_eq!(allowed(bad), Err(Refused::Role), "{bad}");
    }
}

#[test]
fn a_meter_hears_only_itself() {
    let allowed = |filter: &str| subscribe(Role::Meter, &id("m12"), filter);
    assert_eq!(allowed(&topic("m12", "dn")), Ok(Filter::OwnDown));
    assert_eq!(allowed(&topic("m12", "cmd")), Ok(Filter::OwnCommand));
    assert_eq!(allowed(&topic("m123", "dn")), Err(Refused::Foreign));
    for bad in ["#", "+/#", "f1/+/m12/dn", "f1/#", "$share/g/#", "$SYS/#", "state/m12", &topic("m12", "up"), "live/+", "a/#/b"] {
        assert!(allowed(bad).is_err(), "{bad}");
    }
}

#[test]
fn services_and_operators_have_their_own_topics() {
    let me = id("someone");
    let service = |topic: &str, retain| publish(Role::Service, &me, topic, retain);
    assert_eq!(service(&topic("m12", "dn"), false), Ok(Destination::Down));
    assert_eq!(service(&topic("m12", "cmd"), false), Ok(Destination::Command));
    assert_eq!(service("f1/3f/acks", false), Ok(Destination::Acks(Shard::new(63).unwrap())));
    assert_eq!(service("f1/3f/acks", true), Err(Refused::Retain));
    assert_eq!(service("f1/40/acks", false), Err(Refused::Unknown));
    assert_eq!(service("live/m12", true), Ok(Destination::Live(id("m12"))));
    assert_eq!(service("alert/critical/f7", false), Ok(Destination::Alert));
    assert_eq!(service("alert/critical/f7", true), Err(Refused::Retain));
    assert_eq!(service(&topic("m12", "up"), false), Err(Refused::Role));
    assert_eq!(service("state/m12", false), Ok(Destination::State(id("m12"))));
    assert_eq!(service("state/m12", true), Err(Refused::Retain));
    assert_eq!(service("other/m12", false), Err(Refused::Unknown));
    for topic in [&topic("m12", "dn"), "f1/07/acks", "live/m12", "alert/info/x", "state/x"] {
        assert_eq!(publish(Role::Operator, &me, topic, false), Err(Refused::Role), "{topic}");
    }

    for role in [Role::Meter, Role::Service, Role::Operator] {
        assert!(publish(role, &me, ECHO, false).is_err() && subscribe(role, &me, ECHO).is_err(), "{role:?}");
    }
    assert_eq!(publish(Role::Canary, &me, ECHO, false), Ok(Destination::Echo));
    assert_eq!(subscribe(Role::Canary, &me, ECHO), Ok(Filter::OwnDown));
    for topic in [&topic("canary", "up"), &topic("canary", "dn"), "state/canary", "f1/canary/canary/up", "#"] {
        assert!(publish(Role::Canary, &id("canary"), topic, false).is_err() && subscribe(Role::Canary, &me, topic).is_err(), "{topic}");
    }

    for filter in ["f1/+/+/up", "f1/3f/+/up", "state/+", "state/#", "state/m12", &topic("m12", "up")] {
        assert!(subscribe(Role::Service, &me, filter).is_ok(), "{filter}");
    }
    for filter in ["#", "f1/#", "f1/40/+/up", "f1/+/+/dn", "f1/+/+/+", "f1/+/acks", "f1/07/acks", "live/#", "alert/#", "$share/g/f1/+/+/up"]
    {
        assert!(subscribe(Role::Service, &me, filter).is_err(), "{filter}");
    }
    for filter in ["live/#", "live/+", "live/m12", "state/#", "alert/#", "alert/+/+", "alert/critical/#", "alert/+/f7"] {
        assert!(subscribe(Role::Operator, &me, filter).is_ok(), "{filter}");
    }
    for filter in ["#", "+/#", "f1/+/+/up", "live", "live/#/x", "live/m+", "alert/loud/+", "alert/+", "state/+/+"] {
        assert!(subscribe(Role::Operator, &me, filter).is_err(), "{filter}");
    }
}

proptest! {
    /// A meter never publishes to, nor hears from, a topic that doesn't have its own name as third level.
    #[test]
    fn nothing_foreign_is_granted_to_a_meter(levels in prop::collection::vec("(f1|[0-3][0-9a-f]|m1|m12|up|dn|cmd|\\+|#|\\$share|[ -~]{0,4})", 0..6)) {
        let (me, text) = (id("m12"), levels.join("/"));
        if publish(Role::Meter, &me, &text, false).is_ok() {
            prop_assert_eq!(&text, &topic("m12", "up"));
        }
        if subscribe(Role::Meter, &me, &text).is_ok() {
            prop_assert!(text == topic("m12", "dn") || text == topic("m12", "cmd"));
        }
    }

    /// Whatever text comes, nobody is granted everything, and no call panics.
    #[test]
    fn any_text_is_answered(text in ".{0,40}") {
        let me = id("m12");
        for role in [Role::Meter, Role::Service, Role::Operator] {
            let _ = publish(role, &me, &text, false);
            if let Ok(Filter::Up { .. }) = subscribe(role, &me, &text) {
                prop_assert!(text.starts_with("f1/") && role == Role::Service);
            }
        }
    }
}
