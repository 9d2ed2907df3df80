//! How feeders are watched.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// What `settle_ms` may be: from one quarter of an hour to a day.
pub(super) const SETTLE_MS: RangeInclusive<i64> = 900_000..=86_400_000;

/// What `storm_ms` may be: from a second to an hour.
pub(super) const STORM_MS: RangeInclusive<i64> = 1_000..=3_600_000;

/// Section `[analytics]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Analytics {
    pub enabled: bool,
    pub commit_interval_ms: u64,
    pub settle_ms: i64,
    pub storm_ms: i64,
}
