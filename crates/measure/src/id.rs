//! Identifiers, parsed once and then valid.

use core::fmt;
use core::str::FromStr;

use heapless::String;

/// Why a text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// No character at all.
    #[error("identifier is empty")]
    Empty,
    /// More than 32 characters.
    #[error("identifier is longer than 32 characters")]
    TooLong,
    /// A character outside `[A-Za-z0-9_-]`, or `_` or `-` at the start.
    #[error("identifier may hold only A-Z a-z 0-9 _ - and must start with a letter or digit")]
    Character,
    /// Not sixteen hexadecimal digits.
    #[error("stream must be sixteen hexadecimal digits")]
    Stream,
}

/// Longest identifier, in bytes.
pub const ID_LEN_MAX: usize = 32;

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String<ID_LEN_MAX>);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let first = *text.as_bytes().first().ok_or(InvalidId::Empty)?;
                if text.len() > ID_LEN_MAX {
                    return Err(InvalidId::TooLong);
                }
                let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
                if !first.is_ascii_alphanumeric() || !text.bytes().all(allowed) {
                    return Err(InvalidId::Character);
                }
                String::try_from(text).map(Self).map_err(|_| InvalidId::TooLong)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_serde!($name);
    };
}

/// Serialises as the text of `Display`, deserialises through `FromStr`.
macro_rules! text_serde {
    ($name:ident) => {
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String<ID_LEN_MAX> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(<D::Error as serde::de::Error>::custom)
            }
        }
    };
}

name_id!(
    /// A meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`; the common name of its certificate.
    MeterId
);
name_id!(
    /// A feeder: a low-voltage line with the meters on it.
    FeederId
);

/// A run of numbered records of one meter: random, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for StreamId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != 16 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(InvalidId::Stream);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidId::Stream)
    }
}

text_serde!(StreamId);

/// Number of a record within its stream: 1, 2, 3 … without gaps. 0 stands for "none yet".
pub type Seq = u64;

/// Channel of a meter: 0 for a single-phase meter, 0 to 5 for a six-channel one.
pub type Channel = u8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meter_grammar() {
        assert!("M0001".parse::<MeterId>().is_ok());
        assert!("a-b_C9".parse::<MeterId>().is_ok());
        assert!("01234567890123456789012345678901".parse::<MeterId>().is_ok());
        assert_eq!("012345678901234567890123456789012".parse::<MeterId>(), Err(InvalidId::TooLong));
        assert_eq!("".parse::<MeterId>(), Err(InvalidId::Empty));
        for bad in ["-a", "_a", "a/b", "a+", "#", "$x", "é", "a b", "a\0"] {
            assert_eq!(bad.parse::<MeterId>(), Err(InvalidId::Character), "{bad}");
        }
    }

    #[test]
    fn stream_is_sixteen_hex_digits() {
        use core::fmt::Write;
        let mut text = String::<ID_LEN_MAX>::new();
        write!(text, "{}", StreamId(0xabc)).unwrap();
        assert_eq!(text.as_str(), "0000000000000abc");
        assert_eq!(text.parse(), Ok(StreamId(0xabc)));
        assert_eq!("+000000000000abc".parse::<StreamId>(), Err(InvalidId::Stream));
    }
}
