//! Meters that talk unasked: captured telegrams and transmissions, and bytes that are none.
#![expect(clippy::expect_used, reason = "a test may panic")]

use measure::{Volts, WattHours};
use meters::decimal::{Decimal, Quantity};
use meters::dsmr_p1::{self, FrameError};
use meters::sml::{self, DataError, Readout, Value};
use proptest::prelude::*;
use sml_rs::transport::encode;

const ISKRA: &str = include_str!("fixtures/dsmr_p1/iskra_2m550e.txt");
const STANDARD: &str = include_str!("fixtures/dsmr_p1/companion_standard.txt");
const ITRON: &str = include_str!("fixtures/sml/itron_openway.txt");

type P1 = dsmr_p1::Receiver<4_096>;
type Sml = sml::Receiver<1_024>;

/// The bytes of a telegram: its lines end as the standard has it.
fn telegram(fixture: &str) -> Vec<u8> {
    fixture.lines().filter(|line| !line.starts_with('#')).flat_map(|line| format!("{line}\r\n").into_bytes()).collect()
}

fn transmission() -> Vec<u8> {
    let bytes = ITRON.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    bytes.map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal")).collect()
}

/// What a receiver makes of bytes: identifications, and errors.
fn p1(bytes: &[u8]) -> (Vec<String>, Vec<FrameError>) {
    let (mut receiver, mut told, mut errors) = (P1::default(), Vec::new(), Vec::new());
    for byte in bytes {
        match receiver.push(*byte) {
            Ok(None) => {}
            Ok(Some(telegram)) => told.push(telegram.identification.to_owned()),
            Err(error) => errors.push(error),
        }
    }
    (told, errors)
}

fn sml(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<sml::FrameError>) {
    let (mut receiver, mut told, mut errors) = (Sml::default(), Vec::new(), Vec::new());
    for byte in bytes {
        match receiver.push(*byte) {
            Ok(None) => {}
            Ok(Some(messages)) => told.push(messages.to_owned()),
            Err(error) => errors.push(error),
        }
    }
    (told, errors)
}

fn energy(watt_hours: f64) -> Option<Quantity> {
    WattHours::from_f64(watt_hours).map(Quantity::Energy)
}

#[test]
fn captured_telegrams_are_registers() {
    let mut receiver = P1::default();
    let bytes = telegram(ISKRA);
    let (last, before) = bytes.split_last_chunk::<3>().map(|(before, last)| (last, before)).expect("bytes");
    assert_eq!(last[1..], *b"\r\n");
    assert!(before.iter().all(|byte| receiver.push(*byte) == Ok(None)), "not before its last digit");
    let whole = receiver.push(last[0]).expect("sound").expect("whole");
    assert_eq!(whole.identification, "ISK5\\2M550E-1012");
    let readout = whole.readout().expect("registers");
    assert_eq!(readout.registers().len(), 23);
    assert_eq!(readout.find(1, 8, 1).and_then(|it| it.value().quantity()), energy(576_239.0));
    assert_eq!(readout.find(1, 8, 2).and_then(|it| it.value().quantity()), energy(465_162.0));
    assert_eq!(readout.find(32, 7, 0).and_then(|it| it.value().quantity()), Some(Quantity::Voltage(Volts::from_millivolts(236_100))));
    let gas = readout.registers().last().expect("gas");
    assert_eq!((gas.address, gas.values().nth(1).map(|value| (value.text, value.unit))), ("0-1:24.2.1", Some(("00304.089", "m3"))));
}

#[test]
fn the_longest_text_message_fits_and_a_longer_value_is_told() {
    let with = |len: usize| {
        let text = format!("0-0:96.13.0({})\r\n1-0:1.8.0(1*kWh)\r\n!", "A".repeat(len));
        meters::iec62056_21::readout::Readout::parse_telegram(&text).map(|readout| readout.registers().len()).map_err(|it| it.to_string())
    };
    assert_eq!(with(2_048), Ok(2));
    assert_eq!(with(2_049), Err("data set at byte 0: value is longer than 2048 characters".to_owned()));
}

