//! A meter: its papers, its device, and what its channels have.

use std::path::PathBuf;

use edge_core::PrepaidConfig;
use edge_core::code::Secret;
use measure::MeterId;
use serde::{Deserialize, Serialize};

use super::check::value_error;
use super::prepaid::{CHANNELS_MAX, Channel};
use super::{ConfigError, Device};

/// A section `[[meter]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meter {
    /// Common name of its certificate.
    pub id: MeterId,
    /// Its certificate chain, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// A file with the secret of its top-up codes, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_secret_file: Option<PathBuf>,
    /// Where its samples come from.
    #[serde(flatten)]
    pub device: Device,
    /// Its channels, as far as they have more than a sensor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channel: Vec<Channel>,
}

impl Meter {
    /// One channel with a sensor and nothing else.
    pub const fn new(id: MeterId, certificate_file: PathBuf, key_file: PathBuf, device: Device) -> Self {
        Self { id, certificate_file, key_file, code_secret_file: None, device, channel: Vec::new() }
    }

    /// How many channels it has.
    pub(crate) fn channels(&self) -> usize {
        self.channel.iter().map(|it| usize::from(it.number)).max().map_or(1, |last| last.saturating_add(1))
    }

    /// Credit and relays of its channels, in the brain's units.
    pub(crate) fn prepaid(&self) -> Result<Vec<Option<PrepaidConfig>>, ConfigError> {
        let mut all = vec![None; self.channels().min(CHANNELS_MAX.into())];
        for channel in &self.channel {
            let key = |name: &str| format!("meter {}: channel {}: {name}", self.id, channel.number);
            let core = channel.to_core(key)?;
            let Some(place) = all.get_mut(usize::from(channel.number)) else { continue };
            if place.replace(core).is_some() {
                return Err(value_error(key("number"), "is there twice"));
            }
        }
        Ok(all)
    }

    /// The secret of its top-up codes.
    pub(crate) fn code_secret(&self) -> Result<Option<Secret>, ConfigError> {
        let Some(path) = &self.code_secret_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        let secret = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        let key = || value_error(format!("meter {}: code_secret_file", self.id), "holds something else than 64 hexadecimal digits");
        secret.map(|bytes| Some(Secret(bytes))).ok_or_else(key)
    }
}
