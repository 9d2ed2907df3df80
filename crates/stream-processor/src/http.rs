//! `/healthz`, `/readyz` and `/metrics`.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Binds the address, so that a port in use is found at the start.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `shutdown`.
pub async fn serve(listener: TcpListener, metrics: Metrics, shutdown: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(encode))
        .with_state(metrics);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

/// Ready means: takes frames of some partition from some broker, and no sink is stuck. An instance beyond the number of partitions waits,
/// and is not ready.
async fn ready(State(metrics): State<Metrics>) -> (StatusCode, String) {
    let (partitions, brokers) = (metrics.partitions_owned.get(), metrics.brokers_connected.get());
    let stuck = metrics.sinks.stuck();
    let is_ready = partitions > 0 && brokers > 0 && stuck.is_empty();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = format!("partitions owned: {partitions}\nbrokers connected: {brokers}\n");
    for (sink, partitions) in stuck {
        text.push_str(&format!("{sink}: stuck on {partitions} partitions\n"));
    }
    (status, text)
}

async fn encode(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.encode())
}
