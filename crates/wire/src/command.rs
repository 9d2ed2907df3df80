//! A command: what travels on `f1/{shard}/{meter}/cmd`, and waits in Kafka until the meter has answered it.
//!
//! ```text
//!   offset  0        1         2        3          3+m           11+m          19+m                    …
//!          +--------+---------+--------+----------+-------------+-------------+-----------------------+-------------+
//!          | magic  | version | length | meter    | number      | expires     | action                | signature   |
//!          | 0xFB   | 0x01    | u8: m, | m bytes, | u64, low    | i64 ms, low | kind u8, channel u8,  | 64 bytes    |
//!          |        |         | 1 to 32| ASCII    | byte first  | byte first  | two varints           |             |
//!          +--------+---------+--------+----------+-------------+-------------+-----------------------+-------------+
//!          |<------------------------ the signature covers all of this ------------------------------>|
//! ```
//!
//! The signature is Ed25519 (RFC 8032) by a command authority, whose keys are for nothing else. It is what a meter acts upon: neither the
//! broker nor the processor nor Kafka is believed. A command names one meter, expires, and carries a number that only grows, so that a
//! copy of it is worth nothing. [`Signed::decode`] says what bytes claim, [`Signed::verify`] whether that may be believed.
//!
//! The channel is 0xFF where all are meant. The varints are those of postcard, zigzag; an action that needs fewer leaves them 0.

use core::fmt;
use core::str::FromStr;

use ed25519_compact::{KeyPair, PublicKey, Seed, Signature};
use measure::{ActionKind, Channel, MeterId, UnixMillis};
use postcard::experimental::max_size::MaxSize;

/// First byte of every command.
pub const MAGIC: u8 = 0xFB;
/// The version that this code writes and reads.
pub const VERSION: u8 = 1;
/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;
/// Longest command, in bytes.
pub const COMMAND_LEN_MAX: usize = 3 + measure::id::ID_LEN_MAX + 8 + 8 + 2 + 2 * i64::POSTCARD_MAX_SIZE + SIGNATURE_LEN;
/// Keys that a meter believes at most: the one in use, its successor, and those of a region and a manufacturer.
pub const KEYS_MAX: usize = 8;

/// Stands for all channels.
const ALL_CHANNELS: u8 = 0xFF;

/// The bytes of a command.
pub type Bytes = heapless::Vec<u8, COMMAND_LEN_MAX>;

/// What a meter is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A fresh reading of every channel.
    Read,
    /// More credit for a channel. Negative takes back, for a top-up made by mistake.
    TopUp {
        /// Whose credit.
        channel: Channel,
        /// How much.
        amount: Amount,
    },
    /// The relay of a channel, or of all.
    Relay {
        /// `None` for all.
        channel: Option<Channel>,
        /// On or off.
        on: bool,
    },
    /// The power above which a channel is cut off.
    Limit {
        /// Which.
        channel: Channel,
        /// In watts, 1 to `u32::MAX`; `None` lifts it.
        watts: Option<u32>,
    },
    /// Longest time without a reading.
    ReportInterval {
        /// In ms.
        heartbeat_ms: u32,
    },
    /// Gains of a channel's sensors against a reference instrument, in place of those before.
    Calibration {
        /// Which.
        channel: Channel,
        /// Added to the voltage, in millionths of it.
        voltage_ppm: i32,
        /// Added to the current, in millionths of it.
        current_ppm: i32,
    },
}

/// An amount of credit in the unit that the channel counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// In 0.001 Wh.
    MilliwattHours(i64),
    /// In thousandths of the currency.
    Thousandths(i64),
}

