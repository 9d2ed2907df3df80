//! Many meters at once, and the service that hears them.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Context;
use super::link::{Link, meter};

/// Handshakes of ours at a time.
const PARALLEL: usize = 64;

/// Connects meters number `from` to `to`, and gives each with its number.
pub(super) async fn connect(context: &Arc<Context>, numbers: std::ops::Range<usize>) -> Vec<(usize, Link)> {
    let gate = Arc::new(Semaphore::new(PARALLEL));
    let mut tasks = JoinSet::new();
    for number in numbers {
        let (context, gate) = (context.clone(), gate.clone());
        tasks.spawn(async move {
            let _permit = gate.acquire().await;
            let name = meter(number);
            let config = context.wallet.config(&name, "meter", false);
            context.target.session(config, &name).await.map(|link| (number, link))
        });
    }
    let links: io::Result<Vec<_>> = tasks.join_all().await.into_iter().collect();
    links.expect("a meter is refused")
}

/// A service with a session.
pub(super) async fn service(context: &Context, name: &str) -> Link {
    let config = context.wallet.config(name, "service", false);
    context.target.session(config, name).await.expect("the service is refused")
}

/// A service that hears every frame of every meter.
pub(super) async fn subscriber(context: &Context) -> Link {
    let mut link = service(context, "processor-1").await;
    link.subscribe("f1/+/+/up", 1).await.expect("the service's subscription is refused");
    link
}
