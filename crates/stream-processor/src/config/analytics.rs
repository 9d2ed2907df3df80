//! How feeders are watched.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// What `settle_ms` may be: from one quarter of an hour to a day.
pub(super) const SETTLE_MS: RangeInclusive<i64> = 900_000..=86_400_000;

/// Section `[analytics]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Analytics {
    pub enabled: bool,
    pub commit_interval_ms: u64,
    pub settle_ms: i64,
}
