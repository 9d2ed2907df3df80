//! Who is online, and last values for whoever asks later.

use broker::{Presence, State};
use measure::UnixMillis;
use pki::Role;

use crate::support::{Client, House, Raw, command, down, eventually, up};

async fn state(client: &mut Client) -> (State, bool) {
    let (topic, payload, old) = client.message().await;
    let state: State = serde_json::from_slice(&payload).unwrap();
    assert_eq!(topic, format!("state/{}", state.meter));
    (state, old)
}

#[tokio::test(flavor = "multi_thread")]
async fn meters_come_and_go_before_everybodys_eyes() {
    let house = House::new().await;
    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("state/#", 0)]).await, [0]);
    let mut meter = house.meter("m1").await;
    let (online, old) = state(&mut operator).await;
    assert_eq!((online.state, online.why.as_str(), old), (Presence::Online, "connected", false));

    // A newer session of the same meter: online again with a later start, and no "offline" from the older one after that.
    let newer = house.meter("m1").await;
    meter.is_closed().await;
    let (again, _) = state(&mut operator).await;
    assert_eq!(again.state, Presence::Online);
    assert!(again.since_ms >= online.since_ms);
    drop(newer);
    let (offline, _) = state(&mut operator).await;
    assert_eq!((offline.state, offline.why.as_str(), offline.since_ms), (Presence::Offline, "connection_lost", again.since_ms));
    operator.is_quiet().await;

    // Someone who comes later is told the last of it, as an old message.
    let mut service = house.connected("p1", Role::Service).await;
    assert_eq!(service.subscribe(1, &[("state/+", 1)]).await, [1]);
    assert_eq!(state(&mut service).await, (offline, true));
    service.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_last_values_are_replayed() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    // rumqttd would hand out a hundred.
    let count = 3000;
    for number in 0..count {
        service.publish(&format!("live/m{number}"), &vec![b'x'; 300], None, true).await;
    }
    service.publish("live/m7", b"newer", None, true).await;
    service.publish("live/m8", b"", None, true).await;
    service.publish("live/m9", b"not kept", None, false).await;
    service.is_quiet().await;

    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("live/#", 1)]).await, [1]);
    let mut topics = std::collections::BTreeSet::new();
    for _ in 0..count - 1 {
        let (topic, payload, old) = operator.message().await;
        assert!(old);
        let expected = if topic == "live/m7" { b"newer".to_vec() } else { vec![b'x'; 300] };
        assert_eq!(payload, expected, "{topic}");
        assert!(topics.insert(topic));
    }
    assert!(!topics.contains("live/m8"));
    operator.is_quiet().await;
    // The same subscription again brings them again; a narrower one only its own.
    assert_eq!(operator.subscribe(2, &[("live/m7", 1)]).await, [1]);
    assert_eq!(operator.message().await, ("live/m7".to_owned(), b"newer".to_vec(), true));
    service.publish("live/m7", b"newest", None, true).await;
    assert_eq!(operator.message().await, ("live/m7".to_owned(), b"newest".to_vec(), false));
    operator.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_of_a_meter_has_a_last_value() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let topic = |channel: usize| if channel == 0 { "live/m1".to_owned() } else { format!("live/m1/{channel}") };
    for channel in 0..6 {
        service.publish(&topic(channel), topic(channel).as_bytes(), None, true).await;
    }
    service.publish("live/m2", b"another meter", None, true).await;
    service.is_quiet().await;

    let mut operator = house.connected("anna", Role::Operator).await;
    for (filter, channels) in [("live/m1/#", 0..6), ("live/+/+", 1..6), ("live/m1/+", 1..6), ("live/m1/4", 4..5), ("live/m1", 0..1)] {
        assert_eq!(operator.subscribe(1, &[(filter, 0)]).await, [0], "{filter}");
        for channel in channels {
            assert_eq!(operator.message().await, (topic(channel), topic(channel).into_bytes(), true), "{filter}");
        }
        operator.is_quiet().await;
    }
    // News comes once, however many filters match it.
    service.publish("live/m1/4", b"news", None, true).await;
    assert_eq!(operator.message().await, ("live/m1/4".to_owned(), b"news".to_vec(), false));
    service.publish("live/m2/4", b"another meter's", None, true).await;
    assert_eq!(operator.message().await, ("live/m2/4".to_owned(), b"another meter's".to_vec(), false));
    operator.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_subscription_to_everything_brings_all_of_it() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let mut online = Vec::new();
    for number in 0..250 {
        let meter = format!("m{number}");
        online.push(house.meter(&meter).await);
        service.publish(&format!("live/{meter}"), meter.as_bytes(), None, true).await;
    }
    // Alerts are news, not states: nothing of them is kept.
    service.publish("alert/critical/m1", b"theft", Some(1), false).await;
    assert_eq!(service.next().await.first, 0x40);
    let gone = online.split_off(200);
    drop(gone);
    eventually(|| house.count("sessions", "role=\"meter\"") == 200, || house.broker.metrics()).await;

    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("live/#", 0), ("state/#", 1), ("alert/#", 1)]).await, [0, 1, 1]);
    let (mut live, mut here, mut away) = (0, 0, 0);
    while live + here + away < 500 {
        let (topic, payload, old) = operator.message().await;
        assert!(old, "{topic}");
        match topic.split_once('/').unwrap() {
            ("live", meter) => live += usize::from(payload == meter.as_bytes()),
            ("state", meter) => {
                let state: State = serde_json::from_slice(&payload).unwrap();
                assert_eq!(state.meter.as_str(), meter);
                *if state.state == Presence::Online { &mut here } else { &mut away } += 1;
            }
            _ => panic!("{topic}"),
        }
    }
    assert_eq!((live, here, away), (250, 200, 50));
    operator.is_quiet().await;
    // What comes now is no old message any more.
    service.publish("alert/critical/m1", b"theft", None, false).await;
    assert_eq!(operator.message().await, ("alert/critical/m1".to_owned(), b"theft".to_vec(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_hears_its_own_topics_only() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let mut operator = house.connected("anna", Role::Operator).await;
    let mut meter = house.meter("m1").await;
    let (up, down, command) = (up("m1"), down("m1"), command("m1"));
    let filters: [(&str, [u8; 3]); 20] = [
        ("f1/+/+/up", [1, 0x80, 0x80]),
        (&up, [1, 0x80, 0x80]),
        (&down, [0x80, 0x80, 0]),
        (&command, [0x80, 0x80, 0]),
        ("f1/+/+/dn", [0x80; 3]),
        ("f1/+/+/cmd", [0x80; 3]),
        ("f1/#", [0x80; 3]),
        ("state/#", [1, 1, 0x80]),
        ("state/m1", [1, 1, 0x80]),
        ("live/#", [0x80, 1, 0x80]),
        ("live/m1", [0x80, 1, 0x80]),
        ("live/m1/#", [0x80, 1, 0x80]),
        ("live/m1/3", [0x80, 1, 0x80]),
        ("live/+/+", [0x80, 1, 0x80]),
        ("live/m1/0", [0x80; 3]),
        ("alert/#", [0x80, 1, 0x80]),
        ("alert/+/m1", [0x80, 1, 0x80]),
        ("#", [0x80; 3]),
        ("$SYS/#", [0x80; 3]),
        ("$share/g/live/#", [0x80; 3]),
    ];
    for (filter, [as_service, as_operator, as_meter]) in filters {
        assert_eq!(service.subscribe(1, &[(filter, 1)]).await, [as_service], "service {filter}");
        assert_eq!(operator.subscribe(1, &[(filter, 1)]).await, [as_operator], "operator {filter}");
        assert_eq!(meter.subscribe(1, &[(filter, 1)]).await, [as_meter], "meter {filter}");
        if as_service == 1 && filter.starts_with("state") {
            state(&mut service).await;
        }
        if as_operator == 1 && filter.starts_with("state") {
            state(&mut operator).await;
        }
    }
}

/// Passes on to this gate what another one says of a meter.
async fn pass_on(service: &mut Client, state: &State) {
    let payload = serde_json::to_vec(state).unwrap();
    service.publish(&format!("state/{}", state.meter), &payload, Some(1), false).await;
    assert_eq!(service.next().await, Raw::new(0x40, &[0, 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_at_another_gate_ends_the_one_here() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("state/#", 0)]).await, [0]);
    let mut meter = house.meter("m1").await;
    let (here, _) = state(&mut operator).await;
    let there = |since: i64| State { since_ms: UnixMillis(since), at_ms: UnixMillis(since), ..here.clone() };

    // One that is older, and one that can't be told from ours: nothing happens.
    pass_on(&mut service, &there(here.since_ms.0 - 1)).await;
    pass_on(&mut service, &there(here.since_ms.0)).await;
    meter.is_quiet().await;
    pass_on(&mut service, &there(here.since_ms.0 + 1)).await;
    meter.is_closed().await;
    let (offline, _) = state(&mut operator).await;
    assert_eq!((offline.state, offline.why.as_str(), offline.since_ms), (Presence::Offline, "taken_over", here.since_ms));
    assert_eq!(house.count("takeovers_total", ""), 1);

    // The other gate's clock is an hour ahead of ours. The meter comes here all the same, and its session is the newer one.
    let ahead = there(here.since_ms.0 + 3_600_000);
    pass_on(&mut service, &ahead).await;
    let mut back = house.meter("m1").await;
    let (online, _) = state(&mut operator).await;
    assert_eq!((online.state, online.since_ms), (Presence::Online, ahead.since_ms.saturating_add(1)));
    pass_on(&mut service, &ahead).await;
    back.is_quiet().await;

    // Operators here are told of sessions here only; what can't be read is counted.
    operator.is_quiet().await;
    for payload in [&b""[..], b"{}", &serde_json::to_vec(&State { meter: "m2".parse().unwrap(), ..ahead }).unwrap()] {
        service.publish("state/m1", payload, Some(1), false).await;
        assert_eq!(service.next().await, Raw::new(0x40, &[0, 1]));
    }
    assert_eq!(house.count("dropped_total", "reason=\"state_form\""), 3);
    back.is_quiet().await;
}
