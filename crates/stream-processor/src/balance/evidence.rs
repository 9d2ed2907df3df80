//! What a meter's own filter noticed, weighed together.
//!
//! Each kind of evidence has two probabilities: that it is seen within a week on a tampered meter, and on a sound one. The logarithms of
//! their ratios add up (naive Bayes; the kinds are taken for independent), beginning with how rare thieves are. A kind counts once within
//! its week, however often it is seen: a loose contact that chatters is one piece of evidence.

use contracts::feeders::FeederEventKind;
use measure::UnixMillis;

/// How long a piece of evidence counts, in ms.
pub const WINDOW_MS: i64 = 7 * 86_400_000;
/// One meter in a hundred: ln(0.01 / 0.99).
const PRIOR: f64 = -4.595;
/// Above these log-odds it is told: 95 in 100 such meters are tampered with, if the probabilities hold.
pub const THRESHOLD: f64 = 2.944;

/// Evidence of tampering that readings can bear.
const KINDS: [(FeederEventKind, f64, f64); 8] = [
    // Seen on a tampered meter, on a sound one, within a week. The second come from the false alarms in docs/estimator.md where those
    // were measured, with a margin for what no simulation holds; the first are judgement.
    (FeederEventKind::LoopResistance, 0.6, 0.0005),
    (FeederEventKind::PowerFactorMismatch, 0.3, 0.001),
    (FeederEventKind::Stuck, 0.3, 0.002),
    (FeederEventKind::Replay, 0.3, 0.0002),
    (FeederEventKind::RegisterDecreased, 0.5, 0.0002),
    (FeederEventKind::Noise, 0.3, 0.19),
    // Both are judgement: where houses feed in, power out of them says nothing, and a broken neutral is seldom a thief's work.
    (FeederEventKind::ReversePower, 0.3, 0.02),
    (FeederEventKind::NeutralMissing, 0.3, 0.002),
];

/// What was noticed at one meter. 64 bytes.
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
    pub fn push(&mut self, kind: FeederEventKind, time: UnixMillis) {
        for (seen, (of, ..)) in self.seen.iter_mut().zip(KINDS) {
            if of == kind {
                *seen = time.max(*seen);
            }
        }
    }

    /// Log-odds that the meter is tampered with. Kinds that were not seen count as well, against it.
    pub fn log_odds(&self, now: UnixMillis) -> f64 {
        let weigh = |(seen, (_, tampered, sound)): (&UnixMillis, (FeederEventKind, f64, f64))| {
            if is_recent(*seen, now) { (tampered / sound).ln() } else { ((1.0 - tampered) / (1.0 - sound)).ln() }
        };
        PRIOR + self.seen.iter().zip(KINDS).map(weigh).sum::<f64>()
    }

    /// What was seen within the week, when, and how much it weighs.
    pub fn recent(&self, now: UnixMillis) -> impl Iterator<Item = (FeederEventKind, UnixMillis, f64)> {
        let seen = self.seen.into_iter().zip(KINDS).filter(move |(seen, _)| is_recent(*seen, now));
        seen.map(|(seen, (kind, tampered, sound))| (kind, seen, (tampered / sound).ln()))
    }

    /// Whether it is to be told.
    pub fn is_alarming(&self, now: UnixMillis) -> bool {
        self.log_odds(now) > THRESHOLD
    }
}

/// How often a sound meter is told in a year, if the kinds are independent and come as often as the table says: the sum over all sets of
/// kinds that suffice, 52 weeks.
pub fn false_alarms_per_meter_year() -> f64 {
    let sets = (0..1_u32 << KINDS.len()).map(|set| {
        let mut evidence = Evidence::default();
        let mut probability = 1.0;
        for (bit, (seen, (.., sound))) in evidence.seen.iter_mut().zip(KINDS).enumerate() {
            let is_seen = set & (1 << bit) != 0;
            if is_seen {
                *seen = UnixMillis::default();
            }
            probability *= if is_seen { sound } else { 1.0 - sound };
        }
        if evidence.is_alarming(UnixMillis::default()) { probability } else { 0.0 }
    });
    52.0 * sets.sum::<f64>()
}

/// A time in the future is a wrong clock's; it counts like the present.
fn is_recent(seen: UnixMillis, now: UnixMillis) -> bool {
    now.millis_since(seen) < WINDOW_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn of(kinds: &[FeederEventKind]) -> Evidence {
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
            assert!(!once.is_alarming(NOW), "{kind:?}: {:.2}", once.log_odds(NOW));
            assert_eq!(once.log_odds(NOW), of(&[kind; 9]).log_odds(NOW), "repeating is no further evidence");
        }
        assert!(of(&[FeederEventKind::LoopResistance, FeederEventKind::PowerFactorMismatch]).is_alarming(NOW));
        assert!(of(&[FeederEventKind::RegisterDecreased, FeederEventKind::Stuck]).is_alarming(NOW));
    }

    #[test]
    fn sound_meters_are_seldom_told() {
        let rate = false_alarms_per_meter_year();
        assert!(rate > 0.0 && rate < 0.05, "{rate} a meter and year");
    }

    #[test]
    fn evidence_passes() {
        let evidence = of(&[FeederEventKind::LoopResistance, FeederEventKind::Replay]);
        assert!(evidence.is_alarming(NOW.saturating_add(WINDOW_MS - 1)));
        assert!(!evidence.is_alarming(NOW.saturating_add(WINDOW_MS)));
    }

    #[test]
    fn other_events_and_strange_times_change_nothing() {
        assert_eq!(of(&[FeederEventKind::Silent, FeederEventKind::Heard]), Evidence::default());
        let mut evidence = Evidence::default();
        evidence.push(FeederEventKind::Stuck, UnixMillis(i64::MAX));
        assert!(evidence.log_odds(UnixMillis(i64::MIN)).is_finite());
    }
}
