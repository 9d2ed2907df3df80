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
    for bad in [
        &topic("m12", "dn"),
        &topic("m12", "cmd"),
        "state/m12",
        "live/m12",
        "live/m12/1",
        "alert/info/m12",
        "f1/07/acks",
        "x",
        "/",
        "$SYS/x",
    ] {
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
    assert_eq!(service("live/m12", true), Ok(Destination::Live(Account::new(&id("m12"), 0))));
    assert_eq!(service("live/m12/5", true), Ok(Destination::Live(Account::new(&id("m12"), 5))));
    for topic in ["live/m12/0", "live/m12/16", "live/m12/05", "live/m12/", "live/m12/5/5"] {
        assert_eq!(service(topic, true), Err(Refused::Unknown), "{topic}");
    }
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
    for filter in ["live/m12/0", "live/m12/16", "live/m12/05", "live/m12/", "live/+/m12", "live/+/+/+", "live/+/+/#", "live/#/#"] {
        assert!(subscribe(Role::Operator, &me, filter).is_err(), "{filter}");
    }
}

/// What MQTT says of levels and wildcards.
fn mqtt_matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(wanted), Some(level)) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
}

#[test]
fn live_filters_match_as_mqtt_has_it() {
    let filters = ["live/#", "live/+", "live/m12", "live/+/#", "live/+/+", "live/+/5", "live/m12/#", "live/m12/+", "live/m12/5"];
    let mut heard = 0;
    for filter in filters {
        let granted = subscribe(Role::Operator, &id("someone"), filter).unwrap();
        for topic in ["live/m12", "live/m12/1", "live/m12/5", "live/m12/15", "live/m1", "live/m1/5", "state/m12", "alert/info/m12"] {
            let matches = granted.matches(&topic.parse().unwrap());
            assert_eq!(matches, mqtt_matches(filter, topic), "{filter} {topic}");
            heard += usize::from(matches);
        }
    }
    assert_eq!(heard, 6 + 2 + 1 + 6 + 4 + 2 + 4 + 3 + 1);
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
