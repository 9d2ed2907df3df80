//! A meter's side of the delivery contract with a backlog, without I/O.
//!
//! At most 8 frames are on their way, of which at most 2 are backlog. Live data gets the next numbers, ahead of the backlog. An
//! acknowledgement is cumulative. Without one for 2 s (doubling up to 60 s) everything numbered is sent again.

use std::collections::VecDeque;

use measure::Seq;

use super::story::{Backlog, Order, Part};

const FRAMES: usize = 8;
const BACKLOG_FRAMES: usize = 2;
const RESEND_FIRST_US: i64 = 2_000_000;
const RESEND_MAX_US: i64 = 60_000_000;

#[derive(Clone, Copy, Debug)]
struct Numbered {
    part: Part,
    first: Seq,
    last: Seq,
}

/// How far one meter is.
#[derive(Debug)]
pub struct Window {
    backlog: Backlog,
    hello: bool,
    /// Live readings offered, and numbered.
    live: (usize, usize),
    /// Backlog frames offered, and numbered.
    old: (usize, usize),
    given: Seq,
    flight: VecDeque<Numbered>,
    /// How many of the flight have left since the last going back.
    left: usize,
    order: Order,
    resend_at_us: i64,
    resend_after_us: i64,
    /// Frames sent more than once.
    pub repeated: u64,
}

impl Window {
    /// Nothing but the hello waits.
    pub fn new(backlog: Backlog) -> Self {
        Self {
            backlog,
            hello: true,
            live: (0, 0),
            old: (0, 0),
            given: 0,
            flight: VecDeque::new(),
            left: 0,
            order: Order::default(),
            resend_at_us: i64::MAX,
            resend_after_us: RESEND_FIRST_US,
            repeated: 0,
        }
    }

    /// One more live reading.
    pub const fn offer_live(&mut self) {
        self.live.0 += 1;
    }

    /// The meter is back, with all of its backlog.
    pub const fn come_back(&mut self) {
        self.old.0 = self.backlog.frames();
    }

    /// In which order parts were numbered so far.
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// Whether nothing waits and everything is acknowledged.
    pub fn is_drained(&self) -> bool {
        !self.hello && self.live.0 == self.live.1 && self.old.0 == self.old.1 && self.flight.is_empty()
    }

    /// Frames of the backlog that are not acknowledged, on their way or not.
    pub fn old_left(&self) -> usize {
        self.old.0 - self.old.1 + self.old_in_flight()
    }

    fn old_in_flight(&self) -> usize {
        self.flight.iter().filter(|frame| matches!(frame.part, Part::Backlog(_))).count()
    }

    /// The next frame to be sent now and its first number; it counts as sent.
    pub fn send(&mut self, now_us: i64) -> Option<(Part, Seq)> {
        if self.left == self.flight.len() {
            let part = self.next_part()?;
            let first = self.given + 1;
            self.given += self.backlog.records_of(part) as Seq;
            self.order.push(part);
            self.flight.push_back(Numbered { part, first, last: self.given });
        } else {
            self.repeated += 1;
        }
        let frame = self.flight.get(self.left)?;
        self.left += 1;
        if self.resend_at_us == i64::MAX {
            self.resend_at_us = now_us + self.resend_after_us;
        }
        Some((frame.part, frame.first))
    }

    fn next_part(&mut self) -> Option<Part> {
        if self.flight.len() >= FRAMES {
            return None;
        }
        if std::mem::take(&mut self.hello) {
            return Some(Part::Hello);
        }
        if self.live.1 < self.live.0 {
            self.live.1 += 1;
            return Some(Part::Live(self.live.1 - 1));
        }
        if self.old.1 < self.old.0 && self.old_in_flight() < BACKLOG_FRAMES {
            self.old.1 += 1;
            return Some(Part::Backlog(self.old.1 - 1));
        }
        None
    }

    /// Everything up to record `through` is in Kafka: the parts that this acknowledges go to `each`.
    pub fn acknowledge(&mut self, through: Seq, now_us: i64, mut each: impl FnMut(Part)) {
        let before = self.flight.len();
        while let Some(frame) = self.flight.front().filter(|frame| frame.last <= through) {
            each(frame.part);
            self.flight.pop_front();
        }
        let newly = before - self.flight.len();
        self.left = self.left.saturating_sub(newly);
        if newly > 0 {
            self.resend_after_us = RESEND_FIRST_US;
            self.resend_at_us = if self.left > 0 { now_us + RESEND_FIRST_US } else { i64::MAX };
        }
    }

    /// Goes back if no acknowledgement came in time; whether it did.
    pub fn go_back(&mut self, now_us: i64) -> bool {
        if now_us < self.resend_at_us {
            return false;
        }
        self.left = 0;
        self.resend_after_us = (self.resend_after_us * 2).min(RESEND_MAX_US);
        self.resend_at_us = i64::MAX;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        let mut it = Window::new(Backlog { meters: 1, records: 200, live_per_s: 1.0, warm_up_s: 1.0 });
        assert_eq!((it.send(0), it.send(0)), (Some((Part::Hello, 1)), None));
        it.acknowledge(1, 1, |part| assert_eq!(part, Part::Hello));
        assert!(it.is_drained());
        it
    }

    fn sent(it: &mut Window, now_us: i64) -> Vec<(Part, Seq)> {
        std::iter::from_fn(|| it.send(now_us)).collect()
    }

    #[test]
    fn two_frames_of_backlog_are_on_their_way_and_live_data_goes_ahead_of_the_rest() {
        let mut it = window();
        it.come_back();
        assert_eq!(sent(&mut it, 2), [(Part::Backlog(0), 2), (Part::Backlog(1), 66)]);
        (0..7).for_each(|_| it.offer_live());
        let live: Vec<_> = (0..6).map(|at| (Part::Live(at), 130 + at as Seq)).collect();
        assert_eq!(sent(&mut it, 3), live, "eight frames in all");
        it.acknowledge(65, 4, |part| assert_eq!(part, Part::Backlog(0)));
        assert_eq!(sent(&mut it, 5), [(Part::Live(6), 136)]);
        let mut parts = 0;
        it.acknowledge(136, 6, |_| parts += 1);
        assert_eq!((parts, it.old_left()), (8, 2));
        assert_eq!(sent(&mut it, 7), [(Part::Backlog(2), 137), (Part::Backlog(3), 201)]);
        it.acknowledge(207, 8, |_| {});
        assert_eq!(it.old_left(), 1, "the last frame has eight records and ends at 208");
        it.acknowledge(208, 8, |_| {});
        assert!(it.is_drained());
    }

    #[test]
    fn silence_sends_the_same_numbers_again_and_waits_longer_each_time() {
        let mut it = window();
        it.come_back();
        let first = sent(&mut it, 10);
        assert!(!it.go_back(2_000_009) && it.go_back(2_000_010));
        it.offer_live();
        assert_eq!(sent(&mut it, 2_000_010), [&first[..], &[(Part::Live(0), 130)]].concat());
        assert_eq!(it.repeated, 2);
        assert!(!it.go_back(6_000_009) && it.go_back(6_000_010));
        it.acknowledge(65, 6_000_011, |_| {});
        assert_eq!(sent(&mut it, 6_000_012), [(Part::Backlog(1), 66), (Part::Live(0), 130), (Part::Backlog(2), 131)]);
    }
}
