//! As many messages of QoS 1 as go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::link::{Link, meter, publish, topic};
use super::{Context, fleet, stage};

const PAYLOAD: [u8; 80] = [0x5a; 80];
/// Without a delivery for so long it is over.
const STALLED: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Arc<Context>, publishers: usize, window: usize, messages: usize) {
    let mut subscriber = fleet::subscriber(context).await;
    let links = fleet::connect(context, 0..publishers).await;
    let (start, started) = watch::channel(false);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let share = messages / publishers;
    for (number, link) in links {
        let (mut started, acknowledged) = (started.clone(), acknowledged.clone());
        tokio::spawn(async move {
            started.wait_for(|go| *go).await.unwrap();
            publisher(link, number, window, share, &acknowledged).await;
        });
    }
    stage("connected", &[]).await;
    let begin = Instant::now();
    start.send_replace(true);
    let (mut buffer, mut delivered, mut last) = (vec![0; 64 * 1024], 0, begin);
    let mut acks = Vec::new();
    while delivered < share * publishers {
        let read = subscriber.messages(&mut buffer, |message| {
            delivered += 1;
            if let Some([high, low]) = message.pkid {
                acks.extend_from_slice(&[0x40, 2, high, low]);
            }
        });
        if timeout(STALLED, read).await.is_err() {
            break;
        }
        last = Instant::now();
        subscriber.send(&acks).await.expect("the subscriber is cut");
        acks.clear();
    }
    let lost = (share * publishers).saturating_sub(delivered);
    let values = [("seconds", (last - begin).as_secs_f64()), ("delivered", delivered as f64), ("lost", lost as f64)];
    stage("done", &values).await;
}

/// Keeps `window` messages on their way until `share` of them are acknowledged.
async fn publisher(mut link: Link, number: usize, window: usize, share: usize, acknowledged: &AtomicUsize) {
    let topic = topic(&meter(number), "up");
    let message = publish(&topic, &PAYLOAD, Some(1));
    let (mut sent, mut acked) = (0, 0);
    let (mut batch, mut buffer, mut part) = (Vec::new(), [0; 4096], 0);
    while acked < share {
        batch.clear();
        while sent < share && sent - acked < window {
            let at = batch.len() + message.len() - PAYLOAD.len() - 2;
            batch.extend_from_slice(&message);
            batch[at..at + 2].copy_from_slice(&((sent % 65_535 + 1) as u16).to_be_bytes());
            sent += 1;
        }
        if !batch.is_empty() {
            link.send(&batch).await.expect("a publisher is cut");
        }
        let len = link.stream.read(&mut buffer).await.expect("a publisher is cut");
        assert!(len > 0, "a publisher is cut");
        part += len;
        acked += part / 4;
        acknowledged.fetch_add(part / 4, Relaxed);
        part %= 4;
    }
    // The connection stays until the process ends.
    std::future::pending::<()>().await;
}
