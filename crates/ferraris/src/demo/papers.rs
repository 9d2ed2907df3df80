//! The demo's certificates: a fresh authority, and a certificate for everyone who takes part.

use std::path::{Path, PathBuf};

use pki::{Authority, IssueOptions, Role};

/// The broker's name.
pub const BROKER: &str = "broker";
/// The processor's name.
pub const PROCESSOR: &str = "processor";
/// The operator of the `mosquitto_sub` line.
pub const OPERATOR: &str = "operator";
/// The operator of the `ferraris tail` line: a certificate holds one session at a time.
pub const WATCHER: &str = "watcher";

/// An authority in a directory of its own.
pub struct Papers(Authority);

/// Certificate and private key, PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Papers {
    /// Makes the authority in `dir` and issues everything but the meters' certificates.
    pub fn new(dir: &Path) -> Result<Self, pki::Error> {
        let mut authority = Authority::create(dir)?;
        let hosts = ["127.0.0.1", "localhost"].map(str::to_owned).to_vec();
        authority.issue(BROKER, Role::Server, &IssueOptions { hosts, ..IssueOptions::default() })?;
        for (name, role) in [(PROCESSOR, Role::Service), (OPERATOR, Role::Operator), (WATCHER, Role::Operator)] {
            authority.issue(name, role, &IssueOptions::default())?;
        }
        Ok(Self(authority))
    }

    /// Issues a meter's certificate.
    pub fn meter(&mut self, name: &str) -> Result<Pair, pki::Error> {
        let issued = self.0.issue(name, Role::Meter, &IssueOptions::default())?;
        Ok(Pair { certificate: issued.certificate, key: issued.key })
    }

    /// The pair of somebody who has one.
    pub fn of(&self, name: &str) -> Pair {
        let issued = self.dir().join("issued");
        Pair { certificate: issued.join(format!("{name}.pem")), key: issued.join(format!("{name}.key")) }
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.0.ca_path()
    }

    /// The revocation list.
    pub fn revocations(&self) -> PathBuf {
        self.0.crl_path()
    }

    /// Where all of it is.
    pub fn dir(&self) -> &Path {
        self.0.dir()
    }
}
