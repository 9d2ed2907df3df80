//! The gate: everything between a socket and the router.
//!
//! A connection passes the rooms in this order, each of which can end it: [`listener`] (limits, TLS with a deadline; for browsers [`websocket`]) → [`identity`]
//! (who the certificate says) → [`packet`] (strict grammar) → [`machine`] (the conversation) with [`acl`] (who may what) and [`rate`] (how
//! much) → [`session`] (carries out what the machine says) → the router. The way back to a meter is [`dispatch`] → [`table`] → [`inbox`] →
//! session; to a service or an operator it is its own router link, in [`client`], of which it hears what [`hearing`] says.

pub mod acl;
mod client;
pub(crate) mod dispatch;
pub(crate) mod doorstep;
mod elsewhere;
mod hearing;
pub mod identity;
pub(crate) mod inbox;
pub(crate) mod listener;
pub mod machine;
pub mod packet;
pub(crate) mod places;
pub(crate) mod rate;
mod session;
mod stream;
pub(crate) mod table;
pub(crate) mod tls;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use measure::{MeterId, UnixMillis};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::topic::Topic;

use crate::config::Limits;
use crate::flow::Flow;
use crate::metrics::Metrics;
use crate::presence::{LastValues, Presence, State};
use crate::reason::Reason;
use crate::revocation::Credentials;
use crate::router::{Feed, Parcel, Router, Taken, feed};
use crate::sync::lock;
use crate::vitals::canary::Papers;
use doorstep::Doorstep;
use elsewhere::Elsewhere;
use identity::Identity;
use inbox::Pool;
use places::Places;
use rate::{Allowances, Takeover};
use table::Table;

/// What all sessions share.
pub(crate) struct Gate {
    pub(crate) limits: Limits,
    allowances: Allowances,
    pub(crate) credentials: Credentials,
    pub(crate) canary: Papers,
    pub(crate) router: Router,
    pub(crate) table: Table,
    /// Memory for what waits for meters.
    pool: Arc<Pool>,
    pub(crate) values: LastValues,
    elsewhere: Elsewhere,
    pub(crate) flow: Arc<Flow>,
    pub(crate) metrics: Arc<Metrics>,
    /// Number of the next connection, whichever listener takes it.
    connection_numbers: AtomicU64,
    /// Places for connections and for handshakes.
    connections: Arc<Semaphore>,
    handshakes: Arc<Places>,
    doorstep: Doorstep,
    /// Where sessions run.
    inside: Handle,
    /// Stops everything; and everything that must have stopped.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Gate {
    /// Its sessions run where the caller does.
    pub(crate) fn new(
        limits: Limits,
        credentials: Credentials,
        canary: Papers,
        router: Router,
        metrics: Arc<Metrics>,
        doorstep: Doorstep,
    ) -> Self {
        Self {
            allowances: Allowances::new(&limits),
            credentials,
            canary,
            router,
            table: Table::default(),
            pool: Pool::new(limits.down_bytes),
            values: LastValues::new(limits.retained, limits.retained_bytes),
            elsewhere: Elsewhere::new(limits.retained),
            flow: Arc::new(Flow::new(limits.shard_lag)),
            metrics,
            connection_numbers: AtomicU64::new(1),
            connections: Arc::new(Semaphore::new(limits.connections)),
            handshakes: Places::new(limits.handshakes, limits.handshakes_per_address),
            doorstep,
            inside: Handle::current(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            limits,
        }
    }

    /// A newer session has replaced an older one. Too often is an event for people: the key is in two places, or the link is bad.
    fn taken_over(&self, identity: &Identity, takeover: Takeover) {
        self.metrics.takeovers.inc();
        let Takeover::Contested { news } = takeover else { return };
        self.metrics.contested.inc();
        if news {
            let (role, most) = (identity.role.name(), self.limits.takeovers_per_minute);
            tracing::warn!(role, "an identity's sessions replace each other more than {most} times a minute: a meter's state/ says which");
        }
        tracing::debug!(name = identity.name.as_str(), "contested");
    }

    /// A service passes on what another gate says of a meter: if the session here is older than the one there, it ends.
    fn moved(&self, meter: &MeterId, value: &[u8]) {
        let Some(State { since_ms, .. }) = State::decode(value).filter(|state| state.meter == *meter) else {
            return self.metrics.dropped(Reason::StateForm, 1);
        };
        if self.elsewhere.heard(meter, since_ms).is_err() {
            self.metrics.dropped(Reason::StateFull, 1);
        }
        if let Some((identity, standing)) = self.table.cut_older(meter, since_ms) {
            let takeover = lock(&standing).take_over(&self.allowances, Instant::now());
            self.taken_over(&identity, takeover);
        }
    }

    /// Tells everyone who asked that a meter came or went. `since` is the start of its session.
    fn announce(&self, meter: &MeterId, presence: Presence, since: UnixMillis, why: &str) {
        let state = State { meter: meter.clone(), state: presence, since_ms: since, at_ms: now(), why: why.to_owned() };
        let value = state.encode();
        // First kept, then published: a new subscriber finds it kept or is sent it, or both.
        if self.values.set_state(meter, value.clone()).is_err() {
            self.metrics.dropped(Reason::StateFull, 1);
        }
        let topic = Topic::State { meter: meter.clone() };
        match self.router.publish(&Parcel::new(feed::STATE, &topic.to_string(), &value)) {
            Ok(Taken::Yes) => self.flow.passed(Feed::State),
            Ok(Taken::Busy) | Err(_) => self.metrics.dropped(Reason::StateRouterBusy, 1),
        }
    }
}

/// The time of day; only for what people and other machines read.
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
