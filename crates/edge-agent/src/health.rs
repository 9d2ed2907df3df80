//! HTTP for machines that watch: `/metrics`, and `/healthz`, which answers while the agent lives.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, stop: CancellationToken) {
    let text = move || {
        let metrics = metrics.clone();
        async move {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], metrics.encode()).into_response()
        }
    };
    let app = Router::new().route("/metrics", get(text)).route("/healthz", get(|| async { "ok\n" }));
    // A watcher that keeps its connection open must not keep the agent from stopping.
    tokio::select! {
        () = stop.cancelled() => {}
        result = axum::serve(listener, app) => {
            if let Err(error) = result {
                tracing::error!(%error, "the health listener ended");
            }
        }
    }
}
