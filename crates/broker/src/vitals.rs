//! The broker's watch over its router, whose thread can die without anyone else noticing: ports would stay open and nothing would pass.
//!
//! A message goes through the router every now and then and must come back. When none did for too long the router counts as dead, for
//! good: `/readyz` says so and [`Running::failed`](crate::Running::failed) returns, upon which the program aborts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::{Vitals, millis};
use crate::metrics::Metrics;
use crate::router::{Event, Gone, Link};

/// What the canary subscribes and publishes to. No client's filter or topic can be this.
pub(crate) const TOPIC: &str = "canary";

/// Sends and expects the canary until `stop`. Clears `alive` when it doesn't come back.
pub(crate) async fn run(settings: Vitals, mut link: Link, alive: watch::Sender<bool>, metrics: Arc<Metrics>, stop: CancellationToken) {
    metrics.router_alive.set(1);
    tokio::select! {
        () = stop.cancelled() => return,
        Gone = watch_over(&settings, &mut link) => {}
    }
    metrics.router_alive.set(0);
    tracing::error!("no message came through the router for {} ms: it is dead", settings.canary_deadline_ms);
    alive.send_replace(false);
}

/// Returns when the router is dead.
async fn watch_over(settings: &Vitals, link: &mut Link) -> Gone {
    let mut ticks = interval(millis(settings.canary_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(gone) = echo(link, millis(settings.canary_deadline_ms)).await {
            return gone;
        }
    }
}

async fn echo(link: &mut Link, deadline: Duration) -> Result<(), Gone> {
    let until = Instant::now().checked_add(deadline).ok_or(Gone)?;
    // Busy: then there are messages of ours on their way, and one of those will do.
    let _ = link.publish(Bytes::from_static(TOPIC.as_bytes()), Bytes::from_static(b"!"))?;
    let mut batch = Vec::new();
    while !batch.iter().any(|event| matches!(event, Event::Message(_))) {
        timeout_at(until, link.next(&mut batch)).await.map_err(|_| Gone)??;
    }
    link.done()
}
