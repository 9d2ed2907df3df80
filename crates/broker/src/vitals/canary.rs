//! The canary: a client within the broker that comes in by the TLS port like any other.
//!
//! Its certificate is its own, made when the broker starts; the private key never leaves the process, and whoever shows that very
//! certificate and has the key is the canary ([`Papers`]). It may publish one topic and hear the same, which reaches it by the way of
//! a meter's acknowledgements. A crowd at the door must not pass for a dead router, so the gate gives the canary's connections a place
//! beyond its limits; it knows them by the address they come from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use measure::{MeterId, UnixMillis};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::gate::identity::{CertificateId, Identity, Role};
use crate::gate::{Gate, acl, packet};
use crate::sync::lock;

/// Common name, and MQTT client id.
const NAME: &str = "canary";

/// Who the canary is and where it comes from.
pub(crate) struct Papers {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    identity: Identity,
    listener: SocketAddr,
    comes_from: Mutex<Option<SocketAddr>>,
}

impl Papers {
    /// New ones. `listener` is where the broker listens for MQTT.
    pub(crate) fn new(listener: SocketAddr) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, NAME);
        let certificate = params.self_signed(&key)?;
        let identity = Identity {
            name: NAME.parse::<MeterId>()?,
            role: Role::Canary,
            certificate: CertificateId::new(NAME.as_bytes(), &[]),
            // It ends with the process.
            not_after: UnixMillis(i64::MAX),
        };
        let listener = SocketAddr::new(reachable(listener.ip()), listener.port());
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Self { certificate: certificate.der().clone(), key, identity, listener, comes_from: Mutex::new(None) })
    }

    /// What the TLS layer has to know it by.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its name.
    pub(crate) fn name(&self) -> &MeterId {
        &self.identity.name
    }

    /// Who it is, if this is its certificate.
    pub(crate) fn identify(&self, certificate: &[u8]) -> Option<Identity> {
        (*self.certificate == *certificate).then(|| self.identity.clone())
    }

    /// Whether a connection that comes from `peer` is the canary's.
    pub(crate) fn is_from(&self, peer: SocketAddr) -> bool {
        *lock(&self.comes_from) == Some(peer)
    }
}

/// An address under which one's own listener is reached.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// The canary's session, open and subscribed.
pub(crate) struct Session {
    stream: TlsStream<TcpStream>,
    sent: u64,
}

impl Session {
    /// Connects, shakes hands in full, and subscribes.
    pub(crate) async fn open(gate: &Gate) -> io::Result<Self> {
        let papers = &gate.canary;
        let socket = if papers.listener.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(papers.listener.ip(), 0))?;
        *lock(&papers.comes_from) = Some(socket.local_addr()?);
        let stream = socket.connect(papers.listener).await?;
        stream.set_nodelay(true)?;
        let config = client_config(papers, gate.credentials.current().server_certificate.clone()).map_err(io::Error::other)?;
        let name = ServerName::IpAddress(papers.listener.ip().into());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let mut this = Self { stream, sent: 0 };
        this.ask(&connect(), &[0x20, 2, 0, 0]).await?;
        this.ask(&subscribe(), &[0x90, 3, 0, 1, 0]).await?;
        Ok(this)
    }

    /// Publishes a message and waits until it is back.
    pub(crate) async fn echo(&mut self) -> io::Result<()> {
        self.sent = self.sent.saturating_add(1);
        let mut message = Vec::new();
        packet::publish(&mut message, acl::ECHO.as_bytes(), &self.sent.to_be_bytes(), None, false);
        // Comes back as it went.
        self.ask(&message, &message).await
    }

    async fn ask(&mut self, question: &[u8], expected: &[u8]) -> io::Result<()> {
        self.stream.write_all(question).await?;
        self.stream.flush().await?;
        let mut answer = vec![0; expected.len()];
        self.stream.read_exact(&mut answer).await?;
        if answer == expected { Ok(()) } else { Err(io::Error::other(format!("{answer:02x?} instead of {expected:02x?}"))) }
    }
}

/// CONNECT with the longest keep-alive.
fn connect() -> Vec<u8> {
    of(0x10, &[&text("MQTT")[..], &[4, 2, 0xff, 0xff], &text(NAME)].concat())
}

fn subscribe() -> Vec<u8> {
    of(0x82, &[&[0, 1][..], &text(acl::ECHO), &[0]].concat())
}

/// A packet of at most 127 bytes.
fn of(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap_or(0x7f)], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap_or(0).to_be_bytes()[..], text.as_bytes()].concat()
}

/// Trusts the certificate that the broker shows now, whoever issued it.
fn client_config(papers: &Papers, server: CertificateDer<'static>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Arc::new(Pinned { server, provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(pinned);
    let mut config = builder.with_client_auth_cert(vec![papers.certificate.clone()], PrivateKeyDer::from(papers.key.clone_key()))?;
    // It is there to try the whole way.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes one certificate and no other.
#[derive(Debug)]
struct Pinned {
    server: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.server {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
