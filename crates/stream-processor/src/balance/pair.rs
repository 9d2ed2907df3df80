//! A line-side meter against the house meters behind it.
//!
//! The indicator is (line - house) / line, in percent: the share of what entered the service that no house meter registered; the
//! denominator is the line-side meter's energy, the larger of the two if something is stolen. The limit is what honest meters may differ:
//! both accuracy classes, the resolution of the registers over this energy, and the technical loss of the loop between them, R I² over the
//! line's power. A fixed limit of 2 % calls a long service theft and misses a short one's.

use std::fmt;

/// What is known of the pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Accuracy class of the line-side meter, in percent.
    pub line_class: f64,
    /// Accuracy class of the house meter, in percent; of several behind one line-side meter, the largest.
    pub house_class: f64,
    /// Resistance of the loop between them, both conductors, in ohm.
    pub loop_ohm: f64,
    /// Step of the registers in Wh.
    pub resolution_wh: f64,
}

/// What both registered over the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// The line-side meter, in Wh.
    pub line_wh: f64,
    /// The house meters together, in Wh.
    pub house_wh: f64,
    /// Root of the mean square of the service's current, in A.
    pub current: f64,
    /// Mean voltage at the line-side meter, in V.
    pub voltage: f64,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Indication {
    /// (line - house) / line, in percent.
    pub indicator: f64,
    /// The modelled technical loss, in percent of the line's energy.
    pub technical_loss: f64,
    /// Both classes and the resolution, in percent.
    pub tolerance: f64,
    /// What it comes to.
    pub verdict: Verdict,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The meters agree within the limit.
    Fair,
    /// The house registers less than honest meters can differ by.
    Theft,
    /// The house registers more than honest meters can differ by, or the line-side meter less.
    OverReading,
    /// Nothing can be said: too little energy, or a value that is missing or impossible.
    Unknown,
}

/// With less energy than so many register steps the resolution, and not the meters, would decide.
const STEPS_MIN: f64 = 100.0;

impl Pair {
    /// Compares. No input makes it panic; what makes no sense is [`Verdict::Unknown`].
    pub fn compare(&self, it: &Compared) -> Indication {
        let indication = Indication {
            indicator: (it.line_wh - it.house_wh) / it.line_wh * 100.0,
            technical_loss: self.loop_ohm * it.current / it.voltage * 100.0,
            tolerance: self.line_class + self.house_class + 100.0 * 2.0 * self.resolution_wh / it.line_wh,
            verdict: Verdict::Unknown,
        };
        let known = [indication.indicator, indication.technical_loss, indication.tolerance].iter().all(|it| it.is_finite());
        let enough = it.line_wh > 0.0
            && it.line_wh >= STEPS_MIN * self.resolution_wh
            && it.voltage > 0.0
            && it.voltage.is_finite()
            && it.current >= 0.0;
        if !known || !enough {
            return indication;
        }
        let verdict = if indication.indicator > indication.limit() {
            Verdict::Theft
        } else if indication.indicator < indication.technical_loss - indication.tolerance {
            Verdict::OverReading
        } else {
            Verdict::Fair
        };
        Indication { verdict, ..indication }
    }
}

impl Indication {
    /// Above this indicator it is theft, in percent.
    pub fn limit(&self) -> f64 {
        self.tolerance + self.technical_loss
    }
}

impl fmt::Display for Indication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { indicator, technical_loss, tolerance, verdict } = self;
        let limit = self.limit();
        write!(
            f,
            "{indicator:.2} % of the line's energy, limit {limit:.3} % (classes {tolerance:.3} %, loop {technical_loss:.3} %): {verdict:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five lamps of 20 W at 230 V, for ten days.
    const LAMPS: Compared = Compared { line_wh: 24_000.0, house_wh: 24_000.0, current: 100.0 / 230.0, voltage: 230.0 };
    const PAIR: Pair = Pair { line_class: 1.0, house_class: 1.0, loop_ohm: 0.3, resolution_wh: 0.0 };

    fn case(percent: f64, pair: &Pair) -> Indication {
        pair.compare(&Compared { house_wh: LAMPS.line_wh * (1.0 - percent / 100.0), ..LAMPS })
    }

    #[test]
    fn a_meter_that_reads_wrong_either_way_is_told() {
        assert_eq!(case(-2.5, &PAIR).verdict, Verdict::OverReading);
        assert_eq!(case(3.5, &PAIR).verdict, Verdict::Theft);
        assert_eq!(case(-1.9, &PAIR).verdict, Verdict::Fair);
    }

    #[test]
    fn steps_of_the_registers_are_no_theft() {
        let steps = Pair { resolution_wh: 1.0, ..PAIR };
        let hour = Compared { line_wh: 100.0, house_wh: 97.0, ..LAMPS };
        assert_eq!(steps.compare(&hour).verdict, Verdict::Fair);
        assert_eq!(steps.compare(&Compared { line_wh: 99.0, house_wh: 0.0, ..LAMPS }).verdict, Verdict::Unknown);
    }

    #[test]
    fn what_makes_no_sense_is_unknown() {
        let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0];
        for it in wrong {
            assert_eq!(PAIR.compare(&Compared { line_wh: it, ..LAMPS }).verdict, Verdict::Unknown, "{it}");
            assert_eq!(PAIR.compare(&Compared { voltage: it, ..LAMPS }).verdict, Verdict::Unknown, "{it}");
        }
        assert_eq!(PAIR.compare(&Compared { house_wh: f64::NAN, ..LAMPS }).verdict, Verdict::Unknown);
        assert_eq!(PAIR.compare(&Compared { current: f64::NAN, ..LAMPS }).verdict, Verdict::Unknown);
    }
}
