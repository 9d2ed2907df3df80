//! `meter.ledger.v1`: how far each stream is committed. Compacted and internal: the processor's state, readable for tools.

use std::fmt;
use std::str::FromStr;

use measure::{InvalidId, MeterId, Seq, StreamId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Key of a row: `{meter}/{stream}`, or `incarnation` for the row that says which life of the ledger this is.
///
/// All rows of a meter are on the meter's partition; the incarnation's row is on every partition. No meter id holds a slash, so the two
/// never collide.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LedgerKey {
    /// A stream of a meter.
    Stream(MeterId, StreamId),
    /// The incarnation.
    Incarnation,
}

const INCARNATION: &str = "incarnation";

impl fmt::Display for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(meter, stream) => write!(f, "{meter}/{stream}"),
            Self::Incarnation => f.write_str(INCARNATION),
        }
    }
}

impl FromStr for LedgerKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('/') {
            Some((meter, stream)) => Ok(Self::Stream(meter.parse()?, stream.parse()?)),
            None if text == INCARNATION => Ok(Self::Incarnation),
            None => Err(InvalidId::Stream),
        }
    }
}

/// A row of the ledger. A record without a value (a tombstone) under a stream's key says that the stream is forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "row", rename_all = "snake_case", rename = "Ledger")]
pub enum LedgerRecord {
    /// How far a stream is committed.
    Through(ThroughRow),
    /// Which life of the ledger this is.
    Incarnation(IncarnationRow),
}

/// Everything of a stream up to `through` is committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughRow {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// The stream: 16 hexadecimal digits.
    #[schemars(with = "String")]
    pub stream: StreamId,
    /// Number of the last committed record.
    pub through: Seq,
    /// When the row was written: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub updated_ms: UnixMillis,
    /// Time of the meter's latest reading so far: live values never go back, whoever publishes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub latest_ms: Option<UnixMillis>,
}

/// The ledger counts as new from here on: meters give up the streams they have open and number what they still hold anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IncarnationRow {
    /// Grows each time somebody puts Kafka back to an earlier state.
    pub incarnation: u64,
    /// When the row was written: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub updated_ms: UnixMillis,
}
