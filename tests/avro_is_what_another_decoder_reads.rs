//! Promise: what is written in Avro is what stands in JSON, record by record, once and in the same order, as a decoder of another house reads
//! it by the registry's ids; though the registry is in trouble at first, and the processor is killed.
//!
//! The registry is a small server that does what the protocol's description says: none could be had that runs here.
#![expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "test code: small numbers; what a JSON value lacks is null")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Place, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use contracts::ReadingRecord;
use contracts::topics::{INTERVALS, INTERVALS_AVRO, KafkaTopic, READINGS, READINGS_AVRO};
use measure::{ClockQuality, MeterId, Reading, Register, StreamId, UnixMillis, Volts, WattHours};
use promises::child::{Child, Halt};
use promises::{PATIENCE, Stage};
use serde_json::{Value, json};
use testkit::await_until;
use testkit::kafka::Row;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// 2026-11-29 00:00 UTC; what the readings say of time.
const BEGIN_MS: i64 = 1_795_910_400_000;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Schemas by subject, and how many more questions are answered with "not now".
#[derive(Default)]
struct Registry {
    schemas: BTreeMap<String, (u32, String)>,
    troubles: u32,
}

type Shared = Arc<Mutex<Registry>>;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_records() -> anyhow::Result<()> {
    let python = python_with_fastavro().await?;
    let program = env!("CARGO_BIN_EXE_processor");
    let mut stage = Stage::new().await?;
    stage.intervals = true;
    stage.create_topics().await?;
    let registry = Arc::new(Mutex::new(Registry { troubles: 3, ..Registry::default() }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    stage.sinks = format!("[avro]\nenabled = true\nregistry_url = 'http://{}/'\ncommit_interval_ms = 100\n", listener.local_addr()?);
    let router = Router::new().route("/subjects/{subject}/versions", post(register)).with_state(Arc::clone(&registry));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = stage.processor_config("processor")?;

    let mut victim = Child::processor(program, &config, Halt::Never)?;
    write(&stage, 0).await?;
    await_until("some of it is there in Avro", PATIENCE, async || {
        // The processor makes these topics.
        Ok(stage.topic(&READINGS_AVRO).await.is_ok_and(|rows| !rows.is_empty()).then_some(()))
    })
    .await?;
    victim.kill().await?;
    let mut successor = Child::processor(program, &config, Halt::Never)?;
    write(&stage, 1).await?;
    successor.owns(&[0, 1, 2, 3]).await?;

    let schemas: Vec<(u32, PathBuf)> = {
        let registry = lock(&registry);
        assert_eq!((registry.schemas.len(), registry.troubles), (2, 0), "two subjects, and all troubles were met");
        let file = |(id, schema): &(u32, String)| -> anyhow::Result<_> {
            let path = stage.dir().join(format!("{id}.avsc"));
            std::fs::write(&path, schema)?;
            Ok((*id, path))
        };
        registry.schemas.values().map(file).collect::<anyhow::Result<_>>()?
    };
    for (json, avro) in [(READINGS, READINGS_AVRO), (INTERVALS, INTERVALS_AVRO)] {
        let rows = same_length(&stage, &json, &avro).await?;
        assert!(rows.0.len() > 100, "{} records of {} prove little", rows.0.len(), json.name);
        let decoded = decode(&python, &schemas, &rows.1).await?;
        for ((json, avro), decoded) in rows.0.iter().zip(&rows.1).zip(decoded) {
            let original: Value = serde_json::from_slice(json.value.as_deref().context("a tombstone")?)?;
            assert_eq!((json.partition, &json.key), (avro.partition, &avro.key));
            assert_eq!(decoded, original);
        }
    }
    Ok(())
}

/// Both topics, as soon as there are as many records in Avro as readings and intervals that can be read, and no more come.
async fn same_length(stage: &Stage, json: &KafkaTopic, avro: &KafkaTopic) -> anyhow::Result<(Vec<Row>, Vec<Row>)> {
    let mut before = 0;
    await_until(&format!("all of {} is there in Avro", json.name), PATIENCE, async || {
        let (json, avro) = (stage.topic(json).await?, stage.topic(avro).await?);
        let is_settled = json.len() == before && avro.len() >= json.len() && !json.is_empty();
        before = json.len();
        Ok(is_settled.then_some((json, avro)))
    })
    .await
    .inspect(|(json, avro)| assert_eq!(json.len(), avro.len()))
}

/// An hour of four meters, a reading each half minute.
async fn write(stage: &Stage, hour: i64) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for number in hour * 120..(hour + 1) * 120 {
        for meter in 0..4 {
            let id: MeterId = format!("M{meter}").parse()?;
            let time = UnixMillis(BEGIN_MS + number * 30_000);
            let energy = WattHours::from_centiwatthours(number * 101);
            let reading = Reading {
                time,
                clock: ClockQuality::Synchronised,
                voltage: Volts::from_millivolts(230_001 + i32::try_from(number)?),
                import: Register { raw: energy, integrated: energy },
                ..Reading::default()
            };
            let record = ReadingRecord::new(&id, StreamId(1), u64::try_from(number)? + 1, UnixMillis(time.0 + 200), &reading);
            rows.push((id.to_string(), serde_json::to_vec(&record)?));
        }
    }
    stage.write(&READINGS, rows).await
}

/// What the other decoder makes of the values.
async fn decode(python: &Path, schemas: &[(u32, PathBuf)], rows: &[Row]) -> anyhow::Result<Vec<Value>> {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("avro/decode.py"));
    command.args(schemas.iter().map(|(id, path)| format!("{id}={}", path.display())));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut input = child.stdin.take().context("its input is piped")?;
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = rows.iter().map(|row| hexadecimal(row.value.as_deref().unwrap_or_default()) + "\n").collect();
    let feeding = tokio::spawn(async move { input.write_all(lines.concat().as_bytes()).await });
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.context("decoding takes too long")??;
    let _ = feeding.await?;
    anyhow::ensure!(output.status.success(), "fastavro: {}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// A Python with fastavro under `build/`, made at the first use.
async fn python_with_fastavro() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the checkout")?;
    let output = Command::new(root.join("dev")).args(["step", "fastavro"]).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    anyhow::ensure!(output.status.success(), "./dev step fastavro\n{}{}", text(&output.stdout), text(&output.stderr));
    Ok(root.join(text(&output.stdout).trim()))
}

fn lock(registry: &Shared) -> MutexGuard<'_, Registry> {
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn register(State(registry): State<Shared>, Place(subject): Place<String>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let mut registry = lock(&registry);
    let answer = |status: StatusCode, value: Value| (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], value.to_string());
    if registry.troubles > 0 {
        registry.troubles -= 1;
        return answer(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error_code": 50001, "message": "not now" }));
    }
    let schema = serde_json::from_slice::<Value>(&body).ok().and_then(|it| it["schema"].as_str().map(str::to_owned));
    match schema.filter(|_| headers.get(header::CONTENT_TYPE).is_some_and(|it| it == CONTENT_TYPE)) {
        Some(schema) => {
            let next = 40_000 + u32::try_from(registry.schemas.len()).unwrap_or(u32::MAX);
            let (id, known) = registry.schemas.entry(subject).or_insert((next, schema.clone())).clone();
            assert_eq!(known, schema, "one schema whoever asks");
            answer(StatusCode::OK, json!({ "id": id }))
        }
        None => answer(StatusCode::UNPROCESSABLE_ENTITY, json!({ "error_code": 42201, "message": "invalid schema" })),
    }
}
