//! Certificates from files to what the TLS layer and the revocation check need.
//!
//! TLS 1.3, and 1.2 with forward secrecy, authenticated encryption and the extended master secret; no early data. Sessions resume by
//! tickets, which hold the client's certificate chain under a key that changes every six hours and never leaves the process. Whoever
//! resumes shows no certificate again, so what [`Material::objection`] says is asked each time.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use measure::UnixMillis;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::identity::{Identity, Role};
use crate::config::{CrlExpired, Tls};
use crate::error::TlsError;
use crate::reason::Reason;
use crate::revocation::Revoked;

/// Everything made of the files at one time.
pub(crate) struct Material {
    /// For handshakes.
    pub(crate) server: Arc<ServerConfig>,
    /// For sessions that are open, and for those that resume without showing a certificate again.
    pub(crate) revoked: Revoked,
    /// What the broker shows.
    pub(crate) server_certificate: CertificateDer<'static>,
    /// End of that, seconds since 1970.
    pub(crate) server_expiry_s: i64,
    authorities: Vec<Authority>,
}

#[derive(PartialEq, Eq)]
struct Authority {
    certificate: CertificateDer<'static>,
    /// Its name, as its clients' certificates have it for their issuer.
    name: Box<[u8]>,
}

impl Material {
    /// Reads and checks all files. Blocks.
    ///
    /// Besides the clients of the authorities, the one that shows the certificate `canary` is let in. Tickets given under `earlier`
    /// stay good if the authorities are the same; else everyone has to show a certificate again.
    pub(crate) fn load(settings: &Tls, canary: &CertificateDer<'static>, earlier: Option<&Self>) -> Result<Self, TlsError> {
        let authorities = authorities(&settings.ca_file)?;
        let lists = match &settings.crl_file {
            Some(path) => revocation_lists(path)?,
            None => Vec::new(),
        };
        let revoked = match &settings.crl_file {
            Some(path) => {
                let certificates: Vec<_> = authorities.iter().map(|it| it.certificate.clone()).collect();
                Revoked::new(&certificates, &lists, settings.crl_expired).map_err(|what| content(path, what))?
            }
            None => Revoked::default(),
        };
        let tickets = match earlier.filter(|earlier| earlier.authorities == authorities) {
            Some(earlier) => earlier.server.ticketer.clone(),
            None => rustls::crypto::ring::Ticketer::new().map_err(|error| content(&settings.key_file, error))?,
        };
        let chain = certificates(&settings.certificate_file)?;
        let server_certificate = chain.first().cloned().unwrap_or_else(|| Vec::new().into());
        let server_expiry_s = expiry_s(&settings.certificate_file, &server_certificate)?;
        let verifier = Arc::new(AndCanary { clients: verifier(settings, &authorities, lists)?, canary: canary.clone() });
        let server = Arc::new(server(settings, verifier, chain, tickets)?);
        Ok(Self { server, revoked, server_certificate, server_expiry_s, authorities })
    }

    /// Why a client that a handshake or a ticket let in must not stay; `None` if it may.
    pub(crate) fn objection(&self, identity: &Identity, now: UnixMillis) -> Option<Reason> {
        if identity.not_after <= now {
            Some(Reason::Expired)
        } else if self.revoked.has(identity) {
            Some(Reason::Revoked)
        } else if self.revoked.is_outdated(identity, now) {
            Some(Reason::CrlExpired)
        } else {
            None
        }
    }

    /// Names of authorities that `earlier` trusted and this does not.
    pub(crate) fn withdrawn<'a>(&self, earlier: &'a Self) -> HashSet<&'a [u8]> {
        earlier.authorities.iter().filter(|authority| !self.authorities.contains(authority)).map(|authority| &*authority.name).collect()
    }

    /// Whether one of the authorities issued the client's certificate itself. One below it did, if not, or none at all.
    pub(crate) fn issued(&self, identity: &Identity) -> bool {
        identity.role == Role::Canary || self.authorities.iter().any(|authority| authority.name == identity.certificate.issuer)
    }
}

fn verifier(
    settings: &Tls,
    authorities: &[Authority],
    lists: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.certificate.clone()).map_err(|error| content(&settings.ca_file, error))?;
    }
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).with_crls(lists);
    if settings.crl_expired == CrlExpired::Refuse {
        verifier = verifier.enforce_revocation_expiration();
    }
    verifier.build().map_err(|error| content(&settings.ca_file, error))
}

fn server(
    settings: &Tls,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let key = PrivateKeyDer::from_pem_file(&settings.key_file).map_err(|error| pem(&settings.key_file, error, "private key"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| content(&settings.certificate_file, error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| content(&settings.certificate_file, format!("{error} (with the key in {})", settings.key_file.display())))?;
    config.ticketer = tickets;
    // A meter opens one connection at a time, and a ticket holds its certificate: a kilobyte that it may pay for.
    config.send_tls13_tickets = 1;
    // Without it a TLS 1.2 session could be spliced into another one that resumes it.
    config.require_ems = true;
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Lets in the canary besides those whom the authorities vouch for.
#[derive(Debug)]
struct AndCanary {
    clients: Arc<dyn ClientCertVerifier>,
    canary: CertificateDer<'static>,
}

impl ClientCertVerifier for AndCanary {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // That it has the key too is what the signature shows.
        if *end_entity == self.canary {
            return Ok(ClientCertVerified::assertion());
        }
        self.clients.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}

/// The authorities of a file, or of each file of a directory.
fn authorities(path: &Path) -> Result<Vec<Authority>, TlsError> {
    let authority = |certificate: CertificateDer<'static>| {
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| content(path, error))?;
        let name = parsed.subject().as_raw().into();
        Ok(Authority { certificate, name })
    };
    everything(path, certificates)?.into_iter().map(authority).collect()
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    everything(path, |path| all(path, CertificateRevocationListDer::pem_file_iter(path), "revocation list"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all(path, CertificateDer::pem_file_iter(path), "certificate")
}

fn everything<T>(path: &Path, read: impl Fn(&Path) -> Result<Vec<T>, TlsError>) -> Result<Vec<T>, TlsError> {
    let files = files(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })?;
    if files.is_empty() {
        return Err(content(path, "holds no file NAME.pem"));
    }
    let items = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(items.into_iter().flatten().collect())
}

/// The file itself, or those of a directory whose names end in `.pem`, sorted.
pub(crate) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = path.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().filter(|path| path.extension().is_some_and(|end| end == "pem")).collect();
    files.sort();
    Ok(files)
}

fn expiry_s(path: &Path, certificate: &CertificateDer<'_>) -> Result<i64, TlsError> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| content(path, error))?;
    Ok(certificate.validity().not_after.timestamp())
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

/// Why a handshake failed.
pub(crate) fn handshake_failure(error: &io::Error) -> Reason {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else { return Reason::TlsConnectionLost };
    match error {
        rustls::Error::NoCertificatesPresented => Reason::TlsNoCertificate,
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Revoked => Reason::TlsRevoked,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::TlsExpired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Reason::TlsNotValidYet,
            CertificateError::UnknownIssuer => Reason::TlsUnknownIssuer,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Reason::TlsPurpose,
            CertificateError::UnknownRevocationStatus => Reason::TlsRevocationUnknown,
            CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => Reason::TlsCrlExpired,
            _ => Reason::TlsCertificate,
        },
        rustls::Error::InvalidMessage(_) => Reason::TlsNotTls,
        rustls::Error::PeerIncompatible(_) => Reason::TlsTooOld,
        _ => Reason::TlsHandshake,
    }
}
