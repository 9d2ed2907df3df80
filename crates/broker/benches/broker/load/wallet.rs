//! Certificates for thousands of clients, signed here with the authority's key; they share one key of their own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use time::{Duration, OffsetDateTime};

/// An authority at hand.
pub(super) struct Wallet {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    key: KeyPair,
}

impl Wallet {
    /// Reads the authority of a directory.
    pub(super) fn open(dir: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        let (certificate, key) = (read("ca.pem"), read("ca.key"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        Self {
            issuer: Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key).unwrap()).unwrap(),
            roots: Arc::new(roots),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            key: KeyPair::generate().unwrap(),
        }
    }

    /// How to connect as `name`, which is a `role`.
    pub(super) fn config(&self, name: &str, role: &str, resume: bool) -> Arc<ClientConfig> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationalUnitName, role);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - Duration::hours(1), now + Duration::days(1));
        let certificate = params.signed_by(&self.key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.resumption = if resume { Resumption::in_memory_sessions(4) } else { Resumption::disabled() };
        Arc::new(config)
    }
}
