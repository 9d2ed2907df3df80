//! HTTP for machines that watch: `/metrics`, `/healthz` (the process answers), `/readyz` (messages pass).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::vitals::Health;

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    health: watch::Receiver<Health>,
    stop: CancellationToken,
}

/// Serves until `stop`.
pub(crate) async fn run(listener: TcpListener, metrics: Arc<Metrics>, health: watch::Receiver<Health>, stop: CancellationToken) {
    let shared = Shared { metrics, health, stop: stop.clone() };
    let app = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(shared);
    // A watcher that keeps its connection open must not keep the broker from stopping.
    tokio::select! {
        () = stop.cancelled() => {}
        result = axum::serve(listener, app) => {
            if let Err(error) = result {
                tracing::error!(%error, "the admin listener ended");
            }
        }
    }
}

async fn metrics_text(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.encode())
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    let ill = |what| (StatusCode::SERVICE_UNAVAILABLE, what);
    if shared.stop.is_cancelled() {
        return ill("stopping\n");
    }
    match *shared.health.borrow() {
        Health::Well => (StatusCode::OK, "ready\n"),
        Health::Shut => ill("messages pass, but no new connection gets in\n"),
        Health::Late => ill("no message comes through the router\n"),
        Health::Dead => ill("the message router is dead\n"),
    }
}
