//! `state/{meter}` on MQTT: whether a meter is online, retained. The gate says it, from the TLS session itself.

use measure::{MeterId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a meter is online. Of two values the one with the later `since_ms` holds; with equal ones, offline holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "State")]
pub struct StateValue {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Whether the session is alive.
    pub online: bool,
    /// Start of the session that this is about: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub since_ms: UnixMillis,
    /// Why, in a word: `connected`, or what ended the session.
    pub why: String,
}