#[test]
fn a_stream_is_joined_and_left_anywhere() {
    let (one, other) = (telegram(ISKRA), telegram(STANDARD));
    for cut in [1, 20, 100, one.len() - 7, one.len() - 1] {
        let (told, errors) = p1(&[&one[cut..], &other[..], &one[..]].concat());
        assert_eq!((told.len(), errors), (2, vec![]), "joined at {cut}");
        let (told, errors) = p1(&[&one[..cut], b"\r\n", &other[..]].concat());
        let broken = cut < one.len() - 7;
        assert_eq!(
            (told.len(), errors.len()),
            (if cut == one.len() - 1 { 2 } else { 1 }, usize::from(broken || cut == one.len() - 7)),
            "cut at {cut}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_telegram_is_told() {
    let sound = telegram(STANDARD);
    let end = sound.iter().position(|byte| *byte == b'!').expect("an end");
    let with = |at: usize, byte: u8| {
        let mut bytes = sound.clone();
        bytes[at] = byte;
        p1(&bytes)
    };
    assert!(matches!(with(200, b'7').1[..], [FrameError::Checksum { .. }]));
    assert_eq!(with(200, 0xf2).1, [FrameError::Character(0xf2)]);
    assert_eq!(with(end + 1, b'\r').1, [FrameError::NoChecksum]);
    let long = [b"/ISK5x\r\n\r\n".to_vec(), vec![b'1'; 5_000]].concat();
    assert_eq!(p1(&[long, sound.clone()].concat()), (vec!["ISk5\\2MT382-1000".to_owned()], vec![FrameError::Long(4_096)]));
    let anonymous = "/\r\n\r\n!";
    let mut crc = 0u16;
    for byte in anonymous.bytes() {
        crc ^= u16::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
        }
    }
    assert_eq!(p1(format!("{anonymous}{crc:04x}").as_bytes()).1, [FrameError::Identification]);
}

#[test]
fn a_captured_transmission_is_registers() {
    let (told, errors) = sml(&[b"\x1b\x1b\x00noise", &transmission()[..], &transmission()[..]].concat());
    assert_eq!((told.len(), errors), (2, vec![]));
    let readout = Readout::parse(&told[0]).expect("registers");
    assert_eq!(readout.server, [0x0a, 0x01, b'I', b'T', b'R', 0, 0, 0, 0, 0]);
    let names: Vec<_> = readout.entries().iter().filter_map(|entry| entry.code).map(|code| code.to_string()).collect();
    assert_eq!(names, ["1-0:96.50.1*1", "1-0:96.1.0", "1-0:1.8.0", "1-0:16.7.0"]);
    assert_eq!(readout.entries()[0].value, Value::Bytes(b"ITR"));
    let import = readout.find(1, 8, 0).expect("import");
    assert_eq!((import.value, import.unit), (Value::Number(Decimal { mantissa: 81_895_949, scale: 1 }), "Wh"));
    assert_eq!((import.quantity(), readout.find(2, 8, 0)), (energy(8_189_594.9), None));
}

#[test]
fn each_flipped_bit_of_a_transmission_is_noticed() {
    let sound = transmission();
    for at in 8..sound.len() {
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            assert_eq!(sml(&bytes).0, Vec::<Vec<u8>>::new(), "bit {bit} of byte {at}");
        }
    }
}

/// What the crate below would stumble over in a debug build: see [`sml`].
#[test]
fn more_noise_than_a_counter_holds_and_a_list_without_end_do_no_harm() {
    let noise = vec![0x55; 200_000];
    let (told, errors) = sml(&[&noise[..], &transmission()[..]].concat());
    assert_eq!((told.len(), errors), (1, vec![]));

    // GetList.Res with 2^32 - 1 and 2^32 - 2 entries.
    for last in [0x0e, 0x0f] {
        let mut message = vec![0x76, 0x02, 0x01, 0x62, 0x00, 0x62, 0x00, 0x72, 0x65, 0, 0, 0x07, 0x01, 0x77, 0x01, 0x02, 0x01, 0x01, 0x01];
        message.extend([0xff, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, last]);
        assert_eq!(Readout::parse(&message), Err(DataError::List));
        message.splice(message.len() - 3..message.len() - 2, [0x80]);
        assert_eq!(Readout::parse(&message), Err(DataError::Truncated), "a shorter one is none of its business");
    }
}

proptest! {
    #[test]
    fn numbers_are_what_mantissa_scaler_and_unit_say(mantissa: i64, scaler in -30i8..30) {
        let mut body = vec![0x76, 0x02, 0x01, 0x62, 0x00, 0x62, 0x00, 0x72, 0x65, 0, 0, 0x07, 0x01, 0x77, 0x01, 0x02, 0x01, 0x01, 0x01, 0x71];
        body.extend([0x77, 0x07, 1, 0, 1, 8, 0, 255, 0x01, 0x01, 0x62, 30, 0x52]);
        body.extend(scaler.to_be_bytes());
        body.push(0x59);
        body.extend(mantissa.to_be_bytes());
        body.extend([0x01, 0x01, 0x01]);
        let check = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&body);
        body.push(0x63);
        body.extend(check.to_le_bytes());
        body.push(0);
        let bytes: sml_rs::util::ArrayBuf<256> = encode(&body).expect("fits");
        let (told, _) = sml(&bytes);
        let readout = Readout::parse(&told[0]).expect("registers");
        let number = match readout.entries()[0].value {
            Value::Number(number) => Some(number),
            other => { prop_assert_eq!(other, Value::Beyond); None }
        };
        let power = 10i128.pow(u32::from(scaler.unsigned_abs()));
        let expected = if scaler < 0 {
            (scaler >= -18).then_some(Decimal { mantissa, scale: scaler.unsigned_abs() })
        } else {
            i64::try_from(i128::from(mantissa).saturating_mul(power)).ok().map(|mantissa| Decimal { mantissa, scale: 0 })
        };
        prop_assert_eq!(number, expected);
    }
}
