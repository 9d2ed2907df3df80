//! What kills rumqttd's own listeners or its router, and other things that nobody honest sends. After each, an honest meter that comes
//! anew must be served at once.

use std::time::Duration;

use pki::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::{Client, House, PATIENCE, connect_packet, down, eventually, publish_packet, up};

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_slow_handshakes_hold_up_nobody() {
    let house = House::with(|config| config.limits.handshake_ms = 1500).await;
    let mut processor = house.processor("p1").await;
    let began = Instant::now();
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(house.broker.mqtts_addr()).await.unwrap());
    }
    let mut slow = TcpStream::connect(house.broker.mqtts_addr()).await.unwrap();
    let mut plain = TcpStream::connect(house.broker.mqtts_addr()).await.unwrap();
    plain.write_all(&connect_packet("m1", 60)).await.unwrap();
    slow.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    house.serves(&mut processor, "honest").await;
    for socket in silent.iter_mut().chain([&mut slow, &mut plain]) {
        let mut rest = Vec::new();
        let end = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("the broker keeps a connection that says nothing");
        assert!(end.is_err() || !rest.starts_with(&[0x20]));
    }
    assert!(began.elapsed() >= Duration::from_millis(1000), "closed before the deadline");
    house.refused_eventually("tls_timeout", 51).await;
    house.refused_eventually("tls_not_tls", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connect_no_stay() {
    let house = House::with(|config| config.limits.connect_ms = 300).await;
    let (mut silent, mut stalling) = (house.raw("m1", Role::Meter).await, house.raw("m2", Role::Meter).await);
    let _ = stalling.try_send(&connect_packet("m2", 60)[..9]).await;
    silent.is_closed().await;
    stalling.is_closed().await;
    assert_eq!(house.refused("no_connect"), 2);
}

/// Connect, then break the connection without a word, with the same identity again and again: other listeners end here.
#[tokio::test(flavor = "multi_thread")]
async fn flapping_does_no_harm() {
    let house = House::new().await;
    let mut processor = house.processor("p1").await;
    let (meter, service) = (house.credentials("flappy", Role::Meter), house.credentials("p2", Role::Service));
    for _ in 0..40 {
        for (name, config) in [("flappy", &meter), ("p2", &service)] {
            let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
            client.send(&connect_packet(name, 60)).await;
        }
    }
    // A broken connection counts against its identity's limit until the broker has seen its end.
    eventually(|| house.count("connections", "") <= 1, || house.broker.metrics()).await;
    // The sole member of a shared subscription that goes with messages unacknowledged ends rumqttd's router.
    let mut service = Client::tls(house.broker.mqtts_addr(), service).await.unwrap();
    service.connect("p2").await;
    assert_eq!(service.subscribe(1, &[("$share/g/f1/+/+/up", 1), ("f1/+/+/up", 1)]).await, [0x80, 1]);
    house.meter("m1").await.publish(&up("m1"), b"x", None, false).await;
    service.unacknowledged().await;
    drop(service);
    house.serves(&mut processor, "honest").await;
    let sessions = || house.count("sessions", "role=\"service\"") == 1 && house.count("connections", "") <= 2;
    eventually(sessions, || house.broker.metrics()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_nobody_waits_for_do_no_harm() {
    let house = House::new().await;
    let mut processor = house.processor("p1").await;
    let (mut service, mut meter) = (house.processor("p2").await, house.meter("m1").await);
    for pkid in [1, 100, 7, 65_535] {
        service.puback(pkid).await;
        meter.puback(pkid).await;
    }
    meter.publish(&up("m1"), b"x", None, false).await;
    assert_eq!(service.message().await.1, b"x");
    house.refused_eventually("puback_unasked", 8).await;
    house.serves(&mut processor, "honest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_limited_and_given_back() {
    let house = House::with(|config| {
        config.limits.connections = 6;
        config.limits.clients = 2;
        config.limits.connections_per_identity = 2;
        config.limits.connect_ms = 60_000;
    })
    .await;
    let (first, second) = (house.connected("a", Role::Service).await, house.connected("b", Role::Operator).await);
    let mut third = house.raw("c", Role::Operator).await;
    third.send(&connect_packet("c", 60)).await;
    assert_eq!(third.next().await.body, [0, 3], "no place for a third client: unavailable");
    third.is_closed().await;
    drop(first);
    let free = || house.count("sessions", "role=\"service\"") == 0;
    eventually(free, || house.broker.metrics()).await;
    let third = house.connected("c", Role::Operator).await;

    let config = house.credentials("m1", Role::Meter);
    let mut same = Vec::new();
    // A client has shaken hands a little earlier than the broker, so any of the three may be the one too many.
    for _ in 0..3 {
        same.extend(Client::tls(house.broker.mqtts_addr(), config.clone()).await);
    }
    house.refused_eventually("connections_per_identity", 1).await;
    eventually(|| house.count("connections", "") == 4, || house.broker.metrics()).await;
    for name in ["m2", "m3"] {
        let config = house.credentials(name, Role::Meter);
        same.push(Client::tls(house.broker.mqtts_addr(), config).await.unwrap());
    }
    assert!(Client::tls(house.broker.mqtts_addr(), config.clone()).await.is_err(), "a seventh connection");
    assert_eq!(house.refused("connections"), 1);
    drop(same);
    drop((second, third));
    let free = || house.count("connections", "") == 0;
    eventually(free, || house.broker.metrics()).await;
    house.meter("m1").await.is_quiet().await;
}

/// A client that doesn't read is cut, and a meter's queue is bounded meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut() {
    let house = House::with(|config| config.limits.write_ms = 500).await;
    let mut processor = house.processor("p1").await;
    let mut service = house.connected("p2", Role::Service).await;
    let mut deaf = house.meter("deaf").await;
    assert_eq!(deaf.subscribe(1, &[(&down("deaf"), 0)]).await, [0]);
    let message = publish_packet(&down("deaf"), &[0; 16_000], None, false);
    let cut = || house.count("sessions_ended_total", "reason=\"write_stalled\"") == 1;
    let until = Instant::now() + PATIENCE;
    while !cut() {
        assert!(Instant::now() < until, "{}", house.broker.metrics());
        service.send(&message).await;
    }
    house.serves(&mut processor, "honest").await;
}
