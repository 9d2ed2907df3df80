//! Commands: the bytes that are released, what holds for all of them, and each way to be wrong.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "test code: what cannot be built fails the test")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use measure::{ActionKind, MeterId, UnixMillis};
use proptest::prelude::*;
use wire::command::{Action, Amount, Authority, AuthorityKey, COMMAND_LEN_MAX, Command, CommandError, InvalidKey, KEYS_MAX, Signed};

/// The private key of RFC 8032, section 7.1, test 1; and its public key.
const SECRET: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
    0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn authority() -> Authority {
    Authority::from_secret(&SECRET)
}

fn meter(text: &str) -> MeterId {
    text.parse().unwrap()
}

fn every_action() -> [Action; 9] {
    [
        Action::Read,
        Action::TopUp { channel: 0, amount: Amount::MilliwattHours(5_000_000) },
        Action::TopUp { channel: 5, amount: Amount::Thousandths(-2_500) },
        Action::Relay { channel: Some(2), on: false },
        Action::Relay { channel: None, on: true },
        Action::Limit { channel: 1, watts: Some(2_300) },
        Action::Limit { channel: 1, watts: None },
        Action::ReportInterval { heartbeat_ms: 10_000 },
        Action::Calibration { channel: 0, voltage_ppm: -9_000, current_ppm: 1_250 },
    ]
}

/// One command of each kind, each a line of the golden file: what it says, and its bytes.
#[test]
fn released_bytes_stay() {
    let mut text = "# Commands to M0001, version 1, signed with the key of RFC 8032, 7.1, test 1.\n".to_owned();
    for (number, action) in (1_795_000_000_250..).zip(every_action()) {
        let command = Command { meter: meter("M0001"), number, expires: UnixMillis(1_795_003_600_250), action };
        let bytes = command.sign(&authority());
        let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02x}").unwrap();
            digits
        });
        writeln!(text, "# {action:?}\n{digits}").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1/commands.hex");
    if !path.exists() && std::env::var_os("WRITE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn keys_are_read_as_they_are_written() {
    assert_eq!(authority().key().to_string(), PUBLIC);
    assert_eq!(PUBLIC.parse(), Ok(authority().key()));
    assert_eq!(format!("{:?}", authority()), format!("Authority({PUBLIC})"), "the secret is not shown");
    assert_eq!(PUBLIC.get(1..).unwrap().parse::<AuthorityKey>(), Err(InvalidKey::Digits));
    assert_eq!(format!("+{}", PUBLIC.get(1..).unwrap()).parse::<AuthorityKey>(), Err(InvalidKey::Digits));
    // The neutral element: it would fit signatures that nobody made.
    let weak = format!("01{}", "00".repeat(31));
    assert_eq!(weak.parse::<AuthorityKey>(), Err(InvalidKey::Point));
}

#[test]
fn each_of_several_keys_is_believed_and_no_other() {
    let command = Command { meter: meter("M1"), number: 7, expires: UnixMillis(9), action: Action::Read };
    let authorities: Vec<Authority> = (1..=KEYS_MAX as u8).map(|byte| Authority::from_secret(&[byte; 32])).collect();
    let keys: Vec<AuthorityKey> = authorities.iter().map(Authority::key).collect();
    for authority in &authorities {
        assert_eq!(Signed::decode(&command.sign(authority)).unwrap().verify(&keys), Some(command.clone()));
    }
    let stranger = Authority::from_secret(&[99; 32]);
    assert_eq!(Signed::decode(&command.sign(&stranger)).unwrap().verify(&keys), None);
    assert_eq!(Signed::decode(&command.sign(&stranger)).unwrap().verify(&[]), None);
}

