//! Certificates from files to what the TLS layer and the revocation check need.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore, ServerConfig};

use crate::config::{CrlExpired, Tls};
use crate::error::TlsError;
use crate::revocation::Revoked;

/// Everything made of the files at one time.
pub(crate) struct Material {
    /// For handshakes.
    pub(crate) server: Arc<ServerConfig>,
    /// For sessions that are open, and for those that resume without showing a certificate again.
    pub(crate) revoked: Revoked,
}

impl Material {
    /// Reads and checks all files. Blocks.
    pub(crate) fn load(settings: &Tls) -> Result<Self, TlsError> {
        let authorities = certificates(&settings.ca_file)?;
        let lists = match &settings.crl_file {
            Some(path) => revocation_lists(path)?,
            None => Vec::new(),
        };
        let revoked = match &settings.crl_file {
            Some(path) => Revoked::new(&authorities, &lists).map_err(|what| content(path, what))?,
            None => Revoked::default(),
        };
        let server = server(settings, authorities, lists)?;
        Ok(Self { server: Arc::new(server), revoked })
    }
}

fn server(
    settings: &Tls,
    authorities: Vec<CertificateDer<'static>>,
    lists: Vec<CertificateRevocationListDer<'static>>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| content(&settings.ca_file, error))?;
    }
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).with_crls(lists);
    if settings.crl_expired == CrlExpired::Refuse {
        verifier = verifier.enforce_revocation_expiration();
    }
    let verifier = verifier.build().map_err(|error| content(&settings.ca_file, error))?;
    let chain = certificates(&settings.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key_file).map_err(|error| pem(&settings.key_file, error, "private key"))?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| content(&settings.certificate_file, error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| content(&settings.certificate_file, format!("{error} (with the key in {})", settings.key_file.display())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all(path, CertificateDer::pem_file_iter(path), "certificate")
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    all(path, CertificateRevocationListDer::pem_file_iter(path), "revocation list")
}

type PemResult<T> = Result<T, rustls::pki_types::pem::Error>;

fn all<T>(path: &Path, items: PemResult<impl Iterator<Item = PemResult<T>>>, what: &str) -> Result<Vec<T>, TlsError> {
    let items = items.and_then(Iterator::collect::<PemResult<Vec<T>>>).map_err(|error| pem(path, error, what))?;
    if items.is_empty() { Err(content(path, format!("holds no {what} in PEM form"))) } else { Ok(items) }
}

fn pem(path: &Path, error: rustls::pki_types::pem::Error, what: &str) -> TlsError {
    match error {
        rustls::pki_types::pem::Error::Io(source) => TlsError::Unreadable { path: path.to_owned(), source },
        rustls::pki_types::pem::Error::NoItemsFound => content(path, format!("holds no {what} in PEM form")),
        error => content(path, error),
    }
}

fn content(path: &Path, what: impl ToString) -> TlsError {
    TlsError::Content { path: path.to_owned(), what: what.to_string() }
}

/// Name in metrics of why a handshake failed.
pub(crate) fn handshake_failure(error: &std::io::Error) -> &'static str {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else { return "tls_connection_lost" };
    match error {
        rustls::Error::NoCertificatesPresented => "tls_no_certificate",
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Revoked => "tls_revoked",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "tls_expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "tls_not_valid_yet",
            CertificateError::UnknownIssuer => "tls_unknown_issuer",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "tls_purpose",
            CertificateError::UnknownRevocationStatus => "tls_revocation_unknown",
            CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => "tls_crl_expired",
            _ => "tls_certificate",
        },
        rustls::Error::InvalidMessage(_) => "tls_not_tls",
        _ => "tls_handshake",
    }
}
