//! Promise: each change in an alert's life reaches the Alertmanager, in order, though it is away or in trouble meanwhile and the processor is
//! killed; what holds is told again and again, what was over long ago is not told at all; and one alert that it refuses for ever holds up
//! no other.
#![expect(clippy::indexing_slicing, reason = "test code: what a JSON value lacks is null")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use contracts::AlertRecord;
use contracts::alerts::{AlertId, AlertSeverity, AlertState};
use contracts::topics::ALERTS;
use measure::UnixMillis;
use promises::child::{Child, Halt};
use promises::rows::get;
use promises::{PATIENCE, Stage};
use serde_json::Value;
use testkit::{await_until, ports};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const TOKEN: &str = "quite-secret";
/// 2026-11-01 00:00 UTC.
const BEGIN_MS: i64 = 1_793_491_200_000;

/// What an Alertmanager was told, and how it answers.
struct Manager {
    answer: StatusCode,
    /// An alert that is answered with 400.
    refused: Option<String>,
    attempts: Vec<Value>,
    told: Vec<Value>,
}

type Shared = Arc<Mutex<Manager>>;

#[tokio::test(flavor = "multi_thread")]
async fn told_whatever_happens() -> anyhow::Result<()> {
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    stage.create_topics().await?;
    let [port] = ports::free()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let token = stage.dir().join("token");
    std::fs::write(&token, format!("{TOKEN}\n"))?;
    stage.sinks = format!(
        "[webhook]\nenabled = true\nurl = 'http://{address}/api/v2/alerts'\nbearer_token_file = '{}'\nrepeat_ms = 200\n",
        token.display()
    );
    let config = stage.processor_config("processor")?;
    let manager = Arc::new(Mutex::new(Manager { answer: StatusCode::OK, refused: None, attempts: Vec::new(), told: Vec::new() }));

    // Before there was a webhook at all.
    write(&stage, &[alert(1, AlertState::Cleared), alert(2, AlertState::Raised)]).await?;
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    let server = serve(address, &manager).await?;
    let first = told(&manager, 2, "raised", 1).await?;
    assert!(time(&first, "endsAt")? > time(&first, "startsAt")?, "{first}");
    assert_eq!(first["labels"]["alertname"], "feeder_balance");
    told(&manager, 2, "raised", 3).await.context("it is told again and again")?;
    assert_eq!(changes(&manager, 1), Vec::<String>::new(), "what was over before is not told");

    // It is in trouble while an alert is raised, and the processor dies over it.
    lock(&manager).answer = StatusCode::SERVICE_UNAVAILABLE;
    write(&stage, &[alert(3, AlertState::Raised)]).await?;
    await_until("it is tried", PATIENCE, async || {
        Ok(lock(&manager).attempts.iter().any(|it| it["labels"]["alert"] == id(3)).then_some(()))
    })
    .await?;
    processor.kill().await?;
    // It is away altogether while the next one starts.
    server.abort();
    let _ = server.await;
    write(&stage, &[alert(3, AlertState::Acknowledged), alert(3, AlertState::Cleared), alert(4, AlertState::Raised)]).await?;
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    let http = processor.http().await?;
    await_until("it says that the webhook is away", PATIENCE, async || {
        Ok(get(http, "/readyz").await?.contains("webhook: stuck").then_some(()))
    })
    .await?;
    lock(&manager).answer = StatusCode::OK;
    let _server = serve(address, &manager).await?;
    let last = told(&manager, 3, "cleared", 1).await?;
    assert_eq!(time(&last, "endsAt")?, "2026-11-01T00:05:00Z");
    assert_eq!(changes(&manager, 3), ["raised", "acknowledged", "cleared"]);
    told(&manager, 4, "raised", 1).await?;
    await_until("it is well again", PATIENCE, async || Ok((!get(http, "/readyz").await?.contains("webhook")).then_some(()))).await?;

    // A successor goes on, and tells what it never told itself.
    processor.kill().await?;
    let before = count(&manager, 4, "raised");
    let mut processor = Child::processor(program, &config, Halt::Never)?;
    let http = processor.http().await?;
    told(&manager, 4, "raised", before + 2).await?;
    lock(&manager).refused = Some(id(5));
    // The same feeder: on one partition, one after the other.
    write(&stage, &[alert(5, AlertState::Cleared), alert(4, AlertState::Cleared)]).await?;
    told(&manager, 4, "cleared", 1).await?;
    let metrics = await_until("the refusal is counted", PATIENCE, async || {
        let metrics = get(http, "/metrics").await?;
        Ok(metrics.contains("sink_records_skipped_total{sink=\"Webhook\",reason=\"Unstorable\"} 1").then_some(metrics))
    });
    metrics.await?;
    assert_eq!(count(&manager, 5, "cleared"), 0);
    Ok(())
}

