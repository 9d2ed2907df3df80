//! A session's life: keep-alive, takeover, several packets at once, packets in pieces.

use std::time::Duration;

use pki::Role;
use tokio::time::{Instant, interval};

use crate::support::{Client, House, Raw, connect_packet, down, publish_packet, subscribe_packet, up};

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_session_of_an_identity_replaces_the_older() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let mut old = house.meter("m1").await;
    assert_eq!(old.subscribe(1, &[(&down("m1"), 0)]).await, [0]);
    let mut new = house.meter("m1").await;
    old.is_closed().await;
    assert_eq!(new.subscribe(1, &[(&down("m1"), 0)]).await, [0]);
    service.publish(&down("m1"), b"for the new one", None, false).await;
    assert_eq!(new.message().await.1, b"for the new one");
    assert_eq!(house.count("sessions_ended_total", "reason=\"taken_over\""), 1);
    // A meter and a service of the same name are two identities.
    let mut other = house.connected("m1", Role::Service).await;
    other.is_quiet().await;
    new.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_takeovers_leave_one_session() {
    // Whoever is replaced keeps its connection a little, and on a busy machine many do at a time.
    let house = House::with(|config| (config.limits.takeovers_per_minute, config.limits.connections_per_identity) = (1000, 1000)).await;
    let mut processor = house.processor("p1").await;
    let (meter, service) = (house.credentials("m1", Role::Meter), house.credentials("p2", Role::Service));
    let mut kept = Vec::new();
    for _ in 0..50 {
        for (name, config) in [("m1", &meter), ("p2", &service)] {
            let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
            client.connect(name).await;
            kept.push(client);
        }
    }
    let (mut service, mut meter) = (kept.pop().unwrap(), kept.pop().unwrap());
    assert_eq!(service.subscribe(1, &[("f1/+/+/up", 1)]).await, [1]);
    meter.publish(&up("m1"), b"still me", None, false).await;
    assert_eq!(service.message().await.1, b"still me");
    assert_eq!(processor.message().await.1, b"still me");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_a_session_after_one_and_a_half_keep_alives() {
    let house = House::new().await;
    let (mut silent, mut pinging) = (house.raw("m1", Role::Meter).await, house.raw("m2", Role::Meter).await);
    let (idle_max, began) = (Duration::from_millis(1500), Instant::now());
    for (client, name) in [(&mut silent, "m1"), (&mut pinging, "m2")] {
        client.send(&connect_packet(name, 1)).await;
        assert_eq!(client.next().await, Raw::new(0x20, &[0, 0]));
    }
    let pings = tokio::spawn(async move {
        let (mut moments, mut last) = (interval(Duration::from_millis(200)), began);
        while began.elapsed() < 2 * idle_max {
            moments.tick().await;
            let now = Instant::now();
            if !pinging.answers().await {
                // So long only a machine stands that has too much to do.
                return assert!(last.elapsed() >= idle_max, "ended {:?} after a ping", last.elapsed());
            }
            last = now;
        }
    });
    silent.is_closed().await;
    assert!(began.elapsed() >= idle_max, "{:?}", began.elapsed());
    assert!(house.count("sessions_ended_total", "reason=\"keep_alive\"") >= 1);
    pings.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_come_together_and_in_pieces() {
    let house = House::new().await;
    let mut processor = house.processor("p1").await;
    let mut meter = house.raw("m1", Role::Meter).await;
    let mut all = connect_packet("m1", 60);
    all.extend(subscribe_packet(3, &[(&down("m1"), 1)]));
    for number in 1..=20_u16 {
        all.extend(publish_packet(&up("m1"), &[7; 900], Some(number), false));
    }
    let (together, pieces) = all.split_at(all.len() / 2);
    meter.send(together).await;
    for piece in pieces.chunks(211) {
        meter.send(piece).await;
    }
    assert_eq!(meter.next().await, Raw::new(0x20, &[0, 0]));
    assert_eq!(meter.next().await, Raw::new(0x90, &[0, 3, 0]));
    for number in 1..=20 {
        assert_eq!(meter.next().await, Raw::new(0x40, &[0, number]));
        assert_eq!(processor.message().await.1, [7; 900]);
    }
    meter.send(&[0xe0, 0]).await;
    meter.is_closed().await;
    assert_eq!(house.count("sessions_ended_total", "reason=\"disconnected\""), 1);
}