impl Action {
    /// What it asks for.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Read => ActionKind::Read,
            Self::TopUp { .. } => ActionKind::TopUp,
            Self::Relay { .. } => ActionKind::Relay,
            Self::Limit { .. } => ActionKind::Limit,
            Self::ReportInterval { .. } => ActionKind::ReportInterval,
            Self::Calibration { .. } => ActionKind::Calibration,
        }
    }

    /// The channel that it names, if it names one.
    pub const fn channel(&self) -> Option<Channel> {
        match self {
            Self::TopUp { channel, .. } | Self::Limit { channel, .. } | Self::Calibration { channel, .. } => Some(*channel),
            Self::Relay { channel, .. } => *channel,
            Self::Read | Self::ReportInterval { .. } => None,
        }
    }

    /// The two numbers on the wire.
    fn numbers(&self) -> (i64, i64) {
        match *self {
            Self::Read => (0, 0),
            Self::TopUp { amount: Amount::MilliwattHours(amount), .. } => (amount, 0),
            Self::TopUp { amount: Amount::Thousandths(amount), .. } => (amount, 1),
            Self::Relay { on, .. } => (on.into(), 0),
            Self::Limit { watts, .. } => (watts.unwrap_or(0).into(), 0),
            Self::ReportInterval { heartbeat_ms } => (heartbeat_ms.into(), 0),
            Self::Calibration { voltage_ppm, current_ppm, .. } => (voltage_ppm.into(), current_ppm.into()),
        }
    }

    fn of(kind: ActionKind, channel: u8, (first, second): (i64, i64)) -> Option<Self> {
        let all = (channel == ALL_CHANNELS).then_some(());
        let one = (channel != ALL_CHANNELS).then_some(channel);
        Some(match kind {
            ActionKind::Read => all.map(|()| Self::Read)?,
            ActionKind::TopUp => {
                let amount = match second {
                    0 => Amount::MilliwattHours(first),
                    1 => Amount::Thousandths(first),
                    _ => return None,
                };
                Self::TopUp { channel: one?, amount }
            }
            ActionKind::Relay => Self::Relay {
                channel: one,
                on: match first {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
            },
            ActionKind::Limit => {
                let watts = u32::try_from(first).ok()?;
                Self::Limit { channel: one?, watts: (watts > 0).then_some(watts) }
            }
            ActionKind::ReportInterval => {
                all.map(|()| u32::try_from(first).ok().map(|heartbeat_ms| Self::ReportInterval { heartbeat_ms }))??
            }
            ActionKind::Calibration => {
                Self::Calibration { channel: one?, voltage_ppm: i32::try_from(first).ok()?, current_ppm: i32::try_from(second).ok()? }
            }
        })
    }
}

/// A command for one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The meter.
    pub meter: MeterId,
    /// Its number: greater than that of every command to this meter before. Usually the time of signing in ms since 1970.
    pub number: u64,
    /// The last instant at which it may be carried out.
    pub expires: UnixMillis,
    /// What to do.
    pub action: Action,
}

/// Why bytes are no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Shorter or longer than a command can be, or not the length that its parts take.
    #[error("command of {0} bytes has no possible length")]
    Length(usize),
    /// The first byte is not [`MAGIC`].
    #[error("first byte is {0:#04x}, not the command magic 0xfb")]
    Magic(u8),
    /// A version that this code does not know.
    #[error("command version {0} is unknown here")]
    UnknownVersion(u8),
    /// The meter is none.
    #[error("meter of the command: {0}")]
    Meter(#[from] measure::InvalidId),
    /// An action that this code does not know, or with a value that it cannot have.
    #[error("command asks for something unknown, code {0}")]
    UnknownAction(u8),
    /// A number is not in its shortest form, or a field is set that the action does not have.
    #[error("command is not in its canonical form")]
    NonCanonical,
}

impl Command {
    /// The bytes that are signed.
    fn unsigned(&self) -> Bytes {
        let name = self.meter.as_str().as_bytes();
        let (first, second) = self.action.numbers();
        let mut buffer = [0; 2 * i64::POSTCARD_MAX_SIZE];
        let numbers: &[u8] = postcard::to_slice(&(first, second), &mut buffer).map_or(&[], |written| written);
        let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let mut bytes = Bytes::new();
        // Each part fits: COMMAND_LEN_MAX is the sum of their longest forms.
        for part in [
            &[MAGIC, VERSION, len][..],
            name,
            &self.number.to_le_bytes(),
            &self.expires.0.to_le_bytes(),
            &[self.action.kind().code(), self.action.channel().unwrap_or(ALL_CHANNELS)],
            numbers,
        ] {
            let _ = bytes.extend_from_slice(part);
        }
        bytes
    }

