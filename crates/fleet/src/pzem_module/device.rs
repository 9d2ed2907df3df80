//! One module: its registers and how it answers. No time, no line.

use measure::WattHours;
use meters::pzem004t::Measurement;
use modbus_core::Request;
use modbus_core::rtu::{crc16, extract_frame};

/// Input registers 0x0000 to 0x0009.
pub type Registers = [u16; 10];

/// Where a module's registers come from: called for each read, in order. `None` is a module that has lost its supply and is silent.
pub type Source = Box<dyn FnMut() -> Option<Registers> + Send>;

/// The general address.
const GENERAL: u8 = 0xf8;
/// Factory setting of the alarm threshold, in W.
const ALARM_THRESHOLD: u16 = 23_000;
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_DATA: u8 = 3;

const CAPTURES: &str = include_str!("../../../meters/tests/fixtures/pzem004t_replies.txt");

/// The registers of the captured replies, in the order captured.
pub fn captured() -> Vec<Registers> {
    let replies = CAPTURES.lines().filter(|line| !line.starts_with('#'));
    replies.filter_map(|line| captured_registers(line.split_whitespace().skip(5))).collect()
}

/// From the hexadecimal bytes behind `01 04 14`.
fn captured_registers<'a>(mut bytes: impl Iterator<Item = &'a str>) -> Option<Registers> {
    let mut registers = [0; 10];
    for register in &mut registers {
        let (high, low) = (u8::from_str_radix(bytes.next()?, 16).ok()?, u8::from_str_radix(bytes.next()?, 16).ok()?);
        *register = u16::from_be_bytes([high, low]);
    }
    Some(registers)
}

/// The registers of a module that measures this. What a module cannot show (a sign) is cut off at 0; energy wraps as the module's does.
pub fn registers(measurement: &Measurement) -> Registers {
    let volts = measurement.voltage.millivolts().max(0) / 100;
    let [amps_low, amps_high] = double(measurement.current.milliamperes());
    let [watts_low, watts_high] = double(measurement.active_power.deciwatts());
    let [energy_low, energy_high] = double(watt_hours(measurement.energy));
    let hertz = measurement.frequency.millihertz().max(0) / 100;
    let factor = i32::from(measurement.power_factor.thousandths().max(0)) / 10;
    let alarm = if measurement.alarm { 0xffff } else { 0 };
    [word(volts), amps_low, amps_high, watts_low, watts_high, energy_low, energy_high, word(hertz), word(factor), alarm]
}

fn watt_hours(energy: WattHours) -> i32 {
    const WRAP: i64 = 9_999_990;
    i32::try_from((energy.centiwatthours() / 100).rem_euclid(WRAP)).unwrap_or(0)
}

