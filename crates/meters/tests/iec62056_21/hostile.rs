//! Bytes that are no readout: a clear error, in bounded memory and time, and never a panic.

use meters::decimal::NotDecimal;
use meters::iec62056_21::message::check_character;
use meters::iec62056_21::readout::{DataError, Fault, Readout};
use meters::iec62056_21::receiver::{FrameError, Receiver};
use proptest::prelude::*;

use crate::fixtures::{all, named, receive};

#[test]
fn every_truncation_of_every_capture_is_an_error() {
    for (name, bytes) in all() {
        for len in 0..bytes.len() {
            let error = receive(&bytes[..len]).map(|_| ()).expect_err(name);
            assert!(matches!(error, FrameError::Truncated(_)), "{name} cut at {len}: {error}");
        }
        receive(&bytes).expect("whole");
    }
}

#[test]
fn every_flipped_bit_behind_the_identification_is_an_error() {
    for (name, bytes) in all() {
        let body = bytes.iter().position(|byte| *byte == 0x02).expect("STX") + 1;
        for (at, bit) in (body..bytes.len()).flat_map(|at| (0..7).map(move |bit| (at, bit))) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            receive(&bad).map(|_| ()).expect_err(&format!("{name}: bit {bit} of byte {at}"));
        }
    }
}

#[test]
fn a_wrong_check_character_says_what_it_should_be() {
    let mut bytes = named("iskra_mt174");
    *bytes.last_mut().expect("BCC") = 0x46;
    assert_eq!(receive(&bytes).map(|_| ()), Err(FrameError::Checksum { got: 0x46, expected: 0x19 }));
}

#[test]
fn a_line_of_a_megabyte_ends_at_once() {
    let mut bytes = b"/ABC5X\r\n\x02".to_vec();
    bytes.resize(1 << 20, b'9');
    assert_eq!(receive(&bytes).map(|_| ()), Err(FrameError::Line));
    let mut lines = b"/ABC5X\r\n\x02".to_vec();
    lines.extend(b"1.8.0(1)\r\n".iter().cycle().take(1 << 20));
    assert_eq!(receive(&lines).map(|_| ()), Err(FrameError::Text(4_096)));
    let mut name = b"/".to_vec();
    name.resize(1 << 20, b'A');
    assert_eq!(receive(&name).map(|_| ()), Err(FrameError::Identification));
}

#[test]
fn twenty_digits_are_kept_as_text_and_refused_as_a_number() {
    let readout = Readout::parse("1.8.0(12345678901234567890*kWh)\r\n!\r\n").expect("a register");
    let value = readout.registers()[0].value();
    assert_eq!((value.text, value.decimal(), value.quantity()), ("12345678901234567890", Err(NotDecimal::Digits(20)), None));
}

#[test]
fn errors_say_where_and_what() {
    let long = "9".repeat(129);
    for (text, at, what) in [
        ("1.8.0(1)\r\n", 10, Fault::End),
        ("", 0, Fault::End),
        ("1.8.0(1)\r\n1.8.0\r\n!\r\n", 10, Fault::NoValue),
        ("1.8.0(1\r\n)!\r\n", 0, Fault::Unclosed),
        ("1.8.0(1)(2\r\n!\r\n", 0, Fault::Unclosed),
        ("1.8.0((1)\r\n!\r\n", 0, Fault::Parenthesis),
        ("1.8.0)(1)\r\n!\r\n", 0, Fault::Parenthesis),
        ("(1)\r\n!\r\n", 0, Fault::NoAddress),
        (&format!("1.8.0({long})\r\n!\r\n"), 0, Fault::Value(128)),
        (&format!("{long}(1)\r\n!\r\n"), 0, Fault::Address),
        ("1.8.0(1*kilowatthours_of_energy)\r\n!\r\n", 0, Fault::Unit),
        (&format!("{}!", "1(1)\n".repeat(513)), 512 * 5, Fault::TooMany),
    ] {
        assert_eq!(Readout::parse(text).map(|_| ()), Err(DataError { at, what }), "{text}");
    }
}

/// Bytes as they come out of a parser's nightmares: noise, and pieces of the protocol in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            &b"/ABC5X\r\n"[..],
            b"\x02",
            b"\x03",
            b"\x04",
            b"\x06",
            b"\x15",
            b"\x01P0",
            b"\x01B0\x03q",
            b"1.8.0(",
            b"(",
            b")",
            b"*kWh)",
            b")(",
            b"\r\n",
            b"!\r\n",
            b"1-0:1.8.0*255(0000502.853*kWh)\r\n",
            b"&1",
            b"00-00-00,00:00",
            b"99999999999999999999",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

/// Looks at everything that can be asked of a text.
fn look(text: &str) {
    for readout in [Readout::parse(text), Readout::parse_replies(text)].into_iter().flatten() {
        for register in readout.registers() {
            for value in register.values() {
                let _ = (value.decimal().map(|number| number.to_string()), value.quantity(), value.date_time());
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_receiver_panic_or_grow(bytes in soup(), push: bool) {
        let mut receiver = Receiver::<256>::default();
        if push {
            receiver.expect_push();
        }
        for byte in bytes {
            let _ = receiver.push(byte);
            prop_assert!(receiver.text().len() <= 256);
        }
        look(receiver.text());
    }

    #[test]
    fn no_text_makes_the_readout_panic(text in "[ -~\r\n]{0,300}", any in ".{0,100}") {
        look(&text);
        look(&any);
    }

    #[test]
    fn what_a_meter_says_comes_back(registers in prop::collection::vec(("[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]", "[0-9]{1,8}(\\.[0-9]{1,3})?", "(|kWh|V|kvarh)"), 0..40)) {
        let lines: String = registers.iter().map(|(address, value, unit)| format!("{address}({value}*{unit})\r\n")).collect();
        let mut bytes = format!("\x02{lines}!\r\n\x03").into_bytes();
        bytes.push(check_character(&bytes));
        let (_, receiver) = receive(&[b"/ABC5X\r\n".to_vec(), bytes].concat()).expect("sound");
        let readout = Readout::parse(receiver.text()).expect("registers");
        let told: Vec<_> = readout.registers().iter().map(|it| (it.address.to_owned(), it.value().text.to_owned(), it.value().unit.to_owned())).collect();
        prop_assert_eq!(told, registers);
    }
}
