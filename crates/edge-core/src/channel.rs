//! One channel of a meter: its filter, what was reported of it, and what about it is worth an event.

use measure::derived::{non_active_power, power_factor};
use measure::{
    Amperes, Channel as Number, Deviation, Deviations, EventKind, Flags, Hertz, NormalisedInnovation, Raw, Reading, Register, Volts,
    WattHours, Watts,
};

use estimator::monitor::STUCK_FRAMES;
use estimator::{Estimate, Estimator};

use crate::calibration::{Calibration, Gains};
use crate::clock::Stamp;
use crate::report::{self, Report};

/// A measurement of one channel as the meter gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Voltage, current, active power, frequency, power factor.
    pub raw: Raw,
    /// The register of imported energy.
    pub import: WattHours,
    /// The register of exported energy; 0 where the meter has none.
    pub export: WattHours,
    /// Whether the meter's own power alarm is on.
    pub alarm: bool,
}

/// The registers of a channel whose meter shows nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Imported energy.
    pub import: WattHours,
    /// Exported energy; 0 where the meter counts none.
    pub export: WattHours,
}

/// When a channel's states change, and how often they may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Time without a sample after which the device counts as silent, in ms.
    pub silent_after_ms: u64,
    /// Samples in a row after which it counts as back.
    pub back_after_samples: u32,
    /// Least time between two events of the same kind, in ms. Changes from silent to back and vice versa are always told.
    pub event_spacing_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { silent_after_ms: 10_000, back_after_samples: 3, event_spacing_ms: 60_000 }
    }
}

/// Something to tell: what, and the number that goes with it.
pub(crate) type News = (EventKind, i64);

/// What became of a sample.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the filter makes of it, and whether to send that; nothing where the filter knows nothing or a value is out of range.
    pub reading: Option<(Reading, bool)>,
    /// The filter had an estimate that no record can hold.
    pub out_of_range: bool,
    /// Events, in order.
    pub news: heapless::Vec<News, 8>,
    /// Events that were told too recently.
    pub held_back: u64,
}

#[derive(Debug)]
pub(crate) struct Channel {
    number: Number,
    config: Config,
    calibration: Option<Calibration>,
    estimator: Estimator<f64>,
    stepped_ms: Option<u64>,
    /// On top of those of the calibration.
    gains: Gains,
    report: Report,
    import: Option<WattHours>,
    flags: Flags,
    alarm: bool,
    told_ms: [Option<u64>; LIMITED.len()],
    silence: Silence,
}

/// Events that are not told more often than [`Config::event_spacing_ms`].
const LIMITED: [EventKind; 7] = [
    EventKind::Stuck,
    EventKind::RegisterDecreased,
    EventKind::PowerFactorMismatch,
    EventKind::PowerAlarm,
    EventKind::Replay,
    EventKind::Noise,
    EventKind::LoopResistance,
];

#[derive(Debug, Default)]
struct Silence {
    /// The last sample, or the first poll in vain.
    since_ms: Option<u64>,
    silent: bool,
    /// Since when samples come again, and how many came.
    back: Option<(u64, u32)>,
}

impl Channel {
    pub fn new(
        number: Number,
        config: Config,
        calibration: Option<Calibration>,
        estimator: estimator::Config,
        report: report::Config,
    ) -> Self {
        Self {
            number,
            config,
            calibration,
            estimator: Estimator::new(estimator),
            stepped_ms: None,
            gains: Gains::default(),
            report: Report::new(report),
            import: None,
            flags: Flags::empty(),
            alarm: false,
            told_ms: [None; LIMITED.len()],
            silence: Silence::default(),
        }
    }

    /// Its number.
    pub const fn number(&self) -> Number {
        self.number
    }

    /// The calibration in force.
    pub const fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// A command wants the next reading sent, whatever it is.
    pub fn request(&mut self) {
        self.report.request();
    }

    /// What commands have set.
    pub fn set(&mut self, heartbeat_ms: Option<u32>, gains: Gains) {
        self.report.set_heartbeat(heartbeat_ms);
        self.gains = gains;
    }

