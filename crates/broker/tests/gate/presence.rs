//! Who is online, and last values for whoever asks later.

use broker::{Presence, State};
use pki::Role;

use crate::support::{Client, House};

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
    let count = 1500;
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
