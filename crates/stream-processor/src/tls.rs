//! This instance's TLS: one authority, its own certificate, TLS 1.3 or 1.2.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::config::Mqtt;

/// Why TLS can't be set up; put the file in order.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing or holds no PEM of the right kind.
    #[error("{key} {path}: {problem}")]
    File {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key do not fit.
    #[error("mqtt.certificate_file and mqtt.key_file: {0}")]
    Identity(rustls::Error),
    /// No common ground with the TLS library.
    #[error("tls: {0}")]
    Versions(rustls::Error),
}

/// The client's side of TLS as `[mqtt]` says.
pub fn client(config: &Mqtt) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = roots("mqtt.ca_file", &config.ca_file)?;
    let chain = certificates("mqtt.certificate_file", &config.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&config.key_file).map_err(|error| file("mqtt.key_file", &config.key_file, &error))?;
    builder()?.with_root_certificates(roots).with_client_auth_cert(chain, key).map(Arc::new).map_err(TlsError::Identity)
}

/// The client's side of TLS to a server that knows us otherwise: its certificate must be of the authority in this file.
pub fn authority(key: &'static str, path: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    Ok(Arc::new(builder()?.with_root_certificates(roots(key, path)?).with_no_client_auth()))
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(TlsError::Versions)
}

fn roots(key: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, path)? {
        roots.add(certificate).map_err(|error| file(key, path, &error))?;
    }
    Ok(roots)
}

pub(crate) fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| file(key, path, &error))?;
    if certificates.is_empty() {
        return Err(file(key, path, &"holds no certificate"));
    }
    Ok(certificates)
}

fn file(key: &'static str, path: &Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { key, path: path.to_owned(), problem: problem.to_string() }
}
