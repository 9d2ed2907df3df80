//! HTTP to a server that the configuration names, and to nobody else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::metrics::Failure;
use crate::tls::{TlsError, certificates};

/// So much of a refusal is told in the log.
const REASON_BYTES_MAX: u64 = 1_000;

/// Why the settings can't be used; correct the key that it names.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The address.
    #[error("{key} {url:?}: {problem}; write http://host:port/...")]
    Url {
        /// The configuration's key.
        key: &'static str,
        /// As it stands there.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The authority's file.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token's file.
    #[error("{key} {path}: {source}")]
    Token {
        /// The configuration's key.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a POST did not do.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// Nobody answers, or not in time.
    #[error("{0}")]
    Transport(Box<ureq::Error>),
    /// The answer is no.
    #[error("answer {status}: {reason}")]
    Refused {
        /// HTTP's.
        status: u16,
        /// What it says.
        reason: String,
    },
}

impl PostError {
    /// For counting.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Transport(error) if matches!(**error, ureq::Error::Timeout(_)) => Failure::TimedOut,
            Self::Transport(_) => Failure::Unreachable,
            Self::Refused { .. } => Failure::Refused,
        }
    }

    /// Whether what was posted is what is wrong, and not rights, addresses, load or the server: it will never be taken.
    pub(super) const fn is_for_ever(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 413 | 422, .. })
    }
}

/// Posts to one server.
pub(super) struct Client {
    agent: Agent,
    authorization: Option<String>,
}

/// Whether an address can be one; `key` names it in the error.
pub(super) fn check_url(key: &'static str, url: &str) -> Result<(), HttpSetupError> {
    let no_url = |problem: String| HttpSetupError::Url { key, url: url.to_owned(), problem };
    let uri: Uri = url.parse().map_err(|error: ureq::http::uri::InvalidUri| no_url(error.to_string()))?;
    if uri.host().is_none_or(str::is_empty) { Err(no_url("names no host".to_owned())) } else { Ok(()) }
}

impl Client {
    /// Empty paths: no authority, and so no https; no token.
    pub(super) fn new(ca: (&'static str, &Path), token: (&'static str, &Path), timeout: Duration) -> Result<Self, HttpSetupError> {
        let mut roots = Vec::new();
        if !ca.1.as_os_str().is_empty() {
            let found = certificates(ca.0, ca.1)?;
            roots.extend(found.iter().map(|it| Certificate::from_der(it.as_ref()).to_owned()));
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent("ferraris-processor")
            .tls_config(tls)
            .build()
            .new_agent();
        let authorization = if token.1.as_os_str().is_empty() {
            None
        } else {
            let read = std::fs::read_to_string(token.1);
            let text = read.map_err(|source| HttpSetupError::Token { key: token.0, path: token.1.to_owned(), source })?;
            Some(format!("Bearer {}", text.trim()))
        };
        Ok(Self { agent, authorization })
    }

    /// Posts and waits for the answer, which is a good one.
    pub(super) fn post(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Response<ureq::Body>, PostError> {
        let mut request = self.agent.post(url).content_type(content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = request.send(body).map_err(|error| PostError::Transport(Box::new(error)))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let reason = answer.body_mut().with_config().limit(REASON_BYTES_MAX).lossy_utf8(true).read_to_string().unwrap_or_default();
        Err(PostError::Refused { status: answer.status().as_u16(), reason: reason.trim().to_owned() })
    }
}
