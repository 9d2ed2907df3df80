//! A meter: its papers, its device, and what its channels have.

use std::path::PathBuf;

use edge_core::PrepaidConfig;
use edge_core::calibration::Calibration;
use edge_core::code::Secret;
use measure::{CHANNELS_MAX, Channel as Number, MeterId};
use meters::modbus::Address;
use serde::{Deserialize, Serialize};

use super::check::value_error;
use super::device;
use super::prepaid::Channel;
use super::{ConfigError, Device, Keypad};
use crate::bus::Question;

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
    /// Its keypad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keypad: Option<Keypad>,
    /// Where its samples come from.
    #[serde(flatten)]
    pub device: Device,
    /// Its channels, as far as they have more than the device's one sensor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channel: Vec<Channel>,
}

impl Meter {
    /// One channel with a sensor and nothing else.
    pub const fn new(id: MeterId, certificate_file: PathBuf, key_file: PathBuf, device: Device) -> Self {
        Self { id, certificate_file, key_file, code_secret_file: None, keypad: None, device, channel: Vec::new() }
    }

    /// How many channels it has.
    pub(crate) fn channels(&self) -> usize {
        let on_chip = if let Device::Ade7816(chip) = &self.device { usize::from(chip.channels) } else { 1 };
        self.channel.iter().map(|it| usize::from(it.number).saturating_add(1)).max().map_or(on_chip, |named| named.max(on_chip))
    }

    /// How each of its channels is asked on its bus. Reads the password.
    pub(crate) fn questions(&self) -> Result<Vec<(Number, Question)>, ConfigError> {
        let mut questions: Vec<_> = self.device.question()?.map(|question| (0, question)).into_iter().collect();
        for channel in &self.channel {
            let Some(address) = channel.address else { continue };
            questions.push((channel.number, Question::Pzem(self.module(channel.number, address)?)));
        }
        Ok(questions)
    }

    /// The calibrations of its channels, from 0. Reads the files.
    pub(crate) fn calibrations(&self) -> Result<Vec<Option<Calibration>>, ConfigError> {
        let mut all = vec![self.device.calibration()?];
        all.resize(self.channels(), None);
        for channel in &self.channel {
            let Some(path) = &channel.calibration_file else { continue };
            let Some(place) = all.get_mut(usize::from(channel.number)) else { continue };
            *place = Some(device::calibration(path)?);
        }
        Ok(all)
    }

    fn module(&self, number: Number, address: u8) -> Result<Address, ConfigError> {
        Address::new(address).map_err(|error| value_error(self.key(number, "address"), error.to_string()))
    }

    fn key(&self, number: Number, name: &str) -> String {
        format!("meter {}: channel {number}: {name}", self.id)
    }

    /// Whether each channel has a module of its own where a meter is made of modules, and none elsewhere; `earlier` are the meters before it
    /// on the same bus.
    pub(super) fn check_modules<'a>(&'a self, earlier: impl Iterator<Item = &'a Self>) -> Result<(), ConfigError> {
        let of_modules = matches!(self.device, Device::Pzem004t { .. });
        for channel in &self.channel {
            let name = match (channel.address, &channel.calibration_file) {
                (None, None) => continue,
                (Some(_), _) => "address",
                (None, Some(_)) => "calibration_file",
            };
            let refused = |problem| Err(value_error(self.key(channel.number, name), problem));
            match channel.address {
                _ if !of_modules => return refused("needs device = \"pzem-004t\""),
                _ if channel.number == 0 => return refused("is the meter's own: leave it out here"),
                Some(address) => _ = self.module(channel.number, address)?,
                None => return refused("needs an address: of which module is it?"),
            }
        }
        if !of_modules {
            return Ok(());
        }
        for number in 1..self.channels() {
            let has_module = |it: &Channel| usize::from(it.number) == number && it.address.is_some();
            if !self.channel.iter().any(has_module) {
                let key = format!("meter {}: channel {number}: address", self.id);
                return Err(value_error(key, "is missing: each channel but 0 needs a module of its own"));
            }
        }
        let mut taken: Vec<u8> = earlier.flat_map(Self::addresses).collect();
        for address in self.addresses() {
            if taken.contains(&address) {
                return Err(value_error(
                    format!("meter {}: address", self.id),
                    format!("{address} is another module's on the same bus, too"),
                ));
            }
            taken.push(address);
        }
        if taken.len() > 1 && taken.contains(&Address::GENERAL.get()) {
            return Err(value_error(
                format!("meter {}: address", self.id),
                "248 asks whichever module is alone on the bus, and this one is not",
            ));
        }
        Ok(())
    }

    /// Addresses of its modules.
    fn addresses(&self) -> impl Iterator<Item = u8> {
        let first = if let Device::Pzem004t { address, .. } = &self.device { Some(*address) } else { None };
        first.into_iter().chain(self.channel.iter().filter_map(|it| it.address))
    }

    /// Credit and relays of its channels, in the brain's units.
    pub(crate) fn prepaid(&self) -> Result<Vec<Option<PrepaidConfig>>, ConfigError> {
        let mut all = vec![None; self.channels().min(CHANNELS_MAX.into())];
        for channel in &self.channel {
            let key = |name: &str| self.key(channel.number, name);
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
