//! One command to one device on a shared bus, without input, output or a clock.
//!
//! ```text
//!            quiet for `silence`              bytes                      whole, then quiet for `silence`
//!   Quiet ------------------------> Sent ------------> Sent (receiving) ---------------------------------> Done(reply)
//!     ^ |  bytes: counted as stale    |   late, wrong, refused for now                 |
//!     | +-> line never quiet          +---------------- attempts left ------ Quiet for `settle`
//!     |                                                 none left, or the deadline: Failed(why)
//! ```
//!
//! Modbus RTU has no transaction numbers, so a late reply to an earlier request looks like the reply to this one. Three rules keep it
//! out: nothing is sent before the line has been quiet, so that leftovers are thrown away; after a failure the quiet lasts longer than
//! a device takes to answer; and a byte that arrives before the device can have heard the whole request belongs to an earlier one.
//!
//! The owner of the port calls [`Transaction::poll`] and does what it says, calls [`Transaction::push`] with what arrives, and polls
//! again then and when the time that [`Step::Wait`] names has come. Time is a `Duration` since any fixed moment.

use core::time::Duration;

use crate::modbus::{Address, Exception, Expected, FRAME_LEN_MAX, Frame, ReplyError};

/// A command of a device: its request, and what its reply means.
pub trait Command {
    /// What the reply says.
    type Reply;

    /// Whether sending it twice does no harm.
    const REPEATABLE: bool;

    /// The bytes to send.
    fn request(&self, address: Address) -> Frame;

    /// What the reply looks like.
    fn expected(&self, address: Address) -> Expected;

    /// The reply's meaning.
    ///
    /// # Errors
    /// Whenever `reply` is not exactly the reply to this command from that address.
    fn parse(&self, address: Address, reply: &[u8]) -> Result<Self::Reply, ReplyError>;
}

/// How long everything may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time of one byte on the wire, start and stop bits included.
    pub byte: Duration,
    /// Quiet that separates frames: 3.5 bytes at least.
    pub silence: Duration,
    /// From the end of the request to the end of the reply.
    pub reply: Duration,
    /// Quiet after a failed attempt, for its late reply to run out.
    pub settle: Duration,
    /// How often to ask.
    pub attempts: u8,
    /// Everything together.
    pub deadline: Duration,
}

impl Timing {
    /// For 9600 8N1: a byte takes 1.04 ms, a full PZEM-004T reply 26 ms, and modules answer within 100 ms.
    pub const BAUD_9600: Self = Self {
        byte: Duration::from_micros(1_042),
        silence: Duration::from_millis(5),
        reply: Duration::from_millis(200),
        settle: Duration::from_millis(60),
        attempts: 3,
        deadline: Duration::from_millis(900),
    };
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoData {
    /// Not one byte came.
    #[error("device is silent")]
    Silent,
    /// The line was never quiet enough to ask.
    #[error("bus is busy: something else talks on it")]
    Busy,
    /// What came was not the reply.
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

impl NoData {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Busy => "busy",
            Self::Reply(error) => error.name(),
        }
    }
}

/// What the owner of the port has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Write these bytes, then poll again.
    Send(Frame),
    /// Read until then (same time as given to `poll`), push what comes, then poll again.
    Wait(Duration),
    /// Finished: the device answered.
    Done(T),
    /// Finished: it did not; why the last attempt failed.
    Failed(NoData),
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing may arrive for `need` from `since` on.
    Quiet { since: Duration, need: Duration },
    /// The request was handed out at `at`; the last byte of the reply so far arrived at `last`.
    Sent { at: Duration, last: Duration },
}

/// One command to one device.
#[derive(Debug)]
pub struct Transaction<C> {
    command: C,
    address: Address,
    request: Frame,
    timing: Timing,
    phase: Phase,
    deadline: Duration,
    received: Frame,
    overflow: bool,
    too_early: bool,
    attempts: u8,
    stale_bytes: u32,
    cause: Option<NoData>,
}

