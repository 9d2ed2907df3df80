//! What the driver makes of real replies, of damaged ones, and of anything else.
#![expect(clippy::arithmetic_side_effects, clippy::expect_used, clippy::string_slice, reason = "a test may panic")]

use measure::{Amperes, Hertz, PowerFactor, Volts, WattHours, Watts};
use meters::modbus::{Address, Exception, ReplyError};
use meters::pzem004t::{Measurement, ReadAll, ReadSettings, ResetEnergy, SetAddress, SetAlarmThreshold};
use meters::transaction::Command;
use proptest::prelude::*;

const CAPTURES: &str = include_str!("fixtures/pzem004t_replies.txt");

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).expect("the test's own hex is sound")
}

fn one() -> Address {
    Address::new(1).expect("1 is an address")
}

/// The captured replies without source and time.
fn captures() -> Vec<Vec<u8>> {
    CAPTURES.lines().filter(|line| !line.starts_with('#')).map(|line| bytes(&line[line.find("01 04 14").expect("a reply")..])).collect()
}

fn with_crc(body: &str) -> Vec<u8> {
    let mut frame = bytes(body);
    frame.extend(modbus_core::rtu::crc16(&frame).to_be_bytes());
    frame
}

#[test]
fn requests_are_those_of_the_manual() {
    let two_thousand_three_hundred_watts = SetAlarmThreshold(2300);
    assert_eq!(ReadAll.request(one()).as_slice(), bytes("01 04 00 00 00 0A 70 0D"));
    assert_eq!(ReadAll.request(Address::GENERAL).as_slice(), bytes("F8 04 00 00 00 0A 64 64"));
    assert_eq!(ReadSettings.request(one()).as_slice(), bytes("01 03 00 01 00 02 95 CB"));
    assert_eq!(ReadSettings.request(Address::GENERAL).as_slice(), bytes("F8 03 00 01 00 02 81 A2"));
    assert_eq!(two_thousand_three_hundred_watts.request(one()).as_slice(), bytes("01 06 00 01 08 FC DF 8B"));
    assert_eq!(SetAddress(one()).request(Address::GENERAL).as_slice(), bytes("F8 06 00 02 00 01 FD A3"));
    assert_eq!(ResetEnergy.request(one()).as_slice(), bytes("01 42 80 11"));
    assert_eq!(ResetEnergy.request(Address::GENERAL).as_slice(), bytes("F8 42 C2 41"));
}

#[test]
fn the_documented_capture_decodes() {
    // Comment in ESPHome's pzemac.cpp: 225.7 V, 0.108 A, 24.4 W, 38 Wh, 50.0 Hz, 1.00, no alarm.
    let reply = bytes("01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 00 01 F4 00 64 00 00 51 34");
    let expected = Measurement {
        voltage: Volts::from_millivolts(225_700),
        current: Amperes::from_milliamperes(108),
        active_power: Watts::from_deciwatts(244),
        energy: WattHours::from_centiwatthours(3_800),
        frequency: Hertz::from_millihertz(50_000),
        power_factor: PowerFactor::from_thousandths(1_000),
        alarm: false,
    };
    assert_eq!(ReadAll.parse(one(), &reply), Ok(expected));
}

#[test]
fn all_captured_replies_decode_to_what_a_house_can_have() {
    let captures = captures();
    assert_eq!(captures.len(), 51);
    for reply in &captures {
        let m = ReadAll.parse(one(), reply).unwrap_or_else(|error| panic!("{}: {error}", hex::encode(reply)));
        assert!((200.0..260.0).contains(&m.voltage.as_f64()), "{m:?}");
        assert!(m.current.as_f64() < 100.0 && m.active_power.as_f64() < 23_000.0, "{m:?}");
        assert!((49.0..61.0).contains(&m.frequency.as_f64()), "{m:?}");
        assert!(!m.alarm, "{m:?}");
        // P = V I PF within what the resolution of PF leaves, where the registers belong to one instant: a load step tears them.
        let apparent = m.voltage.as_f64() * m.current.as_f64();
        let torn = reply[5..7] == bytes("71 91") || reply[5..7] == bytes("71 6D") || reply[5..7] == bytes("4D EE");
        let difference = (m.active_power.as_f64() - apparent * m.power_factor.as_f64()).abs();
        assert!(torn || difference <= 0.006 * apparent + 1.0, "{m:?}: {difference} W apart");
    }
}

#[test]
fn words_are_low_first() {
    // 18:... of a 6.9 kW load: current 0x716D + 0 * 65536 mA = 29.037 A, power 0x0D3B + 1 * 65536 = 6892.3 W.
    let reply = captures().into_iter().find(|reply| reply[5..7] == bytes("71 6D")).expect("captured");
    let m = ReadAll.parse(one(), &reply).expect("sound");
    assert_eq!(m.current, Amperes::from_milliamperes(29_037));
    assert_eq!(m.active_power, Watts::from_deciwatts(68_923));
    assert_eq!(m.energy, WattHours::from_centiwatthours(792_600));
}

#[test]
fn settings_and_confirmations() {
    let settings = ReadSettings.parse(one(), &with_crc("01 03 04 08 FC 00 01")).expect("sound");
    assert_eq!((settings.alarm_threshold, settings.address), (Watts::from_deciwatts(23_000), one()));
    assert_eq!(SetAlarmThreshold(2300).parse(one(), &bytes("01 06 00 01 08 FC DF 8B")), Ok(()));
    assert_eq!(ResetEnergy.parse(one(), &bytes("01 42 80 11")), Ok(()));
    assert_eq!(SetAlarmThreshold(2300).parse(one(), &with_crc("01 06 00 01 08 FD")), Err(ReplyError::NotEcho));
    assert_eq!(SetAddress(one()).parse(Address::GENERAL, &with_crc("F8 06 00 01 00 01")), Err(ReplyError::NotEcho));
    assert_eq!(ReadSettings.parse(one(), &with_crc("01 03 04 08 FC 01 00")), Err(ReplyError::Implausible("address")));
}

