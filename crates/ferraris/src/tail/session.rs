//! An operator's MQTT session over TLS.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, QoS, SubscribeReasonCode, TlsConfiguration, Transport,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Messages are JSON of this size at most.
const PACKET_BYTES_MAX: usize = 256 * 1024;
/// How soon a lost connection is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where to connect and as whom.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// The broker's TLS listener
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8883")]
    broker: String,
    /// Certificate of the authority that the broker's certificate comes from, PEM
    #[arg(long, value_name = "PATH", default_value = "pki/ca.pem")]
    ca: PathBuf,
    /// The operator's certificate, PEM
    #[arg(long, value_name = "PATH")]
    cert: PathBuf,
    /// Its private key, PEM
    #[arg(long, value_name = "PATH")]
    key: PathBuf,
}

/// A session that comes back by itself once it has been up.
pub struct Session {
    broker: String,
    client: AsyncClient,
    events: EventLoop,
    filters: Vec<String>,
    waiting: VecDeque<(String, Bytes)>,
    up: bool,
    was_up: bool,
}

impl Session {
    /// Reads the certificates; the connection itself is made by [`Session::next`].
    pub fn open(login: &Login, filters: Vec<String>) -> anyhow::Result<Self> {
        let (host, port) = host_and_port(&login.broker)?;
        let certificates = certificates(&login.cert)?;
        // The broker wants the client id to be the certificate's name.
        let name = common_name(certificates.first()).with_context(|| format!("{} names nobody", login.cert.display()))?;
        let mut options = MqttOptions::new(name, host, port);
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::new(tls(login, certificates)?))));
        options.set_keep_alive(Duration::from_secs(30)).set_clean_session(true).set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        let (client, events) = AsyncClient::new(options, filters.len().saturating_add(8));
        Ok(Self { broker: login.broker.clone(), client, events, filters, waiting: VecDeque::new(), up: false, was_up: false })
    }

    /// Whether the connection stands.
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// The next message: its topic and payload. Fails if the first connection cannot be made, or the broker refuses what we ask for.
    pub async fn next(&mut self) -> anyhow::Result<(String, Bytes)> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            match self.events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => self.subscribe()?,
                Ok(Event::Incoming(Incoming::SubAck(ack))) => self.check(&ack.return_codes)?,
                Ok(Event::Incoming(Incoming::Publish(publish))) => self.waiting.push_back((publish.topic, publish.payload)),
                Ok(_) => {}
                Err(error) => self.lost(error).await?,
            }
        }
    }

    fn subscribe(&mut self) -> anyhow::Result<()> {
        (self.up, self.was_up) = (true, true);
        for filter in &self.filters {
            self.client.try_subscribe(filter, QoS::AtLeastOnce)?;
        }
        Ok(())
    }

    fn check(&self, codes: &[SubscribeReasonCode]) -> anyhow::Result<()> {
        if codes.contains(&SubscribeReasonCode::Failure) {
            bail!("{} refuses the subscription: is the certificate an operator's?", self.broker);
        }
        Ok(())
    }

    async fn lost(&mut self, error: ConnectionError) -> anyhow::Result<()> {
        if !self.was_up {
            return Err(anyhow!("cannot connect to the broker at {}: {error}; check --broker, --ca, --cert and --key", self.broker));
        }
        if self.up {
            tracing::warn!(broker = self.broker, %error, "connection lost; trying again");
        }
        self.up = false;
        // What was asked for on the old connection is asked for anew on the next.
        self.events.clean();
        self.events.pending.clear();
        tokio::time::sleep(RETRY).await;
        Ok(())
    }
}

fn host_and_port(address: &str) -> anyhow::Result<(&str, u16)> {
    let problem = || format!("--broker {address}: write HOST:PORT, for example 127.0.0.1:8883");
    let (host, port) = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).with_context(problem)?;
    Ok((host, port.parse().with_context(problem)?))
}

fn tls(login: &Login, certificates: Vec<CertificateDer<'static>>) -> anyhow::Result<ClientConfig> {
    let key = PrivateKeyDer::from_pem_file(&login.key)
        .map_err(|error| anyhow!("cannot read the private key {}: {error}", login.key.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in self::certificates(&login.ca)? {
        roots.add(certificate).with_context(|| format!("{} is no certificate of an authority", login.ca.display()))?;
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)
        .with_context(|| format!("{} and {} do not belong together", login.cert.display(), login.key.display()))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let problem = |error| anyhow!("cannot read the certificate {}: {error}", path.display());
    let all: Vec<_> = CertificateDer::pem_file_iter(path).map_err(problem)?.collect::<Result<_, _>>().map_err(problem)?;
    if all.is_empty() {
        bail!("{} holds no certificate in PEM form", path.display());
    }
    Ok(all)
}

fn common_name(certificate: Option<&CertificateDer<'_>>) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate?).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(host_and_port("broker.example.org:8883").unwrap(), ("broker.example.org", 8883));
        for bad in ["localhost", ":8883", "localhost:mqtt", "localhost:99999"] {
            assert!(host_and_port(bad).unwrap_err().to_string().contains("write HOST:PORT"), "{bad}");
        }
    }
}