    /// The bytes, signed by this authority.
    pub fn sign(&self, authority: &Authority) -> Bytes {
        let mut bytes = self.unsigned();
        let signature = authority.0.sk.sign(&bytes, None);
        let _ = bytes.extend_from_slice(signature.as_ref());
        bytes
    }
}

/// What some bytes claim, in their canonical form; nobody has looked at the signature yet.
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    command: Command,
    message: &'a [u8],
    signature: [u8; SIGNATURE_LEN],
}

impl<'a> Signed<'a> {
    /// From the bytes; accepts exactly what [`Command::sign`] writes, by whomever.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, CommandError> {
        let length = CommandError::Length(bytes.len());
        match bytes.first() {
            Some(&MAGIC) if bytes.len() <= COMMAND_LEN_MAX => {}
            Some(&other) if other != MAGIC => return Err(CommandError::Magic(other)),
            _ => return Err(length),
        }
        let (message, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(length)?;
        let ([_, version, len], rest) = message.split_first_chunk::<3>().ok_or(length)?;
        if *version != VERSION {
            return Err(CommandError::UnknownVersion(*version));
        }
        let (name, rest) = rest.split_at_checked((*len).into()).ok_or(length)?;
        let meter = core::str::from_utf8(name).map_err(|_| measure::InvalidId::Character)?.parse()?;
        let (number, rest) = rest.split_first_chunk::<8>().ok_or(length)?;
        let (expires, rest) = rest.split_first_chunk::<8>().ok_or(length)?;
        let ([code, channel], rest) = rest.split_first_chunk::<2>().ok_or(length)?;
        let kind = ActionKind::from_code(*code).ok_or(CommandError::UnknownAction(*code))?;
        let (numbers, rest) = postcard::take_from_bytes(rest).map_err(|error| match error {
            postcard::Error::DeserializeUnexpectedEnd => length,
            _ => CommandError::NonCanonical,
        })?;
        if !rest.is_empty() {
            return Err(length);
        }
        let action = Action::of(kind, *channel, numbers).ok_or(CommandError::UnknownAction(*code))?;
        let expires = UnixMillis(i64::from_le_bytes(*expires));
        let command = Command { meter, number: u64::from_le_bytes(*number), expires, action };
        if command.unsigned() != message {
            return Err(CommandError::NonCanonical);
        }
        Ok(Self { command, message, signature: *signature })
    }

    /// What it claims; for those who only carry it.
    pub const fn claims(&self) -> &Command {
        &self.command
    }

    /// The command, if one of these authorities has signed it.
    pub fn verify(self, keys: &[AuthorityKey]) -> Option<Command> {
        let signature = Signature::new(self.signature);
        keys.iter().any(|key| key.0.verify(self.message, &signature).is_ok()).then_some(self.command)
    }
}

/// Who may command meters: the secret half of a key pair.
pub struct Authority(KeyPair);

impl Authority {
    /// From the 32 bytes of an Ed25519 private key; panics if all of them are zero, which is nobody's key.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(KeyPair::from_seed(Seed::new(*secret)))
    }

    /// What meters must know to believe it.
    pub fn key(&self) -> AuthorityKey {
        AuthorityKey(self.0.pk)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.key())
    }
}

/// The public half: 32 bytes, as text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorityKey(PublicKey);

/// Why a text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not 64 hexadecimal digits.
    #[error("a command authority's key is 64 hexadecimal digits, as `ferraris command keygen` prints it")]
    Digits,
    /// No point of the curve, or a weak one that fits many signatures.
    #[error("these 32 bytes are no Ed25519 public key")]
    Point,
}

impl AuthorityKey {
    /// From the 32 bytes of an Ed25519 public key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = PublicKey::new(*bytes);
        key.validate().map(|()| Self(key)).map_err(|_| InvalidKey::Point)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for AuthorityKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidKey::Digits);
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = core::str::from_utf8(digits).map_err(|_| InvalidKey::Digits)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidKey::Digits)?;
        }
        Self::from_bytes(&bytes)
    }
}
