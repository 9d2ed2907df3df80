//! `meter.commands.v1`: signed commands on their way to their meters.

use measure::{Account, ActionKind, Channel, MeterId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A command that waits for its meter until it is answered or expires. The key of the Kafka record is the meter.
///
/// What counts is `command`, which the meter checks; the other fields are for readers. Its outcome is a record of `meter.events.v1` with
/// the same meter and number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Command")]
pub struct CommandRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// The command's number: greater than that of every earlier command to this meter.
    pub number: u64,
    /// What it asks for: `read`, `top_up`, `relay`, `limit`, `report_interval`, `calibration`. New actions may come.
    #[schemars(with = "String")]
    pub action: ActionKind,
    /// Channel that it names, from 0; absent where it names none, or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// That channel's account: `<meter>.<channel>`. Absent where `channel` is, and in records that are older than accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// When it was signed: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub issued_ms: UnixMillis,
    /// The last instant at which the meter carries it out: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub expires_ms: UnixMillis,
    /// Who sent it, in their own words; not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The public key whose owner signed it: 64 hexadecimal digits.
    pub authority: String,
    /// The signed bytes, in hexadecimal digits; what they are is in docs/commands.md.
    pub command: String,
}
