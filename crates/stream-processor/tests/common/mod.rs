//! A processor between Mosquitto and the real Kafka, and a meter that sends what it is told.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code: what is not as expected fails the test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::LatestRecord;
use measure::{ClockQuality, Event, EventKind, MeterId, Reading, Record, StreamId, UnixMillis, Volts};
use rumqttc::{AsyncClient, Event as Mqtt, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use stream_processor::config::{Config, Scheme, Server};
use stream_processor::{Nobody, Observer, Running, start};
use testkit::kafka::{Row, read_topic};
use testkit::{Credentials, Identity, KafkaHandle, Mosquitto, await_until};
use tokio::sync::mpsc;
use wire::ack::Ack;
use wire::frame::FrameBuilder;
use wire::topic::{Shard, Topic};

pub const DEADLINE: Duration = Duration::from_secs(40);
pub const S: StreamId = StreamId(0xabc);

pub struct World {
    pub credentials: Credentials,
    pub mosquitto: Mosquitto,
    pub bootstrap: String,
    pub prefix: String,
    identities: BTreeMap<String, Identity>,
}

impl World {
    /// Mosquitto of its own, and a prefix of its own on the shared Kafka.
    pub async fn new() -> Self {
        let kafka = KafkaHandle::shared().await.unwrap();
        Self::at(kafka.bootstrap().to_owned(), kafka.fresh_prefix()).await
    }

    pub async fn at(bootstrap: String, prefix: String) -> Self {
        let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).with_test_writer().try_init();
        let mut credentials = Credentials::new().unwrap();
        let server = credentials.server("localhost").unwrap();
        let mosquitto = Mosquitto::start(&credentials, &server).await.unwrap();
        Self { credentials, mosquitto, bootstrap, prefix, identities: BTreeMap::new() }
    }

    pub fn config(&mut self, name: &str) -> Config {
        let credentials = &mut self.credentials;
        let identity = self.identities.entry(name.to_owned()).or_insert_with(|| credentials.client(name, pki::Role::Service).unwrap());
        let mut config = Config::parse("", "test", []).unwrap();
        config.mqtt.servers = vec![Server { scheme: Scheme::Mqtts, host: "localhost".into(), port: self.mosquitto.port() }];
        config.mqtt.client_id = name.to_owned();
        (config.mqtt.ca_file, config.mqtt.certificate_file, config.mqtt.key_file) =
            (identity.ca.clone(), identity.certificate.clone(), identity.key.clone());
        config.mqtt.reconnect_min_ms = 20;
        config.kafka.bootstrap_servers = self.bootstrap.clone();
        config.kafka.topic_prefix = self.prefix.clone();
        config.kafka.session_timeout_ms = 3_000;
        // Other groups, which have tests of their own.
        config.intervals.enabled = false;
        config.quality.enabled = false;
        config.http.listen = "127.0.0.1:0".parse().unwrap();
        config
    }

    /// An instance that takes frames for `partitions` partitions.
    pub async fn processor(&mut self, name: &str, partitions: usize) -> Running {
        self.observed(name, partitions, Arc::new(Nobody)).await
    }

    pub async fn observed(&mut self, name: &str, partitions: usize, observer: Arc<dyn Observer>) -> Running {
        let running = start(self.config(name), observer).await.unwrap();
        owns(&running, partitions).await;
        running
    }

    pub async fn meter(&mut self, name: &str) -> Meter {
        let identity = self.credentials.client(name, pki::Role::Meter).unwrap();
        Meter::connect(name, &identity, self.mosquitto.port()).await
    }

    pub async fn rows(&self, topic: &contracts::topics::KafkaTopic) -> Vec<Row> {
        read_topic(&self.bootstrap, &topic.name_with(&self.prefix)).await.unwrap()
    }

    /// What `meter.latest.v1` holds under each key: its partition, and the number of the reading.
    pub async fn latest(&self) -> BTreeMap<String, (i32, u64)> {
        let entry = |row: Row| {
            let LatestRecord(reading) = serde_json::from_slice(&row.value.unwrap()).unwrap();
            (String::from_utf8(row.key.unwrap()).unwrap(), (row.partition, reading.seq))
        };
        self.rows(&contracts::topics::LATEST).await.into_iter().map(entry).collect()
    }

    /// The numbers of all readings and events of a stream in Kafka, in order.
    pub async fn seqs(&self, meter: &Meter, stream: StreamId) -> Vec<u64> {
        let mut seqs = Vec::new();
        for topic in [&contracts::topics::READINGS, &contracts::topics::EVENTS] {
            for row in self.rows(topic).await {
                let value: serde_json::Value = serde_json::from_slice(row.value.as_ref().unwrap()).unwrap();
                if value["meter"] == meter.id.as_str() && value["stream"] == stream.to_string() {
                    seqs.push(value["seq"].as_u64().unwrap());
                }
            }
        }
        seqs.sort_unstable();
        seqs
    }
}

/// Waits until the instance takes frames for so many partitions and the broker has its subscriptions.
pub async fn owns(running: &Running, partitions: usize) {
    let mut owned = running.owned();
    tokio::time::timeout(DEADLINE, owned.wait_for(|owned| owned.len() == partitions)).await.expect("partitions in time").unwrap();
}

