//! TLS towards the broker: our certificate, and nobody but the authorities configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error as RustlsError, RootCertStore, SignatureScheme};

/// The certificates can't be used: mend the file named.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file isn't there, may not be read or is no PEM.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: PemError,
    },
    /// A file doesn't hold what it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// Neither a name nor an address.
    #[error("broker.server_name {0:?} is neither a host name nor an address")]
    ServerName(String),
}

/// The files of one meter.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// Authorities of the broker.
    pub ca: &'a Path,
    /// The meter's chain.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
}

/// TLS 1.3 and 1.2 with ring's algorithms.
///
/// # Errors
/// See [`TlsError`].
pub fn client(files: Files<'_>, server_name: Option<&str>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(files.ca)? {
        roots.add(certificate).map_err(|error| content(files.ca, error))?;
    }
    let chain = certificates(files.certificate)?;
    let unreadable = |source| match source {
        PemError::NoItemsFound => content(files.key, "holds no private key"),
        source => TlsError::Unreadable { path: files.key.into(), source },
    };
    let key = PrivateKeyDer::from_pem_file(files.key).map_err(unreadable)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let verifier = verifier.map_err(|error| content(files.ca, error))?;
    let name =
        server_name.map(|name| ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))).transpose()?;
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| content(files.ca, error))?;
    let builder = match name {
        None => builder.with_webpki_verifier(verifier),
        Some(name) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { verifier, name, provider })),
    };
    let config = builder.with_client_auth_cert(chain, key);
    config.map(Arc::new).map_err(|error| content(files.certificate, format!("does not go with its key {}: {error}", files.key.display())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.into(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)?;
    if certificates.is_empty() { Err(content(path, "holds no certificate")) } else { Ok(certificates) }
}

fn content(path: &Path, what: impl ToString) -> TlsError {
    TlsError::Content { path: path.into(), what: what.to_string() }
}

/// The usual checks, for a name that is not the one connected to.
#[derive(Debug)]
struct Named {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _connected_to: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
