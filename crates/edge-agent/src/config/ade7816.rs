//! The six-channel chip ADE7816: its section, and what its registers are set to.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use meters::ade7816::driver::{Channel as Calibration, Settings};
use meters::ade7816::{CHANNELS, FrontEnd};
use meters::calibration::phase_coefficient;
use serde::{Deserialize, Serialize};

use super::check::{in_range, value_error};
use super::{Channel, ConfigError, Device, Meter};

/// A chip on a bus of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ade7816 {
    /// The bus: `/dev/i2c-1`, `/dev/spidev0.0`.
    pub port: PathBuf,
    /// How it is wired, where the port's name does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// Time between polls, 200 at least.
    #[serde(default = "poll_ms")]
    pub poll_ms: u64,
    /// How many of its channels are in use, from A on.
    #[serde(default = "channels")]
    pub channels: u8,
    /// Volts of the mains for each volt at the chip.
    pub divider: f64,
    /// Volts at the chip for each ampere.
    pub volts_per_ampere: f64,
    /// Energy of a count.
    pub wh_per_count: f64,
    /// Register of the voltage's gain.
    #[serde(default)]
    pub voltage_gain: i64,
    /// Frequency of the mains, for channels without a phase coefficient of their own.
    #[serde(default = "mains_hz")]
    pub mains_hz: f64,
    /// A sag is below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sag_v: Option<f64>,
    /// Over-voltage is above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_voltage_v: Option<f64>,
    /// Over-current is above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_current_a: Option<f64>,
}

/// How a chip is wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interface {
    /// Two wires.
    I2c,
    /// Four wires.
    Spi,
}

const fn poll_ms() -> u64 {
    1_000
}

const fn channels() -> u8 {
    CHANNELS as u8
}

const fn mains_hz() -> f64 {
    50.0
}

/// Two periods: shorter dips are flicker.
const SAG_HALF_CYCLES: u8 = 4;
/// A second at 50 Hz.
const PEAK_HALF_CYCLES: u8 = 100;

impl Interface {
    /// By the name that Linux gives the port.
    pub fn of_port(port: &Path) -> Option<Self> {
        let name = port.file_name()?.to_string_lossy();
        [("spidev", Self::Spi), ("i2c", Self::I2c)].into_iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, it)| it)
    }
}

impl Ade7816 {
    /// How it is wired, if that can be told.
    pub fn wired(&self) -> Option<Interface> {
        self.interface.or_else(|| Interface::of_port(&self.port))
    }

    /// What is between the mains and the chip.
    pub const fn front_end(&self) -> FrontEnd {
        FrontEnd { divider: self.divider, volts_per_ampere: self.volts_per_ampere }
    }

    pub(super) fn check(&self, key: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        in_range(&key("poll_ms"), self.poll_ms, 200, 3_600_000)?;
        in_range(&key("channels"), self.channels.into(), 1, CHANNELS as u64)?;
        number(key("divider"), self.divider, 1.0..=100_000.0)?;
        number(key("volts_per_ampere"), self.volts_per_ampere, 1e-5..=100.0)?;
        number(key("wh_per_count"), self.wh_per_count, PER_COUNT)?;
        number(key("mains_hz"), self.mains_hz, 40.0..=70.0)?;
        if self.wired().is_none() {
            let problem = format!("{} tells no interface: add interface = \"i2c\" or \"spi\"", self.port.display());
            return Err(value_error(key("port"), problem));
        }
        let front_end = self.front_end();
        for (name, level, most, unit) in [
            ("sag_v", self.sag_v, front_end.volts_max(), "V"),
            ("over_voltage_v", self.over_voltage_v, front_end.volts_max(), "V"),
            ("over_current_a", self.over_current_a, front_end.amperes_max(), "A"),
        ] {
            let Some(level) = level else { continue };
            if !(level > 0.0 && level <= most) {
                let problem = format!("is {level}: use a number up to {most:.2}, where this front end clips ({most:.2} {unit} rms)");
                return Err(value_error(key(name), problem));
            }
        }
        if let (Some(sag), Some(over)) = (self.sag_v, self.over_voltage_v)
            && sag >= over
        {
            return Err(value_error(key("sag_v"), format!("is {sag}, and over_voltage_v is {over}: that is always one of them")));
        }
        Ok(())
    }
}

