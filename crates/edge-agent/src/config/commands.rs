//! Whom the meters obey.

use std::time::Duration;

use edge_core::CommandConfig;
use measure::MeterId;
use serde::{Deserialize, Serialize};
use wire::command::{AuthorityKey, KEYS_MAX};

use super::ConfigError;
use super::check::value_error;

/// Section `[commands]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commands {
    /// Public keys of command authorities, 64 hexadecimal digits each; any of them may sign. Without one no command is obeyed.
    pub keys: Vec<String>,
}

impl Commands {
    /// The shortest time for a reading that a command asks for.
    const READ_PATIENCE: Duration = Duration::from_secs(10);

    /// Whether the meters listen to commands at all.
    pub const fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    /// In the brain's units, for a meter that is polled so often.
    ///
    /// # Errors
    /// A key that is none, or too many.
    pub fn to_core(&self, meter: &MeterId, every: Option<Duration>) -> Result<CommandConfig, ConfigError> {
        if self.keys.len() > KEYS_MAX {
            return Err(value_error("commands.keys", format!("has {} keys: {KEYS_MAX} at most", self.keys.len())));
        }
        let key = |text: &String| text.parse().map_err(|error| value_error("commands.keys", format!("has {text:?}: {error}")));
        let keys = self.keys.iter().map(key).collect::<Result<Vec<AuthorityKey>, _>>()?;
        let patience = every.map_or(Duration::ZERO, |every| every.saturating_mul(3)).max(Self::READ_PATIENCE);
        let read_patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Ok(CommandConfig { meter: Some(meter.clone()), keys, read_patience_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_keys_and_bounded() {
        let meter: MeterId = "M1".parse().expect("a name");
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let commands = |keys: &[&str]| Commands { keys: keys.iter().map(|it| (*it).to_owned()).collect() };
        let core = commands(&[key]).to_core(&meter, Some(Duration::from_secs(60))).expect("sound");
        assert_eq!((core.keys.len(), core.read_patience_ms), (1, 180_000));
        let error = commands(&["d75a"]).to_core(&meter, None).expect_err("no key").to_string();
        assert!(error.starts_with("configuration: commands.keys has \"d75a\": a command authority's key"), "{error}");
        let error = commands(&[key; KEYS_MAX + 1]).to_core(&meter, None).expect_err("too many").to_string();
        assert!(error.contains("has 9 keys: 8 at most"), "{error}");
    }
}
