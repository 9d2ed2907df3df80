//! Certificates for a test: an authority that lives as long as the value.

use std::path::PathBuf;

use anyhow::Context;
use pki::{Authority, IssueOptions, Issued, Role};
use tempfile::TempDir;

/// An authority in a temporary directory.
pub struct Credentials {
    authority: Authority,
    _dir: TempDir,
}

/// The files with which one program proves who it is and knows the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Certificates it trusts, PEM.
    pub ca: PathBuf,
    /// Its own certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Credentials {
    /// A fresh authority.
    pub fn new() -> anyhow::Result<Credentials> {
        let dir = tempfile::Builder::new().prefix("ferraris-pki-").tempdir().context("cannot make a temporary directory")?;
        Ok(Credentials { authority: Authority::create(dir.path().join("ca"))?, _dir: dir })
    }

    /// The authority, for revoking and for everything unusual.
    pub fn authority(&mut self) -> &mut Authority {
        &mut self.authority
    }

    /// A server on this machine: `localhost`, 127.0.0.1 and ::1.
    pub fn server(&mut self, name: &str) -> anyhow::Result<Identity> {
        let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        self.issue(name, Role::Server, IssueOptions { hosts, ..IssueOptions::default() })
    }

    /// A client in `role`.
    pub fn client(&mut self, name: &str, role: Role) -> anyhow::Result<Identity> {
        self.issue(name, role, IssueOptions::default())
    }

    /// The revocation list, PEM.
    pub fn revocation_list(&self) -> PathBuf {
        self.authority.crl_path()
    }

    fn issue(&mut self, name: &str, role: Role, options: IssueOptions) -> anyhow::Result<Identity> {
        let Issued { certificate, key, .. } = self.authority.issue(name, role, &options)?;
        Ok(Identity { ca: self.authority.ca_path(), certificate, key })
    }
}
