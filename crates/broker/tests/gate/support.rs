//! A broker with an authority of its own, and a client that says whatever it is told to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::config::{Config, Tls};
use broker::{Running, start};
use pki::{Authority, IssueOptions, Role};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::topic::Shard;

/// How long anything may take that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A broker on free ports with a fresh authority.
pub struct House {
    _dir: TempDir,
    authority: Mutex<Authority>,
    pub config: Config,
    pub broker: Running,
}

impl House {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (dir, authority, mut config) = configuration();
        change(&mut config);
        Self::of(dir, authority, config).await
    }

    pub async fn of(dir: TempDir, authority: Authority, config: Config) -> Self {
        let broker = start(config.clone()).await.unwrap();
        Self { _dir: dir, authority: Mutex::new(authority), config, broker }
    }

    /// A certificate for `name` and how to connect with it.
    pub fn credentials(&self, name: &str, role: Role) -> Arc<ClientConfig> {
        let mut authority = self.authority.lock().unwrap();
        let issued = authority.issue(name, role, &IssueOptions { renew: true, ..IssueOptions::default() }).unwrap();
        client_config(&authority.ca_path(), &issued.certificate, &issued.key)
    }

    /// The same for a client that has nothing newer than TLS 1.2.
    pub fn older_credentials(&self, name: &str, role: Role) -> Arc<ClientConfig> {
        let mut authority = self.authority.lock().unwrap();
        let issued = authority.issue(name, role, &IssueOptions { renew: true, ..IssueOptions::default() }).unwrap();
        older_client_config(&authority.ca_path(), &issued.certificate, &issued.key)
    }

    /// The broker's own certificate, issued anew in the files that it reads.
    pub fn renew_server(&self) {
        let options = IssueOptions { hosts: vec!["localhost".to_owned()], renew: true, valid_days: Some(30) };
        self.authority.lock().unwrap().issue("broker", Role::Server, &options).unwrap();
    }

    pub fn revoke(&self, name: &str) {
        assert_eq!(self.authority.lock().unwrap().revoke(name).unwrap().len(), 1);
    }

    /// Everything of this name, of which there may be several.
    pub fn revoke_all(&self, name: &str) {
        assert!(!self.authority.lock().unwrap().revoke(name).unwrap().is_empty());
    }

    pub fn authority_dir(&self) -> std::path::PathBuf {
        self.authority.lock().unwrap().dir().to_owned()
    }

    /// A TLS connection that has said nothing yet.
    pub async fn raw(&self, name: &str, role: Role) -> Client {
        let config = self.credentials(name, role);
        Client::tls(self.broker.mqtts_addr(), config).await.unwrap()
    }

    pub async fn connected(&self, name: &str, role: Role) -> Client {
        let mut client = self.raw(name, role).await;
        client.connect(name).await;
        client
    }

    pub async fn meter(&self, name: &str) -> Client {
        self.connected(name, Role::Meter).await
    }

    /// A service that hears every frame.
    pub async fn processor(&self, name: &str) -> Client {
        let mut client = self.connected(name, Role::Service).await;
        assert_eq!(client.subscribe(1, &[("f1/+/+/up", 1)]).await, [1]);
        client
    }

    /// Value of a counter with this label, or without labels.
    pub fn count(&self, metric: &str, label: &str) -> u64 {
        let text = self.broker.metrics();
        let line = if label.is_empty() { format!("ferraris_broker_{metric} ") } else { format!("ferraris_broker_{metric}{{{label}}} ") };
        text.lines().find_map(|it| it.strip_prefix(&line)).map_or(0, |value| value.trim().parse().unwrap())
    }

    pub fn refused(&self, reason: &str) -> u64 {
        self.count("refused_total", &format!("reason=\"{reason}\""))
    }

    /// Waits until something was refused for this reason at least `least` times.
    pub async fn refused_eventually(&self, reason: &str, least: u64) {
        eventually(|| self.refused(reason) >= least, || format!("refused {reason}\n{}", self.broker.metrics())).await;
    }

    /// An honest meter comes, sends a frame and a processor gets it.
    pub async fn serves(&self, processor: &mut Client, meter: &str) {
        let config = self.credentials(meter, Role::Meter);
        let served = async {
            let mut client = Client::tls(self.broker.mqtts_addr(), config).await.unwrap();
            client.connect(meter).await;
            client.publish(&up(meter), b"honest", Some(1), false).await;
            assert_eq!(client.next().await, Raw::new(0x40, &[0, 1]));
            loop {
                if processor.message().await.0 == up(meter) {
                    return;
                }
            }
        };
        timeout(PATIENCE, served).await.expect("an honest client is not served");
    }
}

