//! What can go wrong with an authority, and what to do about it.

use std::io;
use std::path::PathBuf;

use measure::InvalidId;
use time::OffsetDateTime;

/// Why an authority could not be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is not there, or holds no authority: make one, or name another directory.
    #[error("no certificate authority in {}: make one there or name another directory", .0.display())]
    Absent(PathBuf),
    /// The directory holds something already; nothing was written.
    #[error("{} is not empty: a new certificate authority needs a new or empty directory", .0.display())]
    Occupied(PathBuf),
    /// The files are there and do not belong together, or are not of this program: restore the directory from its backup.
    #[error("{}: {why}; restore the directory from its backup", .path.display())]
    Foreign {
        /// The file that does not fit.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// Verb of what was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The name is outside the grammar of identifiers.
    #[error("name `{name}`: {source}")]
    Name {
        /// The name asked for.
        name: String,
        /// What is wrong with it.
        source: InvalidId,
    },
    /// A valid certificate bears the name: renew it or revoke it first.
    #[error("`{name}` has a certificate until {until}: renew it, or revoke it first")]
    Taken {
        /// The name asked for.
        name: String,
        /// When the certificate that is there expires.
        until: OffsetDateTime,
    },
    /// No certificate was ever issued to the name.
    #[error("no certificate was issued to `{0}` here")]
    Unknown(String),
    /// A server's certificate must say where the server is reached.
    #[error("a server certificate needs at least one host name or address")]
    NoHost,
    /// A host is neither a DNS name nor an address.
    #[error("`{0}` is neither a host name nor an IP address")]
    Host(String),
    /// Nobody checks the host of a client: the option was meant for a server.
    #[error("only a server certificate names hosts, not one of role {0}")]
    HostOfClient(crate::Role),
    /// The validity asked for is zero or longer than allowed.
    #[error("{days} days of validity: between 1 and {days_max} are possible")]
    Validity {
        /// Asked for.
        days: u32,
        /// The most that is possible.
        days_max: u32,
    },
    /// The certificate would outlive the authority's own: ask for fewer days, or begin a new authority.
    #[error("the certificate authority itself expires on {until}: ask for fewer days or begin a new authority")]
    Outlives {
        /// End of the authority's own certificate.
        until: OffsetDateTime,
    },
    /// A signature or a key could not be made.
    #[error("cannot sign: {0}")]
    Signing(#[from] rcgen::Error),
    /// The operating system's random numbers are not available.
    #[error("no random numbers from the operating system: {0}")]
    Random(#[from] getrandom::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }

    pub(crate) fn foreign(path: impl Into<PathBuf>, why: impl std::fmt::Display) -> Error {
        Error::Foreign { path: path.into(), why: why.to_string() }
    }
}
