//! Start, health and end.

use std::fs;

use pki::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{House, configuration, eventually, up};

async fn get(house: &House, path: &str) -> String {
    let mut socket = TcpStream::connect(house.broker.admin_addr()).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_there() {
    let house = House::new().await;
    assert!(get(&house, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&house, "/readyz").await.ends_with("ready\n"));
    let _meter = house.meter("m1").await;
    eventually(|| house.count("sessions", "role=\"meter\"") == 1, || house.broker.metrics()).await;
    let metrics = get(&house, "/metrics").await;
    assert!(metrics.contains("ferraris_broker_sessions{role=\"meter\"} 1\n"), "{metrics}");
    assert!(metrics.contains("ferraris_broker_router_alive 1\n"), "{metrics}");
    assert!(!metrics.contains("m1"), "no metric names a meter");
    assert!(get(&house, "/other").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_closes_everything() {
    let house = House::new().await;
    let (mqtts, admin) = (house.broker.mqtts_addr(), house.broker.admin_addr());
    let (mut meter, mut processor) = (house.meter("m1").await, house.processor("p1").await);
    let mut silent = house.raw("m2", Role::Meter).await;
    let handshake = TcpStream::connect(mqtts).await.unwrap();
    // What was sent before is taken and acknowledged before the end.
    meter.publish(&up("m1"), b"last", Some(1), false).await;
    assert_eq!(meter.next().await.first, 0x40);
    house.broker.shutdown().await;
    meter.is_closed().await;
    silent.is_closed().await;
    drop(handshake);
    if processor.read().await.is_some() {
        processor.is_closed().await;
    }
    // The ports are free again at once.
    TcpListener::bind(mqtts).await.unwrap();
    TcpListener::bind(admin).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_lives_in_one_process() {
    let (_dir, _authority, config) = configuration();
    for _ in 0..20 {
        let broker = broker::start(config.clone()).await.unwrap();
        assert_ne!(broker.mqtts_addr().port(), 0);
        broker.shutdown().await;
    }
    // Dropped instead of stopped, it lets go of its port too.
    let broker = broker::start(config).await.unwrap();
    let address = broker.mqtts_addr();
    drop(broker);
    let until = tokio::time::Instant::now() + crate::support::PATIENCE;
    while TcpListener::bind(address).await.is_err() {
        assert!(tokio::time::Instant::now() < until, "a dropped broker keeps its port");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_one_line() {
    let (dir, _authority, config) = configuration();
    let error = |config| async move {
        let text = broker::start(config).await.err().expect("it starts").to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut busy = config.clone();
    busy.listen.mqtts = taken.local_addr().unwrap();
    let text = error(busy).await;
    assert!(text.starts_with(&format!("can't listen on {} (listen.mqtts): ", taken.local_addr().unwrap())), "{text}");
    assert!(text.contains("choose another address or stop the program that has it"), "{text}");

    let mut missing = config.clone();
    missing.tls.ca_file = "/nowhere/ca.pem".into();
    assert!(error(missing).await.starts_with("can't read /nowhere/ca.pem: "));

    let empty = dir.path().join("empty.pem");
    fs::write(&empty, "nothing").unwrap();
    let mut no_key = config.clone();
    no_key.tls.key_file = empty.clone();
    assert_eq!(error(no_key).await, format!("{}: holds no private key in PEM form", empty.display()));
    let mut no_chain = config.clone();
    no_chain.tls.certificate_file = empty.clone();
    assert_eq!(error(no_chain).await, format!("{}: holds no certificate in PEM form", empty.display()));

    let mut foreign_key = config.clone();
    foreign_key.tls.key_file = config.tls.ca_file.with_file_name("ca.key");
    let text = error(foreign_key).await;
    assert!(text.contains("ca.key"), "{text}");
    let mut strange = config;
    strange.router.segment_bytes = 1;
    assert!(error(strange).await.starts_with("router.segment_bytes = 1: must be between"));
}
