//! MQTT 3.1.1 control packets, read strictly and written.
//!
//! ```text
//!  byte 1: type (4 bits) | flags (4 bits)
//!  bytes 2 to 5: remaining length, 7 bits a byte, lowest first, top bit: one more follows (at most 4)
//!  then as many bytes as that says: variable header and payload
//! ```
//!
//! rumqttd's own codec reads more than the protocol allows (reserved flags, trailing bytes, packets that only a server sends) and
//! keeps packet identifiers to itself, so the gate reads packets here and hands values, never bytes, to the router. What is accepted
//! here that codec accepts too and reads the same way: a property test compares the two.
//!
//! Of MQTT 5 only a CONNECT is known, to the byte that says so, and the CONNACK that refuses it.
//!
//! Nothing is allocated: a packet borrows from the bytes it was read from.

mod fields;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{Header, header, next};
pub use write::{connack, pingresp, puback, publish, suback, unsuback};

use crate::reason::Reason;
use fields::Fields;

/// A packet that a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The first packet, once.
    Connect(Connect<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// Acknowledges a message of QoS 1 that we sent.
    PubAck(u16),
    /// Asks for messages.
    Subscribe {
        /// Packet identifier, never 0.
        pkid: u16,
        /// At least one.
        filters: Filters<'a>,
    },
    /// Asks for no more messages.
    Unsubscribe {
        /// Packet identifier, never 0.
        pkid: u16,
        /// At least one.
        filters: Names<'a>,
    },
    /// Keeps the connection alive.
    PingReq,
    /// The last packet.
    Disconnect,
}

/// What a client says of itself. User name and password are allowed and mean nothing: the certificate is the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// May be empty.
    pub client_id: &'a str,
    /// Whether the client wants nothing kept from an earlier session.
    pub clean_session: bool,
    /// Seconds; 0 asks for none.
    pub keep_alive_s: u16,
    /// Whether a last will came with it.
    pub has_will: bool,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// ASCII without control characters and wildcards, not empty, not of the `$` tree.
    pub topic: &'a str,
    /// Any bytes.
    pub payload: &'a [u8],
    /// Quality of service and packet identifier.
    pub delivery: Delivery,
    /// Whether it is to be kept for later subscribers.
    pub retain: bool,
    /// Whether it may have been sent before.
    pub dup: bool,
}

/// Quality of service of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1 with its packet identifier, never 0.
    AtLeastOnce(u16),
    /// QoS 2 with its packet identifier, never 0. Grammatical, but nobody may use it here.
    ExactlyOnce(u16),
}

/// The filters of a SUBSCRIBE, checked when the packet was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters<'a>(Fields<'a>);

impl<'a> Iterator for Filters<'a> {
    type Item = (&'a str, u8);

    /// The next filter and the QoS asked for (0, 1 or 2).
    fn next(&mut self) -> Option<(&'a str, u8)> {
        let filter = self.0.text().ok()?;
        Some((filter, self.0.byte().ok()?))
    }
}

/// The filters of an UNSUBSCRIBE, checked when the packet was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'a>(Fields<'a>);

impl<'a> Iterator for Names<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.text().ok()
    }
}

/// Why bytes are not a packet of MQTT 3.1.1 that a client may send. The connection ends; only a protocol level has an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A type that only a server sends, or 0 or 15.
    #[error("packet type {0} is not a client's")]
    PacketType(u8),
    /// Flags that the type doesn't have.
    #[error("flags of the first byte do not fit its packet type")]
    Flags,
    /// More than four bytes of remaining length.
    #[error("remaining length takes more than four bytes")]
    LengthEncoding,
    /// Longer than the limit for this client.
    #[error("packet of {0} bytes is over the limit")]
    TooLarge(usize),
    /// A field reaches beyond the packet's end.
    #[error("a field reaches beyond the end of the packet")]
    Truncated,
    /// Bytes are left over behind the last field.
    #[error("bytes are left over behind the last field")]
    TrailingBytes,
    /// A text is not UTF-8 or holds U+0000.
    #[error("a text is not UTF-8 or holds U+0000")]
    Text,
    /// The protocol's name is another one.
    #[error("protocol name is not MQTT")]
    ProtocolName,
    /// Another version of MQTT (3.1 is level 3, 5.0 is level 5): answered with CONNACK 1.
    #[error("protocol level {0} is not supported")]
    ProtocolLevel(u8),
    /// Flags of CONNECT that contradict each other, or the reserved one.
    #[error("connect flags contradict each other")]
    ConnectFlags,
    /// Packet identifier 0.
    #[error("packet identifier is 0")]
    PacketIdZero,
    /// QoS 3.
    #[error("quality of service 3 does not exist")]
    Qos,
    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    #[error("no filter")]
    NoFilter,
    /// An empty topic or filter.
    #[error("topic is empty")]
    TopicEmpty,
    /// A topic with a wildcard, a control character, beyond ASCII, or of the `$` tree.
    #[error("topic has a character that no topic here has")]
    TopicCharacter,
}

impl Malformed {
    /// What it is counted as.
    pub const fn reason(self) -> Reason {
        match self {
            Self::PacketType(_) => Reason::PacketType,
            Self::Flags => Reason::PacketFlags,
            Self::LengthEncoding => Reason::LengthEncoding,
            Self::TooLarge(_) => Reason::PacketTooLarge,
            Self::Truncated => Reason::PacketTruncated,
            Self::TrailingBytes => Reason::TrailingBytes,
            Self::Text => Reason::Text,
            Self::ProtocolName => Reason::ProtocolName,
            Self::ProtocolLevel(_) => Reason::ProtocolLevel,
            Self::ConnectFlags => Reason::ConnectFlags,
            Self::PacketIdZero => Reason::PacketIdZero,
            Self::Qos => Reason::Qos3,
            Self::NoFilter => Reason::NoFilter,
            Self::TopicEmpty => Reason::TopicEmpty,
            Self::TopicCharacter => Reason::TopicCharacter,
        }
    }
}
