//! Where samples come from: a section's device, and whether it makes sense.

use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_core::calibration::Calibration;
use measure::Text;
use meters::iec62056_21::identification::Baud;
use meters::modbus::Address;
use serde::{Deserialize, Serialize};

use super::check::{in_range, value_error};
use super::{Ade7816, ConfigError};
use crate::bus;
use crate::calibration::File;
use crate::optical::{self, What};
use crate::push::{self, Language};

/// Where samples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "device", deny_unknown_fields)]
pub enum Device {
    /// A PZEM-004T v3 on a serial port.
    #[serde(rename = "pzem-004t")]
    Pzem004t {
        /// Name of a section `[bus.…]`.
        bus: String,
        /// Address of its module, of that of channel 0 where it has several: 1 to 248.
        address: u8,
        /// Time between polls, 100 at least.
        #[serde(default = "poll_ms")]
        poll_ms: u64,
        /// A file that `ferraris calibrate` wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calibration_file: Option<PathBuf>,
    },
    /// A meter with an optical port or a current loop, by IEC 62056-21.
    #[serde(rename = "iec62056-21")]
    Iec62056(Iec62056),
    /// The consumer's port of a Dutch, Belgian, Swedish or Finnish meter, which talks unasked.
    #[serde(rename = "dsmr-p1")]
    DsmrP1(Push),
    /// The optical port of a German meter, which talks unasked.
    #[serde(rename = "sml")]
    Sml(Push),
    /// A six-channel chip on a bus of this machine.
    #[serde(rename = "ade7816")]
    Ade7816(Ade7816),
    /// Whoever starts the agent hands them over, see [`crate::Options::source`]. Not for files.
    #[serde(skip)]
    Supplied {
        /// Kind of device, as the head-end will read it.
        name: Text,
    },
}

/// A meter with an optical port or a current loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iec62056 {
    /// Name of a section `[bus.…]`.
    pub bus: String,
    /// Its address; empty for whichever meter is there.
    #[serde(default)]
    pub address: String,
    /// What to ask it for.
    #[serde(default)]
    pub mode: Mode,
    /// The registers to ask for in mode `registers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<String>,
    /// A file with the password of programming mode, where the meter wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The fastest speed to agree to.
    #[serde(default = "baud_max")]
    pub baud_max: u32,
    /// The line's parity.
    #[serde(default)]
    pub parity: Parity,
    /// Whether it must be woken up.
    #[serde(default)]
    pub wake_up: bool,
    /// Time between readouts.
    #[serde(default = "poll_s")]
    pub poll_s: u64,
    /// Longest time for one.
    #[serde(default = "deadline_s")]
    pub deadline_s: u64,
}

/// A meter that talks unasked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Name of a section `[bus.…]`.
    pub bus: String,
    /// The line's speed, 8N1; without it, the one of its standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// Time between the messages that are taken.
    #[serde(default = "push_poll_s")]
    pub poll_s: u64,
    /// Longest time to wait for one.
    #[serde(default = "push_deadline_s")]
    pub deadline_s: u64,
}

/// What to ask a meter for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything that it reads out.
    #[default]
    Readout,
    /// What it says unasked (mode D).
    Push,
    /// Single registers, in programming mode.
    Registers,
}

/// The line's parity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// 7E1, as the standard has it.
    #[default]
    Even,
    /// Something between here and the meter has taken it away.
    None,
}

const fn poll_ms() -> u64 {
    1_000
}

const fn baud_max() -> u32 {
    19_200
}

const fn poll_s() -> u64 {
    60
}

const fn deadline_s() -> u64 {
    180
}

const fn push_poll_s() -> u64 {
    10
}

const fn push_deadline_s() -> u64 {
    25
}

impl Device {
    /// Kind of device, as the head-end will read it.
    pub fn name(&self) -> Text {
        match self {
            Self::Pzem004t { .. } => Text::try_from("pzem-004t").unwrap_or_default(),
            Self::Iec62056(_) => Text::try_from("iec62056-21").unwrap_or_default(),
            Self::DsmrP1(_) => Text::try_from("dsmr-p1").unwrap_or_default(),
            Self::Sml(_) => Text::try_from("sml").unwrap_or_default(),
            Self::Ade7816(_) => Text::try_from("ade7816").unwrap_or_default(),
            Self::Supplied { name } => name.clone(),
        }
    }

    /// The bus that it is on.
    pub fn bus(&self) -> Option<&str> {
        match self {
            Self::Pzem004t { bus, .. }
            | Self::Iec62056(Iec62056 { bus, .. })
            | Self::DsmrP1(Push { bus, .. })
            | Self::Sml(Push { bus, .. }) => Some(bus),
            Self::Ade7816(_) | Self::Supplied { .. } => None,
        }
    }

