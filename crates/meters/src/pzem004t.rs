//! PZEM-004T v3: a single-phase module with voltage, current, power, energy, frequency and power factor over Modbus RTU, 9600 8N1.
//!
//! Source: vendor manual "PZEM-004T V3.0 User Manual", sections 2 (communication) and 3 (functions); checked against captured replies.
//! The module measures 80 to 260 V, up to 100 A with a current transformer, 45 to 65 Hz, and counts to 9999.99 kWh. It has no signs:
//! reverse flow and the sense of reactive power are invisible. Registers refresh about once a second. It serves the general address
//! [`Address::GENERAL`] too, and replies with it. Its calibration (0x41) is the factory's and is left alone.

use measure::{Amperes, Hertz, PowerFactor, Volts, WattHours, Watts};
use modbus_core::{FunctionCode, Request};

use crate::modbus::{Address, Expected, Frame, ReplyError, request};
use crate::transaction::Command;

/// Input registers, 16 bits big-endian; a 32-bit value has its low word first.
mod register {
    /// 0.1 V.
    pub const VOLTAGE: u16 = 0x0000;
    /// Of [`VOLTAGE`] to the alarm at 0x0009: current 0.001 A and power 0.1 W and energy 1 Wh (two each), 0.1 Hz, 0.01, alarm.
    pub const COUNT: u16 = 10;
    /// Holding register, 1 W.
    pub const ALARM_THRESHOLD: u16 = 0x0001;
    /// Holding register, 1 to 247.
    pub const ADDRESS: u16 = 0x0002;
}

const READ_HOLDING: u8 = 0x03;
const READ_INPUT: u8 = 0x04;
const WRITE_HOLDING: u8 = 0x06;
/// Vendor's own: clears the energy register.
const RESET_ENERGY: u8 = 0x42;

/// What the module measured in the last second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Rms voltage.
    pub voltage: Volts,
    /// Rms current.
    pub current: Amperes,
    /// Active power, without sign.
    pub active_power: Watts,
    /// Energy since the last reset; wraps at 9999.99 kWh.
    pub energy: WattHours,
    /// Frequency.
    pub frequency: Hertz,
    /// Power factor, 0 to 1, without sense.
    pub power_factor: PowerFactor,
    /// The power is above the alarm threshold.
    pub alarm: bool,
}

/// What can be set on the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Power above which the alarm is on.
    pub alarm_threshold: Watts,
    /// The address that the module answers to besides the general one.
    pub address: Address,
}

/// Reads every input register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAll;

/// Reads both settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSettings;

/// Sets the power above which the alarm is on, in W.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetAlarmThreshold(pub u16);

/// Gives the module another address; it confirms from the old one. The new one must not be [`Address::GENERAL`]: the module refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetAddress(pub Address);

/// Sets the energy register to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetEnergy;

impl Command for ReadAll {
    type Reply = Measurement;
    const REPEATABLE: bool = true;

    fn request(&self, address: Address) -> Frame {
        request(address, Request::ReadInputRegisters(register::VOLTAGE, register::COUNT))
    }

    fn expected(&self, address: Address) -> Expected {
        Expected { address, function: READ_INPUT, data_len: 21 }
    }

    fn parse(&self, address: Address, reply: &[u8]) -> Result<Measurement, ReplyError> {
        let words = words::<10>(self.expected(address).check(reply)?)?;
        measurement(words)
    }
}

impl Command for ReadSettings {
    type Reply = Settings;
    const REPEATABLE: bool = true;

    fn request(&self, address: Address) -> Frame {
        request(address, Request::ReadHoldingRegisters(register::ALARM_THRESHOLD, 2))
    }

    fn expected(&self, address: Address) -> Expected {
        Expected { address, function: READ_HOLDING, data_len: 5 }
    }

    fn parse(&self, address: Address, reply: &[u8]) -> Result<Settings, ReplyError> {
        let [threshold, own] = words::<2>(self.expected(address).check(reply)?)?;
        let own = u8::try_from(own).ok().and_then(|own| Address::new(own).ok());
        Ok(Settings { alarm_threshold: watts(threshold), address: own.ok_or(ReplyError::Implausible("address"))? })
    }
}

impl Command for SetAlarmThreshold {
    type Reply = ();
    const REPEATABLE: bool = true;