#[test]
fn refusals_say_why() {
    assert_eq!(ReadAll.parse(one(), &bytes("01 84 01 82 C0")), Err(ReplyError::Refused(Exception::IllegalFunction)));
    for (command, code, exception) in [
        ("01 86 02", 2, Exception::IllegalAddress),
        ("01 86 03", 3, Exception::IllegalData),
        ("01 86 04", 4, Exception::DeviceFailure),
        ("01 86 09", 9, Exception::Unknown(9)),
    ] {
        assert_eq!(SetAlarmThreshold(1).parse(one(), &with_crc(command)), Err(ReplyError::Refused(exception)), "code {code}");
    }
    assert_eq!(ResetEnergy.parse(one(), &with_crc("01 C2 04")), Err(ReplyError::Refused(Exception::DeviceFailure)));
}

#[test]
fn each_fault_has_its_own_error() {
    let good = &captures()[0];
    let mut corrupt = good.clone();
    corrupt[7] ^= 0x10;
    let mut doubled = good.clone();
    doubled.extend(good);
    assert_eq!(ReadAll.parse(one(), &corrupt), Err(ReplyError::Checksum));
    assert_eq!(ReadAll.parse(one(), &good[..24]), Err(ReplyError::Short { got: 24, expected: 25 }));
    assert_eq!(ReadAll.parse(one(), &[]), Err(ReplyError::Short { got: 0, expected: 25 }));
    assert_eq!(ReadAll.parse(one(), &doubled), Err(ReplyError::Long { got: 50, expected: 25 }));
    let two = Address::new(2).expect("2 is an address");
    assert_eq!(ReadAll.parse(two, good), Err(ReplyError::Address { got: 1, expected: 2 }));
    assert_eq!(ReadSettings.parse(one(), good), Err(ReplyError::Function { got: 4, expected: 3 }));
    assert_eq!(ReadAll.parse(one(), &bytes("01 81 02 C1 91")), Err(ReplyError::Function { got: 0x81, expected: 4 }));
    // A reply to a read of nine registers, as other masters ask for; and one that announces what it does not hold.
    let nine = with_crc("01 04 12 09 7B 37 57 00 00 7E D8 00 00 1E 5F 00 00 01 F4 00 5E");
    assert_eq!(ReadAll.parse(one(), &nine), Err(ReplyError::ByteCount { got: 18, expected: 20 }));
    assert_eq!(ReadAll.parse(one(), &with_crc("01 04 14 09 7B")), Err(ReplyError::Short { got: 7, expected: 25 }));
}

#[test]
fn what_cannot_have_been_measured_is_no_measurement() {
    for (what, body) in [
        ("voltage", "01 04 14 FF FF 00 6C 00 00 00 F4 00 00 00 26 00 00 01 F4 00 64 00 00"),
        ("current", "01 04 14 08 D1 00 6C FF FF 00 F4 00 00 00 26 00 00 01 F4 00 64 00 00"),
        ("power", "01 04 14 08 D1 00 6C 00 00 00 F4 80 00 00 26 00 00 01 F4 00 64 00 00"),
        ("energy", "01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 99 01 F4 00 64 00 00"),
        ("frequency", "01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 00 F1 F4 00 64 00 00"),
        ("power factor", "01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 00 01 F4 00 65 00 00"),
        ("alarm", "01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 00 01 F4 00 64 00 01"),
    ] {
        assert_eq!(ReadAll.parse(one(), &with_crc(body)), Err(ReplyError::Implausible(what)));
    }
    let alarm = with_crc("01 04 14 08 D1 00 6C 00 00 00 F4 00 00 00 26 00 00 01 F4 00 64 FF FF");
    assert_eq!(ReadAll.parse(one(), &alarm).map(|m| m.alarm), Ok(true));
}

#[test]
fn no_truncation_and_no_flipped_bit_gets_through() {
    for reply in captures() {
        for length in 0..reply.len() {
            assert!(ReadAll.parse(one(), &reply[..length]).is_err());
        }
        for bit in 0..reply.len() * 8 {
            let mut flipped = reply.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(ReadAll.parse(one(), &flipped).is_err(), "bit {bit} of {}", hex::encode(&reply));
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ReadAll.parse(one(), &bytes);
        let _ = ReadSettings.parse(one(), &bytes);
        let _ = ResetEnergy.parse(one(), &bytes);
        let _ = SetAlarmThreshold(1).parse(one(), &bytes);
    }

    #[test]
    fn arbitrary_registers_are_measured_or_implausible(words in prop::array::uniform10(any::<u16>())) {
        let mut body = vec![1, 4, 20];
        words.iter().for_each(|word| body.extend(word.to_be_bytes()));
        body.extend(modbus_core::rtu::crc16(&body).to_be_bytes());
        match ReadAll.parse(one(), &body) {
            Ok(m) => prop_assert_eq!(m.voltage.millivolts(), i32::from(words[0]) * 100),
            Err(error) => prop_assert!(matches!(error, ReplyError::Implausible(_)), "{}", error),
        }
    }

    #[test]
    fn bursts_of_noise_are_seen(which in 0usize..51, start in 0usize..184, noise in 1u16..) {
        // CRC-16 finds every burst of up to sixteen bits.
        let mut reply = captures().swap_remove(which);
        for bit in (0..16).filter(|bit| noise & (1 << bit) != 0) {
            reply[(start + bit) / 8] ^= 1 << ((start + bit) % 8);
        }
        prop_assert!(ReadAll.parse(one(), &reply).is_err());
    }
}