impl Meter {
    /// What its chip is set to, if it is one.
    ///
    /// # Errors
    /// A value that a register can't hold.
    pub(crate) fn chip(&self) -> Result<Option<Settings>, ConfigError> {
        let Device::Ade7816(chip) = &self.device else { return Ok(None) };
        let key = |name: &str| format!("meter {}: {name}", self.id);
        let usual = phase_coefficient(0.0, chip.mains_hz).map_err(|error| value_error(key("mains_hz"), error.to_string()))?;
        let nominal = Calibration { phase: usual, watt_hours_per_count: chip.wh_per_count, ..Calibration::NOMINAL };
        let mut channels = [nominal; CHANNELS];
        for channel in &self.channel {
            let Some(place) = channels.get_mut(usize::from(channel.number)) else { continue };
            *place = channel.on_chip(nominal, |name| key(&format!("channel {}: {name}", channel.number)))?;
        }
        Ok(Some(Settings {
            front_end: chip.front_end(),
            voltage_gain: gain(key("voltage_gain"), chip.voltage_gain)?,
            channels,
            over_voltage: chip.over_voltage_v,
            sag: chip.sag_v,
            sag_half_cycles: SAG_HALF_CYCLES,
            over_current: chip.over_current_a,
            peak_half_cycles: PEAK_HALF_CYCLES,
        }))
    }

    /// Whether the channels of a chip are those that it has, and no others have its keys; `earlier` are the meters before it.
    pub(super) fn check_chip<'a>(&'a self, mut earlier: impl Iterator<Item = &'a Self>) -> Result<(), ConfigError> {
        let key = |channel: &Channel, name: &str| format!("meter {}: channel {}: {name}", self.id, channel.number);
        let Device::Ade7816(chip) = &self.device else {
            let with_keys = self.channel.iter().find_map(|it| Some((it, it.chip_key()?)));
            return with_keys.map_or(Ok(()), |(it, name)| Err(value_error(key(it, name), "needs device = \"ade7816\"")));
        };
        if let Some(beyond) = self.channel.iter().find(|it| it.number >= chip.channels) {
            let last = chip.channels.saturating_sub(1);
            return Err(value_error(
                key(beyond, "number"),
                format!("is not in use: this chip's are 0 to {last} (channels = {})", chip.channels),
            ));
        }
        if earlier.any(|other| matches!(&other.device, Device::Ade7816(other) if other.port == chip.port)) {
            return Err(value_error(format!("meter {}: port", self.id), "has another meter's chip already: all have the same address"));
        }
        self.chip().map(drop)
    }
}

impl Channel {
    /// The first of its keys that only a chip's channel has.
    fn chip_key(&self) -> Option<&'static str> {
        let keys = [
            ("current_gain", self.current_gain.is_some()),
            ("power_gain", self.power_gain.is_some()),
            ("phase", self.phase.is_some()),
            ("wh_per_count", self.wh_per_count.is_some()),
        ];
        keys.into_iter().find(|(_, there)| *there).map(|(name, _)| name)
    }

    fn on_chip(&self, nominal: Calibration, key: impl Fn(&str) -> String) -> Result<Calibration, ConfigError> {
        Ok(Calibration {
            current_gain: gain(key("current_gain"), self.current_gain.unwrap_or(0))?,
            power_gain: gain(key("power_gain"), self.power_gain.unwrap_or(0))?,
            phase: self.phase.map_or(Ok(nominal.phase), |bits| phase(key("phase"), bits))?,
            watt_hours_per_count: match self.wh_per_count {
                Some(value) => number(key("wh_per_count"), value, PER_COUNT)?,
                None => nominal.watt_hours_per_count,
            },
        })
    }
}

