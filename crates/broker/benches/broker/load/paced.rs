//! Meters as they are: each sends now and then, one message in a packet.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, sleep_until};

use super::link::{Link, meter, publish, topic};
use super::{Context, fleet, percentile, stage};

/// Before the first window.
const WARM_UP: Duration = Duration::from_secs(1);
/// After a window, for what is still on its way.
const DRAIN: Duration = Duration::from_secs(3);

/// What publishers and subscriber share.
struct Shared {
    epoch: std::time::Instant,
    /// Messages sent now belong to this window; 0 for none.
    window: AtomicU32,
    sent: AtomicUsize,
    /// All that came, in a window or not.
    delivered: AtomicUsize,
    cut: AtomicUsize,
    /// Of this window's messages.
    micros: Mutex<Vec<u32>>,
}

pub(super) async fn run(context: &Arc<Context>, publishers: usize, per_second: usize, seconds: u64, windows: u32) {
    let shared = Arc::new(Shared {
        epoch: std::time::Instant::now(),
        window: AtomicU32::new(0),
        sent: AtomicUsize::new(0),
        delivered: AtomicUsize::new(0),
        cut: AtomicUsize::new(0),
        micros: Mutex::default(),
    });
    let subscriber = fleet::subscriber(context).await;
    tokio::spawn(listen(subscriber, shared.clone()));
    let links = fleet::connect(context, 0..publishers).await;
    let (begin, period) = (Instant::now(), Duration::from_secs_f64(publishers as f64 / per_second as f64));
    for (number, link) in links {
        let first = begin + period.mul_f64(number as f64 / publishers as f64);
        tokio::spawn(publisher(link, number, first, period, shared.clone()));
    }
    sleep(WARM_UP).await;
    stage("warm", &[]).await;
    for window in 1..=windows {
        let delivered = shared.delivered.load(Relaxed);
        shared.window.store(window, Relaxed);
        sleep(Duration::from_secs(seconds)).await;
        shared.window.store(0, Relaxed);
        let until = Instant::now() + DRAIN;
        while shared.micros.lock().unwrap().len() < shared.sent.load(Relaxed) && Instant::now() < until {
            sleep(Duration::from_millis(20)).await;
        }
        let mut micros = std::mem::take(&mut *shared.micros.lock().unwrap());
        let sent = shared.sent.swap(0, Relaxed);
        let values = [
            ("p50_us", percentile(&mut micros, 50)),
            ("p99_us", percentile(&mut micros, 99)),
            ("sent", sent as f64),
            ("lost", sent.saturating_sub(micros.len()) as f64),
            ("cut", shared.cut.load(Relaxed) as f64),
            ("delivered_in_all", (shared.delivered.load(Relaxed) - delivered) as f64),
        ];
        stage("measured", &values).await;
    }
}

async fn publisher(mut link: Link, number: usize, first: Instant, period: Duration, shared: Arc<Shared>) {
    let topic = topic(&meter(number), "up");
    let (mut due, mut payload, mut answer) = (first, [0; 80], [0; 4]);
    loop {
        sleep_until(due).await;
        due += period;
        let window = shared.window.load(Relaxed);
        payload[..4].copy_from_slice(&window.to_be_bytes());
        payload[4] = 1;
        payload[8..16].copy_from_slice(&(shared.epoch.elapsed().as_nanos() as u64).to_be_bytes());
        if window > 0 {
            shared.sent.fetch_add(1, Relaxed);
        }
        let sent = link.send(&publish(&topic, &payload, Some(1))).await;
        if sent.is_err() || link.stream.read_exact(&mut answer).await.is_err() {
            shared.cut.fetch_add(1, Relaxed);
            return;
        }
    }
}

/// Hears everything; other people's messages are passed over.
async fn listen(mut link: Link, shared: Arc<Shared>) {
    let (mut buffer, mut acks) = (vec![0; 64 * 1024], Vec::new());
    loop {
        let read = link.messages(&mut buffer, |message| {
            if let Some([high, low]) = message.pkid {
                acks.extend_from_slice(&[0x40, 2, high, low]);
            }
            shared.delivered.fetch_add(1, Relaxed);
            let window = u32::from_be_bytes(message.payload[..4].try_into().unwrap());
            if window > 0 && message.payload[4] == 1 {
                let then = u64::from_be_bytes(message.payload[8..16].try_into().unwrap());
                let micros = (shared.epoch.elapsed().as_nanos() as u64).saturating_sub(then) / 1000;
                shared.micros.lock().unwrap().push(micros.try_into().unwrap_or(u32::MAX));
            }
        });
        read.await.expect("the subscriber is cut");
        link.send(&acks).await.expect("the subscriber is cut");
        acks.clear();
    }
}
