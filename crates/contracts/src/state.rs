//! `state/{meter}` on MQTT: whether a meter is online, retained. The gate says it, from the TLS session itself.

use measure::{MeterId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a meter is online. Of two values the one with the later `since_ms` holds; of equal ones that with the later `at_ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "State")]
pub struct StateValue {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Whether it has a session: `online` or `offline`.
    pub state: Presence,
    /// Start of the session that this is about: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub since_ms: UnixMillis,
    /// When this was so: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub at_ms: UnixMillis,
    /// Why, in a word: `connected`, or what ended the session.
    pub why: String,
}

/// Whether a meter has a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Presence {
    /// It has.
    Online,
    /// It has none.
    Offline,
}

impl StateValue {
    /// Whether the meter has a session.
    pub fn is_online(&self) -> bool {
        self.state == Presence::Online
    }
}