    fn request(&self, address: Address) -> Frame {
        request(address, Request::WriteSingleRegister(register::ALARM_THRESHOLD, self.0))
    }

    fn expected(&self, address: Address) -> Expected {
        Expected { address, function: WRITE_HOLDING, data_len: 4 }
    }

    fn parse(&self, address: Address, reply: &[u8]) -> Result<(), ReplyError> {
        echo(self, address, reply)
    }
}

impl Command for SetAddress {
    type Reply = ();
    /// The module that did as told answers to the new address only.
    const REPEATABLE: bool = false;

    fn request(&self, address: Address) -> Frame {
        request(address, Request::WriteSingleRegister(register::ADDRESS, self.0.get().into()))
    }

    fn expected(&self, address: Address) -> Expected {
        Expected { address, function: WRITE_HOLDING, data_len: 4 }
    }

    fn parse(&self, address: Address, reply: &[u8]) -> Result<(), ReplyError> {
        echo(self, address, reply)
    }
}

impl Command for ResetEnergy {
    type Reply = ();
    /// What was counted since the first time would be lost unseen.
    const REPEATABLE: bool = false;

    fn request(&self, address: Address) -> Frame {
        request(address, Request::Custom(FunctionCode::Custom(RESET_ENERGY), &[]))
    }

    fn expected(&self, address: Address) -> Expected {
        Expected { address, function: RESET_ENERGY, data_len: 0 }
    }

    fn parse(&self, address: Address, reply: &[u8]) -> Result<(), ReplyError> {
        echo(self, address, reply)
    }
}

/// Writes and the reset are confirmed by the request itself.
fn echo(command: &impl Command, address: Address, reply: &[u8]) -> Result<(), ReplyError> {
    command.expected(address).check(reply)?;
    if reply == command.request(address).as_slice() { Ok(()) } else { Err(ReplyError::NotEcho) }
}

/// The registers behind the byte count.
fn words<const N: usize>(data: &[u8]) -> Result<[u16; N], ReplyError> {
    let mut words = [0; N];
    let mut pairs = data.iter().skip(1).copied();
    for word in &mut words {
        let (Some(high), Some(low)) = (pairs.next(), pairs.next()) else {
            return Err(ReplyError::Short { got: data.len(), expected: N.saturating_mul(2).saturating_add(1) });
        };
        *word = u16::from_be_bytes([high, low]);
    }
    Ok(words)
}

/// Registers as quantities. A value beyond what the module can count or measure with room to spare is no measurement: one corrupted
/// reply in 65,536 has a good checksum.
fn measurement(registers: [u16; 10]) -> Result<Measurement, ReplyError> {
    let [volts, amps_low, amps_high, watts_low, watts_high, energy_low, energy_high, hertz, factor, alarm] = registers;
    let milliamperes = within("current", double(amps_low, amps_high), 150_000)?;
    let deciwatts = within("power", double(watts_low, watts_high), 450_000)?;
    let watt_hours = within("energy", double(energy_low, energy_high), 9_999_990)?;
    let alarm = match alarm {
        0x0000 => false,
        0xffff => true,
        _ => return Err(ReplyError::Implausible("alarm")),
    };
    Ok(Measurement {
        voltage: Volts::from_millivolts(within("voltage", volts.into(), 4_500)?.saturating_mul(100)),
        current: Amperes::from_milliamperes(milliamperes),
        active_power: Watts::from_deciwatts(deciwatts),
        energy: WattHours::from_centiwatthours(i64::from(watt_hours).saturating_mul(100)),
        frequency: Hertz::from_millihertz(within("frequency", hertz.into(), 1_000)?.saturating_mul(100)),
        power_factor: PowerFactor::from_thousandths(hundredths(within("power factor", factor.into(), 100)?)),
        alarm,
    })
}

/// Hundredths in thousandths.
fn hundredths(hundredths: i32) -> i16 {
    i16::try_from(hundredths.saturating_mul(10)).unwrap_or(i16::MAX)
}

fn double(low: u16, high: u16) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

fn within(what: &'static str, count: u32, max: i32) -> Result<i32, ReplyError> {
    i32::try_from(count).ok().filter(|count| *count <= max).ok_or(ReplyError::Implausible(what))
}

fn watts(watts: u16) -> Watts {
    Watts::from_deciwatts(i32::from(watts).saturating_mul(10))
}