fn word(value: i32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Low word first.
fn double(value: i32) -> [u16; 2] {
    let [b3, b2, b1, b0] = value.max(0).to_be_bytes();
    [u16::from_be_bytes([b1, b0]), u16::from_be_bytes([b3, b2])]
}

fn energy_of(registers: &Registers) -> u32 {
    let [.., low, high, _, _, _] = *registers;
    u32::from(high) << 16 | u32::from(low)
}

/// One module.
pub struct Device {
    address: u8,
    source: Source,
    alarm_threshold: u16,
    reset: bool,
    energy_at_reset: u32,
}

impl Device {
    pub fn new(address: u8, source: Source) -> Self {
        Self { address, source, alarm_threshold: ALARM_THRESHOLD, reset: false, energy_at_reset: 0 }
    }

    pub fn address(&self) -> u8 {
        self.address
    }

    /// What it says to a frame, if anything: damaged frames and those for others are nothing to it.
    pub fn reply(&mut self, request: &[u8], alone: bool) -> Option<Vec<u8>> {
        let frame = extract_frame(request, request.len().checked_sub(3)?).ok().flatten()?;
        if frame.slave != self.address && !(alone && frame.slave == GENERAL) {
            return None;
        }
        let (function, _) = frame.pdu.split_first()?;
        let mut reply = vec![frame.slave];
        match self.act(&Request::try_from(frame.pdu).ok()?, frame.pdu)? {
            Ok(pdu) => reply.extend(pdu),
            Err(exception) => reply.extend([function | 0x80, exception]),
        }
        reply.extend(crc16(&reply).to_be_bytes());
        Some(reply)
    }

    /// The reply's function and data, or why it refuses; `None` without supply.
    fn act(&mut self, request: &Request<'_>, pdu: &[u8]) -> Option<Result<Vec<u8>, u8>> {
        Some(match request {
            Request::ReadInputRegisters(first, count) => read(0x04, &self.inputs()?, *first, *count).ok_or(ILLEGAL_ADDRESS),
            Request::ReadHoldingRegisters(first, count) => {
                let holding = [0, self.alarm_threshold, self.address.into()];
                if *first == 0 { Err(ILLEGAL_ADDRESS) } else { read(0x03, &holding, *first, *count).ok_or(ILLEGAL_ADDRESS) }
            }
            Request::WriteSingleRegister(0x0001, watts) => {
                self.alarm_threshold = *watts;
                Ok(pdu.to_vec())
            }
            Request::WriteSingleRegister(0x0002, address @ 1..=0xf7) => {
                self.address = u8::try_from(*address).unwrap_or(self.address);
                Ok(pdu.to_vec())
            }
            Request::WriteSingleRegister(0x0002, _) => Err(ILLEGAL_DATA),
            Request::WriteSingleRegister(..) => Err(ILLEGAL_ADDRESS),
            Request::Custom(..) if pdu == [0x42] => {
                // The source is asked for reads only, so counting starts anew with the next.
                self.reset = true;
                Ok(pdu.to_vec())
            }
            _ => Err(ILLEGAL_FUNCTION),
        })
    }

    /// The source's registers, with the energy since the last reset and the alarm of the threshold set.
    fn inputs(&mut self) -> Option<Registers> {
        let mut registers = (self.source)()?;
        let energy = energy_of(&registers);
        if std::mem::take(&mut self.reset) {
            self.energy_at_reset = energy;
        }
        let [low, high] = double(i32::try_from(energy.saturating_sub(self.energy_at_reset)).unwrap_or(i32::MAX));
        let [_, _, _, watts_low, watts_high, energy_low, energy_high, _, _, alarm] = &mut registers;
        (*energy_low, *energy_high) = (low, high);
        let deciwatts = u32::from(*watts_high) << 16 | u32::from(*watts_low);
        if deciwatts > u32::from(self.alarm_threshold).saturating_mul(10) {
            *alarm = 0xffff;
        }
        Some(registers)
    }
}

/// Registers `first` to `first + count` as function, byte count and data, if there are that many.
fn read(function: u8, registers: &[u16], first: u16, count: u16) -> Option<Vec<u8>> {
    let end = usize::from(first).checked_add(count.into())?;
    let words = registers.get(usize::from(first)..end).filter(|words| !words.is_empty())?;
    let mut pdu = vec![function, u8::try_from(words.len().saturating_mul(2)).ok()?];
    pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    Some(pdu)
}

#[cfg(test)]
mod tests {
    use meters::modbus::{Address, Exception, ReplyError};
    use meters::pzem004t::{ReadAll, ReadSettings, ResetEnergy, SetAddress, SetAlarmThreshold};
    use meters::transaction::Command;

    use super::*;

    fn address(address: u8) -> Address {
        Address::new(address).expect("an address")
    }

    fn replaying() -> Device {
        let mut replies = captured().into_iter();
        Device::new(1, Box::new(move || replies.next()))
    }

    #[test]
    fn captures_come_back_as_they_were() {
        let mut device = replaying();
        let mut replies = 0;
        for line in CAPTURES.lines().filter(|line| !line.starts_with('#')) {
            let reply = device.reply(&ReadAll.request(address(1)), true).expect("a reply");
            let hex: Vec<String> = reply.iter().map(|byte| format!("{byte:02X}")).collect();
            assert!(line.ends_with(&hex.join(" ")), "{line}: {}", hex.join(" "));
            replies += 1;
        }
        assert_eq!((replies, device.reply(&ReadAll.request(address(1)), true)), (51, None), "the recording has ended");
    }

    #[test]
    fn registers_hold_a_measurement() {
        for captured in captured() {
            let mut device = Device::new(7, Box::new(move || Some(captured)));
            let reply = device.reply(&ReadAll.request(address(7)), false).expect("a reply");
            let measurement = ReadAll.parse(address(7), &reply).expect("sound");
            assert_eq!(registers(&measurement), captured);
        }
    }

    #[test]
    fn commands_do_what_the_manual_says() {
        let mut device = replaying();
        let mut say = |command: &[u8]| device.reply(command, true).unwrap_or_default();
        let general = Address::GENERAL;
        assert!(ReadAll.parse(general, &say(&ReadAll.request(general))).is_ok());
        assert_eq!(ResetEnergy.parse(address(1), &say(&ResetEnergy.request(address(1)))), Ok(()));
        assert_eq!(SetAlarmThreshold(100).parse(address(1), &say(&SetAlarmThreshold(100).request(address(1)))), Ok(()));
        let measurement = ReadAll.parse(address(1), &say(&ReadAll.request(address(1)))).expect("sound");
        assert_eq!((measurement.energy, measurement.alarm), (WattHours::default(), true));
        assert_eq!(SetAddress(address(9)).parse(address(1), &say(&SetAddress(address(9)).request(address(1)))), Ok(()));
        assert!(say(&ReadSettings.request(address(1))).is_empty(), "it has another address now");
        let settings = ReadSettings.parse(address(9), &say(&ReadSettings.request(address(9)))).expect("sound");
        assert_eq!((settings.alarm_threshold.deciwatts(), settings.address), (1_000, address(9)));
        let refused = SetAddress(general).parse(address(9), &say(&SetAddress(general).request(address(9))));
        assert_eq!(refused, Err(ReplyError::Refused(Exception::IllegalData)));
        assert!(say(&[9, 4, 0, 0, 0, 10, 0, 0]).is_empty(), "a damaged request");
    }
}
