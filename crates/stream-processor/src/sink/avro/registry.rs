//! A schema registry, as its published description has it: `POST /subjects/{subject}/versions`, and the id that it answers with.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config;
use crate::sink::http::{Client, HttpSetupError, PostError, check_url};
use crate::sink::metrics::Failure;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Longest answer that is read: an id.
const ANSWER_BYTES_MAX: u64 = 10_000;

#[derive(Serialize)]
struct Registration<'a> {
    schema: &'a str,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

/// Why a schema has no id.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegistryError {
    /// It was not taken. An answer of 409 or 422 means that the registry's rules for this subject forbid it.
    #[error("schema registry, subject {subject}: {source}")]
    Post {
        /// Whose schema.
        subject: String,
        /// Why.
        source: PostError,
    },
    /// The answer is not what a registry says.
    #[error("schema registry, subject {subject}: the answer holds no id: {problem}")]
    Answer {
        /// Whose schema.
        subject: String,
        /// What is wrong.
        problem: String,
    },
}

impl RegistryError {
    /// For counting.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Post { source, .. } => source.failure(),
            Self::Answer { .. } => Failure::Refused,
        }
    }
}

/// The registry that the configuration names.
pub(super) struct Registry {
    client: Client,
    url: String,
}

impl Registry {
    pub(super) fn new(config: &config::Avro) -> Result<Self, HttpSetupError> {
        check_url("avro.registry_url", &config.registry_url)?;
        let ca = ("avro.ca_file", config.ca_file.as_path());
        let token = ("avro.bearer_token_file", config.bearer_token_file.as_path());
        let client = Client::new(ca, token, Duration::from_millis(config.timeout_ms))?;
        Ok(Self { client, url: config.registry_url.trim_end_matches('/').to_owned() })
    }

    /// The id of the schema of a topic's values; the same one for the same schema, whoever asks and how often.
    pub(super) fn register(&self, topic: &str, schema: &Value) -> Result<u32, RegistryError> {
        let subject = format!("{topic}-value");
        let no_id = |problem: String| RegistryError::Answer { subject: subject.clone(), problem };
        let body = serde_json::to_vec(&Registration { schema: &schema.to_string() }).map_err(|error| no_id(error.to_string()))?;
        // Topics' names need no escapes in an address.
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let mut answer =
            self.client.post(&url, CONTENT_TYPE, &body).map_err(|source| RegistryError::Post { subject: subject.clone(), source })?;
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(|error| no_id(error.to_string()))?;
        serde_json::from_slice::<Registered>(&text).map(|it| it.id).map_err(|error| no_id(error.to_string()))
    }
}
