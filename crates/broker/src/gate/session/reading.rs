//! What is read when: packets as they come, no faster than the identity's rate, none that never ends, no silence that is too long.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{End, Open, Session, later};
use crate::config::millis;
use crate::gate::machine::Refusal;
use crate::gate::packet::{self, Packet};
use crate::gate::rate::{Measure, Verdict};
use crate::reason::Reason;
use crate::sync::lock;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Deals with what came together with CONNECT, or later if the identity has not made good yet what it sent in earlier sessions.
    pub(super) async fn begin(&mut self, open: &mut Open) -> Result<(), End> {
        self.charge(open, 1, 0, self.last_packet)?;
        self.arm(open);
        self.packets(open).await
    }

    /// Deals with every complete packet that was read, and charges them to the identity.
    pub(super) async fn packets(&mut self, open: &mut Open) -> Result<(), End> {
        if self.carry.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let bytes = std::mem::take(&mut self.carry);
        let (mut rest, max, mut messages) = (bytes.as_slice(), self.machine.packet_bytes_max(), 0_u64);
        // Checked for each packet: with hundreds of meters to a shard, what each one had read already would be too much.
        while !self.is_held_back(open) {
            match packet::next(rest, max) {
                Ok(Some((packet, len))) => {
                    // An acknowledgement answers a packet of ours: how many there are is for us to say.
                    let answers = matches!(packet, Packet::PubAck(_));
                    messages = messages.saturating_add(u64::from(!answers));
                    self.packet(packet, open).await?;
                    rest = rest.get(len..).unwrap_or_default();
                }
                Ok(None) => break,
                Err(malformed) => return Err(self.machine.malformed(malformed).into()),
            }
        }
        let used = bytes.len().saturating_sub(rest.len());
        if used > 0 {
            self.last_packet = now;
        } else if !self.held_back {
            // To be woken for a piece costs about as much as a packet.
            messages = 1;
        }
        let begins = if used > 0 { Some(now) } else { self.packet_began.or(Some(now)) };
        self.packet_began = begins.filter(|_| !rest.is_empty());
        self.carry = if used == 0 { bytes } else { rest.to_vec() };
        self.charge(open, messages, used, now)?;
        self.arm(open);
        Ok(())
    }

    fn charge(&mut self, open: &Open, messages: u64, bytes: usize, now: Instant) -> Result<(), End> {
        let (allowance, bytes) = (self.gate.allowances.of(open.identity.role), u64::try_from(bytes).unwrap_or(u64::MAX));
        let verdict = lock(&open.standing).charge(allowance, messages, bytes, now.into_std());
        match verdict {
            Verdict::Go => Ok(()),
            Verdict::Wait(until, measure) => {
                self.gate.metrics.slowed(reason(measure));
                self.slowed_until = Some(Instant::from_std(until));
                Ok(())
            }
            Verdict::Cut(measure) => Err(Refusal { reason: reason(measure), connack: None }.into()),
        }
    }

    /// Sees to it that the timer rings when the next deadline is due, or before.
    fn arm(&self, open: &mut Open) {
        let due = self.due(open);
        if due < open.timer.deadline() {
            open.timer.as_mut().reset(due);
        }
    }

    fn due(&self, open: &Open) -> Instant {
        let due = self.silent_at(open).min(open.expires);
        [self.stalled_at(), self.slowed_until].into_iter().flatten().fold(due, Instant::min)
    }

    fn silent_at(&self, open: &Open) -> Instant {
        later(self.last_packet, open.idle_max)
    }

    fn stalled_at(&self) -> Option<Instant> {
        self.packet_began.map(|began| later(began, millis(self.gate.limits.packet_ms)))
    }

    /// The timer rang. It is set once for many packets: most of the time it finds that there was one since.
    pub(super) fn timer(&mut self, open: &mut Open) -> Result<(), End> {
        let now = Instant::now();
        if now >= open.expires {
            return Err(End::Expired);
        }
        if self.held_back || self.slowed_until.is_some() {
            self.was_deaf(now);
        }
        if self.slowed_until.is_some_and(|until| now >= until) {
            self.slowed_until = None;
        }
        if self.stalled_at().is_some_and(|at| now >= at) {
            return Err(Refusal { reason: Reason::PacketStalled, connack: None }.into());
        }
        if now >= self.silent_at(open) {
            return Err(End::KeepAlive);
        }
        let due = self.due(open);
        open.timer.as_mut().reset(due);
        Ok(())
    }

    /// It was not read from until now: whatever it may have been late with counts from now on.
    pub(super) fn was_deaf(&mut self, now: Instant) {
        self.last_packet = now;
        self.packet_began = self.packet_began.map(|_| now);
    }
}

const fn reason(measure: Measure) -> Reason {
    match measure {
        Measure::Messages => Reason::RateMessages,
        Measure::Bytes => Reason::RateBytes,
    }
}
