//! From one reading to the next: how far the registers advanced, and where they stood in between.

use contracts::intervals::{Checks, Quality};
use measure::UnixMillis;

use super::curve::Curve;
use super::rules::Rules;
use super::sample::Sample;

/// Two readings of which one follows the other.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub from: Sample,
    pub to: Sample,
    /// How far import and export advanced, in 0.01 Wh; none if the registers don't tell.
    pub advance: Option<[i64; 2]>,
    /// What is to be said about it.
    pub checks: Checks,
    /// How well a boundary in the middle of it is known.
    pub inner: Quality,
    /// How the registers advanced, by like days; none where they are taken to have advanced evenly.
    curve: Option<Curve>,
}

impl Span {
    /// From a reading to the one that follows it, not more than a horizon later.
    pub fn new(from: Sample, to: Sample, rules: &Rules) -> Self {
        let millis = to.time.millis_since(from.time);
        let (inner, mut checks) = match millis {
            it if it <= rules.settings.gap_ms => (Quality::RegisterScaled, Checks::empty()),
            it if it <= rules.settings.interpolation_ms => (Quality::Estimated, Checks::GAP),
            _ => (Quality::Substituted, Checks::GAP),
        };
        let mut advances = from.registers.iter().zip(to.registers).map(|(from, to)| {
            let (advance, check) = advance(*from, to, millis, rules);
            checks |= check;
            advance
        });
        let advance = match (advances.next().flatten(), advances.next().flatten()) {
            (Some(import), Some(export)) => Some([import, export]),
            _ => None,
        };
        Self { from, to, advance, checks, inner, curve: None }
    }

    /// The same with the shape of like days.
    pub fn shaped(self, curve: Curve) -> Self {
        let checks = self.checks | Checks::LIKE_DAY;
        Self { inner: Quality::Estimated, checks, curve: Some(curve), ..self }
    }

    /// Whether readings are missing in it.
    pub fn is_gap(&self) -> bool {
        self.checks.contains(Checks::GAP)
    }

    /// How far the registers had advanced at `at`, which lies in the span: linear between the readings or by like days, in whole 0.01 Wh, so
    /// that what intervals get adds up to the advance.
    pub fn advance_at(&self, at: UnixMillis) -> Option<[i64; 2]> {
        let advance = self.advance?;
        if let Some(curve) = &self.curve {
            return Some(curve.at(at));
        }
        let (into, length) = (at.millis_since(self.from.time), self.to.time.millis_since(self.from.time));
        Some(match into {
            0 => [0, 0],
            it if it == length => advance,
            _ => advance.map(|it| (i128::from(it) * i128::from(into) / i128::from(length)) as i64),
        })
    }

    /// What the registers showed at `at`, which lies in the span, and how well that is known.
    pub fn registers_at(&self, at: UnixMillis, rules: &Rules) -> Option<([i64; 2], Quality)> {
        let (after, before) = (at.millis_since(self.from.time), self.to.time.millis_since(at));
        let registers = match (after, before) {
            (0, _) => self.from.registers,
            (_, 0) => self.to.registers,
            _ => {
                let [import, export] = self.advance_at(at)?;
                let [from_import, from_export] = self.from.registers;
                [from_import + import, from_export + export].map(|it| rules.modulus().map_or(it, |modulus| it % modulus))
            }
        };
        let quality = if after.min(before) <= rules.settings.actual_ms { Quality::Actual } else { self.inner };
        Some((registers, quality))
    }
}

/// How far a register advanced in `millis`, if that is plausible, and what is to be said about it.
fn advance(from: i64, to: i64, millis: i64, rules: &Rules) -> (Option<i64>, Checks) {
    let most = rules.energy_max(millis);
    let forward = to - from;
    if forward > most {
        return (None, Checks::HIGH);
    }
    if forward >= 0 {
        return (Some(forward), Checks::empty());
    }
    match rules.modulus().map(|it| forward + it) {
        Some(wrapped) if wrapped <= most => (Some(wrapped), Checks::ROLLOVER),
        _ => (None, Checks::EXCHANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::Calendar;
    use super::super::rules::Settings;
    use super::*;

    fn rules() -> Rules {
        Rules::new(Settings { register_modulus_wh: Some(10_000_000), ..Settings::default() }, Calendar::default()).unwrap()
    }

    fn span(from_wh: i64, to_wh: i64, millis: i64) -> Span {
        let sample = |time, wh: i64| Sample { time: UnixMillis(time), registers: [wh * 100, 0], values: Some([0; 5]) };
        Span::new(sample(1_000, from_wh), sample(1_000 + millis, to_wh), &rules())
    }

    #[test]
    fn registers_are_interpolated_linearly_and_meet_the_readings() {
        let span = span(100, 103, 60_000);
        let at = |millis: i64| span.registers_at(UnixMillis(1_000 + millis), &rules()).unwrap();
        assert_eq!(at(0), ([10_000, 0], Quality::Actual));
        assert_eq!(at(2_000), ([10_010, 0], Quality::Actual));
        assert_eq!(at(20_000), ([10_100, 0], Quality::RegisterScaled));
        assert_eq!(at(60_000), ([10_300, 0], Quality::Actual));
    }

    #[test]
    fn a_rollover_is_no_fall() {
        let span = span(9_999_999, 2, 60_000);
        assert_eq!((span.advance, span.checks), (Some([300, 0]), Checks::ROLLOVER));
        assert_eq!(span.registers_at(UnixMillis(31_000), &rules()).unwrap().0, [50, 0]);
    }

    #[test]
    fn a_fall_that_is_no_rollover_tells_no_energy_but_its_ends() {
        let span = span(5_000_000, 2, 60_000);
        assert_eq!((span.advance, span.checks), (None, Checks::EXCHANGE));
        assert_eq!(span.registers_at(UnixMillis(31_000), &rules()), None);
        assert_eq!(span.registers_at(UnixMillis(61_000), &rules()), Some(([200, 0], Quality::Actual)));
    }

    #[test]
    fn what_the_channel_cannot_carry_is_not_believed() {
        // 100 kW for a minute is 1,667 Wh, and the register steps by 10 Wh.
        assert_eq!(span(0, 1_676, 60_000).advance, Some([167_600, 0]));
        assert_eq!((span(0, 1_677, 60_000).advance, span(0, 1_677, 60_000).checks), (None, Checks::HIGH));
    }

    #[test]
    fn the_length_of_a_gap_decides_how_well_its_middle_is_known() {
        for (millis, inner) in [
            (180_000, Quality::RegisterScaled),
            (180_001, Quality::Estimated),
            (7_200_000, Quality::Estimated),
            (7_200_001, Quality::Substituted),
        ] {
            assert_eq!(span(0, 1, millis).inner, inner, "{millis} ms");
            assert_eq!(span(0, 1, millis).is_gap(), millis > 180_000, "{millis} ms");
        }
    }
}
