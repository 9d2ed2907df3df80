//! `alerts.v1`, `alerts.actions.v1` and `alert/…` on MQTT: what was found, and what people do about it.

use std::fmt;
use std::str::FromStr;

use measure::{FeederId, MeterId, StreamId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A hash of rule, subject and window: whoever derives an alert again gives it the same id. 32 hexadecimal digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub u128);

/// Not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an alert's id is 32 hexadecimal digits")]
pub struct InvalidAlertId;

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for AlertId {
    type Err = InvalidAlertId;

    fn from_str(text: &str) -> Result<Self, InvalidAlertId> {
        let digits = text.len() == 32 && text.bytes().all(|it| it.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(InvalidAlertId)
    }
}

impl Serialize for AlertId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AlertId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where an alert is in its life (the vocabulary of ISA-18.2), and everything that somebody needs to judge it.
///
/// The key of the Kafka record is the alert's id; it lies on the partition of its feeder. The last record of an id counts. Written by the
/// analytics only: what people do comes in by `alerts.actions.v1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Alert")]
pub struct AlertRecord {
    /// The alert's id: 32 hexadecimal digits.
    #[schemars(with = "String")]
    pub alert: AlertId,
    /// The test that found it: `feeder_balance`, `voltage_drop`, `pair`, `edge_evidence`, `unbalance`, `supply_lost`. New rules may come.
    pub rule: String,
    /// How much it matters: `info`, `warning`, `critical`.
    pub severity: AlertSeverity,
    /// The feeder that it is on: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub feeder: FeederId,
    /// The pole that it is at, where the test names one.
    pub pole: Option<String>,
    /// The meter that it is at or behind, where the test names one.
    #[schemars(with = "Option<String>")]
    pub meter: Option<MeterId>,
    /// Where it is in its life: `raised`, `acknowledged`, `shelved`, `cleared`.
    pub state: AlertState,
    /// When this state began: milliseconds since 1970-01-01 UTC, by Kafka's clock.
    #[schemars(with = "i64")]
    pub at_ms: UnixMillis,
    /// Until when it is shelved: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "Option<i64>")]
    pub shelved_until_ms: Option<UnixMillis>,
    /// Who brought it into this state; absent if nobody did.
    pub who: Option<String>,
    /// What they noted, or why it was cleared without having ended.
    pub note: Option<String>,
    /// The record of `alerts.actions.v1` that brought it into this state: 16 hexadecimal digits.
    #[schemars(with = "Option<String>")]
    pub action: Option<StreamId>,
    /// When it began, as far as the test can tell: milliseconds since 1970-01-01 UTC, by the meters' clocks.
    #[schemars(with = "i64")]
    pub since_ms: UnixMillis,
    /// When the test knew: start of the interval that told it, milliseconds since 1970-01-01 UTC, by the meters' clocks.
    #[schemars(with = "i64")]
    pub detected_ms: UnixMillis,
    /// From `since_ms` to `detected_ms`, in ms.
    pub delay_ms: i64,
    /// The test's statistic when it knew, in `unit`.
    pub statistic: f64,
    /// The threshold that the statistic passed, in `unit`.
    pub threshold: f64,
    /// Unit of statistic and threshold.
    pub unit: String,
    /// How many false alarms this test raises on an honest feeder in a year, at most, with 95 % confidence, as measured on simulated feeders;
    /// absent where that can't be said.
    pub false_alarms_per_feeder_year_max: Option<f64>,
    /// With `supply_lost`, where: `feeder` (the line's meter has no supply either), `line` (the line's meter has supply), `service_line` (of one
    /// house, or its meter's connection; the line's meter has supply), `line_meter`, `meter` (it can't be said). New ones may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The current that is missing, in A, where the test tells one.
    pub missing_current_a: Option<f64>,
    /// What it rests on: the test's values before it knew.
    pub evidence: Vec<AlertEvidence>,
}

/// One value that an alert rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertEvidence {
    /// Start of the interval: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub time_ms: UnixMillis,
    /// The test's value, in the unit of the statistic.
    pub value: f64,
}

/// How much an alert matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AlertSeverity {
    /// To be known.
    Info,
    /// To be looked at.
    Warning,
    /// To be acted on.
    Critical,
}

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AlertState {
    /// It holds, and nobody has said that they know.
    Raised,
    /// Somebody knows.
    Acknowledged,
    /// Nobody wants to hear of it for a while.
    Shelved,
    /// It is over, or somebody says so.
    Cleared,
}

/// What somebody does to an alert. The key of the Kafka record is the alert's feeder, so that it meets the feeder's analytics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "AlertAction")]
pub struct AlertActionRecord {
    /// A random number that names this action: 16 hexadecimal digits. What is sent twice under one number counts once.
    #[schemars(with = "String")]
    pub action: StreamId,
    /// The alert: 32 hexadecimal digits.
    #[schemars(with = "String")]
    pub alert: AlertId,
    /// The alert's feeder.
    #[schemars(with = "String")]
    pub feeder: FeederId,
    /// What: `acknowledge`, `shelve`, `clear`.
    pub kind: AlertActionKind,
    /// With `shelve`: until when, milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    #[schemars(with = "Option<i64>")]
    pub until_ms: Option<UnixMillis>,
    /// Who does it: 1 to 256 bytes.
    pub who: String,
    /// What they note: up to 256 bytes.
    #[serde(default)]
    pub note: String,
}

/// What somebody does to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AlertActionKind {
    /// They know.
    Acknowledge,
    /// They don't want to hear of it for a while.
    Shelve,
    /// They say that it is over; the condition must end and begin again before it is raised anew.
    Clear,
}

impl AlertSeverity {
    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl AlertState {
    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Acknowledged => "acknowledged",
            Self::Shelved => "shelved",
            Self::Cleared => "cleared",
        }
    }
}