fn alert(number: u128, state: AlertState) -> AlertRecord {
    AlertRecord {
        cause: None,
        alert: AlertId(number),
        rule: "feeder_balance".to_owned(),
        severity: AlertSeverity::Critical,
        feeder: "F1".parse().unwrap_or_else(|_| unreachable!("a feeder's name")),
        pole: None,
        meter: None,
        state,
        at_ms: UnixMillis(BEGIN_MS + 300_000),
        shelved_until_ms: None,
        who: None,
        note: None,
        action: None,
        since_ms: UnixMillis(BEGIN_MS),
        detected_ms: UnixMillis(BEGIN_MS),
        delay_ms: 0,
        statistic: 9.5,
        threshold: 7.0,
        unit: "sigma".to_owned(),
        false_alarms_per_feeder_year_max: Some(0.1),
        missing_current_a: None,
        evidence: Vec::new(),
    }
}

/// All under one key, so that they lie on one partition, as those of a feeder do.
async fn write(stage: &Stage, alerts: &[AlertRecord]) -> anyhow::Result<()> {
    let rows = alerts.iter().map(|it| Ok(("F1".to_owned(), serde_json::to_vec(it)?)));
    stage.write(&ALERTS, rows.collect::<anyhow::Result<_>>()?).await
}

fn id(number: u128) -> String {
    AlertId(number).to_string()
}

fn lock(manager: &Shared) -> std::sync::MutexGuard<'_, Manager> {
    manager.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// States that it was told of an alert, without repetitions.
fn changes(manager: &Shared, alert: u128) -> Vec<String> {
    let manager = lock(manager);
    let of = manager.told.iter().filter(|it| it["labels"]["alert"] == id(alert));
    let mut states: Vec<String> = of.filter_map(|it| it["annotations"]["state"].as_str().map(str::to_owned)).collect();
    states.dedup();
    states
}

fn count(manager: &Shared, alert: u128, state: &str) -> usize {
    let is_it = |it: &&Value| it["labels"]["alert"] == id(alert) && it["annotations"]["state"] == state;
    lock(manager).told.iter().filter(is_it).count()
}

/// Waits until it was told so often that an alert is in this state; what it was told last.
async fn told(manager: &Shared, alert: u128, state: &str, times: usize) -> anyhow::Result<Value> {
    await_until(&format!("alert {alert} is told as {state}, {times} times"), PATIENCE, async || {
        if count(manager, alert, state) < times {
            return Ok(None);
        }
        let is_it = |it: &&Value| it["labels"]["alert"] == id(alert) && it["annotations"]["state"] == state;
        Ok(lock(manager).told.iter().rfind(is_it).cloned())
    })
    .await
}

fn time(alert: &Value, name: &str) -> anyhow::Result<String> {
    Ok(alert[name].as_str().with_context(|| format!("no {name}: {alert}"))?.to_owned())
}

async fn serve(address: SocketAddr, manager: &Shared) -> anyhow::Result<JoinHandle<()>> {
    let router = Router::new().route("/api/v2/alerts", post(take)).with_state(Arc::clone(manager));
    let listener = await_until("the port is free again", PATIENCE, async || Ok(TcpListener::bind(address).await.ok())).await?;
    Ok(tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    }))
}

async fn take(State(manager): State<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if header("authorization") != format!("Bearer {TOKEN}") || header("content-type") != "application/json" {
        return (StatusCode::UNAUTHORIZED, "who are you?");
    }
    let Ok(Value::Array(alerts)) = serde_json::from_slice(&body) else { return (StatusCode::BAD_REQUEST, "no alerts") };
    let mut manager = lock(&manager);
    manager.attempts.extend(alerts.iter().cloned());
    let refused = |it: &Value| manager.refused.as_deref().is_some_and(|refused| it["labels"]["alert"] == refused);
    if alerts.iter().any(refused) {
        return (StatusCode::BAD_REQUEST, "never");
    }
    if manager.answer == StatusCode::OK {
        manager.told.extend(alerts);
    }
    (manager.answer, "")
}
