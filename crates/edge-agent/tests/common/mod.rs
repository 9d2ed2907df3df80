//! A head-end that keeps its side of the contract in memory: it takes each record once and acknowledges what it has.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_agent::tls::{self, Files};
use measure::{MeterId, Record, StreamId};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, TlsConfiguration, Transport};
use testkit::Identity;
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::ack::Ack;
use wire::topic::{Topic, UP_ALL};

/// What the head-end has, by meter, in the order in which it came.
pub type Taken = BTreeMap<MeterId, Vec<Record>>;

/// Takes and acknowledges until it is dropped.
pub struct HeadEnd {
    ledger: Arc<Mutex<Ledger>>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Ledger {
    through: BTreeMap<(MeterId, StreamId), u64>,
    taken: Taken,
    /// Records that came again and were not taken.
    repeated: u64,
    /// How many acknowledgements to keep back, for they may be lost.
    lose_acks: u64,
}

impl HeadEnd {
    /// Connects as the processor `identity` to the broker on this port, again and again.
    pub fn start(port: u16, identity: &Identity) -> Self {
        let files = Files { ca: &identity.ca, certificate: &identity.certificate, key: &identity.key };
        let tls = tls::client(files, None).expect("certificates");
        let stop = CancellationToken::new();
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let (shared, stopped) = (ledger.clone(), stop.clone());
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while !stopped.is_cancelled() {
                pace.tick().await;
                let mut options = MqttOptions::new("processor-1", "127.0.0.1", port);
                options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())));
                let (client, events) = AsyncClient::new(options, 100);
                tokio::select! {
                    () = serve(&client, events, &shared) => {}
                    () = stopped.cancelled() => {}
                }
            }
        });
        Self { ledger, _stop: stop.drop_guard() }
    }

    /// Everything taken so far.
    pub fn taken(&self) -> Taken {
        self.lock().taken.clone()
    }

    /// How many records came again.
    pub fn repeated(&self) -> u64 {
        self.lock().repeated
    }

    /// Loses the next acknowledgements.
    pub fn lose_acks(&self, count: u64) {
        self.lock().lose_acks = count;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panicked")
    }
}

async fn serve(client: &AsyncClient, mut events: EventLoop, ledger: &Mutex<Ledger>) {
    while let Ok(event) = events.poll().await {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => client.try_subscribe(UP_ALL, QoS::AtLeastOnce).expect("room"),
            Event::Incoming(Packet::Publish(publish)) => {
                let Ok(Topic::Up { meter, .. }) = publish.topic.parse() else { panic!("not a frame's topic: {}", publish.topic) };
                if let Some(ack) = ledger.lock().expect("nobody panicked").take(&meter, &publish) {
                    let _ = client.try_publish(Topic::down(&meter).to_text().as_str(), QoS::AtLeastOnce, false, ack.encode().to_vec());
                }
            }
            _ => {}
        }
    }
}

impl Ledger {
    fn take(&mut self, meter: &MeterId, publish: &Publish) -> Option<Ack> {
        let (header, body) = wire::frame::decode(&publish.payload).expect("a frame");
        let records: Vec<_> = body.collect::<Result<_, _>>().expect("readable");
        let through = self.through.entry((meter.clone(), header.stream)).or_default();
        for (seq, record) in (header.first_seq..).zip(records) {
            match seq.cmp(&through.saturating_add(1)) {
                std::cmp::Ordering::Less => self.repeated = self.repeated.saturating_add(1),
                std::cmp::Ordering::Equal => {
                    *through = seq;
                    self.taken.entry(meter.clone()).or_default().push(record);
                }
                std::cmp::Ordering::Greater => break,
            }
        }
        let lost = self.lose_acks > 0;
        self.lose_acks = self.lose_acks.saturating_sub(1);
        (!lost).then_some(Ack { stream: header.stream, through: *through, incarnation: 1 })
    }
}
