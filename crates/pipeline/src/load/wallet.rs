//! Certificates for thousands of meters, signed here with the authority's key; they share one key of their own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use time::{Duration, OffsetDateTime};

/// An authority at hand.
pub struct Wallet {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    key: KeyPair,
}

impl Wallet {
    /// Reads the authority of a directory that `pki` made.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| fs::read_to_string(dir.join(name)).with_context(|| format!("cannot read the authority's {name}"));
        let (certificate, key) = (read("ca.pem")?, read("ca.key")?);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key)?)?,
            roots: Arc::new(roots),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            key: KeyPair::generate()?,
        })
    }

    /// How a meter of this name connects; without resumption, like a meter that was just switched on.
    pub fn meter(&self, name: &str) -> anyhow::Result<Arc<ClientConfig>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationalUnitName, "meter");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - Duration::hours(1), now + Duration::days(1));
        let certificate = params.signed_by(&self.key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).map_err(anyhow::Error::msg)?;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(vec![certificate.der().clone()], key)?;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}
