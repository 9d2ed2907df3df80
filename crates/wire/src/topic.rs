//! Where on MQTT what travels: the grammar of topics, and the shard of a meter.
//!
//! ```text
//!   f1/{shard}/{meter}/up          a frame, from that meter
//!   f1/{shard}/{meter}/dn          an acknowledgement, to that meter
//!   f1/{shard}/{meter}/cmd         a signed command, to that meter
//!   f1/{shard}/acks                acknowledgements to meters of that shard, to a gate that hands them out as `dn`
//!   state/{meter}                  JSON, retained: online or offline
//!   live/{meter}                   JSON, retained: the last reading of the meter's first channel
//!   live/{meter}/{channel}         JSON, retained: the last reading of another of its channels, 1 to 15
//!   alert/{severity}/{subject}     JSON: an alert about a meter or a feeder
//! ```
//!
//! Parsing is strict: a topic that parses prints as the same text, and its shard is its meter's.

use core::fmt;
use core::str::FromStr;

use measure::{Account, CHANNELS_MAX, Channel, FeederId, MeterId};

/// Number of shards; numbers of partitions divide it.
pub const SHARDS: u8 = 64;

/// Longest topic, in bytes.
pub const TOPIC_LEN_MAX: usize = "alert/critical/".len() + measure::id::ID_LEN_MAX;

/// The frames of all meters.
pub const UP_ALL: &str = "f1/+/+/up";
/// The acknowledgements to all meters.
pub const DOWN_ALL: &str = "f1/+/+/dn";
/// Presence of all meters.
pub const STATE_ALL: &str = "state/+";
/// Live values of all channels of all meters.
pub const LIVE_ALL: &str = "live/#";
/// All alerts.
pub const ALERT_ALL: &str = "alert/+/+";

/// A topic or a filter as text.
pub type Text = heapless::String<TOPIC_LEN_MAX>;

/// The share of the fleet that a meter belongs to, 0 to 63; in text two lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard of a meter: its hash by Kafka's default partitioner, `(murmur2(key) & 0x7fffffff) % 64`. With a number of partitions
    /// that divides 64, everyone who puts a meter's key to that partitioner agrees with [`Shard::partition`].
    pub fn of(meter: &MeterId) -> Self {
        Self::of_key(meter.as_str())
    }

    /// The shard of a feeder, in the same way.
    pub fn of_feeder(feeder: &FeederId) -> Self {
        Self::of_key(feeder.as_str())
    }

    fn of_key(key: &str) -> Self {
        /// The seed that Kafka's clients use.
        const SEED: u32 = 0x9747_b28c;
        let [low, ..] = murmur2::murmur2(key.as_bytes(), SEED).to_le_bytes();
        Self(low % SHARDS)
    }

    /// The shard with this number, if it is below 64.
    pub const fn new(number: u8) -> Option<Self> {
        if number < SHARDS { Some(Self(number)) } else { None }
    }

    /// 0 to 63.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The partition that the shard's meters are on. `partitions` must divide 64; 0 counts as 1.
    pub fn partition(self, partitions: u16) -> i32 {
        u16::from(self.0).checked_rem(partitions).map_or(0, i32::from)
    }

    /// All shards in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl FromStr for Shard {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let digits = text.len() == 2 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        let number = u8::from_str_radix(text, 16).ok().filter(|_| digits);
        number.and_then(Self::new).ok_or(InvalidTopic::Shard)
    }
}

/// How much an alert matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// To be known.
    Info,
    /// To be looked at.
    Warning,
    /// To be acted on.
    Critical,
}

impl Severity {
    const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As in a topic.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A topic of Ferraris.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Frames from a meter.
    Up {
        /// The meter's shard.
        shard: Shard,
        /// The meter.
        meter: MeterId,
    },
    /// Acknowledgements to a meter.
    Down {
        /// The meter's shard.
        shard: Shard,
        /// The meter.
        meter: MeterId,
    },
    /// Commands to a meter.
    Command {
        /// The meter's shard.
        shard: Shard,
        /// The meter.
        meter: MeterId,
    },
    /// Acknowledgements to many meters, for the gate to hand out.
    Acks {
        /// The shard of all of them.
        shard: Shard,
    },
    /// Whether a meter is online.
    State {
        /// The meter.
        meter: MeterId,
    },
    /// The last reading of a channel.
    Live {
        /// The meter and its channel.
        account: Account,
    },
    /// An alert.
    Alert {
        /// How much it matters.
        severity: Severity,
        /// The meter or feeder that it is about: both have the same grammar.
        subject: MeterId,
    },
}

