//! Certificates that were taken back: read from signed lists, reloaded in one step, enforced on sessions that are open.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use measure::UnixMillis;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::config::{CrlExpired, Tls, millis};
use crate::error::TlsError;
use crate::gate::Gate;
use crate::gate::identity::{CertificateId, Identity};
use crate::gate::inbox::Cut;
use crate::gate::tls::{self, Material};
use crate::sync::lock;

/// The certificates that were taken back.
#[derive(Default)]
pub(crate) struct Revoked {
    certificates: HashSet<CertificateId>,
    /// Ends of the lists by authority, seconds since 1970.
    ends_s: HashMap<Box<[u8]>, i64>,
    expired: CrlExpired,
}

impl Revoked {
    /// From lists that the authorities signed. Each authority must have one: without it none of its clients could be let in.
    pub(crate) fn new(
        authorities: &[CertificateDer<'_>],
        lists: &[CertificateRevocationListDer<'_>],
        expired: CrlExpired,
    ) -> Result<Self, String> {
        let mut this = Self { expired, ..Self::default() };
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
        if let Some(end) = list.next_update() {
            // Of two lists of one authority the later one tells how long they are good for.
            let end_s = self.ends_s.entry(issuer.into()).or_insert(i64::MIN);
            *end_s = end.timestamp().max(*end_s);
        }
    }

    /// Whether this client's certificate was taken back.
    pub(crate) fn has(&self, identity: &Identity) -> bool {
        self.certificates.contains(&identity.certificate)
    }

    /// Whether the list of this client's authority is past its end, and that is to keep clients out.
    pub(crate) fn is_outdated(&self, identity: &Identity, now: UnixMillis) -> bool {
        let end_s = self.ends_s.get(&identity.certificate.issuer);
        self.expired == CrlExpired::Refuse && end_s.is_some_and(|end_s| end_s.saturating_mul(1000) <= now.0)
    }

    /// End of the list that ends first, seconds since 1970; 0 without one.
    pub(crate) fn expiry_s(&self) -> i64 {
        self.ends_s.values().copied().min().unwrap_or(0)
    }
}

/// The certificates in force, and the files they come from.
pub(crate) struct Credentials {
    settings: Tls,
    canary: CertificateDer<'static>,
    current: Mutex<Arc<Material>>,
}

impl Credentials {
    /// Reads the files for the first time. Blocks.
    pub(crate) fn load(settings: &Tls, canary: &CertificateDer<'static>) -> Result<Self, TlsError> {
        let material = Material::load(settings, canary, None)?;
        Ok(Self { settings: settings.clone(), canary: canary.clone(), current: Mutex::new(Arc::new(material)) })
    }

    /// What is in force now.
    pub(crate) fn current(&self) -> Arc<Material> {
        lock(&self.current).clone()
    }

    /// Reads the files again: what was in force, and what is now. Either all of them come into force in one step or none does. Blocks.
    fn reload(&self) -> Result<(Arc<Material>, Arc<Material>), TlsError> {
        let earlier = self.current();
        let material = Arc::new(Material::load(&self.settings, &self.canary, Some(&earlier))?);
        *lock(&self.current) = material.clone();
        Ok((earlier, material))
    }
}

/// What the files look like from outside: it changes when one of them does.
pub(crate) type Fingerprint = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// Looks at the files.
pub(crate) fn fingerprint(settings: &Tls) -> Fingerprint {
    let Tls { ca_file, certificate_file, key_file, crl_file, .. } = settings;
    let look = |path: &Path| fs::metadata(path).ok().and_then(|data| Some((data.modified().ok()?, data.len())));
    let paths = [Some(ca_file), Some(certificate_file), Some(key_file), crl_file.as_ref()];
    let files = paths.into_iter().flatten().flat_map(|path| tls::files(path).unwrap_or_default());
    files.map(|path| (path.clone(), look(&path))).collect()
}

impl Gate {
    /// Reads the certificates and lists again and cuts the sessions whose certificate was taken back, or whose authority was.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), TlsError> {
        let gate = self.clone();
        // Files may lie on a slow disk.
        let result = tokio::task::spawn_blocking(move || gate.credentials.reload()).await;
        let result = result.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        match result {
            Ok((earlier, material)) => {
                let revoked = self.table.cut(Cut::Revoked, |identity| material.revoked.has(identity));
                let withdrawn = self.cut_withdrawn(&earlier, &material);
                self.metrics.reloaded("ok");
                self.expiries(&material);
                tracing::info!(revoked, withdrawn, "certificates and revocation lists reloaded; so many sessions cut");
                Ok(())
            }
            Err(error) => {
                self.metrics.reloaded("failed");
                tracing::error!(%error, "certificates not reloaded; the last good ones stay in force");
                Err(error)
            }
        }
    }

    /// Cuts the sessions that came by an authority which is trusted no more. Those of whom that can't be told, because an authority
    /// below one of ours issued their certificate, are cut too: who is right comes in again.
    fn cut_withdrawn(&self, earlier: &Material, material: &Material) -> usize {
        let withdrawn = material.withdrawn(earlier);
        if withdrawn.is_empty() {
            return 0;
        }
        self.table.cut(Cut::Withdrawn, |identity| withdrawn.contains(&*identity.certificate.issuer) || !material.issued(identity))
    }

    /// Tells when what is in force ends.
    pub(crate) fn expiries(&self, material: &Material) {
        self.metrics.crl_expiry.set(material.revoked.expiry_s());
        self.metrics.certificate_expiry.set(material.server_expiry_s);
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
