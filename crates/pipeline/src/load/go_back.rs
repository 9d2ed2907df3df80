//! A meter's side of the delivery contract, lean: frames are cut beforehand, and there is one stream. Without I/O.
//!
//! At most 8 frames are on their way. An acknowledgement is cumulative. Without one for 2 s (doubling up to 60 s) everything from the
//! first frame that is not acknowledged is sent again.

use measure::Seq;

/// Frames on their way at most.
pub const WINDOW: usize = 8;
const RESEND_FIRST_US: i64 = 2_000_000;
const RESEND_MAX_US: i64 = 60_000_000;

/// How far one meter is. Frames count from 0.
#[derive(Debug)]
pub struct GoBack {
    /// Frames that wait to be acknowledged or sent, all before this one.
    offered: usize,
    /// All before this one are acknowledged.
    acknowledged: usize,
    /// The next to be sent.
    next: usize,
    /// All before this one were sent at least once.
    sent: usize,
    resend_at_us: i64,
    resend_after_us: i64,
    /// Frames sent more than once.
    pub repeated: u64,
}

impl GoBack {
    /// Nothing is offered.
    pub const fn new() -> Self {
        Self { offered: 0, acknowledged: 0, next: 0, sent: 0, resend_at_us: i64::MAX, resend_after_us: RESEND_FIRST_US, repeated: 0 }
    }

    /// One more frame may be sent.
    pub const fn offer(&mut self) {
        self.offered += 1;
    }

    /// Frames offered so far.
    pub const fn offered(&self) -> usize {
        self.offered
    }

    /// Frames acknowledged so far.
    pub const fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Frames sent at least once.
    pub const fn sent(&self) -> usize {
        self.sent
    }

    /// Frames that were offered and never sent.
    pub const fn unsent(&self) -> usize {
        self.offered - self.sent
    }

    /// What was never sent is not to be sent any more.
    pub const fn stop(&mut self) {
        self.offered = self.sent;
    }

    /// Whether nothing is left to be acknowledged.
    pub const fn is_drained(&self) -> bool {
        self.acknowledged == self.offered
    }

    /// The frames to be sent now, which count as sent.
    pub fn send(&mut self, now_us: i64) -> std::ops::Range<usize> {
        let frames = self.next..self.offered.min(self.acknowledged + WINDOW).max(self.next);
        if !frames.is_empty() && self.resend_at_us == i64::MAX {
            self.resend_at_us = now_us + self.resend_after_us;
        }
        self.next = frames.end;
        self.sent = self.sent.max(frames.end);
        frames
    }

    /// Everything up to record `through` is in Kafka; what was never sent is not. `last_seq` gives the last number of a frame. Returns the frames that this
    /// acknowledges.
    pub fn acknowledge(&mut self, through: Seq, now_us: i64, last_seq: impl Fn(usize) -> Seq) -> std::ops::Range<usize> {
        let before = self.acknowledged;
        while self.acknowledged < self.sent && last_seq(self.acknowledged) <= through {
            self.acknowledged += 1;
        }
        self.next = self.next.max(self.acknowledged);
        if self.acknowledged > before {
            self.resend_after_us = RESEND_FIRST_US;
            self.resend_at_us = if self.next > self.acknowledged { now_us + RESEND_FIRST_US } else { i64::MAX };
        }
        before..self.acknowledged
    }

    /// Goes back if no acknowledgement came in time; whether it did.
    pub fn go_back(&mut self, now_us: i64) -> bool {
        if now_us < self.resend_at_us {
            return false;
        }
        self.repeated += (self.next - self.acknowledged) as u64;
        self.next = self.acknowledged;
        self.resend_after_us = (self.resend_after_us * 2).min(RESEND_MAX_US);
        self.resend_at_us = i64::MAX;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(frames: usize) -> GoBack {
        let mut it = GoBack::new();
        (0..frames).for_each(|_| it.offer());
        it
    }

    /// Frame 0 holds record 1, every other two.
    fn last_seq(frame: usize) -> Seq {
        frame as Seq * 2 + 1
    }

    #[test]
    fn the_window_holds_back_until_an_acknowledgement() {
        let mut meter = offered(20);
        assert_eq!(meter.send(0), 0..8);
        assert_eq!(meter.send(1), 8..8);
        assert_eq!(meter.acknowledge(4, 2, last_seq), 0..2, "record 4 is the first half of frame 2");
        assert_eq!(meter.send(3), 8..10);
        assert_eq!(meter.acknowledge(last_seq(9), 4, last_seq), 2..10);
        assert_eq!(meter.send(5), 10..18);
        meter.acknowledge(Seq::MAX, 6, last_seq);
        assert!(!meter.is_drained());
        assert_eq!(meter.send(7), 18..20);
        meter.acknowledge(Seq::MAX, 8, last_seq);
        assert!(meter.is_drained());
    }

    #[test]
    fn silence_goes_back_to_the_first_frame_and_waits_longer_each_time() {
        let mut meter = offered(3);
        meter.send(0);
        meter.acknowledge(1, 10, last_seq);
        assert!(!meter.go_back(2_000_009));
        assert!(meter.go_back(2_000_010));
        assert_eq!(meter.send(2_000_010), 1..3);
        assert_eq!(meter.repeated, 2);
        assert!(!meter.go_back(6_000_009));
        assert!(meter.go_back(6_000_010));
    }

    #[test]
    fn what_was_sent_once_is_awaited_after_a_stop() {
        let mut meter = offered(20);
        meter.send(0);
        assert!(meter.go_back(2_000_000));
        meter.stop();
        assert_eq!(meter.send(2_000_001), 0..8);
        assert_eq!(meter.offered(), 8);
    }

    #[test]
    fn a_late_acknowledgement_after_going_back_counts() {
        let mut meter = offered(4);
        meter.send(0);
        assert!(meter.go_back(2_000_000));
        assert_eq!(meter.acknowledge(last_seq(2), 2_000_001, last_seq), 0..3);
        assert_eq!(meter.send(2_000_002), 3..4);
    }
}
