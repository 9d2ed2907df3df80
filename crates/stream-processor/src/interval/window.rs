//! One interval in the making: sums over stretches between readings, in whole numbers, so that no order of adding them makes a difference.

use std::ops::RangeInclusive;

use contracts::intervals::{Checks, IntervalLength, IntervalRecord, Quality};
use measure::{Account, Amperes, Channel, Hertz, MeterId, PowerFactor, UnixMillis, Volts, WattHours, Watts};

use super::calendar::{QUARTER_MS, TARIFFS_MAX};
use super::days::Days;
use super::demand::Demand;
use super::rules::Rules;
use super::sample::{Sample, Values};
use super::span::Span;

/// One interval in the making.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub start: UnixMillis,
    /// Excluded.
    pub end: UnixMillis,
    pub length: IntervalLength,
    /// How often it was written.
    pub revision: u32,
    /// Whether it changed since it was last written.
    pub dirty: bool,
    /// Of a day.
    pub demand: Option<Box<Demand>>,
    /// Whether the registers leave a part of its energy open.
    broken: bool,
    checks: Checks,
    /// What the registers showed at its start and at its end, in 0.01 Wh, and how well that is known, if at all. (Side by side: one option
    /// of both would take eight bytes more.)
    opening: [i64; 2],
    closing: [i64; 2],
    opening_known: Option<Quality>,
    closing_known: Option<Quality>,
    energy: [i64; 2],
    tariffs: [i64; TARIFFS_MAX],
    covered_ms: u32,
    readings: u32,
    /// Of these, how many were measured and not registers only.
    measured_ms: u32,
    /// Value times ms.
    sums: [i64; 5],
    min: Values,
    max: Values,
}

impl Window {
    /// An empty one that was written `revision` times.
    pub fn new(length: IntervalLength, (start, end): (UnixMillis, UnixMillis), revision: u32) -> Self {
        Self {
            start,
            end,
            length,
            revision,
            dirty: false,
            demand: None,
            broken: false,
            checks: Checks::empty(),
            opening: [0; 2],
            closing: [0; 2],
            opening_known: None,
            closing_known: None,
            energy: [0; 2],
            tariffs: [0; TARIFFS_MAX],
            covered_ms: 0,
            readings: 0,
            measured_ms: 0,
            sums: [0; 5],
            min: [i32::MAX; 5],
            max: [i32::MIN; 5],
        }
    }

    /// Imported energy so far, in 0.01 Wh.
    pub fn import(&self) -> i64 {
        let [import, _] = self.energy;
        import
    }

    /// Energy so far, imported and exported, in 0.01 Wh.
    pub fn energy(&self) -> [i64; 2] {
        self.energy
    }

    /// Whether it was measured from its start to its end.
    pub fn is_measured(&self) -> bool {
        !self.checks.contains(Checks::GAP) && self.quality() < Quality::Failed
    }

    /// Counts a reading that lies in it.
    pub fn count(&mut self, sample: &Sample) {
        self.readings = self.readings.saturating_add(1);
        self.extend(sample.values);
    }

    /// Adds its share of a span: energy, registers at its boundaries, and what was measured unless the span is a gap.
    pub fn add(&mut self, span: &Span, days: &mut Days, rules: &Rules) {
        let (from, to) = (self.start.max(span.from.time), self.end.min(span.to.time));
        if from >= to {
            return;
        }
        if from == self.start {
            learn(&mut self.opening, &mut self.opening_known, span.registers_at(from, rules));
        }
        if to == self.end {
            learn(&mut self.closing, &mut self.closing_known, span.registers_at(to, rules));
        }
        self.checks |= span.checks;
        self.add_energy(span, from, to, days, rules);
        if !span.is_gap() {
            let millis = to.millis_since(from);
            self.covered_ms = self.covered_ms.saturating_add(millis as u32);
            if let Some(values) = span.from.values {
                self.measured_ms = self.measured_ms.saturating_add(millis as u32);
                for (sum, value) in self.sums.iter_mut().zip(values) {
                    *sum += i64::from(value) * millis;
                }
            }
            self.extend(span.from.values);
        }
    }

    /// Takes note that nothing at all is known of a part of it.
    pub fn add_void(&mut self) {
        self.broken = true;
        self.checks |= Checks::GAP;
    }

    /// Takes note whether this much is usual.
    pub fn compare(&mut self, usual: &RangeInclusive<i64>) {
        let (import, is_known) = (self.import(), self.quality() < Quality::Failed);
        self.checks.set(Checks::BELOW_USUAL, is_known && import < *usual.start());
        self.checks.set(Checks::ABOVE_USUAL, is_known && import > *usual.end());
    }

