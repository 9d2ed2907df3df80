//! Our broker in this process.

use anyhow::Context;
use broker::Running;
use broker::config::{Config, Tls};

use crate::credentials::{Credentials, Identity};

/// A broker on free ports of 127.0.0.1. Stops when dropped.
pub struct Broker {
    config: Config,
    running: Option<Running>,
}

impl Broker {
    /// Starts one as the server `identity`, with the authority's revocation list in force.
    pub async fn start(credentials: &Credentials, identity: &Identity) -> anyhow::Result<Broker> {
        Broker::start_with(credentials, identity, |_| ()).await
    }

    /// The same with a configuration that `change` has had its hands on.
    pub async fn start_with(credentials: &Credentials, identity: &Identity, change: impl FnOnce(&mut Config)) -> anyhow::Result<Broker> {
        let mut config = Config::new(Tls {
            ca_file: identity.ca.clone(),
            certificate_file: identity.certificate.clone(),
            key_file: identity.key.clone(),
            crl_file: Some(credentials.revocation_list()),
            watch_ms: 100,
            crl_expired: broker::config::CrlExpired::Refuse,
        });
        config.listen.mqtts = ([127, 0, 0, 1], 0).into();
        config.listen.admin = ([127, 0, 0, 1], 0).into();
        change(&mut config);
        let mut broker = Broker { config, running: None };
        broker.resume().await?;
        Ok(broker)
    }

    /// The broker itself, while it runs.
    pub fn running(&self) -> anyhow::Result<&Running> {
        self.running.as_ref().context("the broker is stopped")
    }

    /// Where clients connect, by TLS. The same after a stop.
    pub fn address(&self) -> std::net::SocketAddr {
        self.config.listen.mqtts
    }

    /// Ends it without a word to its clients, as a crash would: connections break, and what it held is gone.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts it again on the same addresses. Does nothing while it runs.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        // The system may need a moment to give the port of the one before back.
        let running = crate::await_until("the broker starts", std::time::Duration::from_secs(20), async || {
            match broker::start(self.config.clone()).await {
                Err(broker::StartError::Bind { .. }) => Ok(None),
                other => Ok(Some(other?)),
            }
        });
        let running = running.await?;
        self.config.listen.mqtts = running.mqtts_addr();
        self.config.listen.admin = running.admin_addr();
        self.running = Some(running);
        Ok(())
    }
}
