//! What is derived from readings, with workers that die at any reading: the same as computed once, from start to end.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "test code")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use contracts::ReadingRecord;
use contracts::topics::{EVENTS, READINGS};
use measure::{MeterId, Reading, StreamId, UnixMillis};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde::{Deserialize, Serialize};
use stream_processor::derive::{Derive, Mark, Transform};
use stream_processor::kafka::{Clients, Context, Group};
use stream_processor::metrics::Metrics;
use stream_processor::ownership::{self, Ending};
use stream_processor::{Config, Nobody};
use testkit::kafka::read_topic;
use testkit::{KafkaHandle, await_until};

const DEADLINE: Duration = Duration::from_secs(60);
const DEATHS: usize = 3;
const DEATHS_MAX: usize = 30;

/// Three readings of a meter at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Triple {
    meter: MeterId,
    seqs: Vec<u64>,
}

struct Triples {
    open: BTreeMap<MeterId, (i64, Vec<u64>)>,
    /// Readings until the worker dies.
    fuse: Arc<AtomicI64>,
}

impl Transform for Triples {
    type Output = Triple;

    fn take(&mut self, offset: i64, reading: &ReadingRecord, out: &mut Vec<Triple>) {
        assert_ne!(self.fuse.fetch_sub(1, Ordering::Relaxed), 1, "a death of this test");
        let (_, seqs) = self.open.entry(reading.meter.clone()).or_insert((offset, Vec::new()));
        seqs.push(reading.seq);
        // By number and not by count: a successor may begin in the middle of a triple that is written.
        if reading.seq.is_multiple_of(3) {
            let (_, seqs) = self.open.remove(&reading.meter).unwrap();
            out.push(Triple { meter: reading.meter.clone(), seqs });
        }
    }

    fn low_water(&self) -> Mark {
        Mark { offset: self.open.values().map(|(first, _)| *first).min().unwrap_or(i64::MAX), now: UnixMillis(0) }
    }

    fn meter(output: &Triple) -> &MeterId {
        &output.meter
    }
}

struct Scene {
    bootstrap: String,
    prefix: String,
    clients: Clients,
    producer: ThreadedProducer<Context>,
    metrics: Metrics,
}

impl Scene {
    async fn new() -> Self {
        let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).with_test_writer().try_init();
        let kafka = KafkaHandle::shared().await.unwrap();
        let mut config = Config::parse("", "test", []).unwrap();
        config.kafka.bootstrap_servers = kafka.bootstrap().to_owned();
        config.kafka.topic_prefix = kafka.fresh_prefix();
        config.kafka.session_timeout_ms = 3_000;
        let clients = Clients::new(&config.kafka).unwrap();
        stream_processor::topics::ensure(&clients, &config.topics).await.unwrap();
        let producer = clients.plain().create_with_context(Context).unwrap();
        Self { bootstrap: config.kafka.bootstrap_servers, prefix: config.kafka.topic_prefix, clients, producer, metrics: Metrics::new() }
    }

    fn derive(&self, fuse: &Arc<AtomicI64>) -> Arc<Derive<Triples>> {
        let fuse = Arc::clone(fuse);
        Arc::new(Derive {
            clients: self.clients.clone(),
            group: Group::INTERVALS,
            target: EVENTS,
            transform: Arc::new(move |_| Triples { open: BTreeMap::new(), fuse: Arc::clone(&fuse) }),
            states: None,
            copy: None,
            metrics: self.metrics.clone(),
            observer: Arc::new(Nobody),
            commit_interval: Duration::from_millis(20),
        })
    }

    /// `count` readings of each of five meters, and something that is none.
    fn write(&self, first: u64, count: u64) {
        let topic = READINGS.name_with(&self.prefix);
        for seq in first..first + count {
            for meter in ["M1", "M2", "M3", "M4", "M5"] {
                let record = ReadingRecord::new(&meter.parse().unwrap(), StreamId(1), seq, UnixMillis(0), &Reading::default());
                let value = serde_json::to_vec(&record).unwrap();
                self.producer.send(BaseRecord::to(&topic).key(meter).payload(&value)).unwrap();
            }
        }
        self.producer.send(BaseRecord::<str, str>::to(&topic).key("M1").payload("{}")).unwrap();
        self.producer.flush(DEADLINE).unwrap();
    }

    async fn triples(&self) -> Vec<Triple> {
        let rows = read_topic(&self.bootstrap, &EVENTS.name_with(&self.prefix)).await.unwrap();
        rows.iter().map(|row| serde_json::from_slice(row.value.as_ref().unwrap()).unwrap()).collect()
    }

    async fn until(&self, count: usize) -> Vec<Triple> {
        await_until("all triples are in Kafka", DEADLINE, async || {
            let triples = self.triples().await;
            Ok((triples.len() >= count).then_some(triples))
        })
        .await
        .unwrap()
    }
}

/// A test that fails must end, too.
struct EndOnDrop(Arc<Ending>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// In order for each meter, none twice, none missing.
fn assert_complete(triples: &[Triple], last: u64) {
    for meter in ["M1", "M2", "M3", "M4", "M5"] {
        let seqs: Vec<u64> = triples.iter().filter(|it| it.meter.as_str() == meter).flat_map(|it| it.seqs.clone()).collect();
        assert_eq!(seqs, (1..=last).collect::<Vec<_>>(), "{meter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_anywhere_changes_nothing() {
    let (scene, fuse) = (Scene::new().await, Arc::new(AtomicI64::new(i64::MAX)));
    let ending = Arc::new(Ending::default());
    let end = EndOnDrop(Arc::clone(&ending));
    let member = tokio::task::spawn_blocking({
        let derive = scene.derive(&fuse);
        move || ownership::run(&derive, &ending, Duration::from_secs(5))
    });
    scene.write(1, 4);
    scene.until(5).await;
    let mut last = 4;
    let mut deaths = 0;
    // A worker that dies while nothing is open leaves its successor nothing to read again: which one does is a matter of chance.
    while deaths < DEATHS || scene.metrics.readings_replayed.get() == 0 {
        assert!(deaths < DEATHS_MAX, "successors read again what was open");
        deaths += 1;
        let readings = rand::random_range(1..60);
        eprintln!("the next death comes after {readings} readings");
        fuse.store(readings, Ordering::Relaxed);
        scene.write(last + 1, 20);
        last += 20;
        scene.until(5 * usize::try_from(last / 3).unwrap()).await;
    }
    let rest = 3 - last % 3;
    scene.write(last + 1, rest);
    last += rest;
    let triples = scene.until(5 * usize::try_from(last / 3).unwrap()).await;
    assert_complete(&triples, last);
    drop(end);
    member.await.unwrap();
    assert!(fuse.load(Ordering::Relaxed) < 0, "all deaths were died");
    assert!(scene.metrics.readings_unreadable.get() > 0);
    // Nothing is open, so a successor has nothing to read again, and nothing to add.
    assert_complete(&scene.triples().await, last);
}