    /// A sample came.
    pub fn handle_sample(&mut self, now_ms: u64, stamp: &Stamp, sample: &Sample) -> Outcome {
        let mut outcome = self.heard(now_ms);
        let elapsed_ms = self.stepped_ms.replace(now_ms).map_or(0, |before| now_ms.saturating_sub(before));
        // Exact: milliseconds of a meter's life have far less than 53 bits.
        let estimate = self.estimator.step(elapsed_ms as f64 / 1_000.0, &self.for_filter(sample));
        let Some(estimate) = estimate else { return outcome };
        let Some(reading) = self.reading(stamp, sample, &estimate) else {
            outcome.out_of_range = true;
            return outcome;
        };
        self.tell_states(now_ms, sample, reading.flags, &mut outcome);
        self.report(now_ms, stamp, reading, &mut outcome);
        outcome
    }

    /// Registers came, and nothing else: there is nothing for the filter.
    pub fn handle_registers(&mut self, now_ms: u64, stamp: &Stamp, registers: &Registers) -> Outcome {
        let mut outcome = self.heard(now_ms);
        self.tell_decrease(now_ms, registers.import, &mut outcome);
        let reading = Reading::of_registers(stamp.time, stamp.clock, self.number, registers.import, registers.export);
        self.report(now_ms, stamp, reading, &mut outcome);
        outcome
    }

    fn heard(&mut self, now_ms: u64) -> Outcome {
        let mut outcome = Outcome { reading: None, out_of_range: false, news: heapless::Vec::new(), held_back: 0 };
        if let Some(back) = self.silence.heard(now_ms, self.config.back_after_samples) {
            outcome.tell(back);
        }
        outcome
    }

    fn report(&mut self, now_ms: u64, stamp: &Stamp, mut reading: Reading, outcome: &mut Outcome) {
        let utc = stamp.unclocked.is_none().then_some(stamp.time);
        let due = self.report.is_due(now_ms, utc, &mut reading);
        outcome.reading = Some((reading, due));
    }

    /// A poll brought nothing.
    pub fn handle_no_data(&mut self, now_ms: u64) -> Option<News> {
        self.silence.missed(now_ms, self.config.silent_after_ms)
    }

    fn tell_states(&mut self, now_ms: u64, sample: &Sample, flags: Flags, outcome: &mut Outcome) {
        let appeared = flags.difference(self.flags);
        self.flags = flags;
        if appeared.contains(Flags::STUCK) {
            self.tell(now_ms, (EventKind::Stuck, STUCK_FRAMES.into()), outcome);
        }
        if appeared.contains(Flags::POWER_FACTOR) {
            self.tell(now_ms, (EventKind::PowerFactorMismatch, 0), outcome);
        }
        self.tell_monitors(now_ms, appeared, outcome);
        // Registers of a rejected sample are as doubtful as the rest of it.
        if !flags.contains(Flags::REJECTED) {
            self.tell_decrease(now_ms, sample.import, outcome);
        }
        // The alarm is a state: what could not be told now is told as soon as it may be, if it still holds.
        if sample.alarm != self.alarm && self.tell(now_ms, (EventKind::PowerAlarm, sample.alarm.into()), outcome) {
            self.alarm = sample.alarm;
        }
    }

    fn tell_decrease(&mut self, now_ms: u64, import: WattHours, outcome: &mut Outcome) {
        let before = self.import.replace(import).unwrap_or(import);
        let back = before.centiwatthours().saturating_sub(import.centiwatthours());
        if back > 0 {
            self.tell(now_ms, (EventKind::RegisterDecreased, back), outcome);
        }
    }

    /// What the estimator's monitors found, and what it rests on.
    fn tell_monitors(&mut self, now_ms: u64, appeared: Flags, outcome: &mut Outcome) {
        let evidence = self.estimator.evidence();
        // Rounded towards zero, and saturating.
        let thousandths = |value: f64| (value * 1_000.0) as i64;
        let noise = estimator::real::sqrt(evidence.noise_voltage.max(evidence.noise_load));
        for (flag, kind, value) in [
            (Flags::REPLAY, EventKind::Replay, i64::from(evidence.replay_age.unwrap_or(0))),
            (Flags::NOISE, EventKind::Noise, thousandths(noise)),
            (Flags::LOOP_RESISTANCE, EventKind::LoopResistance, thousandths(evidence.loop_resistance)),
        ] {
            if appeared.contains(flag) {
                self.tell(now_ms, (kind, value), outcome);
            }
        }
    }