pub struct Meter {
    pub id: MeterId,
    client: AsyncClient,
    acks: mpsc::UnboundedReceiver<Ack>,
}

impl Meter {
    async fn connect(name: &str, identity: &Identity, port: u16) -> Self {
        let (client, acks) =
            connect(name, identity, port, Topic::down(&name.parse().unwrap()).to_string(), |payload| Ack::decode(payload).ok()).await;
        Self { id: name.parse().unwrap(), client, acks }
    }

    pub fn partition(&self, partitions: u16) -> i32 {
        Shard::of(&self.id).partition(partitions)
    }

    pub async fn send(&self, payload: Vec<u8>) {
        self.client.publish(Topic::up(&self.id).to_string(), QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    /// Sends a frame, again and again as a meter does, until an acknowledgement says `through`.
    pub async fn deliver(&mut self, payload: Vec<u8>, stream: StreamId, through: u64) -> Ack {
        let delivered = async {
            loop {
                self.send(payload.clone()).await;
                let again = tokio::time::Instant::now() + Duration::from_millis(500);
                while let Ok(ack) = tokio::time::timeout_at(again, self.acks.recv()).await {
                    let ack = ack.expect("the connection is up");
                    if ack.stream == stream && ack.through == through {
                        return ack;
                    }
                    assert!(ack.stream != stream || ack.through < through, "{ack:?} promises more than {through}");
                }
            }
        };
        tokio::time::timeout(DEADLINE, delivered).await.expect("acknowledged in time")
    }

    /// The next acknowledgement.
    pub async fn ack(&mut self) -> Ack {
        tokio::time::timeout(DEADLINE, self.acks.recv()).await.expect("acknowledged in time").unwrap()
    }

    /// Whether an acknowledgement beyond `through` has come. Those of less may be repeated: a frame that was sent again has its answer.
    pub fn has_ack_beyond(&mut self, through: u64) -> bool {
        std::iter::from_fn(|| self.acks.try_recv().ok()).any(|ack| ack.through > through)
    }
}

/// Subscribes to `filter` and gives what `decode` makes of each message; returns when the broker has the subscription.
pub async fn connect<T: Send + 'static>(
    name: &str,
    identity: &Identity,
    port: u16,
    filter: String,
    decode: impl Fn(&[u8]) -> Option<T> + Send + 'static,
) -> (AsyncClient, mpsc::UnboundedReceiver<T>) {
    let mut config = Config::parse("", "test", []).unwrap().mqtt;
    (config.ca_file, config.certificate_file, config.key_file) = (identity.ca.clone(), identity.certificate.clone(), identity.key.clone());
    let mut options = MqttOptions::new(name, "localhost", port);
    options.set_transport(Transport::Tls(TlsConfiguration::Rustls(stream_processor::tls::client(&config).unwrap())));
    let (client, mut eventloop) = AsyncClient::new(options, 100);
    let (sender, receiver) = mpsc::unbounded_channel();
    let (subscribed, is_subscribed) = tokio::sync::oneshot::channel();
    client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    tokio::spawn(async move {
        let mut subscribed = Some(subscribed);
        while let Ok(event) = eventloop.poll().await {
            match event {
                Mqtt::Incoming(Packet::SubAck(_)) => drop(subscribed.take().map(|it| it.send(()))),
                Mqtt::Incoming(Packet::Publish(publish)) => {
                    if let Some(value) = decode(&publish.payload) {
                        let _ = sender.send(value);
                    }
                }
                _ => {}
            }
        }
    });
    tokio::time::timeout(DEADLINE, is_subscribed).await.expect("subscribed in time").unwrap();
    (client, receiver)
}

/// The record that stands for a number: an event for 1, readings for the others.
pub fn record(seq: u64) -> Record {
    let number = i64::try_from(seq).unwrap();
    let time = UnixMillis(1_790_000_000_000 + number);
    let clock = ClockQuality::Synchronised;
    if seq == 1 {
        return Record::Event(Event { time, clock, channel: 0, kind: EventKind::Started, value: 1 });
    }
    let voltage = Volts::from_millivolts(i32::try_from(230_000 + seq).unwrap());
    Record::Reading(Reading { time, clock, voltage, ..Reading::default() })
}

pub fn frame(stream: StreamId, first: u64, last: u64) -> Vec<u8> {
    let mut frame = FrameBuilder::new(stream, first);
    for seq in first..=last {
        frame.push(&record(seq)).unwrap();
    }
    frame.finish().to_vec()
}

/// A frame with a reading of each channel of a meter for six, taken at the same moment: numbers `first` to `first + 5`.
pub fn frame_of_six(stream: StreamId, first: u64) -> Vec<u8> {
    let mut frame = FrameBuilder::new(stream, first);
    let Record::Reading(moment) = record(first + 1) else { panic!("a reading has a number above 1") };
    for channel in 0..6 {
        frame.push(&Record::Reading(Reading { channel, ..moment })).unwrap();
    }
    frame.finish().to_vec()
}

/// A sound frame whose body nobody can read.
pub fn poison(stream: StreamId, first: u64, last: u64) -> Vec<u8> {
    let mut bytes = frame(stream, first, last);
    bytes[1] = 99;
    let end = bytes.len() - 4;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    await_until(what, DEADLINE, async || Ok(condition().await.then_some(()))).await.unwrap();
}
