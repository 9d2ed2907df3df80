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
    /// Not a meter, a point, and a channel in decimal digits.
    #[error("account must be a meter, a point and a channel, for example M0001.3")]
    Account,
}

/// Longest identifier, in bytes.
pub const ID_LEN_MAX: usize = 32;
/// Longest account, in bytes: a meter, the point, and three digits.
pub const ACCOUNT_LEN_MAX: usize = ID_LEN_MAX + 4;

/// Channels of a meter that a configuration may name, and whose last values are kept. The wire has numbers up to 255; a meter that uses
/// them all has its readings in Kafka like any other's, but no more than so many places where there is one for each channel.
pub const CHANNELS_MAX: Channel = 16;

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        // There may be one of them for each of a hundred thousand meters, in several maps: the length takes a byte and not eight.
        pub struct $name(String<ID_LEN_MAX, u8>);

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

        text_serde!($name, ID_LEN_MAX);
    };
}

/// Serialises as the text of `Display`, which has so many bytes at most; deserialises through `FromStr`.
macro_rules! text_serde {
    ($name:ident, $len_max:expr) => {
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String<{ $len_max }> as serde::Deserialize>::deserialize(deserializer)?;
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

text_serde!(StreamId, ID_LEN_MAX);

/// Number of a record within its stream: 1, 2, 3 … without gaps. 0 stands for "none yet".
pub type Seq = u64;

/// Channel of a meter: 0 for a single-phase meter, 0 to 5 for a six-channel one.
pub type Channel = u8;

/// One channel of a meter under a name of its own: `M0001.3`.
///
/// A metering point keeps its account for as long as it is there, whoever lives behind it; so it says nothing about a person, and who pays for
/// it is known elsewhere. It is made of meter and channel and leads back to them, so there is no list of accounts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    meter: MeterId,
    channel: Channel,
}

impl Account {
    /// The account of a meter's channel.
    pub fn new(meter: &MeterId, channel: Channel) -> Self {
        Self { meter: meter.clone(), channel }
    }

    /// The meter.
    pub const fn meter(&self) -> &MeterId {
        &self.meter
    }

    /// Its channel.
    pub const fn channel(&self) -> Channel {
        self.channel
    }
}

impl FromStr for Account {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (meter, channel) = text.split_once('.').ok_or(InvalidId::Account)?;
        // A channel has one way to be written, so that equal accounts are equal texts.
        let plain = channel == "0" || (channel.bytes().all(|c| c.is_ascii_digit()) && !channel.starts_with('0'));
        let channel = channel.parse().ok().filter(|_| plain).ok_or(InvalidId::Account)?;
        Ok(Self { meter: meter.parse()?, channel })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.meter, self.channel)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_serde!(Account, ACCOUNT_LEN_MAX);

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

    #[test]
    fn an_account_has_one_text_and_leads_back() {
        use core::fmt::Write;
        let longest: MeterId = "01234567890123456789012345678901".parse().unwrap();
        for channel in 0..=Channel::MAX {
            let account = Account::new(&longest, channel);
            let mut text = String::<ACCOUNT_LEN_MAX>::new();
            write!(text, "{account}").unwrap();
            assert_eq!(text.parse(), Ok(account));
        }
        let account: Account = "m-0007.3".parse().unwrap();
        assert_eq!((account.meter().as_str(), account.channel()), ("m-0007", 3));
        for bad in ["", "M1", "M1.", "M1.03", "M1.00", "M1.+3", "M1.-1", "M1.256", "M1.3 ", "M1.3.3", "M1.three"] {
            assert_eq!(bad.parse::<Account>(), Err(InvalidId::Account), "{bad}");
        }
        assert_eq!(".3".parse::<Account>(), Err(InvalidId::Empty));
        assert_eq!("M/1.3".parse::<Account>(), Err(InvalidId::Character));
    }
}
