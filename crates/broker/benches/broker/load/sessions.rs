//! Sessions that are held: idle ones, ones that hear a topic of their own, and ones that come back when they are lost.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, sleep_until};

use super::link::{Link, meter, publish, topic};
use super::{Context, fleet, percentile, stage};

/// Time for memory to settle, and for messages on their way.
const SETTLE: Duration = Duration::from_secs(1);
/// All that are lost must be back by then, or the measurement ends.
const BACK: Duration = Duration::from_secs(60);

pub(super) async fn idle(context: &Arc<Context>, sessions: usize) {
    let links = fleet::connect(context, 0..sessions).await;
    sleep(SETTLE).await;
    stage("connected", &[("sessions", links.len() as f64)]).await;
}

pub(super) async fn commands(context: &Arc<Context>, sessions: usize, per_second: usize, seconds: u64) {
    let (epoch, micros) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let hear = async |range| {
        for (number, mut link) in fleet::connect(context, range).await {
            link.subscribe(&topic(&meter(number), "dn"), 0).await.expect("a meter's own topic is refused");
            tokio::spawn(hear(link, epoch, micros.clone()));
        }
    };
    hear(0..sessions / 2).await;
    let half = epoch.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    stage("half", &[("seconds", half)]).await;
    let begin = Instant::now();
    hear(sessions / 2..sessions).await;
    let all = begin.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    stage("all", &[("seconds", all)]).await;

    let mut service = fleet::service(context, "processor-1").await;
    let (begin, count) = (Instant::now(), per_second * seconds as usize);
    for number in 0..count {
        sleep_until(begin + Duration::from_secs_f64(number as f64 / per_second as f64)).await;
        let payload = [&(epoch.elapsed().as_nanos() as u64).to_be_bytes()[..], &[0; 40]].concat();
        let name = meter(number * 7919 % sessions);
        service.send(&publish(&topic(&name, "dn"), &payload, None)).await.expect("the service is cut");
    }
    sleep(SETTLE).await;
    let mut micros = std::mem::take(&mut *micros.lock().unwrap());
    let lost = count - micros.len();
    let values = [("p50_us", percentile(&mut micros, 50)), ("p99_us", percentile(&mut micros, 99)), ("lost", lost as f64)];
    stage("measured", &values).await;
}

/// Notes how long each message was on its way.
async fn hear(mut link: Link, epoch: Instant, micros: Arc<Mutex<Vec<u32>>>) {
    let mut buffer = [0; 256];
    loop {
        let read = link.messages(&mut buffer, |message| {
            let then = u64::from_be_bytes(message.payload[..8].try_into().unwrap());
            let late = (epoch.elapsed().as_nanos() as u64).saturating_sub(then) / 1000;
            micros.lock().unwrap().push(late.try_into().unwrap_or(u32::MAX));
        });
        read.await.expect("a session is cut");
    }
}

/// What sessions that come back count.
#[derive(Default)]
struct Joined {
    /// Sessions that are back.
    back: AtomicUsize,
    /// Attempts that failed although the broker listened.
    refused: AtomicUsize,
}

pub(super) async fn storm(context: &Arc<Context>, sessions: usize) {
    let joined = Arc::new(Joined::default());
    for (number, link) in fleet::connect(context, 0..sessions).await {
        tokio::spawn(come_back(context.clone(), number, link, joined.clone()));
    }
    // The broker is killed and started again here; the next line comes when it listens.
    stage("connected", &[]).await;
    let begin = Instant::now();
    while joined.back.load(Relaxed) < sessions && begin.elapsed() < BACK {
        sleep(Duration::from_millis(10)).await;
    }
    let missing = sessions - joined.back.load(Relaxed);
    let values =
        [("seconds", begin.elapsed().as_secs_f64()), ("missing", missing as f64), ("refused", joined.refused.load(Relaxed) as f64)];
    stage("back", &values).await;
}

/// Holds a session; when it is lost, makes a new one, trying again after a tenth to half a second.
async fn come_back(context: Arc<Context>, number: usize, mut link: Link, joined: Arc<Joined>) {
    let name = meter(number);
    let config = context.wallet.config(&name, "meter", true);
    while link.stream.read(&mut [0; 64]).await.is_ok_and(|len| len > 0) {}
    for attempt in 1.. {
        match context.target.session(config.clone(), &name).await {
            Ok(session) => {
                link = session;
                break;
            }
            Err(error) => {
                // Before the broker listens again nobody is there to refuse anything.
                if error.kind() != std::io::ErrorKind::ConnectionRefused {
                    joined.refused.fetch_add(1, Relaxed);
                }
                sleep(Duration::from_millis((100 + (number + attempt) * 7919 % 400) as u64)).await;
            }
        }
    }
    joined.back.fetch_add(1, Relaxed);
    while link.stream.read(&mut [0; 64]).await.is_ok_and(|len| len > 0) {}
}