    /// What is known of it, as its next revision.
    pub fn record(&self, meter: &MeterId, channel: Channel, rules: &Rules) -> IntervalRecord {
        let [import_wh, export_wh] = self.energy.map(WattHours::from_centiwatthours);
        let closing = self.closing_known.map(|_| self.closing.map(WattHours::from_centiwatthours));
        let measured = self.min <= self.max;
        let [voltage_min, current_min, power_min, factor_min, frequency_min] = self.min.map(|it| measured.then_some(it));
        let [voltage_max, current_max, power_max, factor_max, frequency_max] = self.max.map(|it| measured.then_some(it));
        let [voltage, current, power, factor, frequency] = self.sums.map(|it| mean(it, self.measured_ms.into()));
        let factor_of = |it: i32| PowerFactor::from_thousandths(it as i16);
        let block = self.demand.as_ref().and_then(|it| it.block);
        let sliding = self.demand.as_ref().and_then(|it| it.sliding);
        IntervalRecord {
            meter: meter.clone(),
            channel,
            account: Some(Account::new(meter, channel)),
            length: self.length,
            start_ms: self.start,
            end_ms: self.end,
            revision: self.revision.saturating_add(1),
            quality: self.quality(),
            checks: self.checks(rules),
            import_wh,
            export_wh,
            import_register_wh: closing.map(|[import, _]| import),
            export_register_wh: closing.map(|[_, export]| export),
            tariff_import_wh: rules.calendar.tariffs().iter().zip(self.tariffs).map(|(_, it)| WattHours::from_centiwatthours(it)).collect(),
            readings: self.readings,
            covered_ms: self.covered_ms,
            voltage_mean_v: voltage.map(Volts::from_millivolts),
            voltage_min_v: voltage_min.map(Volts::from_millivolts),
            voltage_max_v: voltage_max.map(Volts::from_millivolts),
            current_mean_a: current.map(Amperes::from_milliamperes),
            current_min_a: current_min.map(Amperes::from_milliamperes),
            current_max_a: current_max.map(Amperes::from_milliamperes),
            active_power_mean_w: power.map(Watts::from_deciwatts),
            active_power_min_w: power_min.map(Watts::from_deciwatts),
            active_power_max_w: power_max.map(Watts::from_deciwatts),
            power_factor_mean: factor.map(factor_of),
            power_factor_min: factor_min.map(factor_of),
            power_factor_max: factor_max.map(factor_of),
            frequency_mean_hz: frequency.map(Hertz::from_millihertz),
            frequency_min_hz: frequency_min.map(Hertz::from_millihertz),
            frequency_max_hz: frequency_max.map(Hertz::from_millihertz),
            block_demand_max_w: block.map(|it| it.power()),
            block_demand_max_ms: block.map(|it| it.end),
            sliding_demand_max_w: sliding.map(|it| it.power()),
            sliding_demand_max_ms: sliding.map(|it| it.end),
        }
    }

    fn quality(&self) -> Quality {
        match (self.opening_known, self.closing_known) {
            (Some(opening), Some(closing)) if !self.broken => opening.max(closing),
            _ => Quality::Failed,
        }
    }

    fn checks(&self, rules: &Rules) -> Checks {
        let mut checks = self.checks;
        let sound = self.quality() < Quality::Failed;
        let is_day = self.length == IntervalLength::Day;
        checks.set(Checks::ZERO, is_day && self.is_measured() && self.energy == [0, 0]);
        checks.set(Checks::SPIKE, self.demand.as_ref().is_some_and(|it| it.is_spiky()));
        checks.set(Checks::SUM, sound && !self.adds_up(rules));
        checks
    }

    /// Whether the energies are the difference of the registers, and those of the tariffs their sum: to 1 Wh, though they are made from
    /// whole numbers and nothing should be lost.
    fn adds_up(&self, rules: &Rules) -> bool {
        let registers = self.opening.iter().zip(self.closing).zip(self.energy);
        let sum: i64 = self.tariffs.iter().sum();
        let tariffs = rules.calendar.tariffs().is_empty() || sum == self.import();
        tariffs
            && registers.into_iter().all(|((opening, closing), energy)| {
                let difference = closing - opening;
                (rules.modulus().map_or(difference, |it| difference.rem_euclid(it)) - energy).abs() < 100
            })
    }

    fn add_energy(&mut self, span: &Span, from: UnixMillis, to: UnixMillis, days: &mut Days, rules: &Rules) {
        let (Some(mut before), Some(all)) = (span.advance_at(from), span.advance_at(to)) else {
            self.broken = true;
            return;
        };
        for ((energy, from), to) in self.energy.iter_mut().zip(before).zip(all) {
            *energy += to - from;
        }
        if rules.calendar.tariffs().is_empty() {
            return;
        }
        let mut at = from;
        while at < to {
            let tariff = days.day(at).tariff(at);
            at = at.interval_start(QUARTER_MS).saturating_add(QUARTER_MS).min(to);
            let Some(advance) = span.advance_at(at) else { return };
            if let (Some(register), [from, _], [to, _]) = (self.tariffs.get_mut(tariff), before, advance) {
                *register += to - from;
            }
            before = advance;
        }
    }

    fn extend(&mut self, values: Option<Values>) {
        let Some(values) = values else { return };
        for ((min, max), value) in self.min.iter_mut().zip(&mut self.max).zip(values) {
            *min = (*min).min(value);
            *max = (*max).max(value);
        }
    }
}

/// Two spans that meet at a boundary know the same registers there; the better knowledge of them stays.
fn learn(registers: &mut [i64; 2], known: &mut Option<Quality>, found: Option<([i64; 2], Quality)>) {
    if let Some((found, quality)) = found
        && known.is_none_or(|it| quality < it)
    {
        (*registers, *known) = (found, Some(quality));
    }
}

/// Rounded to the nearest.
fn mean(sum: i64, millis: i64) -> Option<i32> {
    let mean = (sum * 2 + millis).checked_div_euclid(millis * 2)?;
    i32::try_from(mean).ok()
}
