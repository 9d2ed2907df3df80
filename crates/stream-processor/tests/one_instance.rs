//! One processor between Mosquitto and the real Kafka.

mod common;

use std::collections::BTreeMap;

use common::{DEADLINE, S, World, connect, eventually, frame, frame_of_six, poison};
use contracts::topics::{DEAD_LETTERS, EVENTS, LATEST, LEDGER, READINGS};
use contracts::{LatestRecord, LedgerRecord, LiveValue, ReadingRecord};
use measure::{Account, UnixMillis};
use stream_processor::kafka::Clients;
use stream_processor::metrics::{Ended, Metrics};
use stream_processor::start;
use stream_processor::topics::{TopicsError, new_ledger};
use stream_processor::{Nobody, StartError};
use testkit::Kafka;

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_in_kafka_when_it_is_acknowledged() {
    let mut world = World::new().await;
    let processor = world.processor("processor-1", 4).await;
    let mut meter = world.meter("M1").await;
    let ack = meter.deliver(frame(S, 1, 3), S, 3).await;
    assert_eq!(ack.incarnation, 1);

    let readings = world.rows(&READINGS).await;
    let values: Vec<ReadingRecord> = readings.iter().map(|row| serde_json::from_slice(row.value.as_ref().unwrap()).unwrap()).collect();
    assert_eq!(values.iter().map(|it| (it.seq, it.voltage_v.millivolts())).collect::<Vec<_>>(), [(2, 230_002), (3, 230_003)]);
    assert!(readings.iter().all(|row| row.key.as_deref() == Some(b"M1") && row.partition == meter.partition(4)));
    assert_eq!(world.rows(&EVENTS).await.len(), 1);
    let ledger = world.rows(&LEDGER).await;
    assert_eq!(ledger[0].key.as_deref(), Some(format!("M1/{S}").as_bytes()));
    let LedgerRecord::Through(row) = serde_json::from_slice(ledger[0].value.as_ref().unwrap()).unwrap() else { panic!("{ledger:?}") };
    assert_eq!((row.through, row.latest_ms), (3, Some(UnixMillis(1_790_000_000_003))));

    // What operators see comes after the commit: retained on MQTT, and compacted in Kafka.
    let operator = world.credentials.client("operator-1", pki::Role::Operator).unwrap();
    let live = |bytes: &[u8]| serde_json::from_slice::<LiveValue>(bytes).ok();
    let (_client, mut live) = connect("operator-1", &operator, world.mosquitto.port(), "live/+".into(), live).await;
    let shown = tokio::time::timeout(DEADLINE, live.recv()).await.unwrap().unwrap();
    assert_eq!((shown.meter, shown.seq), (meter.id.clone(), 3));
    eventually("the latest reading is in Kafka", async || {
        let rows = world.rows(&LATEST).await;
        rows.last().is_some_and(|row| serde_json::from_slice::<LatestRecord>(row.value.as_ref().unwrap()).unwrap().0.seq == 3)
    })
    .await;
    processor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_of_a_meter_has_a_live_value_and_a_latest_record() {
    let mut world = World::new().await;
    let processor = world.processor("processor-1", 4).await;
    let mut meter = world.meter("M1").await;
    for first in [1, 7] {
        meter.deliver(frame_of_six(S, first), S, first + 5).await;
        // Each under a key of its own, and all on the meter's partition.
        let expected = ["M1", "M1.1", "M1.2", "M1.3", "M1.4", "M1.5"].into_iter().zip(first..);
        let expected: BTreeMap<String, (i32, u64)> = expected.map(|(key, seq)| (key.to_owned(), (meter.partition(4), seq))).collect();
        eventually("each channel has its latest record", async || world.latest().await == expected).await;
    }

    // Retained, each under a topic of its own: who comes later gets all six.
    let operator = world.credentials.client("operator-1", pki::Role::Operator).unwrap();
    for (filter, channels) in [("live/#", 0..6), ("live/M1/#", 0..6), ("live/+", 0..1), ("live/M1/4", 4..5)] {
        let live = |bytes: &[u8]| serde_json::from_slice::<LiveValue>(bytes).ok();
        let (_client, mut live) = connect("operator-1", &operator, world.mosquitto.port(), filter.into(), live).await;
        let expected: BTreeMap<u8, u64> = (0..6).zip(7..).filter(|(channel, _)| channels.contains(channel)).collect();
        let mut shown = BTreeMap::new();
        while shown != expected {
            let value = tokio::time::timeout(DEADLINE, live.recv()).await.unwrap_or_else(|_| panic!("{filter}: {shown:?}")).unwrap();
            assert_eq!(value.account, Some(Account::new(&meter.id, value.channel)), "{filter}");
            shown.insert(value.channel, value.seq);
        }
    }
    processor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_overlapping_frames_are_written_once() {
    let mut world = World::new().await;
    let processor = world.processor("processor-1", 4).await;
    let mut meter = world.meter("M1").await;
    for (first, last) in [(1, 4), (1, 4), (3, 6), (2, 8), (8, 9)] {
        meter.send(frame(S, first, last)).await;
    }
    meter.deliver(frame(S, 5, 9), S, 9).await;
    assert_eq!(world.seqs(&meter, S).await, (1..=9).collect::<Vec<_>>());
    processor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_ledger_ends() {
    let mut world = World::new().await;
    let mut meter = world.meter("M1").await;
    let processor = world.processor("processor-1", 4).await;
    meter.deliver(frame(S, 1, 5), S, 5).await;
    processor.shutdown().await.unwrap();
    let processor = world.processor("processor-1", 4).await;
    meter.deliver(frame(S, 4, 5), S, 5).await;
    meter.deliver(frame(S, 4, 8), S, 8).await;
    assert_eq!(world.seqs(&meter, S).await, (1..=8).collect::<Vec<_>>());
    processor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_kept_aside_and_the_stream_goes_on() {
    let mut world = World::new().await;
    let processor = world.processor("processor-1", 4).await;
    let mut meter = world.meter("M1").await;
    meter.deliver(frame(S, 1, 2), S, 2).await;
    let bytes = poison(S, 3, 4);
    meter.deliver(bytes.clone(), S, 4).await;
    meter.deliver(frame(S, 5, 5), S, 5).await;
    let mut damaged = frame(S, 6, 6);
    *damaged.last_mut().unwrap() ^= 1;
    meter.send(damaged.clone()).await;
    meter.deliver(frame(S, 6, 6), S, 6).await;
    assert_eq!(world.seqs(&meter, S).await, [1, 2, 5, 6]);
    let letters = world.rows(&DEAD_LETTERS).await;
    assert_eq!(letters.iter().map(|row| row.value.clone().unwrap()).collect::<Vec<_>>(), [bytes, damaged]);
    let header = |letter: usize, name: &str| {
        let value = letters[letter].headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        value.map(|value| String::from_utf8(value).unwrap())
    };
    assert_eq!(header(0, "reason").unwrap(), "bad_body");
    assert_eq!((header(0, "from_seq").unwrap(), header(0, "through_seq").unwrap()), ("3".into(), "4".into()));
    assert_eq!((header(1, "reason").unwrap(), header(1, "stream")), ("bad_frame".into(), None));
    processor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_commits_and_acknowledges_what_was_taken() {
    let mut world = World::new().await;
    let processor = world.processor("processor-1", 4).await;
    let mut meter = world.meter("M1").await;
    meter.deliver(frame(S, 1, 2), S, 2).await;
    let taken = frames_received(processor.metrics());
    for seq in 3..=40 {
        meter.send(frame(S, seq, seq)).await;
    }
    let metrics = processor.metrics().clone();
    eventually("frames are taken", async || frames_received(&metrics) > taken).await;
    processor.shutdown().await.unwrap();
    let committed = world.seqs(&meter, S).await;
    let mut through = 0;
    while through < *committed.last().unwrap() {
        through = meter.ack().await.through;
    }
    assert_eq!(committed, (1..=through).collect::<Vec<_>>(), "all that is committed is acknowledged, and nothing else");
    assert!(through > 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_counts_as_new() {
    let mut world = World::new().await;
    let mut meter = world.meter("M1").await;
    let processor = world.processor("processor-1", 4).await;
    meter.deliver(frame(S, 1, 1), S, 1).await;
    processor.shutdown().await.unwrap();
    let config = world.config("processor-1");
    let clients = Clients::new(&config.kafka).unwrap();
    let made = tokio::task::spawn_blocking(move || new_ledger(&clients, &config.topics, UnixMillis(77)).unwrap()).await.unwrap();
    assert_eq!(made, 77);
    let processor = world.processor("processor-1", 4).await;
    assert_eq!(meter.deliver(frame(S, 2, 2), S, 2).await.incarnation, 77);
    processor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_partitions_can_not_be_changed_under_a_live_ledger() {
    let mut world = World::new().await;
    world.processor("processor-1", 4).await.shutdown().await.unwrap();
    let mut config = world.config("processor-1");
    config.topics.partitions = 8;
    let error = start(config, std::sync::Arc::new(Nobody)).await.err().unwrap();
    assert!(matches!(error, StartError::Topics(TopicsError::Partitions { found: 4, expected: 8, .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kafka_is_one_clear_line() {
    let mut world = World::new().await;
    let [port] = testkit::ports::free().unwrap();
    let mut config = world.config("processor-1");
    config.kafka.bootstrap_servers = format!("127.0.0.1:{port}");
    config.kafka.request_timeout_ms = 500;
    let error = start(config, std::sync::Arc::new(Nobody)).await.err().unwrap().to_string();
    assert!(error.contains(&format!("no Kafka answers at 127.0.0.1:{port}")) && !error.contains('\n'), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_kafka_holds_acknowledgements_and_ends_without_a_restart() {
    let mut kafka = Kafka::start().await.unwrap();
    let mut world = World::at(kafka.bootstrap().to_owned(), String::new()).await;
    let processor = world.processor("processor-1", 4).await;
    let mut meter = world.meter("M1").await;
    meter.deliver(frame(S, 1, 2), S, 2).await;
    kafka.stop();
    let mut owned = processor.owned();
    // Frames keep coming past the end of the session, until the partitions are given up.
    let given_up = owned.wait_for(|owned| owned.is_empty());
    let send = async {
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
        for seq in 3.. {
            pace.tick().await;
            meter.send(frame(S, 3, seq.min(20))).await;
        }
    };
    tokio::select! {
        given_up = tokio::time::timeout(DEADLINE, given_up) => drop(given_up.expect("the session ends in time").unwrap()),
        () = send => {}
    }
    assert!(!meter.has_ack_beyond(2), "nothing is acknowledged without Kafka");
    kafka.resume().await.unwrap();
    meter.deliver(frame(S, 3, 20), S, 20).await;
    assert_eq!(world.seqs(&meter, S).await, (1..=20).collect::<Vec<_>>());
    assert!(processor.metrics().ended_count(Ended::Committed) >= 2);
    processor.shutdown().await.unwrap();
}

/// Of all brokers.
fn frames_received(metrics: &Metrics) -> u64 {
    let text = metrics.encode();
    let lines = text.lines().filter_map(|line| line.strip_prefix("ferraris_processor_frames_received_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
