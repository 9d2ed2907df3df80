//! The keypad of a prepaid meter: which key is pressed, and what a row of keys asks for. Pure.
//!
//! The pad has four rows and three columns (table 5 of the six-channel prepaid paper, whose bottom row is 0 * #, not the usual * 0 #).
//! Columns are driven low one at a time, and a pressed key pulls its row low.
//!
//! ```text
//!   rows 3..0   columns 2..0:  110  101  011
//!   1110                        1    2    3
//!   1101                        4    5    6
//!   1011                        7    8    9
//!   0111                        0    *    #
//! ```
//!
//! A consumer types the identification code of an account and `#`; then `1` to see its credit, or `2`, the digits of a top-up code and `#`;
//! or `3` on, `4` off. `*` goes back to the beginning. So does silence: nobody may find an account open that another one left.

use measure::Channel as Number;

use crate::code::DIGITS;

/// Digits of an identification code at most.
pub const IDENTIFICATION_MAX: usize = 8;

/// A key, by the character on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// Back.
    Star,
    /// Done.
    Hash,
}

impl Key {
    /// The key at a row and a column, both as they are read: active low, four and three bits. None if no key is pressed, or more than one.
    pub const fn at(rows: u8, columns: u8) -> Option<Self> {
        let row = match rows {
            0b1110 => 0,
            0b1101 => 1,
            0b1011 => 2,
            0b0111 => 3,
            _ => return None,
        };
        let column = match columns {
            0b110 => 0,
            0b101 => 1,
            0b011 => 2,
            _ => return None,
        };
        Some(match (row, column) {
            (3, 0) => Self::Digit(0),
            (3, 1) => Self::Star,
            (3, _) => Self::Hash,
            (row, column) => Self::Digit(3_u8.saturating_mul(row).saturating_add(column).saturating_add(1)),
        })
    }

    /// The key with an ASCII code.
    pub const fn from_ascii(code: u8) -> Option<Self> {
        match code {
            b'0'..=b'9' => Some(Self::Digit(code.saturating_sub(b'0'))),
            b'*' => Some(Self::Star),
            b'#' => Some(Self::Hash),
            _ => None,
        }
    }

    /// The ASCII code that the paper gives the key.
    pub const fn ascii(self) -> u8 {
        match self {
            Self::Digit(digit) => b'0'.saturating_add(digit),
            Self::Star => b'*',
            Self::Hash => b'#',
        }
    }
}

/// What somebody wants who has typed it to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To see the credit of a channel.
    View(Number),
    /// To load the credit of a top-up code.
    Load {
        /// For which channel.
        channel: Number,
        /// The digits.
        digits: heapless::String<DIGITS>,
    },
    /// To switch a channel, which also re-arms its limit.
    Switch {
        /// Which.
        channel: Number,
        /// On or off.
        on: bool,
    },
}

/// What the display shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Type your identification code.
    Welcome,
    /// So many digits of it are there.
    Identification(usize),
    /// No account has this code.
    Unknown,
    /// 1 view, 2 load, 3 on, 4 off.
    Menu(Number),
    /// So many digits of a top-up code are there.
    Code(usize),
}

/// An account that may be opened at the keypad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its identification code: 1 to [`IDENTIFICATION_MAX`] digits.
    pub identification: heapless::String<IDENTIFICATION_MAX>,
    /// Its channel.
    pub channel: Number,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Identifying(heapless::String<IDENTIFICATION_MAX>),
    Refused,
    Open(Number),
    Loading(Number, heapless::String<DIGITS>),
}

/// The machine. It knows no clock: [`Keypad::handle_key`] is told the time.
#[derive(Clone, Debug)]
pub struct Keypad {
    timeout_ms: u64,
    state: State,
    last_ms: u64,
}

impl Keypad {
    /// Closes an account after this time without a key, in ms.
    pub const fn new(timeout_ms: u64) -> Self {
        Self { timeout_ms, state: State::Closed, last_ms: 0 }
    }

    /// A key was pressed. What it completes, if it completes anything.
    pub fn handle_key(&mut self, now_ms: u64, key: Key, accounts: &[Account]) -> Option<Request> {
        self.handle_time(now_ms);
        self.last_ms = now_ms;
        let (state, request) = step(core::mem::take(&mut self.state), key, accounts);
        self.state = state;
        request
    }

    /// Time passes.
    pub fn handle_time(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.last_ms) >= self.timeout_ms {
            self.state = State::Closed;
        }
    }

    /// What the display shows. Digits are counted, not shown.
    pub fn shown(&self) -> Shown {
        match &self.state {
            State::Closed => Shown::Welcome,
            State::Identifying(digits) => Shown::Identification(digits.len()),
            State::Refused => Shown::Unknown,
            State::Open(channel) => Shown::Menu(*channel),
            State::Loading(_, digits) => Shown::Code(digits.len()),
        }
    }
}