/// A configuration on free ports, with an authority and a certificate for the broker.
pub fn configuration() -> (TempDir, Authority, Config) {
    let dir = tempfile::Builder::new().prefix("ferraris-broker-").tempdir().unwrap();
    let mut authority = Authority::create(dir.path().join("pki")).unwrap();
    let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = authority.issue("broker", Role::Server, &IssueOptions { hosts, ..IssueOptions::default() }).unwrap();
    let mut config = Config::new(Tls {
        ca_file: authority.ca_path(),
        certificate_file: server.certificate,
        key_file: server.key,
        crl_file: Some(authority.crl_path()),
        watch_ms: 20,
        crl_expired: Default::default(),
    });
    (config.listen.mqtts, config.listen.admin) = (([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into());
    config.limits.refusal_pause_ms = 0;
    (dir, authority, config)
}

pub fn client_config(ca: &Path, certificate: &Path, key: &Path) -> Arc<ClientConfig> {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    Arc::new(builder(ca).with_client_auth_cert(chain, key).unwrap())
}

/// The same, but no newer than TLS 1.2.
pub fn older_client_config(ca: &Path, certificate: &Path, key: &Path) -> Arc<ClientConfig> {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    Arc::new(builder.with_root_certificates(roots(ca)).with_client_auth_cert(chain, key).unwrap())
}

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(authority.unwrap()).unwrap();
    }
    roots
}

pub fn builder(ca: &Path) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(ca))
}

/// A packet from the broker: first byte, and what follows the remaining length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    pub first: u8,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn new(first: u8, body: &[u8]) -> Self {
        Self { first, body: body.to_vec() }
    }
}

