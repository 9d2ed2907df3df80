//! Certificates that were taken back: read from signed lists, reloaded in one step, enforced on sessions that are open.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::config::{Tls, millis};
use crate::error::TlsError;
use crate::gate::Gate;
use crate::gate::identity::{CertificateId, Identity};
use crate::gate::inbox::Cut;
use crate::gate::tls::Material;
use crate::sync::lock;

/// The certificates that were taken back.
#[derive(Default)]
pub(crate) struct Revoked {
    certificates: HashSet<CertificateId>,
    /// End of the list that ends first, seconds since 1970.
    expiry_s: Option<i64>,
}

impl Revoked {
    /// From lists that the authorities signed. Each authority must have one: without it none of its clients could be let in.
    pub(crate) fn new(authorities: &[CertificateDer<'_>], lists: &[CertificateRevocationListDer<'_>]) -> Result<Self, String> {
        let mut this = Self::default();
        let mut lists = lists
            .iter()
            .map(|list| CertificateRevocationList::from_der(list).map(|(_, list)| list))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("holds a revocation list that can't be read: {error}"))?;
        for authority in authorities {
            let (_, authority) = X509Certificate::from_der(authority).map_err(|error| format!("authority can't be read: {error}"))?;
            let of_authority = |list: &mut CertificateRevocationList<'_>| {
                list.issuer().as_raw() == authority.subject().as_raw() && list.verify_signature(authority.public_key()).is_ok()
            };
            let mut found = false;
            for list in lists.extract_if(.., of_authority) {
                found = true;
                this.add(&list);
            }
            if !found {
                return Err(format!("holds no revocation list signed by the authority {}", authority.subject()));
            }
        }
        match lists.first() {
            Some(list) => Err(format!("holds a revocation list of an authority that is not in the CA file: {}", list.issuer())),
            None => Ok(this),
        }
    }

    fn add(&mut self, list: &CertificateRevocationList<'_>) {
        let issuer = list.issuer().as_raw();
        self.certificates.extend(list.iter_revoked_certificates().map(|revoked| CertificateId::new(issuer, revoked.raw_serial())));
        let expiry_s = list.next_update().map(|time| time.timestamp());
        self.expiry_s = [self.expiry_s, expiry_s].into_iter().flatten().min();
    }

    /// Whether this client's certificate was taken back.
    pub(crate) fn has(&self, identity: &Identity) -> bool {
        self.certificates.contains(&identity.certificate)
    }

    /// End of the list that ends first, seconds since 1970; 0 without one.
    pub(crate) fn expiry_s(&self) -> i64 {
        self.expiry_s.unwrap_or(0)
    }
}

/// The certificates in force, and the files they come from.
pub(crate) struct Credentials {
    settings: Tls,
    current: Mutex<Arc<Material>>,
}

impl Credentials {
    /// Reads the files for the first time. Blocks.
    pub(crate) fn load(settings: &Tls) -> Result<Self, TlsError> {
        let material = Material::load(settings)?;
        Ok(Self { settings: settings.clone(), current: Mutex::new(Arc::new(material)) })
    }

    /// What is in force now.
    pub(crate) fn current(&self) -> Arc<Material> {
        lock(&self.current).clone()
    }

    /// Reads the files again. Either all of them come into force in one step or none does. Blocks.
    fn reload(&self) -> Result<Arc<Material>, TlsError> {
        let material = Arc::new(Material::load(&self.settings)?);
        *lock(&self.current) = material.clone();
        Ok(material)
    }
}

/// What the files look like from outside: it changes when one of them does.
pub(crate) type Fingerprint = Vec<Option<(SystemTime, u64)>>;

/// Looks at the files.
pub(crate) fn fingerprint(settings: &Tls) -> Fingerprint {
    let Tls { ca_file, certificate_file, key_file, crl_file, .. } = settings;
    let look = |path: &Path| fs::metadata(path).ok().and_then(|data| Some((data.modified().ok()?, data.len())));
    let files = [Some(ca_file), Some(certificate_file), Some(key_file), crl_file.as_ref()];
    files.into_iter().flatten().map(|path| look(path)).collect()
}

impl Gate {
    /// Reads the certificates and lists again and cuts the sessions whose certificate was taken back.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), TlsError> {
        let gate = self.clone();
        // Files may lie on a slow disk.
        let result = tokio::task::spawn_blocking(move || gate.credentials.reload()).await;
        let result = result.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        match result {
            Ok(material) => {
                let cut = self.table.cut(Cut::Revoked, |identity| material.revoked.has(identity));
                self.metrics.reloaded("ok");
                self.metrics.crl_expiry.set(material.revoked.expiry_s());
                tracing::info!(sessions_cut = cut, "certificates and revocation lists reloaded");
                Ok(())
            }
            Err(error) => {
                self.metrics.reloaded("failed");
                tracing::error!(%error, "certificates not reloaded; the last good ones stay in force");
                Err(error)
            }
        }
    }
}

/// Reloads when a file no longer looks as `seen` before it was read, until `stop`.
pub(crate) async fn watch(gate: Arc<Gate>, mut seen: Fingerprint, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(millis(gate.credentials.settings.watch_ms));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = fingerprint(&gate.credentials.settings);
        if now != seen {
            seen = now;
            // Reported and counted there; the next change of a file is the next try.
            let _ = gate.reload().await;
        }
    }
}