    /// Time between polls.
    pub fn every(&self) -> Option<Duration> {
        match self {
            Self::Pzem004t { poll_ms, .. } => Some(Duration::from_millis(*poll_ms)),
            Self::Iec62056(meter) => Some(Duration::from_secs(meter.poll_s)),
            Self::DsmrP1(meter) | Self::Sml(meter) => Some(Duration::from_secs(meter.poll_s)),
            Self::Ade7816(chip) => Some(Duration::from_millis(chip.poll_ms)),
            Self::Supplied { .. } => None,
        }
    }

    /// How it is asked on its bus. Reads the password.
    ///
    /// # Errors
    /// A value that makes no sense, or a file that can't be read.
    pub fn question(&self) -> Result<Option<bus::Question>, ConfigError> {
        match self {
            Self::Pzem004t { address, .. } => {
                let address = Address::new(*address).map_err(|error| value_error("address", error.to_string()))?;
                Ok(Some(bus::Question::Pzem(address)))
            }
            Self::Iec62056(meter) => meter.question().map(bus::Question::Optical).map(Some),
            Self::DsmrP1(meter) => Ok(Some(bus::Question::Push(meter.question(Language::DsmrP1)))),
            Self::Sml(meter) => Ok(Some(bus::Question::Push(meter.question(Language::Sml)))),
            Self::Ade7816(_) | Self::Supplied { .. } => Ok(None),
        }
    }

    /// Its calibration, where it has one. Reads the file.
    ///
    /// # Errors
    /// The file can't be read, or makes no sense.
    pub fn calibration(&self) -> Result<Option<Calibration>, ConfigError> {
        let Self::Pzem004t { calibration_file: Some(path), .. } = self else { return Ok(None) };
        calibration(path).map(Some)
    }

    /// Whether its values make sense; `key` says where they stand.
    pub(super) fn check(&self, key: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        match self {
            Self::Pzem004t { address, poll_ms, .. } => {
                Address::new(*address).map_err(|error| value_error(key("address"), error.to_string()))?;
                in_range(&key("poll_ms"), *poll_ms, 100, 3_600_000)
            }
            Self::Iec62056(meter) => meter.check(key),
            Self::DsmrP1(meter) | Self::Sml(meter) => meter.check(key),
            Self::Ade7816(chip) => chip.check(key),
            Self::Supplied { .. } => Ok(()),
        }
    }

    /// Whether both would answer to the same question; modules are told apart by [`Meter`](super::Meter).
    pub(super) fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Iec62056(one), Self::Iec62056(another)) => {
                one.address.is_empty() || another.address.is_empty() || one.address == another.address
            }
            // Nothing in what they say tells them apart before it is read.
            (Self::DsmrP1(_), Self::DsmrP1(_)) | (Self::Sml(_), Self::Sml(_)) => true,
            _ => false,
        }
    }
}

/// The calibration in a file.
pub(super) fn calibration(path: &Path) -> Result<Calibration, ConfigError> {
    let calibration = File::load(path).and_then(|file| file.calibration(path));
    calibration.map_err(|error| value_error("calibration_file", format!("can't be used: {error}")))
}

impl Push {
    fn check(&self, key: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        in_range(&key("poll_s"), self.poll_s, 1, 86_400)?;
        in_range(&key("deadline_s"), self.deadline_s, 2, 300)?;
        self.baud.map_or(Ok(()), |baud| in_range(&key("baud"), baud.into(), 300, 921_600))
    }

    fn question(&self, language: Language) -> push::Question {
        let baud = self.baud.unwrap_or(language.usual_baud());
        push::Question { language, baud, deadline: Duration::from_secs(self.deadline_s) }
    }
}

impl Iec62056 {
    fn check(&self, key: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        in_range(&key("poll_s"), self.poll_s, 1, 86_400)?;
        in_range(&key("deadline_s"), self.deadline_s, 5, 900)?;
        if Baud::from_per_second(self.baud_max).is_none() {
            return Err(value_error(key("baud_max"), format!("is {}: use 300, 600, 1200, 2400, 4800, 9600 or 19200", self.baud_max)));
        }
        let single = self.mode == Mode::Registers;
        if single == self.registers.is_empty() {
            let problem = if single { "is empty: name the registers to ask for" } else { "needs mode = \"registers\"" };
            return Err(value_error(key("registers"), problem));
        }
        if !single && self.password_file.is_some() {
            return Err(value_error(key("password_file"), "needs mode = \"registers\""));
        }
        Ok(())
    }

    fn question(&self) -> Result<optical::Question, ConfigError> {
        let password = self.password_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path)
                .map_err(|source| value_error("password_file", format!("is {}, which can't be read: {source}", path.display())))?;
            Ok(text.trim_end().to_owned())
        });
        let what = match self.mode {
            Mode::Readout => What::Readout,
            Mode::Push => What::Push,
            Mode::Registers => What::Registers { password: password.transpose()?, names: self.registers.clone() },
        };
        Ok(optical::Question {
            address: self.address.clone(),
            what,
            baud_max: Baud::from_per_second(self.baud_max).unwrap_or(Baud::B300),
            parity: self.parity == Parity::Even,
            wake_up: self.wake_up,
            deadline: Duration::from_secs(self.deadline_s),
        })
    }
}
