//! Where alerts are posted.

use std::time::Duration;

use serde_json::Value;

use crate::config;
use crate::sink::http::{Client, HttpSetupError, PostError, check_url};

/// An Alertmanager's address.
pub(super) struct Mailbox {
    client: Client,
    url: String,
}

impl Mailbox {
    pub(super) fn new(config: &config::Webhook) -> Result<Self, HttpSetupError> {
        check_url("webhook.url", &config.url)?;
        let (ca, token) =
            (("webhook.ca_file", config.ca_file.as_path()), ("webhook.bearer_token_file", config.bearer_token_file.as_path()));
        Ok(Self { client: Client::new(ca, token, Duration::from_millis(config.timeout_ms))?, url: config.url.clone() })
    }

    /// Posts alerts and waits for the answer.
    pub(super) fn post(&self, alerts: &[Value]) -> Result<(), PostError> {
        self.client.post(&self.url, "application/json", Value::from(alerts).to_string().as_bytes()).map(|_| ())
    }
}