#[test]
fn each_way_to_be_wrong_has_its_name() {
    let command = Command { meter: meter("M1"), number: 7, expires: UnixMillis(9), action: Action::Read };
    let bytes = command.sign(&authority()).to_vec();
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        Signed::decode(&bytes).unwrap_err()
    };
    assert_eq!(error(&|it| it.clear()), CommandError::Length(0));
    assert_eq!(error(&|it| it[0] = 0xFD), CommandError::Magic(0xFD));
    assert_eq!(error(&|it| it[1] = 2), CommandError::UnknownVersion(2));
    assert_eq!(error(&|it| it[3] = b'/'), CommandError::Meter(measure::InvalidId::Character));
    assert_eq!(error(&|it| it[2] = 0), CommandError::Meter(measure::InvalidId::Empty));
    assert_eq!(error(&|it| it[21] = 99), CommandError::UnknownAction(99));
    assert_eq!(error(&|it| it[22] = 3), CommandError::UnknownAction(1), "a reading is of all channels");
    assert_eq!(error(&|it| it[23] = 2), CommandError::NonCanonical, "a reading has no numbers");
    assert_eq!(error(&|it| it.insert(23, 0)), CommandError::Length(bytes.len() + 1));
    assert_eq!(error(&|it| it.extend([0; COMMAND_LEN_MAX])), CommandError::Length(bytes.len() + COMMAND_LEN_MAX));
    let relay = Command { action: Action::Relay { channel: Some(1), on: true }, ..command };
    let mut bytes = relay.sign(&authority()).to_vec();
    bytes[23] = 4;
    assert_eq!(Signed::decode(&bytes).unwrap_err(), CommandError::UnknownAction(ActionKind::Relay.code()));
}

fn actions() -> impl Strategy<Value = Action> {
    let channel = || 0..=254u8;
    prop_oneof![
        Just(Action::Read),
        (channel(), any::<i64>()).prop_map(|(channel, it)| Action::TopUp { channel, amount: Amount::MilliwattHours(it) }),
        (channel(), any::<i64>()).prop_map(|(channel, it)| Action::TopUp { channel, amount: Amount::Thousandths(it) }),
        (prop::option::of(channel()), any::<bool>()).prop_map(|(channel, on)| Action::Relay { channel, on }),
        (channel(), prop::option::of(1..=u32::MAX)).prop_map(|(channel, watts)| Action::Limit { channel, watts }),
        any::<u32>().prop_map(|heartbeat_ms| Action::ReportInterval { heartbeat_ms }),
        (channel(), any::<i32>(), any::<i32>()).prop_map(|(channel, voltage_ppm, current_ppm)| Action::Calibration {
            channel,
            voltage_ppm,
            current_ppm
        }),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    ("[A-Za-z0-9][A-Za-z0-9_-]{0,31}", any::<u64>(), any::<i64>(), actions()).prop_map(|(meter, number, expires, action)| Command {
        meter: meter.parse().unwrap(),
        number,
        expires: UnixMillis(expires),
        action,
    })
}

proptest! {
    /// Every command arrives as it was signed, within its bound.
    #[test]
    fn what_is_signed_is_read(command in commands()) {
        let bytes = command.sign(&authority());
        prop_assert!(bytes.len() <= COMMAND_LEN_MAX);
        let signed = Signed::decode(&bytes).unwrap();
        prop_assert_eq!(signed.claims(), &command);
        prop_assert_eq!(signed.verify(&[authority().key()]), Some(command));
    }

    /// No other bytes of the same command are believed: whatever changes, the signature is wrong or there is no command.
    #[test]
    fn a_changed_byte_is_not_believed(command in commands(), at in any::<prop::sample::Index>(), by in 1..=255u8) {
        let mut bytes = command.sign(&authority()).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert_eq!(Signed::decode(&bytes).ok().and_then(|it| it.verify(&[authority().key()])), None);
    }

    /// Any bytes are answered, and what is read has one encoding.
    #[test]
    fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..160), dress in any::<bool>()) {
        if dress && bytes.len() > 4 {
            bytes[..4].copy_from_slice(&[0xFB, 1, 1, b'M']);
        }
        if let Ok(signed) = Signed::decode(&bytes) {
            let again = signed.claims().sign(&authority());
            prop_assert_eq!(&again[..again.len() - 64], &bytes[..bytes.len() - 64]);
        }
    }
}
