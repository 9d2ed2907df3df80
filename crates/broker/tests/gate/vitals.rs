//! The broker's watch over itself: a wedged router ends the process, a crowd at the door does not.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::ptrace;
use nix::unistd::Pid;
use pki::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval};

use crate::program::Program;
use crate::support::{Client, House, PATIENCE, Raw, builder, configuration, connect_packet, down, eventually, publish_packet, up};

async fn readiness(address: SocketAddr) -> Option<String> {
    let mut socket = TcpStream::connect(address).await.ok()?;
    socket.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// The router's thread of a broker that is another process.
fn router_thread(process: u32) -> Pid {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let name = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap();
    let task = tasks.map(Result::unwrap).find(|task| name(task).starts_with("router-")).expect("a thread router-…");
    Pid::from_raw(task.file_name().to_str().unwrap().parse().unwrap())
}

/// The real program, whose router stands still from one moment to the next, as in a deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_wedged_router_fails_readiness_and_then_ends_the_process() {
    let (dir, _authority, _) = configuration();
    let mut program = Program::start(dir.path(), "[vitals]\ncanary_ms = 20\ncanary_deadline_ms = 5000\n");
    let admin = program.admin;
    assert!(readiness(admin).await.unwrap().starts_with("HTTP/1.1 200"));

    let router = router_thread(program.id());
    let (hold, held) = mpsc::channel::<()>();
    // The router stands as long as the thread that stopped it lives.
    let stopper = std::thread::spawn(move || {
        ptrace::seize(router, ptrace::Options::empty()).and_then(|()| ptrace::interrupt(router)).expect("tracing a child of one's own");
        let _ = held.recv();
    });
    let (until, mut looks) = (Instant::now() + PATIENCE, interval(Duration::from_millis(20)));
    loop {
        let answer = readiness(admin).await.expect("the process ended before /readyz failed");
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.ends_with("no message comes through the router\n"), "{answer}");
            break;
        }
        assert!(Instant::now() < until, "a wedged router goes unnoticed");
        looks.tick().await;
    }
    let last_words = program.log.by_ref().map(Result::unwrap).find(|line| line.contains("it is dead")).expect("an abort without a word");
    assert!(last_words.contains("no message came through the router for 5000 ms"), "{last_words}");
    drop(hold);
    stopper.join().unwrap();
    assert_eq!(program.child.0.wait().unwrap().signal(), Some(nix::libc::SIGABRT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_the_door_is_not_a_dead_router() {
    let house = House::with(|config| {
        (config.limits.connections, config.limits.handshakes) = (2, 2);
        config.vitals = broker::config::Vitals { canary_ms: 10, canary_connect_ms: 50, canary_deadline_ms: 6000 };
    })
    .await;
    let address = house.broker.mqtts_addr();
    let _crowd = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    eventually(|| house.count("connections", "") == 2, || house.broker.metrics()).await;
    // Longer than the canary may be silent, with a hundred new connections of it.
    let (until, mut looks) = (Instant::now() + Duration::from_millis(6500), interval(Duration::from_millis(50)));
    while Instant::now() < until {
        looks.tick().await;
        assert!(readiness(house.broker.admin_addr()).await.unwrap().ends_with("ready\n"));
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    assert!(house.refused("connections") > 0);
    assert_eq!(house.count("sessions", "role=\"canary\""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_the_canary() {
    let house = House::new().await;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "canary");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder(&house.config.tls.ca_file).with_client_auth_cert(vec![certificate], key).unwrap();
    if let Ok(mut client) = Client::tls(house.broker.mqtts_addr(), config.into()).await {
        let _ = client.try_send(&connect_packet("canary", 60)).await;
        client.is_closed().await;
    }
    // A meter of that name is a meter.
    let (mut processor, mut meter) = (house.processor("p1").await, house.meter("canary").await);
    assert_eq!(meter.subscribe(1, &[("f1/canary/canary/dn", 0), (&down("canary"), 0)]).await, [0x80, 0]);
    meter.send(&publish_packet(&up("canary"), b"tweet", Some(1), false)).await;
    assert_eq!(meter.next().await, Raw::new(0x40, &[0, 1]));
    assert_eq!(processor.message().await.0, up("canary"));
    meter.is_quiet().await;
    let mut service = house.connected("p2", Role::Service).await;
    service.publish("f1/canary/canary/dn", b"tweet", None, false).await;
    service.is_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_itself_behind_any_address() {
    for address in ["0.0.0.0:0", "[::]:0", "[::1]:0"] {
        let (_dir, _authority, mut config) = configuration();
        config.listen.mqtts = address.parse().unwrap();
        match broker::start(config).await {
            Ok(broker) => broker.shutdown().await,
            // A machine without IPv6.
            Err(broker::StartError::Bind { .. }) if address.starts_with('[') => {}
            Err(error) => panic!("{address}: {error}"),
        }
    }
}
