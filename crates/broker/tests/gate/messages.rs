//! What passes: frames up, acknowledgements and commands down, values and alerts to operators.

use measure::StreamId;
use pki::Role;
use wire::AckBatch;
use wire::ack::Ack;

use crate::support::{House, Raw, command, down, shard, up};

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_reaches_the_processor() {
    let house = House::new().await;
    let mut processor = house.processor("p1").await;
    let mut meter = house.meter("m1").await;
    meter.publish(&up("m1"), b"frame 1", Some(7), false).await;
    assert_eq!(meter.next().await, Raw::new(0x40, &[0, 7]));
    assert_eq!(processor.message().await, (up("m1"), b"frame 1".to_vec(), false));
    meter.publish(&up("m1"), b"frame 2", None, false).await;
    assert_eq!(processor.message().await, (up("m1"), b"frame 2".to_vec(), false));
    crate::support::eventually(|| house.count("frames_total", "") == 2, || house.broker.metrics()).await;
    house.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_hears_only_its_shards() {
    let house = House::new().await;
    let mut owner = house.connected("p1", Role::Service).await;
    let (mine, other) = ("m1", (2..).map(|n| format!("m{n}")).find(|m| crate::support::shard(m) != crate::support::shard("m1")).unwrap());
    let filter = format!("f1/{}/+/up", crate::support::shard(mine));
    assert_eq!(owner.subscribe(9, &[(&filter, 1)]).await, [1]);
    house.meter(&other).await.publish(&up(&other), b"not for p1", None, false).await;
    let mut meter = house.meter(mine).await;
    meter.publish(&up(mine), b"for p1", None, false).await;
    assert_eq!(owner.message().await.1, b"for p1");

    // Unsubscribed, it hears nothing more; subscribed again, it does, but nothing of what was in between.
    let mut witness = house.processor("p2").await;
    owner.send(&crate::support::packet(0xa2, &[&[0, 3][..], &crate::support::text(filter.as_bytes())].concat())).await;
    assert_eq!(owner.next().await, Raw::new(0xb0, &[0, 3]));
    meter.publish(&up(mine), b"lost", Some(1), false).await;
    meter.next().await;
    // An acknowledged frame is on its way through the router, not necessarily through it.
    assert_eq!(witness.message().await.1, b"lost");
    owner.is_quiet().await;
    assert_eq!(owner.subscribe(10, &[(&filter, 0)]).await, [0]);
    meter.publish(&up(mine), b"again", Some(1), false).await;
    assert_eq!(owner.unacknowledged().await, (up(mine), b"again".to_vec(), None, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_reaches_only_its_meter() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let (mut one, mut two) = (house.meter("m1").await, house.meter("m2").await);
    assert_eq!(one.subscribe(1, &[(&down("m1"), 1), (&command("m1"), 1)]).await, [0, 0]);
    assert_eq!(two.subscribe(1, &[(&down("m2"), 0)]).await, [0]);
    service.publish(&down("m1"), b"ack", Some(1), false).await;
    assert_eq!(service.next().await, Raw::new(0x40, &[0, 1]));
    assert_eq!(one.message().await, (down("m1"), b"ack".to_vec(), false));
    service.publish(&command("m1"), b"do", None, false).await;
    assert_eq!(one.message().await, (command("m1"), b"do".to_vec(), false));
    two.is_quiet().await;
    // Meter 2 did not ask for commands, meter 3 isn't here: counted, not delivered.
    service.publish(&command("m2"), b"do", None, false).await;
    service.publish(&down("m3"), b"ack", None, false).await;
    for reason in ["not_subscribed", "meter_offline"] {
        let dropped = || house.count("dropped_total", &format!("reason=\"{reason}\"")) == 1;
        crate::support::eventually(dropped, || reason.to_owned()).await;
    }
    two.is_quiet().await;
}

fn ack(through: u64) -> Ack {
    Ack { stream: StreamId(0x0123_4567_89ab_cdef), through, incarnation: 3 }
}

fn batch(acks: &[(&str, u64)]) -> Vec<u8> {
    let mut batch = AckBatch::new(3);
    acks.iter().for_each(|(meter, through)| batch.push(&meter.parse().unwrap(), &ack(*through)).unwrap());
    batch.finish().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_acknowledgements_is_handed_out() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let same = (2..).map(|n| format!("m{n}")).find(|meter| shard(meter) == shard("m1")).unwrap();
    let (mut one, mut two) = (house.meter("m1").await, house.meter(&same).await);
    assert_eq!(one.subscribe(1, &[(&down("m1"), 0)]).await, [0]);
    assert_eq!(two.subscribe(1, &[(&down(&same), 0)]).await, [0]);

    let acks = format!("f1/{}/acks", shard("m1"));
    service.publish(&acks, &batch(&[("m1", 5), (&same, 6), ("m1", 7)]), Some(1), false).await;
    assert_eq!(service.next().await, Raw::new(0x40, &[0, 1]));
    // As a meter gets it from the processor itself.
    assert_eq!(one.message().await, (down("m1"), ack(5).encode().to_vec(), false));
    assert_eq!(one.message().await, (down("m1"), ack(7).encode().to_vec(), false));
    assert_eq!(two.message().await, (down(&same), ack(6).encode().to_vec(), false));
    // An acknowledgement for one that is not here.
    let absent = (100..).map(|n| format!("m{n}")).find(|meter| shard(meter) == shard("m1")).unwrap();
    service.publish(&acks, &batch(&[(&absent, 1)]), None, false).await;
    let dropped = |reason: &str| house.count("dropped_total", &format!("reason=\"{reason}\""));
    crate::support::eventually(|| dropped("meter_offline") == 1, || house.broker.metrics()).await;
    two.is_quiet().await;
}

/// With the checksum that the bytes ask for.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(bytes);
    [bytes, &checksum.to_le_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_not_right_is_counted_and_nothing_of_it_handed_out() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let foreign = (2..).map(|n| format!("m{n}")).find(|meter| shard(meter) != shard("m1")).unwrap();
    let (mut one, mut other) = (house.meter("m1").await, house.meter(&foreign).await);
    assert_eq!(one.subscribe(1, &[(&down("m1"), 0)]).await, [0]);
    assert_eq!(other.subscribe(1, &[(&down(&foreign), 0)]).await, [0]);

    let (acks, good) = (format!("f1/{}/acks", shard("m1")), batch(&[("m1", 5)]));
    let message = &good[..good.len() - 4];
    let with = |at: usize, byte: u8| {
        let mut message = message.to_vec();
        message[at] = byte;
        sealed(&message)
    };
    let bad = [
        ("acks_damaged", vec![]),
        ("acks_damaged", good[..good.len() - 1].to_vec()),
        ("acks_damaged", vec![0xfc; 9000]),
        ("acks_damaged", ack(5).encode().to_vec()),
        ("acks_version", with(1, 2)),
        ("acks_form", with(3, 33)),
        ("acks_form", sealed(&message[..message.len() - 1])),
        ("acks_form", with(4, b'/')),
        ("acks_foreign", batch(&[("m1", 5), (&foreign, 6)])),
    ];
    for (reason, payload) in &bad {
        let count = || house.count("dropped_total", &format!("reason=\"{reason}\""));
        let before = count();
        service.publish(&acks, payload, Some(1), false).await;
        assert_eq!(service.next().await, Raw::new(0x40, &[0, 1]), "{reason}: a service is not cut for it");
        assert_eq!(count(), before + 1, "{reason}: {payload:02x?}");
    }
    // The first that anybody hears is the first that was right.
    service.publish(&acks, &batch(&[("m1", 9)]), None, false).await;
    assert_eq!(one.message().await, (down("m1"), ack(9).encode().to_vec(), false));
    other.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_services_acknowledge_and_nobody_listens() {
    let house = House::new().await;
    let mut m1 = house.meter("m1").await;
    assert_eq!(m1.subscribe(1, &[(&down("m1"), 0)]).await, [0]);
    let acks = format!("f1/{}/acks", shard("m1"));
    for (name, role) in [("m2", Role::Meter), ("anna", Role::Operator)] {
        let mut client = house.connected(name, role).await;
        assert_eq!(client.subscribe(1, &[(&acks, 0), ("f1/+/acks", 0)]).await, [0x80, 0x80]);
        client.publish(&acks, &batch(&[("m1", 5)]), None, false).await;
        client.is_closed().await;
    }
    let mut service = house.connected("p1", Role::Service).await;
    assert_eq!(service.subscribe(1, &[(&acks, 0), ("f1/+/acks", 0)]).await, [0x80, 0x80]);
    m1.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_watch_values_and_alerts() {
    let house = House::new().await;
    let mut service = house.connected("p1", Role::Service).await;
    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("live/m1", 0), ("alert/#", 1)]).await, [0, 1]);
    service.publish("live/m2", b"{}", None, true).await;
    service.publish("live/m1", b"{\"v\":230}", None, true).await;
    assert_eq!(operator.message().await, ("live/m1".to_owned(), b"{\"v\":230}".to_vec(), false));
    service.publish("alert/critical/f7", b"theft", None, false).await;
    let (topic, payload, pkid, _) = operator.unacknowledged().await;
    assert_eq!((topic.as_str(), payload.as_slice(), pkid.is_some()), ("alert/critical/f7", &b"theft"[..], true));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_frames_arrive_in_order_though_acknowledged_late_and_out_of_order() {
    let house = House::with(|config| config.limits.in_flight = 50).await;
    let mut processor = house.processor("p1").await;
    let mut meter = house.meter("m1").await;
    let count = 1000_u32;
    let sender = tokio::spawn(async move {
        for number in 0..count {
            meter.publish(&up("m1"), &number.to_be_bytes(), Some(1), false).await;
            meter.next().await;
        }
        meter
    });
    let mut waiting = Vec::new();
    for number in 0..count {
        let (_, payload, pkid, _) = processor.unacknowledged().await;
        assert_eq!(payload, number.to_be_bytes());
        waiting.push(pkid.unwrap());
        if waiting.len() == 20 {
            while let Some(pkid) = waiting.pop() {
                processor.puback(pkid).await;
            }
        }
    }
    sender.await.unwrap();
    processor.is_quiet().await;
}
