//! How commands go to meters.

use serde::Deserialize;

use crate::commands::desk::Pauses;

/// Section `[commands]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the default file documents every key")]
pub struct Commands {
    pub enabled: bool,
    pub resend_first_ms: u64,
    pub resend_max_ms: u64,
}

impl Commands {
    /// Before a command is sent again.
    pub const fn pauses(&self) -> Pauses {
        Pauses { first_ms: self.resend_first_ms, max_ms: self.resend_max_ms }
    }
}