/// A client that can be told to say anything.
pub struct Client {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

impl Client {
    pub async fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(address).await?, config).await
    }

    /// Over a socket of one's own making.
    pub async fn over(socket: TcpStream, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = timeout(PATIENCE, TlsConnector::from(config).connect(name, socket)).await.expect("handshake takes too long")?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Whether the handshake took up an earlier TLS session instead of showing a certificate.
    pub fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// The certificate that the broker showed.
    pub fn server_certificate(&self) -> Vec<u8> {
        self.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends as far as the other side lets it.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// CONNECT as `name` and its acceptance.
    pub async fn connect(&mut self, name: &str) {
        self.send(&connect_packet(name, 60)).await;
        assert_eq!(self.next().await, Raw::new(0x20, &[0, 0]), "CONNACK for {name}");
    }

    pub async fn publish(&mut self, topic: &str, payload: &[u8], pkid: Option<u16>, retain: bool) {
        self.send(&publish_packet(topic, payload, pkid, retain)).await;
    }

    /// SUBSCRIBE and the codes of its SUBACK. Messages that come before are an error here.
    pub async fn subscribe(&mut self, pkid: u16, filters: &[(&str, u8)]) -> Vec<u8> {
        self.send(&subscribe_packet(pkid, filters)).await;
        let answer = self.next().await;
        assert_eq!((answer.first, &answer.body[..2]), (0x90, &pkid.to_be_bytes()[..]));
        answer.body[2..].to_vec()
    }

    /// The next packet.
    pub async fn next(&mut self) -> Raw {
        timeout(PATIENCE, self.read_packet()).await.expect("no packet came").expect("the connection was closed")
    }

    /// The next message, acknowledged if it asks for that: topic, payload, whether it is an old one.
    pub async fn message(&mut self) -> (String, Vec<u8>, bool) {
        let (topic, payload, pkid, retain) = self.unacknowledged().await;
        if let Some(pkid) = pkid {
            self.puback(pkid).await;
        }
        (topic, payload, retain)
    }

    pub async fn puback(&mut self, pkid: u16) {
        let [high, low] = pkid.to_be_bytes();
        self.send(&[0x40, 2, high, low]).await;
    }

    /// The next message: topic, payload, packet identifier, whether it is an old one.
    pub async fn unacknowledged(&mut self) -> (String, Vec<u8>, Option<u16>, bool) {
        let packet = self.next().await;
        assert_eq!(packet.first >> 4, 3, "{packet:?}");
        let len = usize::from(u16::from_be_bytes([packet.body[0], packet.body[1]]));
        let topic = String::from_utf8(packet.body[2..2 + len].to_vec()).unwrap();
        let rest = &packet.body[2 + len..];
        match (packet.first >> 1) & 3 {
            0 => (topic, rest.to_vec(), None, packet.first & 1 == 1),
            _ => (topic, rest[2..].to_vec(), Some(u16::from_be_bytes([rest[0], rest[1]])), packet.first & 1 == 1),
        }
    }

    /// Answers a ping, and nothing came before the answer.
    pub async fn is_quiet(&mut self) {
        self.send(&[0xc0, 0]).await;
        assert_eq!(self.next().await, Raw::new(0xd0, &[]), "something came that should not");
    }

    /// Whether it answers a ping. Nothing else comes, but perhaps the end.
    pub async fn answers(&mut self) -> bool {
        let sent = self.try_send(&[0xc0, 0]).await.is_ok();
        let answer = if sent { self.read().await } else { None };
        assert!(answer.is_none() || answer == Some(Raw::new(0xd0, &[])), "{answer:?} came that should not");
        answer.is_some()
    }

    /// The broker closes the connection without another packet.
    pub async fn is_closed(&mut self) {
        match timeout(PATIENCE, self.read_packet()).await.expect("the connection stays open") {
            None => {}
            Some(packet) => panic!("a packet instead of the end: {packet:?}"),
        }
    }

    /// The next packet, or `None` at the end of the connection.
    pub async fn read(&mut self) -> Option<Raw> {
        timeout(PATIENCE, self.read_packet()).await.expect("neither a packet nor the end came")
    }

    async fn read_packet(&mut self) -> Option<Raw> {
        loop {
            if let Some((raw, len)) = parse(&self.unread) {
                self.unread.drain(..len);
                return Some(raw);
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Raw, usize)> {
    let (mut len, mut at) = (0, 1);
    loop {
        let byte = *bytes.get(at)?;
        len |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte < 0x80 {
            break;
        }
    }
    Some((Raw::new(bytes[0], bytes.get(at..at + len)?), at + len))
}

/// A packet of any kind.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut out, mut len) = (vec![first], body.len());
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(body);
    out
}

pub fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

pub fn connect_packet(client_id: &str, keep_alive_s: u16) -> Vec<u8> {
    let [high, low] = keep_alive_s.to_be_bytes();
    packet(0x10, &[&text(b"MQTT")[..], &[4, 2, high, low], &text(client_id.as_bytes())].concat())
}

pub fn publish_packet(topic: &str, payload: &[u8], pkid: Option<u16>, retain: bool) -> Vec<u8> {
    let id = pkid.map(u16::to_be_bytes).map_or(Vec::new(), Vec::from);
    let first = 0x30 | if pkid.is_some() { 2 } else { 0 } | u8::from(retain);
    packet(first, &[&text(topic.as_bytes())[..], &id, payload].concat())
}

pub fn subscribe_packet(pkid: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let filters = filters.iter().flat_map(|(filter, qos)| [text(filter.as_bytes()), vec![*qos]].concat()).collect::<Vec<u8>>();
    packet(0x82, &[&pkid.to_be_bytes()[..], &filters].concat())
}

pub fn shard(meter: &str) -> Shard {
    Shard::of(&meter.parse().unwrap())
}

pub fn up(meter: &str) -> String {
    format!("f1/{}/{meter}/up", shard(meter))
}

pub fn down(meter: &str) -> String {
    format!("f1/{}/{meter}/dn", shard(meter))
}

pub fn command(meter: &str) -> String {
    format!("f1/{}/{meter}/cmd", shard(meter))
}

/// Waits until a condition holds.
pub async fn eventually(mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let (until, mut looks) = (Instant::now() + PATIENCE, interval(Duration::from_millis(10)));
    while !condition() {
        assert!(Instant::now() < until, "did not happen: {}", what());
        looks.tick().await;
    }
}
