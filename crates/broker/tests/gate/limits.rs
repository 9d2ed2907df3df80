//! Limits on what a client that was let in may do. Each holds, is counted, and leaves the neighbours alone.

use std::time::Duration;

use broker::config::Rate;
use broker::{Presence, State};
use pki::Role;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Client, House, Raw, connect_packet, down, eventually, publish_packet, up};

const PLENTY: u64 = 1_000_000;

fn messages(per_s: u64, burst: u64) -> Rate {
    Rate { messages_per_s: per_s, messages_burst: burst, bytes_per_s: PLENTY, bytes_burst: PLENTY }
}

fn bytes(per_s: u64, burst: u64) -> Rate {
    Rate { messages_per_s: PLENTY, messages_burst: PLENTY, bytes_per_s: per_s, bytes_burst: burst }
}

/// A meter that sends too much is slowed down to its rate; nothing of it is lost, nobody else waits.
async fn is_slowed(rate: Rate, frames: u16, payload: &[u8], reason: &str, least: Duration) {
    let house = House::with(|config| config.limits.meter = rate).await;
    let mut processor = house.processor("p1").await;
    let mut meter = house.meter("m1").await;
    let all: Vec<u8> = (1..=frames).flat_map(|number| publish_packet(&up("m1"), payload, Some(number), false)).collect();
    let began = Instant::now();
    meter.send(&all).await;
    for number in 1..=frames {
        assert_eq!(meter.next().await, Raw::new(0x40, &number.to_be_bytes()));
        assert_eq!(processor.message().await.1, payload);
    }
    assert_eq!(house.refused(reason), 0, "slowed down, not refused");
    house.serves(&mut processor, "honest").await;
    // What came with one read is dealt with at once and made good afterwards.
    meter.is_quiet().await;
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
    assert!(house.count("slowed_total", &format!("reason=\"{reason}\"")) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_messages_are_read_no_faster_than_the_rate() {
    // 200 beyond the burst, 100 a second.
    is_slowed(messages(100, 100), 300, b"x", "rate_messages", Duration::from_millis(1900)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_bytes_are_read_no_faster_than_the_rate() {
    // 60 kB beyond the burst, 30 kB a second.
    is_slowed(bytes(30_000, 20_000), 20, &[7; 4000], "rate_bytes", Duration::from_millis(1900)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_come_again_is_no_way_around_the_rate() {
    let house = House::with(|config| config.limits.meter = messages(50, 50)).await;
    let config = house.credentials("m1", Role::Meter);
    let mut meter = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
    meter.connect("m1").await;
    let began = Instant::now();
    // 100 beyond the burst: two seconds.
    meter.send(&[0xc0, 0].repeat(150)).await;
    for _ in 0..150 {
        assert_eq!(meter.next().await, Raw::new(0xd0, &[]));
    }
    drop(meter);
    let mut again = Client::tls(house.broker.mqtts_addr(), config).await.unwrap();
    again.connect("m1").await;
    again.is_quiet().await;
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stays_over_the_rate_is_cut() {
    let house = House::with(|config| {
        config.limits.meter = bytes(20_000, 10_000);
        config.limits.over_rate_s = 1;
    })
    .await;
    let mut processor = house.processor("p1").await;
    let mut greedy = house.meter("greedy").await;
    let flood = publish_packet(&up("greedy"), &[0; 4000], None, false);
    while greedy.try_send(&flood).await.is_ok() {}
    greedy.is_closed().await;
    house.refused_eventually("rate_bytes", 1).await;
    assert_eq!(house.count("sessions_ended_total", "reason=\"rate_bytes\""), 1);
    house.serves(&mut processor, "honest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_was_begun_must_end() {
    let house = House::with(|config| config.limits.packet_ms = 400).await;
    let mut processor = house.processor("p1").await;
    let (mut stalling, mut whole) = (house.meter("m1").await, house.meter("m2").await);
    let packet = publish_packet(&up("m1"), &[0; 1000], Some(1), false);
    let began = Instant::now();
    // Whole packets before it don't help it, nor do pieces of it.
    stalling.send(&[&[0xc0, 0], &packet[..500]].concat()).await;
    assert_eq!(stalling.next().await, Raw::new(0xd0, &[]));
    let _ = stalling.try_send(&packet[500..600]).await;
    stalling.is_closed().await;
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    house.refused_eventually("packet_stalled", 1).await;
    assert_eq!(house.count("sessions_ended_total", "reason=\"packet_stalled\""), 1);
    whole.is_quiet().await;
    house.serves(&mut processor, "honest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_over_the_limit_are_refused_and_the_others_stay() {
    let house = House::with(|config| config.limits.subscriptions = 2).await;
    let mut service = house.connected("p1", Role::Service).await;
    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("live/m1", 1), ("live/m2", 0), ("live/m3", 0), ("live/m2", 1)]).await, [1, 0, 0x80, 1]);
    assert_eq!(house.refused("subscriptions"), 1);
    for meter in ["m3", "m2"] {
        service.publish(&format!("live/{meter}"), b"{}", None, false).await;
    }
    assert_eq!(operator.message().await.0, "live/m2");
    operator.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn takeovers_more_often_than_the_limit_are_an_event() {
    let house = House::with(|config| config.limits.takeover_pause_ms = 700).await;
    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("state/m1", 0)]).await, [0]);
    let mut state = async || -> (Presence, String) {
        let (_, payload, _) = operator.message().await;
        let state: State = serde_json::from_slice(&payload).unwrap();
        (state.state, state.why)
    };
    let config = house.credentials("m1", Role::Meter);
    let mut current = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
    current.connect("m1").await;
    for _ in 0..3 {
        let mut newer = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
        newer.connect("m1").await;
        current.is_closed().await;
        current = newer;
    }
    for _ in 0..4 {
        assert_eq!(state().await, (Presence::Online, "connected".to_owned()));
    }
    // The fourth in a minute waits, while the older session goes on; then it replaces it like any other.
    let began = Instant::now();
    let mut newer = Client::tls(house.broker.mqtts_addr(), config).await.unwrap();
    newer.send(&connect_packet("m1", 60)).await;
    assert!(current.answers().await || began.elapsed() >= Duration::from_millis(700), "replaced at once");
    assert_eq!(newer.next().await, Raw::new(0x20, &[0, 0]));
    assert!(began.elapsed() >= Duration::from_millis(690), "{:?}", began.elapsed());
    current.is_closed().await;
    newer.is_quiet().await;
    assert_eq!(state().await, (Presence::Online, "contested".to_owned()));
    assert_eq!((house.count("takeovers_total", ""), house.count("takeovers_contested_total", "")), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_replace_each_other_starve_nobody() {
    let house = House::with(|config| config.limits.takeover_pause_ms = 200).await;
    let mut processor = house.processor("p1").await;
    let began = Instant::now();
    let mut rivals = Vec::new();
    for (name, role) in [("twin", Role::Meter), ("twin", Role::Meter), ("p2", Role::Service), ("p2", Role::Service)] {
        let (config, address) = (house.credentials(name, role), house.broker.mqtts_addr());
        rivals.push(tokio::spawn(async move {
            loop {
                // Cut at any moment, comes again at once.
                let Ok(mut client) = Client::tls(address, config.clone()).await else { continue };
                let _ = client.try_send(&connect_packet(name, 60)).await;
                while client.read().await.is_some() {}
            }
        }));
    }
    eventually(|| house.count("takeovers_contested_total", "") >= 6, || house.broker.metrics()).await;
    let mut honest = house.meter("m1").await;
    assert_eq!(honest.subscribe(1, &[(&down("m1"), 0)]).await, [0]);
    for number in 0..5 {
        house.serves(&mut processor, &format!("honest{number}")).await;
        honest.is_quiet().await;
    }
    // Of each identity three at once, and then no more than its connections can wait out.
    let taken = u128::from(house.count("takeovers_total", ""));
    let took = began.elapsed().as_millis();
    assert!(taken <= 2 * (3 + 4 * (took / 200 + 1)), "{taken} takeovers in {took} ms");
    rivals.into_iter().for_each(|rival| rival.abort());
}

/// What a meter doesn't read is bounded for it and for all, in messages and in bytes.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_meters_is_bounded() {
    let house = House::with(|config| {
        config.limits.down_queue = 8;
        config.limits.down_queue_bytes = 100_000;
        config.limits.down_bytes = 150_000;
        config.limits.write_ms = 60_000;
    })
    .await;
    let mut service = house.connected("p1", Role::Service).await;
    let dropped = |reason: &str| house.count("dropped_total", &format!("reason=\"{reason}\""));
    let mut deaf = Vec::new();
    for name in ["deaf1", "deaf2", "deaf3"] {
        let mut meter = house.meter(name).await;
        assert_eq!(meter.subscribe(1, &[(&down(name), 0)]).await, [0]);
        deaf.push(meter);
    }
    service.publish(&down("deaf1"), &[0; 100_001], None, false).await;
    eventually(|| dropped("down_too_large") == 1, || house.broker.metrics()).await;
    // First until each one's socket is full, then until nothing fits any more.
    let until = Instant::now() + crate::support::PATIENCE;
    while dropped("down_queue") == 0 || dropped("down_memory") == 0 {
        assert!(Instant::now() < until, "{}", house.broker.metrics());
        for name in ["deaf1", "deaf2", "deaf3"] {
            service.publish(&down(name), &[0; 60_000], None, false).await;
        }
    }
    // Small ones still have a place, and reach who reads.
    let mut honest = house.meter("m1").await;
    assert_eq!(honest.subscribe(1, &[(&down("m1"), 0)]).await, [0]);
    service.publish(&down("m1"), b"for one that reads", None, false).await;
    assert_eq!(honest.message().await.1, b"for one that reads");
}

/// A service that says much of many meters fills no more memory than it may; what is new then is not replayed, and counted.
#[tokio::test(flavor = "multi_thread")]
async fn last_values_are_bounded() {
    let house = House::with(|config| config.limits.retained_bytes = 100_000).await;
    let mut service = house.connected("p1", Role::Service).await;
    for number in 0..20 {
        service.publish(&format!("live/m{number}"), &[b'x'; 10_000], None, true).await;
    }
    service.is_quiet().await;
    assert_eq!(house.count("dropped_total", "reason=\"live_full\""), 11);
    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("live/#", 0)]).await, [0]);
    for _ in 0..9 {
        assert_eq!(operator.message().await.1, [b'x'; 10_000]);
    }
    operator.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_at_a_time_are_bounded_in_all_and_by_address() {
    for (handshakes, handshakes_per_address, reason) in [(2, 10, "handshakes"), (10, 2, "handshakes_per_address")] {
        let house = House::with(|config| {
            config.limits.handshakes = handshakes;
            config.limits.handshakes_per_address = handshakes_per_address;
            config.limits.handshake_ms = 60_000;
        })
        .await;
        let mut processor = house.processor("p1").await;
        let address = house.broker.mqtts_addr();
        let mut silent = vec![TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let config = house.credentials("m1", Role::Meter);
        assert!(Client::tls(address, config).await.is_err(), "a third handshake");
        assert_eq!(house.refused(reason), 1);
        // One gone, there is a place for an honest one; and who has a session doesn't need any.
        processor.is_quiet().await;
        drop(silent.pop());
        eventually(|| house.count("connections", "") == 2, || house.broker.metrics()).await;
        assert_eq!(house.refused("tls_connection_lost"), 1);
        house.serves(&mut processor, "honest").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_keeps_its_place_for_a_while() {
    const PAUSE: Duration = Duration::from_millis(1500);
    let house = House::with(|config| {
        config.limits.refusal_pause_ms = 1500;
        config.limits.connections_per_identity = 2;
    })
    .await;
    let config = house.credentials("m1", Role::Meter);
    let began = Instant::now();
    let mut refused = Vec::new();
    for number in 1..=2 {
        let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
        client.send(&publish_packet(&up("m1"), b"before CONNECT", None, false)).await;
        refused.push(client);
        house.refused_eventually("not_connected", number).await;
    }
    let mut third = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
    third.is_closed().await;
    assert_eq!(house.refused("connections_per_identity"), 1);
    for client in &mut refused {
        client.is_closed().await;
    }
    assert!(began.elapsed() >= PAUSE, "{:?}", began.elapsed());
    drop((refused, third));
    eventually(|| house.count("connections", "") == 0, || house.broker.metrics()).await;
    let mut reformed = Client::tls(house.broker.mqtts_addr(), config).await.unwrap();
    reformed.connect("m1").await;
    assert!(reformed.answers().await);
}
