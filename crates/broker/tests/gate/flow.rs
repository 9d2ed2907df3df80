//! A slow processor: what is held back, and what is lost with a count.

use std::collections::HashMap;

use pki::Role;
use tokio::time::timeout;

use crate::support::{House, PATIENCE, Raw, eventually, publish_packet, shard, up};

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_waits_for_its_processor_and_loses_nothing() {
    let house = House::with(|config| {
        config.limits.shard_lag = 20;
        config.limits.in_flight = 10;
    })
    .await;
    let slow = up("m1");
    let other = (2..).map(|n| format!("m{n}")).find(|meter| shard(meter) != shard("m1")).unwrap();
    let mut processor = house.connected("p1", Role::Service).await;
    assert_eq!(processor.subscribe(1, &[(&format!("f1/{}/+/up", shard("m1")), 1)]).await, [1]);
    let mut meter = house.meter("m1").await;
    let sender = tokio::spawn(async move {
        for number in 0..1000_u32 {
            meter.publish(&slow, &number.to_be_bytes(), Some(1), false).await;
            assert_eq!(meter.next().await, Raw::new(0x40, &[0, 1]));
        }
    });
    // The processor acknowledges nothing: the meter is not read from any more, others are.
    eventually(|| house.count("held_back_total", "") > 0, || house.broker.metrics()).await;
    assert!(!sender.is_finished());
    let passed = house.count("frames_total", "");
    assert!(passed < 400, "{passed} frames passed");
    let mut meter = house.meter(&other).await;
    meter.publish(&up(&other), b"x", Some(1), false).await;
    meter.next().await;
    // It goes on, and every frame arrives.
    for number in 0..1000_u32 {
        assert_eq!(processor.message().await.1, number.to_be_bytes());
    }
    timeout(PATIENCE, sender).await.unwrap().unwrap();
    assert_eq!(house.count("dropped_total", "reason=\"slow_reader\""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_goes_lets_its_meters_go_on() {
    let house = House::with(|config| {
        config.limits.shard_lag = 5;
        config.limits.in_flight = 1;
    })
    .await;
    let processor = house.processor("p1").await;
    let mut meter = house.meter("m1").await;
    let sender = tokio::spawn(async move {
        for _ in 0..500 {
            meter.publish(&up("m1"), b"x", Some(1), false).await;
            meter.next().await;
        }
    });
    eventually(|| house.count("held_back_total", "") > 0, || house.broker.metrics()).await;
    drop(processor);
    timeout(PATIENCE, sender).await.expect("the meter waits for a processor that is gone").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_operator_loses_the_oldest_with_a_count() {
    let house = House::with(|config| {
        config.router.segment_bytes = 4096;
        config.limits.in_flight = 1;
    })
    .await;
    let mut service = house.connected("p1", Role::Service).await;
    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("live/#", 1)]).await, [1]);
    let count = 2000_u32;
    for number in 0..count {
        service.publish("live/m1", &[&number.to_be_bytes()[..], &[0; 60]].concat(), None, true).await;
    }
    service.is_quiet().await;
    let mut received = 0;
    loop {
        let (_, payload, _) = operator.message().await;
        received += 1;
        if payload[..4] == (count - 1).to_be_bytes() {
            break;
        }
    }
    assert!(received < count, "nothing was lost: the test shows nothing");
    assert_eq!(house.count("dropped_total", "reason=\"slow_reader\""), u64::from(count - received));
}

/// Many meters of one shard, each with hundreds of frames read from its socket already, while the processor stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_does_not_overrun_its_shard() {
    const FRAMES: u32 = 800;
    let house = House::with(|config| {
        config.limits.shard_lag = 20;
        config.limits.in_flight = 10;
    })
    .await;
    let crowd: Vec<String> = (0..).map(|n| format!("m{n}")).filter(|meter| shard(meter) == shard("m0")).take(8).collect();
    let mut processor = house.connected("p1", Role::Service).await;
    assert_eq!(processor.subscribe(1, &[(&format!("f1/{}/+/up", shard("m0")), 1)]).await, [1]);
    let mut meters = Vec::new();
    for name in &crowd {
        let mut meter = house.meter(name).await;
        let frames: Vec<u8> = (0..FRAMES).flat_map(|number| publish_packet(&up(name), &number.to_be_bytes(), None, false)).collect();
        meter.send(&frames).await;
        meters.push(meter);
    }
    eventually(|| house.count("held_back_total", "") >= 8, || house.broker.metrics()).await;
    // The lag, what the processor and its link have taken without an acknowledgement, and one for each meter.
    let passed = house.count("frames_total", "");
    assert!(passed < 20 + 300 + 8, "{passed} frames passed");
    let mut next: HashMap<String, u32> = HashMap::new();
    for _ in 0..FRAMES * 8 {
        let (topic, payload, _) = processor.message().await;
        let number = next.entry(topic).or_default();
        assert_eq!(payload, number.to_be_bytes());
        *number += 1;
    }
    processor.is_quiet().await;
    for meter in &mut meters {
        meter.is_quiet().await;
    }
    assert_eq!(house.count("dropped_total", "reason=\"slow_reader\""), 0);
}