/// Why a text is no topic of Ferraris.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// Not one of the known forms.
    #[error(
        "topic has none of the forms f1/{{shard}}/{{meter}}/up, …/dn, …/cmd, f1/{{shard}}/acks, state/{{meter}}, live/{{meter}}, \
         live/{{meter}}/{{channel}}, alert/{{severity}}/{{subject}}"
    )]
    Form,
    /// The shard is not two lower-case hexadecimal digits up to 3f.
    #[error("shard must be two lower-case hexadecimal digits from 00 to 3f")]
    Shard,
    /// The shard is not the meter's.
    #[error("shard is not that of the meter")]
    ForeignShard,
    /// Not a channel that has a level of its own.
    #[error("channel must be 1 to 15 in decimal digits; channel 0 is on live/{{meter}}")]
    Channel,
    /// The meter or subject is no identifier.
    #[error(transparent)]
    Meter(#[from] measure::InvalidId),
}

impl Topic {
    /// Where the frames of `meter` go.
    pub fn up(meter: &MeterId) -> Self {
        Self::Up { shard: Shard::of(meter), meter: meter.clone() }
    }

    /// Where the acknowledgements to `meter` go.
    pub fn down(meter: &MeterId) -> Self {
        Self::Down { shard: Shard::of(meter), meter: meter.clone() }
    }

    /// Where the commands to `meter` go.
    pub fn command(meter: &MeterId) -> Self {
        Self::Command { shard: Shard::of(meter), meter: meter.clone() }
    }

    /// As text without allocation.
    pub fn to_text(&self) -> Text {
        text(format_args!("{self}"))
    }
}

/// The channel on the last level of `live/{meter}/{channel}`: one that has a level of its own, written in its one way.
pub fn live_channel(level: &str) -> Result<Channel, InvalidTopic> {
    let plain = level.starts_with(|first: char| matches!(first, '1'..='9'));
    level.parse().ok().filter(|channel| plain && *channel < CHANNELS_MAX).ok_or(InvalidTopic::Channel)
}

/// The filter for the live values of all channels of a meter: `live/{meter}/#`, which matches `live/{meter}` as well.
pub fn live_filter(meter: &MeterId) -> Text {
    text(format_args!("live/{meter}/#"))
}

/// The filter for the frames of a shard: `f1/{shard}/+/up`.
pub fn up_filter(shard: Shard) -> Text {
    text(format_args!("f1/{shard}/+/up"))
}

fn text(arguments: fmt::Arguments<'_>) -> Text {
    let mut text = Text::new();
    // Fits: TOPIC_LEN_MAX is the longest form.
    let _ = fmt::write(&mut text, arguments);
    text
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { shard, meter } => write!(f, "f1/{shard}/{meter}/up"),
            Self::Down { shard, meter } => write!(f, "f1/{shard}/{meter}/dn"),
            Self::Command { shard, meter } => write!(f, "f1/{shard}/{meter}/cmd"),
            Self::Acks { shard } => write!(f, "f1/{shard}/acks"),
            Self::State { meter } => write!(f, "state/{meter}"),
            Self::Live { account } if account.channel() == 0 => write!(f, "live/{}", account.meter()),
            Self::Live { account } => write!(f, "live/{}/{}", account.meter(), account.channel()),
            Self::Alert { severity, subject } => write!(f, "alert/{}/{subject}", severity.name()),
        }
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let mut levels = text.split('/');
        let topic = match (levels.next(), levels.next(), levels.next(), levels.next()) {
            (Some("f1"), Some(shard), Some(meter), Some(way @ ("up" | "dn" | "cmd"))) => {
                let (shard, meter) = (shard.parse()?, meter.parse()?);
                if shard != Shard::of(&meter) {
                    return Err(InvalidTopic::ForeignShard);
                }
                match way {
                    "up" => Self::Up { shard, meter },
                    "dn" => Self::Down { shard, meter },
                    _ => Self::Command { shard, meter },
                }
            }
            (Some("f1"), Some(shard), Some("acks"), None) => Self::Acks { shard: shard.parse()? },
            (Some("state"), Some(meter), None, None) => Self::State { meter: meter.parse()? },
            (Some("live"), Some(meter), channel, None) => {
                let channel = channel.map_or(Ok(0), live_channel)?;
                Self::Live { account: Account::new(&meter.parse()?, channel) }
            }
            (Some("alert"), Some(severity), Some(subject), None) => {
                let severity = Severity::ALL.into_iter().find(|it| it.name() == severity).ok_or(InvalidTopic::Form)?;
                Self::Alert { severity, subject: subject.parse()? }
            }
            _ => return Err(InvalidTopic::Form),
        };
        if levels.next().is_some() { Err(InvalidTopic::Form) } else { Ok(topic) }
    }
}
