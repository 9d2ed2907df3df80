//! Two hundred that are not nice: they do as fast as they can what honest clients never do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::link::{Target, connect, meter, publish, topic};
use super::{Context, stage};

/// Numbers of the abusers' certificates begin here.
const FIRST: usize = 90_000;
/// A peer that was refused needs so long for the next attempt, as one behind a real network does.
const PAUSE: Duration = Duration::from_millis(20);

/// What was done.
#[derive(Default)]
struct Count {
    flood: AtomicUsize,
    half_open: AtomicUsize,
    unread: AtomicUsize,
    garbage: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Kind {
    Flood,
    HalfOpen,
    SlowReader,
    Garbage,
}

/// `each` of four kinds, until a line comes.
pub(super) async fn run(context: &Arc<Context>, each: usize) {
    let count = Arc::new(Count::default());
    for number in 0..each * 4 {
        let kind = [Kind::Flood, Kind::HalfOpen, Kind::SlowReader, Kind::Garbage][number % 4];
        tokio::spawn(again(context.clone(), count.clone(), meter(FIRST + number), kind));
    }
    sleep(Duration::from_secs(2)).await;
    stage("attacking", &[]).await;
    let values = [("flood", &count.flood), ("half_open", &count.half_open), ("unread", &count.unread), ("garbage", &count.garbage)];
    stage("over", &values.map(|(name, value)| (name, value.load(Relaxed) as f64))).await;
}

async fn again(context: Arc<Context>, count: Arc<Count>, name: String, kind: Kind) {
    let config = context.wallet.config(&name, "meter", true);
    loop {
        let end = match kind {
            Kind::Flood => flood(context.target, &count, config.clone(), &name).await,
            Kind::HalfOpen => half_open(context.target, &count).await,
            Kind::SlowReader => slow_reader(context.target, &count, config.clone(), &name).await,
            Kind::Garbage => garbage(context.target, &count, config.clone(), &name).await,
        };
        // However it ended, once more.
        drop(end);
        sleep(PAUSE).await;
    }
}

/// A valid meter that publishes without pause.
async fn flood(target: Target, count: &Count, config: Arc<ClientConfig>, name: &str) -> io::Result<()> {
    let mut link = target.session(config, name).await?;
    let message = publish(&topic(name, "up"), &[0; 80], None).repeat(50);
    loop {
        link.send(&message).await?;
        count.flood.fetch_add(50, Relaxed);
    }
}

/// A handshake that begins and does not go on.
async fn half_open(target: Target, count: &Count) -> io::Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", target.port)).await?;
    socket.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await?;
    count.half_open.fetch_add(1, Relaxed);
    while socket.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

/// A valid meter that asks and does not read the answers.
async fn slow_reader(target: Target, count: &Count, config: Arc<ClientConfig>, name: &str) -> io::Result<()> {
    let mut link = target.session(config, name).await?;
    let pings = [0xc0, 0].repeat(500);
    loop {
        link.send(&pings).await?;
        count.unread.fetch_add(500, Relaxed);
    }
}

/// Bytes that are no TLS, and behind a good handshake bytes that are no MQTT.
async fn garbage(target: Target, count: &Count, config: Arc<ClientConfig>, name: &str) -> io::Result<()> {
    let bytes: Vec<u8> = (0..2000_u32).map(|n| (n * 7919 + 13) as u8).collect();
    let mut socket = TcpStream::connect(("127.0.0.1", target.port)).await?;
    socket.write_all(&bytes).await?;
    count.garbage.fetch_add(1, Relaxed);
    while socket.read(&mut [0; 64]).await? > 0 {}
    let mut socket = target.socket(config).await?;
    socket.write_all(&[&connect(name)[..], &bytes].concat()).await?;
    socket.flush().await?;
    count.garbage.fetch_add(1, Relaxed);
    while socket.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}
