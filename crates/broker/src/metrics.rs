//! What is counted. A registry per instance; no label names a meter.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::reason::{Counted, Reason};

/// Everything a broker counts.
pub struct Metrics {
    registry: Registry,
    refused: Family<ForReason, Counter>,
    dropped: Family<ForReason, Counter>,
    ended: Family<ForReason, Counter>,
    slowed: Family<ForReason, Counter>,
    reloads: Family<Outcome, Counter>,
    sessions: Family<OfRole, Gauge>,
    /// Open connections, handshakes among them.
    pub(crate) connections: Gauge,
    /// Frames that meters sent and the router was handed.
    pub(crate) frames: Counter,
    /// Their payload.
    pub(crate) frame_bytes: Counter,
    /// Acknowledgements and commands put into a meter's queue.
    pub(crate) down: Counter,
    /// Messages that services published.
    pub(crate) published: Counter,
    /// Messages sent to services and operators.
    pub(crate) delivered: Counter,
    /// Sessions replaced by a newer one of their identity.
    pub(crate) takeovers: Counter,
    /// Of these, the ones that were more often than the limit.
    pub(crate) contested: Counter,
    /// Sessions that waited for a processor to catch up.
    pub(crate) held_back: Counter,
    /// End of the earliest revocation list, seconds since 1970; 0 without one.
    pub(crate) crl_expiry: Gauge,
    /// End of the broker's own certificate, seconds since 1970.
    pub(crate) certificate_expiry: Gauge,
    /// 1 while messages come through the router.
    pub(crate) router_alive: Gauge,
    /// How long the canary's last message took there and back.
    pub(crate) canary_seconds: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ForReason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfRole {
    role: &'static str,
}

impl From<Reason> for ForReason {
    fn from(reason: Reason) -> Self {
        Self { reason: reason.label() }
    }
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut this = Self {
            registry: Registry::with_prefix("ferraris_broker"),
            refused: Family::default(),
            dropped: Family::default(),
            ended: Family::default(),
            slowed: Family::default(),
            reloads: Family::default(),
            sessions: Family::default(),
            connections: Gauge::default(),
            frames: Counter::default(),
            frame_bytes: Counter::default(),
            down: Counter::default(),
            published: Counter::default(),
            delivered: Counter::default(),
            takeovers: Counter::default(),
            contested: Counter::default(),
            held_back: Counter::default(),
            crl_expiry: Gauge::default(),
            certificate_expiry: Gauge::default(),
            router_alive: Gauge::default(),
            canary_seconds: Gauge::default(),
        };
        this.register();
        this.begin_at_zero();
        this
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("refused", "Connections, packets and subscriptions refused, by reason", self.refused.clone());
        r.register("dropped", "Messages accepted and not delivered, by reason", self.dropped.clone());
        r.register("sessions_ended", "Sessions ended, by reason", self.ended.clone());
        r.register("reloads", "Reloads of certificates and revocation lists, by outcome", self.reloads.clone());
        r.register("sessions", "Sessions open", self.sessions.clone());
        r.register("connections", "Connections open, handshakes among them", self.connections.clone());
        r.register("frames", "Frames from meters handed to the router", self.frames.clone());
        r.register("frame_bytes", "Bytes of frames from meters handed to the router", self.frame_bytes.clone());
        r.register("down", "Acknowledgements and commands queued for a meter", self.down.clone());
        r.register("published", "Messages published by services", self.published.clone());
        r.register("delivered", "Messages sent to services and operators", self.delivered.clone());
        r.register("slowed", "Times a session was not read from until its rate allowed it, by reason", self.slowed.clone());
        r.register("takeovers", "Sessions replaced by a newer one of the same identity", self.takeovers.clone());
        r.register("takeovers_contested", "Takeovers more often than the limit", self.contested.clone());
        r.register("held_back", "Times a meter was not read from until its processor caught up", self.held_back.clone());
        r.register("crl_expiry_timestamp_seconds", "End of the earliest revocation list", self.crl_expiry.clone());
        r.register("certificate_expiry_timestamp_seconds", "End of the broker's own certificate", self.certificate_expiry.clone());
        r.register("canary_seconds", "Time of the last message of the broker to itself, there and back", self.canary_seconds.clone());
        r.register("router_alive", "1 while messages come through the router", self.router_alive.clone());
    }

    /// A counter that appears with its first event hides that event from whoever watches its rise.
    fn begin_at_zero(&self) {
        for reason in Reason::ALL {
            let family = match reason.counted() {
                Counted::Refused => &self.refused,
                Counted::Ended => &self.ended,
                Counted::Dropped => &self.dropped,
            };
            drop(family.get_or_create(&(*reason).into()));
        }
        for reason in [Reason::RateMessages, Reason::RateBytes] {
            drop(self.slowed.get_or_create(&reason.into()));
        }
    }

    /// Something was refused.
    pub(crate) fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&reason.into()).inc();
    }

    /// Messages that were accepted reach nobody.
    pub(crate) fn dropped(&self, reason: Reason, count: u64) {
        self.dropped.get_or_create(&reason.into()).inc_by(count);
    }

    /// A session ended.
    pub(crate) fn ended(&self, reason: Reason) {
        self.ended.get_or_create(&reason.into()).inc();
    }

    /// A session is not read from for a moment, because it sends too much.
    pub(crate) fn slowed(&self, reason: Reason) {
        self.slowed.get_or_create(&reason.into()).inc();
    }

    /// The certificates were read again.
    pub(crate) fn reloaded(&self, outcome: &'static str) {
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// The number of open sessions of a role.
    pub(crate) fn sessions(&self, role: &'static str) -> Gauge {
        self.sessions.get_or_create(&OfRole { role }).clone()
    }

    /// Everything in Prometheus' text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