/// Energies of a count that make sense, in Wh.
const PER_COUNT: RangeInclusive<f64> = 1e-9..=1.0;

fn number(key: String, value: f64, range: RangeInclusive<f64>) -> Result<f64, ConfigError> {
    if range.contains(&value) { Ok(value) } else { Err(value_error(key, format!("is {value}: use {} to {}", range.start(), range.end()))) }
}

/// A gain register, as a signed number or as the 24 bits that are printed.
fn gain(key: String, value: i64) -> Result<i32, ConfigError> {
    const ONE_MORE: i64 = 1 << 24;
    let value = if (0x80_0000..ONE_MORE).contains(&value) { value.saturating_sub(ONE_MORE) } else { value };
    let fits = i32::try_from(value).ok().filter(|value| (-0x80_0000..0x80_0000).contains(value));
    fits.ok_or_else(|| value_error(key, format!("is {value}: use the 24 bits that `ferraris calibrate front-end` prints")))
}

/// A phase coefficient: 28 bits, of which the upper five are alike.
fn phase(key: String, value: i64) -> Result<u32, ConfigError> {
    const SIGNS: u32 = 0x0f80_0000;
    let fits = u32::try_from(value).ok().filter(|bits| bits >> 28 == 0 && matches!(bits & SIGNS, 0 | SIGNS));
    fits.ok_or_else(|| value_error(key, format!("is {value:#x}: use the coefficient that `ferraris calibrate front-end` prints")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, REFERENCE};

    const SECTION: &str = "[[meter]]\nid = 'six'\ncertificate_file = 'a'\nkey_file = 'b'\ndevice = 'ade7816'\nport = '/dev/i2c-1'\n\
        divider = 750\nvolts_per_ampere = 0.02\nwh_per_count = 6e-5\n";

    fn with(sections: &str) -> Result<Config, String> {
        let text = REFERENCE.replacen("[report]", &format!("{sections}\n[report]"), 1);
        let config: Config = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_chip_has_six_channels_and_each_its_calibration() {
        let calibrated = "[[meter.channel]]\nnumber = 2\ncurrent_gain = 0x0018c631\npower_gain = 0x00ffffff\nphase = 0x0fc00001\n\
            wh_per_count = 7e-5\ncredit = 'energy'\n";
        let config = with(&format!("{SECTION}sag_v = 207\nover_current_a = 16.0\n{calibrated}")).expect("sound");
        let meter = &config.meter[1];
        assert_eq!((meter.channels(), meter.device.every().map(|it| it.as_secs()), meter.device.bus()), (6, Some(1), None));
        let settings = meter.chip().expect("sound").expect("a chip");
        let nominal = Calibration { watt_hours_per_count: 6e-5, ..Calibration::NOMINAL };
        assert_eq!((settings.channels[0], settings.channels[5]), (nominal, nominal));
        let of_two = Calibration { current_gain: 0x18_c631, power_gain: -1, phase: 0x0fc0_0001, watt_hours_per_count: 7e-5 };
        assert_eq!(settings.channels[2], of_two);
        assert_eq!((settings.sag, settings.over_voltage, settings.over_current), (Some(207.0), None, Some(16.0)));
        assert!(meter.prepaid().expect("sound")[2].as_ref().is_some_and(|it| it.credit.is_some()));

        let three = with(&SECTION.replace("'/dev/i2c-1'", "'/dev/spidev0.0'\nchannels = 3\nmains_hz = 60")).expect("sound");
        assert_eq!(three.meter[1].channels(), 3);
        assert_eq!(three.meter[1].chip().expect("sound").expect("a chip").channels[0].phase, 0x0040_1235, "as the data sheet has it");
        let Device::Ade7816(chip) = &three.meter[1].device else { panic!("a chip") };
        assert_eq!(chip.wired(), Some(Interface::Spi));
        assert!(with(&SECTION.replace("'/dev/i2c-1'", "'/dev/bus'\ninterface = 'i2c'")).is_ok());
    }

    /// The section that the reference suggests, with its keys uncommented.
    #[test]
    fn the_suggested_chip_has_the_defaults() {
        let (_, rest) = REFERENCE.split_once("# id = \"M0004\"\n").expect("a suggestion");
        let (suggested, _) = rest.split_once("\n\n").expect("its end");
        let keys = suggested.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
        let optional = ["interface", "sag_v", "over_voltage_v", "over_current_a"];
        let keys: Vec<_> = keys.filter(|line| !optional.iter().any(|name| line.starts_with(name))).collect();
        let section = format!("[[meter]]\nid = \"M0004\"\n{}\n", keys.join("\n"));
        let config = with(&section).expect("sound");
        let defaults = "device = 'ade7816'\nport = '/dev/i2c-1'\ndivider = 750\nvolts_per_ampere = 0.02\nwh_per_count = 6e-5";
        assert_eq!(config.meter[1].device, toml::from_str(defaults).expect("the others have defaults"));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let channel = |keys: &str| format!("{SECTION}[[meter.channel]]\nnumber = 0\n{keys}\n");
        let changed = |from: &str, to: &str| SECTION.replace(from, to);
        for (sections, expected) in [
            (changed("/dev/i2c-1", "/dev/ttyUSB0"), "port /dev/ttyUSB0 tells no interface: add interface = \"i2c\" or \"spi\""),
            (format!("{SECTION}poll_ms = 100"), "poll_ms is 100: use 200 to 3600000"),
            (format!("{SECTION}channels = 7"), "channels is 7: use 1 to 6"),
            (changed("750", "0"), "divider is 0: use 1 to 100000"),
            (changed("0.02", "nan"), "volts_per_ampere is NaN: use 0.00001 to 100"),
            (changed("6e-5", "0.0"), "wh_per_count is 0: use 0.000000001 to 1"),
            (format!("{SECTION}mains_hz = 16.7"), "mains_hz is 16.7: use 40 to 70"),
            (
                changed("750", "500") + "over_voltage_v = 253",
                "over_voltage_v is 253: use a number up to 176.78, where this front end clips (176.78 V rms)",
            ),
            (
                format!("{SECTION}over_current_a = 20"),
                "over_current_a is 20: use a number up to 17.68, where this front end clips (17.68 A rms)",
            ),
            (format!("{SECTION}sag_v = 250\nover_voltage_v = 240"), "sag_v is 250, and over_voltage_v is 240: that is always one of them"),
            (
                format!("{SECTION}voltage_gain = 0x1000000"),
                "voltage_gain is 16777216: use the 24 bits that `ferraris calibrate front-end` prints",
            ),
            (
                channel("current_gain = -8388609"),
                "channel 0: current_gain is -8388609: use the 24 bits that `ferraris calibrate front-end` prints",
            ),
            (
                channel("phase = 0x0480_0000"),
                "channel 0: phase is 0x4800000: use the coefficient that `ferraris calibrate front-end` prints",
            ),
            (channel("wh_per_count = 2.0"), "channel 0: wh_per_count is 2: use 0.000000001 to 1"),
            (channel("").replace("number = 0", "number = 6"), "channel 6: number is not in use: this chip's are 0 to 5 (channels = 6)"),
            (channel("address = 3"), "channel 0: address needs device = \"pzem-004t\""),
            (format!("{SECTION}{}", changed("'six'", "'seven'")), "port has another meter's chip already: all have the same address"),
        ] {
            let error = with(&sections).expect_err(expected);
            assert!(error.ends_with(expected), "{error} is not {expected}");
        }
        let elsewhere = with("[[meter.channel]]\nnumber = 0\nphase = 1\n").expect_err("a module");
        assert_eq!(elsewhere, "configuration: meter M0001: channel 0: phase needs device = \"ade7816\"");
        assert!(with(&changed("wh_per_count = 6e-5\n", "")).expect_err("no default").contains("wh_per_count"));
    }
}
