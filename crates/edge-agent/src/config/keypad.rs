//! The keypad of a meter.

use std::path::PathBuf;

use edge_core::keypad::{Account, IDENTIFICATION_MAX};
use serde::{Deserialize, Serialize};

use super::check::{in_range, value_error};
use super::{ConfigError, Meter};

/// Section `[meter.keypad]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keypad {
    /// A serial port, 9600 baud, whose keypad sends each key as its character; without it, whoever started the agent presses keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PathBuf>,
    /// A file that takes the line of text on the display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_file: Option<PathBuf>,
    /// Closes an account after this time without a key.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
}

const fn timeout_s() -> u64 {
    30
}

impl Default for Keypad {
    fn default() -> Self {
        Self { port: None, display_file: None, timeout_s: timeout_s() }
    }
}

impl Meter {
    /// The accounts that can be opened at its keypad.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let account = |it: &super::Channel| {
            let identification = it.identification.as_deref()?.try_into().ok()?;
            Some(Account { identification, channel: it.number })
        };
        self.channel.iter().filter_map(account).collect()
    }

    /// Whether its keypad opens accounts, and each code one of them.
    pub(super) fn check_keypad(&self) -> Result<(), ConfigError> {
        let key = |name: &str| format!("meter {}: {name}", self.id);
        let mut known: Vec<&str> = Vec::new();
        for channel in &self.channel {
            let Some(code) = channel.identification.as_deref() else { continue };
            let key = || key(&format!("channel {}: identification", channel.number));
            if code.is_empty() || code.len() > IDENTIFICATION_MAX || !code.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(value_error(key(), format!("is {code:?}: use 1 to {IDENTIFICATION_MAX} digits")));
            }
            if known.contains(&code) {
                return Err(value_error(key(), "is another channel's, too"));
            }
            known.push(code);
        }
        match &self.keypad {
            Some(_) if known.is_empty() => Err(value_error(key("keypad"), "opens nothing: give channels an identification")),
            Some(keypad) => in_range(&key("keypad.timeout_s"), keypad.timeout_s, 5, 600),
            None if !known.is_empty() => Err(value_error(key("keypad"), "is missing: channels have an identification")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(sections: &str) -> Meter {
        let text = format!("id = 'M1'\ncertificate_file = 'a'\nkey_file = 'b'\ndevice = 'dsmr-p1'\nbus = 'p1'\n{sections}");
        toml::from_str(&text).expect("valid")
    }

    #[test]
    fn each_code_opens_one_account() {
        let channel = |number: u8, code: &str| format!("[[channel]]\nnumber = {number}\nidentification = '{code}'\n");
        let two = format!("[keypad]\ndisplay_file = '/run/display'\n{}{}", channel(0, "17"), channel(5, "42"));
        let sound = meter(&two);
        sound.check_keypad().expect("sound");
        assert_eq!(sound.accounts().iter().map(|it| (it.identification.as_str(), it.channel)).collect::<Vec<_>>(), [("17", 0), ("42", 5)]);
        for (sections, expected) in [
            ("[keypad]\n".to_owned(), "meter M1: keypad opens nothing: give channels an identification"),
            (channel(0, "17"), "meter M1: keypad is missing: channels have an identification"),
            (format!("[keypad]\ntimeout_s = 1\n{}", channel(0, "1")), "meter M1: keypad.timeout_s is 1: use 5 to 600"),
            (format!("[keypad]\n{}", channel(2, "12a")), "meter M1: channel 2: identification is \"12a\": use 1 to 8 digits"),
            (format!("[keypad]\n{}{}", channel(1, "7"), channel(2, "7")), "meter M1: channel 2: identification is another channel's, too"),
        ] {
            let error = meter(&sections).check_keypad().expect_err(expected).to_string();
            assert_eq!(error, format!("configuration: {expected}"));
        }
    }
}
