//! What a meter's own filter noticed, weighed together.
//!
//! Each kind of evidence has two probabilities: that it is seen within a week on a tampered meter, and on a sound one. The logarithms of
//! their ratios add up (naive Bayes; the kinds are taken for independent), beginning with how rare thieves are. A kind counts once within
//! its week, however often it is seen: a loose contact that chatters is one piece of evidence.

use measure::{EventKind, UnixMillis};

/// How long a piece of evidence counts, in ms.
pub const WINDOW_MS: i64 = 7 * 86_400_000;
/// One meter in a hundred: ln(0.01 / 0.99).
const PRIOR: f64 = -4.595;
/// Above these log-odds it is told: 95 in 100 such meters are tampered with, if the probabilities hold.
pub const THRESHOLD: f64 = 2.944;

/// Evidence of tampering that an edge filter can have.
const KINDS: [(EventKind, f64, f64); 6] = [
    // Seen on a tampered meter, on a sound one, within a week. The second come from the false alarms in docs/estimator.md where those
    // were measured, with a margin for what no simulation holds; the first are judgement.
    (EventKind::LoopResistance, 0.6, 0.0005),
    (EventKind::PowerFactorMismatch, 0.3, 0.001),
    (EventKind::Stuck, 0.3, 0.002),
    (EventKind::Replay, 0.3, 0.0002),
    (EventKind::RegisterDecreased, 0.5, 0.0002),
    (EventKind::Noise, 0.3, 0.19),
];

/// What was noticed at one meter. 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    seen: [UnixMillis; KINDS.len()],
}

impl Default for Evidence {
    fn default() -> Self {
        Self { seen: [UnixMillis(i64::MIN); KINDS.len()] }
    }
}

impl Evidence {
    /// Takes an event; one that says nothing about tampering changes nothing.
    pub fn push(&mut self, kind: EventKind, time: UnixMillis) {
        for (seen, (of, ..)) in self.seen.iter_mut().zip(KINDS) {
            if of == kind {
                *seen = time.max(*seen);
            }
        }
    }

    /// Log-odds that the meter is tampered with. Kinds that were not seen count as well, against it.
    pub fn log_odds(&self, now: UnixMillis) -> f64 {
        let weigh = |(seen, (_, tampered, sound)): (&UnixMillis, (EventKind, f64, f64))| {
            if is_recent(*seen, now) { (tampered / sound).ln() } else { ((1.0 - tampered) / (1.0 - sound)).ln() }
        };
        PRIOR + self.seen.iter().zip(KINDS).map(weigh).sum::<f64>()
    }

    /// Whether it is to be told.
    pub fn is_alarming(&self, now: UnixMillis) -> bool {
        self.log_odds(now) > THRESHOLD
    }
}

/// A time in the future is a wrong clock's; it counts like the present.
fn is_recent(seen: UnixMillis, now: UnixMillis) -> bool {
    now.millis_since(seen) < WINDOW_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn of(kinds: &[EventKind]) -> Evidence {
        let mut evidence = Evidence::default();
        for kind in kinds {
            evidence.push(*kind, NOW);
        }
        evidence
    }

    #[test]
    fn one_piece_alone_is_not_enough_and_two_are() {
        for (kind, ..) in KINDS {
            let once = of(&[kind]);
            assert!(!once.is_alarming(NOW), "{}: {:.2}", kind.name(), once.log_odds(NOW));
            assert_eq!(once.log_odds(NOW), of(&[kind; 9]).log_odds(NOW), "repeating is no further evidence");
        }
        assert!(of(&[EventKind::LoopResistance, EventKind::PowerFactorMismatch]).is_alarming(NOW));
        assert!(of(&[EventKind::RegisterDecreased, EventKind::Stuck]).is_alarming(NOW));
    }

    #[test]
    fn evidence_passes() {
        let evidence = of(&[EventKind::LoopResistance, EventKind::Replay]);
        assert!(evidence.is_alarming(NOW.saturating_add(WINDOW_MS - 1)));
        assert!(!evidence.is_alarming(NOW.saturating_add(WINDOW_MS)));
    }

    #[test]
    fn other_events_and_strange_times_change_nothing() {
        assert_eq!(of(&[EventKind::Started, EventKind::ClockSet]), Evidence::default());
        let mut evidence = Evidence::default();
        evidence.push(EventKind::Stuck, UnixMillis(i64::MAX));
        assert!(evidence.log_odds(UnixMillis(i64::MIN)).is_finite());
    }
}
