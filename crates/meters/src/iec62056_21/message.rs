//! What is said to a meter.

use heapless::Vec;

use super::identification::Baud;
use super::receiver::{ACK, ETX, NAK, SOH, STX};

/// Longest address, password or register name.
pub const NAME_LEN_MAX: usize = 32;
/// NULs that wake a battery meter: 2.2 s of them at 300 baud.
const WAKE_UP_LEN: usize = 66;

/// Bytes to send, without parity.
pub type Message = Vec<u8, 72>;

/// What comes after the identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Read everything out.
    Readout,
    /// Wait for commands.
    Programming,
}

/// `/?address!`: who is there?
pub fn request(address: &str) -> Message {
    concat(&[b"/?", address.as_bytes(), b"!\r\n"])
}

/// The answer to the identification of a meter in mode C.
pub fn option(baud: Baud, then: Then) -> Message {
    let what = match then {
        Then::Readout => b'0',
        Then::Programming => b'1',
    };
    concat(&[&[ACK, b'0', baud.digit(), what], b"\r\n"])
}

/// A command with its operand in parentheses: `P1(password)`, `R1(register())`.
pub fn command(name: [u8; 2], address: &str, operand: &str) -> Message {
    with_check(concat(&[&[SOH], &name, &[STX], address.as_bytes(), b"(", operand.as_bytes(), b")", &[ETX]]))
}

/// Ends the conversation.
pub fn end() -> Message {
    with_check(concat(&[&[SOH], b"B0", &[ETX]]))
}

/// Understood: go on.
pub fn acknowledge() -> Message {
    concat(&[&[ACK]])
}

/// Not understood: again.
pub fn again() -> Message {
    concat(&[&[NAK]])
}

/// Wakes a battery meter.
pub fn wake_up() -> Message {
    concat(&[&[0; WAKE_UP_LEN]])
}

/// The check character of a block that begins with SOH or STX.
pub fn check_character(block: &[u8]) -> u8 {
    block.iter().skip(1).fold(0, |check, byte| check ^ byte)
}

fn with_check(mut message: Message) -> Message {
    let check = check_character(&message);
    // The longest command takes 71 bytes: SOH, two letters, STX, two names, two parentheses, ETX, and this.
    let _ = message.push(check);
    message
}

fn concat(parts: &[&[u8]]) -> Message {
    // The parts fit: names are checked before they get here.
    parts.iter().flat_map(|part| part.iter().copied()).take(72).collect()
}

/// The byte with even parity in its eighth bit: what 7E1 sends is what 8N1 sends of this.
pub const fn with_parity(byte: u8) -> u8 {
    let byte = byte & 0x7f;
    if byte.count_ones().is_multiple_of(2) { byte } else { byte | 0x80 }
}

/// The byte without its parity, if that is even.
pub const fn without_parity(byte: u8) -> Option<u8> {
    if byte.count_ones().is_multiple_of(2) { Some(byte & 0x7f) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_as_captured() {
        assert_eq!(request("").as_slice(), b"/?!\r\n");
        assert_eq!(request("12345678").as_slice(), b"/?12345678!\r\n");
        assert_eq!(option(Baud::B9600, Then::Readout).as_slice(), b"\x06050\r\n");
        assert_eq!(command(*b"P1", "", "1234567").as_slice(), b"\x01P1\x02(1234567)\x03Q");
        assert_eq!(command(*b"R1", "1.8.0", "1").as_slice(), b"\x01R1\x021.8.0(1)\x03k");
        assert_eq!(end().as_slice(), b"\x01B0\x03q");
        let longest = "0123456789abcdef0123456789abcdef";
        assert_eq!(command(*b"R1", longest, longest).len(), 72);
    }

    #[test]
    fn parity_leads_back_and_finds_each_single_flipped_bit() {
        for byte in 0..0x80 {
            let sent = with_parity(byte);
            assert_eq!(without_parity(sent), Some(byte));
            for bit in 0..8 {
                assert_eq!(without_parity(sent ^ 1 << bit), None);
            }
        }
    }
}