    fn tell(&mut self, now_ms: u64, news: News, outcome: &mut Outcome) -> bool {
        let spacing = self.config.event_spacing_ms;
        let told = LIMITED.iter().position(|kind| *kind == news.0).and_then(|at| self.told_ms.get_mut(at));
        if let Some(told) = told {
            if told.is_some_and(|told| now_ms.saturating_sub(told) < spacing) {
                outcome.held_back = outcome.held_back.saturating_add(1);
                return false;
            }
            *told = Some(now_ms);
        }
        outcome.tell(news);
        true
    }

    fn for_filter(&self, sample: &Sample) -> estimator::Sample<f64> {
        let raw = &sample.raw;
        let shown = estimator::Sample {
            voltage: raw.voltage.as_f64(),
            current: raw.current.as_f64(),
            active_power: raw.active_power.as_f64(),
            frequency: raw.frequency.as_f64(),
            power_factor: raw.power_factor.as_f64(),
            energy_wh: u64::try_from(sample.import.centiwatthours().saturating_div(100)).unwrap_or(0),
        };
        self.gains.correct(self.calibration.map_or(shown, |calibration| calibration.gains().correct(shown)))
    }

    fn reading(&self, stamp: &Stamp, sample: &Sample, estimate: &Estimate<f64>) -> Option<Reading> {
        let voltage = Volts::from_f64(estimate.voltage)?;
        let current = Amperes::from_f64(estimate.current)?;
        let active_power = Watts::from_f64(estimate.active_power)?;
        let mut flags = estimate.flags;
        flags.set(Flags::METER_ALARM, sample.alarm);
        let deviation = |variance: f64| Deviation::from_f64(estimator::real::sqrt(variance));
        Some(Reading {
            time: stamp.time,
            clock: stamp.clock,
            channel: self.number,
            voltage,
            current,
            active_power,
            frequency: Hertz::from_f64(estimate.frequency)?,
            power_factor: power_factor(voltage, current, active_power),
            non_active_power: non_active_power(voltage, current, active_power),
            import: Register { raw: sample.import, integrated: estimate.energy.watt_hours() },
            export: Register { raw: sample.export, integrated: sample.export },
            deviation: Deviations {
                voltage: deviation(estimate.voltage_variance),
                current: deviation(estimate.current_variance),
                active_power: deviation(estimate.active_power_variance),
                frequency: deviation(estimate.frequency_variance),
            },
            nis: NormalisedInnovation::from_f64(estimate.nis),
            flags,
            raw: sample.raw,
        })
    }
}

impl Outcome {
    fn tell(&mut self, news: News) {
        // Eight kinds of event can come of one sample, each once: the vector holds them.
        let _ = self.news.push(news);
    }
}

impl Silence {
    fn heard(&mut self, now_ms: u64, enough: u32) -> Option<News> {
        if !self.silent {
            self.since_ms = Some(now_ms);
            return None;
        }
        let (since, count) = self.back.map_or((now_ms, 1), |(since, count)| (since, count.saturating_add(1)));
        self.back = Some((since, count));
        if count < enough {
            return None;
        }
        let lasted = self.since_ms.map_or(0, |silent| since.saturating_sub(silent));
        *self = Self { since_ms: Some(now_ms), silent: false, back: None };
        Some((EventKind::DeviceBack, i64::try_from(lasted).unwrap_or(i64::MAX)))
    }

    fn missed(&mut self, now_ms: u64, patience_ms: u64) -> Option<News> {
        self.back = None;
        let since = *self.since_ms.get_or_insert(now_ms);
        if self.silent || now_ms.saturating_sub(since) < patience_ms {
            return None;
        }
        self.silent = true;
        Some((EventKind::DeviceSilent, 0))
    }
}
