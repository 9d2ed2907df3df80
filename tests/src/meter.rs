//! A client that speaks MQTT without a brain: for what an honest meter would never send, and for operators.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use measure::{MeterId, Record, Seq, StreamId};
use pki::Role;
use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, Incoming, MqttOptions, QoS, TlsConfiguration, Transport};
use testkit::Identity;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::ack::Ack;
use wire::frame::FrameBuilder;
use wire::topic::Topic;

use crate::{PATIENCE, Stage};

/// What happened on a connection.
#[derive(Debug)]
pub enum Heard {
    /// The broker let us in, or not.
    Connected(ConnectReturnCode),
    /// A subscription was answered; whether it was granted.
    Subscribed(bool),
    /// A publish was taken.
    Published,
    /// A message.
    Message(String, Vec<u8>),
    /// The connection ended.
    Ended(String),
}

/// One MQTT connection, which does not come back when it ends.
pub struct RawMeter {
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Heard>,
    task: JoinHandle<()>,
}

impl RawMeter {
    /// Connects as `id` with a certificate of that name, and listens to its acknowledgements.
    pub async fn connect(stage: &mut Stage, id: &str) -> anyhow::Result<Self> {
        let identity = stage.client(id, Role::Meter)?;
        let mut meter = Self::open(stage, &identity, id)?;
        meter.let_in().await?;
        meter.subscribe(&Topic::down(&id.parse()?).to_string()).await?;
        Ok(meter)
    }

    /// Opens a connection with these credentials under this client id; nothing has been said yet.
    pub fn open(stage: &Stage, identity: &Identity, client_id: &str) -> anyhow::Result<Self> {
        Self::open_at(stage.mqtt(), identity, client_id)
    }

    /// The same at a broker of one's choice.
    pub fn open_at(mqtt: SocketAddr, identity: &Identity, client_id: &str) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new(client_id, mqtt.ip().to_string(), mqtt.port());
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::new(tls(identity)?))));
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(64 * 1024, 64 * 1024);
        let (client, mut events) = AsyncClient::new(options, 64);
        let (sender, heard) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let told = match events.poll().await {
                    Ok(Event::Incoming(Incoming::ConnAck(ack))) => Heard::Connected(ack.code),
                    Ok(Event::Incoming(Incoming::SubAck(ack))) => {
                        Heard::Subscribed(ack.return_codes.iter().all(|code| *code != rumqttc::SubscribeReasonCode::Failure))
                    }
                    Ok(Event::Incoming(Incoming::PubAck(_))) => Heard::Published,
                    Ok(Event::Incoming(Incoming::Publish(publish))) => Heard::Message(publish.topic, publish.payload.to_vec()),
                    Ok(_) => continue,
                    Err(ConnectionError::ConnectionRefused(code)) => {
                        let _ = sender.send(Heard::Connected(code));
                        return;
                    }
                    Err(error) => {
                        let _ = sender.send(Heard::Ended(error.to_string()));
                        return;
                    }
                };
                let _ = sender.send(told);
            }
        });
        Ok(Self { client, heard, task })
    }

    /// The next thing that happens.
    pub async fn hear(&mut self) -> anyhow::Result<Heard> {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await.context("the broker says nothing")?;
        heard.context("the connection is over")
    }

    /// Waits until the broker has let us in.
    pub async fn let_in(&mut self) -> anyhow::Result<()> {
        match self.hear().await? {
            Heard::Connected(ConnectReturnCode::Success) => Ok(()),
            other => anyhow::bail!("not let in: {other:?}"),
        }
    }

    /// Subscribes and waits until that is granted.
    pub async fn subscribe(&mut self, filter: &str) -> anyhow::Result<()> {
        self.client.subscribe(filter, QoS::AtLeastOnce).await?;
        match self.hear().await? {
            Heard::Subscribed(true) => Ok(()),
            other => anyhow::bail!("not subscribed to {filter}: {other:?}"),
        }
    }

    /// Asks for a subscription; the answer is heard.
    pub async fn ask_for(&self, filter: &str) -> anyhow::Result<()> {
        Ok(self.client.subscribe(filter, QoS::AtLeastOnce).await?)
    }

    /// Publishes bytes anywhere; the answer is heard.
    pub async fn publish(&self, topic: &str, retain: bool, payload: Vec<u8>) -> anyhow::Result<()> {
        Ok(self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await?)
    }

    /// Publishes a frame as this meter.
    pub async fn send(&self, meter: &MeterId, frame: Vec<u8>) -> anyhow::Result<()> {
        self.publish(&Topic::up(meter).to_string(), false, frame).await
    }

    /// The next acknowledgement.
    pub async fn ack(&mut self) -> anyhow::Result<Ack> {
        loop {
            match self.hear().await? {
                Heard::Message(topic, payload) if topic.ends_with("/dn") => return Ok(Ack::decode(&payload)?),
                Heard::Ended(why) => anyhow::bail!("the connection ended: {why}"),
                _ => {}
            }
        }
    }

    /// Waits for an acknowledgement up to `through`; those of less before it are passed over, more is an error.
    pub async fn ack_through(&mut self, stream: StreamId, through: Seq) -> anyhow::Result<()> {
        loop {
            let ack = self.ack().await?;
            anyhow::ensure!(ack.stream == stream && ack.through <= through, "unexpected acknowledgement {ack:?}");
            if ack.through == through {
                return Ok(());
            }
        }
    }

    /// Waits until the connection ends; what is heard before is passed over.
    pub async fn ended(&mut self) -> anyhow::Result<String> {
        loop {
            if let Heard::Ended(why) = self.hear().await? {
                return Ok(why);
            }
        }
    }
}

impl Drop for RawMeter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A frame of these records, numbered from `first`.
#[expect(clippy::expect_used, reason = "a test's few records fit one frame")]
pub fn frame(stream: StreamId, first: Seq, records: &[Record]) -> Vec<u8> {
    let mut frame = FrameBuilder::new(stream, first);
    records.iter().for_each(|record| frame.push(record).expect("the records fit one frame"));
    frame.finish().to_vec()
}

fn tls(identity: &Identity) -> anyhow::Result<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(&identity.ca)? {
        roots.add(authority?)?;
    }
    let certificates = CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)?)
}