impl<C: Command> Transaction<C> {
    /// Ask the device at `address`, starting `now`.
    pub fn new(command: C, address: Address, timing: Timing, now: Duration) -> Self {
        let attempts = if C::REPEATABLE { timing.attempts.max(1) } else { 1 };
        Self {
            request: command.request(address),
            command,
            address,
            timing,
            phase: Phase::Quiet { since: now, need: timing.silence },
            deadline: now.saturating_add(timing.deadline),
            received: Frame::new(),
            overflow: false,
            too_early: false,
            attempts,
            stale_bytes: 0,
            cause: None,
        }
    }

    /// Bytes thrown away because they belonged to no request of this transaction.
    pub const fn stale_bytes(&self) -> u32 {
        self.stale_bytes
    }

    /// Bytes arrived at `now`.
    pub fn push(&mut self, bytes: &[u8], now: Duration) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.phase {
            Phase::Quiet { since, .. } => {
                *since = now;
                self.count_stale(bytes.len());
            }
            Phase::Sent { at, last } => {
                *last = now;
                self.too_early |= now < at.saturating_add(on_wire(&self.request, self.timing.byte));
                for byte in bytes {
                    self.overflow |= self.received.push(*byte).is_err();
                }
            }
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Duration) -> Step<C::Reply> {
        match self.phase {
            Phase::Quiet { since, need } => {
                let quiet_at = since.saturating_add(need);
                if quiet_at <= now {
                    return self.send(now);
                }
                if self.deadline <= now {
                    return Step::Failed(self.cause.unwrap_or(NoData::Busy));
                }
                Step::Wait(quiet_at.min(self.deadline))
            }
            Phase::Sent { at, last } => self.poll_reply(at, last, now),
        }
    }

    fn send(&mut self, now: Duration) -> Step<C::Reply> {
        self.received.clear();
        self.overflow = false;
        self.too_early = false;
        self.attempts = self.attempts.saturating_sub(1);
        self.phase = Phase::Sent { at: now, last: now };
        Step::Send(self.request.clone())
    }

    fn poll_reply(&mut self, at: Duration, last: Duration, now: Duration) -> Step<C::Reply> {
        let late = at.saturating_add(on_wire(&self.request, self.timing.byte)).saturating_add(self.timing.reply);
        // A reply is whole when its last byte is followed by quiet: whatever comes within it would be too much.
        let complete = self.overflow || self.command.expected(self.address).is_complete(&self.received);
        let decide_at = if complete { last.saturating_add(self.timing.silence) } else { late };
        if now < decide_at {
            return Step::Wait(decide_at);
        }
        match self.judge() {
            Ok(reply) => Step::Done(reply),
            Err(cause) => self.fail(cause, now),
        }
    }

    fn judge(&self) -> Result<C::Reply, NoData> {
        if self.received.is_empty() {
            return Err(NoData::Silent);
        }
        if self.overflow {
            let expected = self.command.expected(self.address).frame_len();
            return Err(ReplyError::Long { got: FRAME_LEN_MAX, expected }.into());
        }
        let reply = self.command.parse(self.address, &self.received)?;
        if self.too_early { Err(ReplyError::Stale.into()) } else { Ok(reply) }
    }

    fn fail(&mut self, cause: NoData, now: Duration) -> Step<C::Reply> {
        if cause == NoData::Reply(ReplyError::Stale) {
            self.count_stale(self.received.len());
        }
        self.cause = Some(cause);
        let refused = matches!(cause, NoData::Reply(ReplyError::Refused(why)) if why != Exception::DeviceFailure);
        if self.attempts == 0 || refused || self.deadline <= now.saturating_add(self.timing.settle) {
            return Step::Failed(cause);
        }
        self.phase = Phase::Quiet { since: now, need: self.timing.settle };
        Step::Wait(now.saturating_add(self.timing.settle))
    }

    fn count_stale(&mut self, bytes: usize) {
        self.stale_bytes = self.stale_bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }
}

/// How long a frame takes.
fn on_wire(frame: &Frame, byte: Duration) -> Duration {
    byte.saturating_mul(u32::try_from(frame.len()).unwrap_or(u32::MAX))
}
