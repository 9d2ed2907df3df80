//! Connections made and ended, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use super::link::meter;
use super::{Context, stage};

pub(super) async fn run(context: &Arc<Context>, parallel: usize, seconds: u64, resume: bool) {
    let (made, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for number in 0..parallel {
        let (context, made, failed) = (context.clone(), made.clone(), failed.clone());
        tokio::spawn(async move {
            let name = meter(number);
            let config = context.wallet.config(&name, "meter", resume);
            loop {
                // CONNACK is the proof that the broker has verified the certificate: in TLS 1.3 the client is done before that.
                match context.target.session(config.clone(), &name).await {
                    Ok(mut link) => {
                        made.fetch_add(1, Relaxed);
                        let _ = link.send(&[0xe0, 0]).await;
                        let _ = link.stream.shutdown().await;
                        while link.stream.read(&mut [0; 256]).await.is_ok_and(|len| len > 0) {}
                    }
                    Err(_) => _ = failed.fetch_add(1, Relaxed),
                }
            }
        });
    }
    sleep(Duration::from_millis(500)).await;
    stage("warm", &[]).await;
    let (begin, before) = (Instant::now(), made.load(Relaxed));
    sleep(Duration::from_secs(seconds)).await;
    let count = made.load(Relaxed) - before;
    let values = [("seconds", begin.elapsed().as_secs_f64()), ("made", count as f64), ("failed", failed.load(Relaxed) as f64)];
    stage("done", &values).await;
}