fn step(state: State, key: Key, accounts: &[Account]) -> (State, Option<Request>) {
    match (state, key) {
        (_, Key::Star) => (State::Closed, None),
        (State::Closed | State::Refused, Key::Digit(_)) => {
            let mut digits = heapless::String::new();
            push(&mut digits, key);
            (State::Identifying(digits), None)
        }
        (State::Closed | State::Refused, Key::Hash) => (State::Closed, None),
        (State::Identifying(mut digits), Key::Digit(_)) => match push(&mut digits, key) {
            true => (State::Identifying(digits), None),
            false => (State::Refused, None),
        },
        (State::Identifying(digits), Key::Hash) => match accounts.iter().find(|account| account.identification == digits) {
            Some(account) => (State::Open(account.channel), None),
            None => (State::Refused, None),
        },
        (State::Open(channel), Key::Digit(1)) => (State::Open(channel), Some(Request::View(channel))),
        (State::Open(channel), Key::Digit(2)) => (State::Loading(channel, heapless::String::new()), None),
        (State::Open(channel), Key::Digit(digit @ (3 | 4))) => (State::Open(channel), Some(Request::Switch { channel, on: digit == 3 })),
        (State::Open(channel), Key::Digit(_) | Key::Hash) => (State::Open(channel), None),
        (State::Loading(channel, mut digits), Key::Digit(_)) => match push(&mut digits, key) {
            true => (State::Loading(channel, digits), None),
            // One digit too many: it is no code, and the next one begins anew.
            false => (State::Open(channel), None),
        },
        (State::Loading(channel, digits), Key::Hash) if digits.len() == DIGITS => {
            (State::Open(channel), Some(Request::Load { channel, digits }))
        }
        (State::Loading(channel, _), Key::Hash) => (State::Open(channel), None),
    }
}

/// Whether there was room.
fn push<const N: usize>(digits: &mut heapless::String<N>, key: Key) -> bool {
    digits.push(char::from(key.ascii())).is_ok()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn accounts() -> [Account; 2] {
        [("17", 0), ("42", 5)].map(|(code, channel)| Account { identification: code.try_into().unwrap(), channel })
    }

    fn key(character: char) -> Key {
        match character {
            '*' => Key::Star,
            '#' => Key::Hash,
            digit => Key::Digit(digit.to_digit(10).unwrap() as u8),
        }
    }

    /// What a row of keys, a second apart, asks for in the end.
    fn typed(keypad: &mut Keypad, keys: &str) -> Option<Request> {
        keys.chars().map(|it| keypad.handle_key(keypad.last_ms + 1_000, key(it), &accounts())).last().flatten()
    }

    #[test]
    fn the_map_is_the_papers() {
        let rows = [0b1110, 0b1101, 0b1011, 0b0111];
        let columns = [0b110, 0b101, 0b011];
        let characters: Vec<u8> = rows.iter().flat_map(|row| columns.map(|column| Key::at(*row, column).unwrap().ascii())).collect();
        assert_eq!(characters, b"1234567890*#");
        for code in 0..=u8::MAX {
            assert_eq!(Key::from_ascii(code).map(Key::ascii), characters.contains(&code).then_some(code));
        }
        for (row, column) in [(0b1111, 0b110), (0b1100, 0b110), (0b1110, 0b111), (0b1110, 0b100), (0xFF, 0xFF)] {
            assert_eq!(Key::at(row, column), None, "no key, or two at once");
        }
    }

    #[test]
    fn an_account_is_viewed_loaded_and_switched() {
        let mut keypad = Keypad::new(30_000);
        assert_eq!(typed(&mut keypad, "42#1"), Some(Request::View(5)));
        assert_eq!(keypad.shown(), Shown::Menu(5));
        let digits: heapless::String<DIGITS> = "01234567890123456789".try_into().unwrap();
        assert_eq!(typed(&mut keypad, "201234567890123456789#"), Some(Request::Load { channel: 5, digits }));
        assert_eq!(typed(&mut keypad, "4"), Some(Request::Switch { channel: 5, on: false }));
        assert_eq!(typed(&mut keypad, "*17#3"), Some(Request::Switch { channel: 0, on: true }));
    }

    #[test]
    fn unfinished_codes_and_unknown_accounts_ask_for_nothing() {
        let mut keypad = Keypad::new(30_000);
        assert_eq!(typed(&mut keypad, "99#"), None);
        assert_eq!(keypad.shown(), Shown::Unknown);
        assert_eq!(typed(&mut keypad, "1"), None);
        assert_eq!(typed(&mut keypad, "7#2123#"), None);
        assert_eq!(keypad.shown(), Shown::Menu(0));
        assert_eq!(typed(&mut keypad, "2012345678901234567890"), None);
        assert_eq!(keypad.shown(), Shown::Menu(0), "a digit too many is no code");
        assert_eq!(typed(&mut keypad, "*123456789"), None);
        assert_eq!(keypad.shown(), Shown::Unknown);
    }

    #[test]
    fn silence_closes_an_account() {
        let mut keypad = Keypad::new(30_000);
        typed(&mut keypad, "42#");
        keypad.handle_time(keypad.last_ms + 29_999);
        assert_eq!(keypad.shown(), Shown::Menu(5));
        let late = keypad.last_ms + 30_000;
        assert_eq!(keypad.handle_key(late, Key::Digit(1), &accounts()), None, "the first digit of somebody's code");
        assert_eq!(keypad.shown(), Shown::Identification(1));
    }

    proptest! {
        /// Whatever is typed: nothing is asked for of an account whose code was not typed since the keypad was closed.
        #[test]
        fn nobody_reaches_an_account_without_its_code(keys in "[0-9*#]{0,60}") {
            let mut keypad = Keypad::new(u64::MAX);
            let mut opened = None;
            let mut since = String::new();
            for character in keys.chars() {
                let request = keypad.handle_key(0, key(character), &accounts());
                since.push(character);
                if character == '*' {
                    (opened, since) = (None, String::new());
                }
                if opened.is_none() && let Shown::Menu(channel) = keypad.shown() {
                    let code = if channel == 0 { "17#" } else { "42#" };
                    prop_assert!(since.ends_with(code));
                    opened = Some(channel);
                }
                let channel = request.map(|it| match it {
                    Request::View(channel) | Request::Load { channel, .. } | Request::Switch { channel, .. } => channel,
                });
                prop_assert!(channel.is_none() || channel == opened);
            }
        }
    }
}
