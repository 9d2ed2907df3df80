//! One channel of a meter: its values against their limits, and the signs of tampering that its readings bear.

use contracts::feeders::FeederEventKind;
use contracts::quality::{QualityKind, QualityMethod};
use contracts::{EventRecord, QualityRecord, ReadingRecord, VoltageWeekRecord};
use measure::{Account, Channel as Number, Flags, MeterId, UnixMillis, Volts};
use serde::{Deserialize, Serialize};

use super::excursion::{Change, Excursion, Monitor};
use super::mean::Mean;
use super::rules::{NEUTRAL, NEUTRAL_CURRENT_MA, NEUTRAL_VOLTAGE_MV, REVERSE, Rules};
use super::week::{WEEK_MS, Week};
use super::{Output, Sign};

const TEN_SECONDS_MS: i64 = 10_000;
const TEN_MINUTES_MS: i64 = 600_000;
/// A sign that lasts is told again so often: it counts for a week.
const SIGN_AGAIN_MS: i64 = 86_400_000;

/// Flags of a reading that are signs of tampering.
const SIGNS: [(Flags, FeederEventKind); 5] = [
    (Flags::LOOP_RESISTANCE, FeederEventKind::LoopResistance),
    (Flags::POWER_FACTOR, FeederEventKind::PowerFactorMismatch),
    (Flags::STUCK, FeederEventKind::Stuck),
    (Flags::REPLAY, FeederEventKind::Replay),
    (Flags::NOISE, FeederEventKind::Noise),
];
/// And one that its register is.
const REGISTER: usize = SIGNS.len();

/// The last reading that was measured: it stands until the next one. Time, voltage in mV, current in mA, power in 0.1 W, frequency in mHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    time: UnixMillis,
    millivolts: i64,
    millihertz: i64,
}

/// What is known of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    last: Option<Last>,
    voltage: [Monitor; 5],
    frequency: [Monitor; 2],
    overload: Monitor,
    reverse: Monitor,
    neutral: Monitor,
    ten_seconds: Mean,
    ten_minutes: Mean,
    week: Option<Week>,
    /// When each sign was told last.
    told: [UnixMillis; REGISTER + 1],
    import: i64,
}

/// What a channel works with.
pub(super) struct Context<'a> {
    pub rules: &'a Rules,
    pub meter: &'a MeterId,
    pub number: Number,
    /// Power that the contract allows, in W, where the topology says so.
    pub contract_power_w: Option<f64>,
    /// When the head-end got the reading.
    pub at: UnixMillis,
    pub out: &'a mut Vec<Output>,
}

impl Channel {
    /// Takes a reading; false if it is older than one before, which is judged already.
    pub(super) fn take(&mut self, reading: &ReadingRecord, cx: &mut Context<'_>) -> bool {
        let time = reading.time_ms;
        if self.last.is_some_and(|it| time <= it.time) {
            return false;
        }
        self.signs(reading, cx);
        // What the filter itself does not believe is no measurement; nor is what was measured before.
        let measured =
            !reading.flags.contains(Flags::REGISTERS_ONLY) && !reading.flags.intersects(Flags::REPLAY | Flags::STUCK | Flags::DUPLICATE);
        if measured {
            self.measured(reading, time, cx);
        }
        true
    }

    /// Nothing more is known of it.
    pub(super) fn cut(&mut self, cx: &mut Context<'_>) {
        let Some(last) = self.last.take() else { return };
        for (monitor, (kind, _, limit)) in self.voltage.iter_mut().zip(&cx.rules.voltage) {
            told(monitor.cut(last.time), *kind, None, (limit.threshold, limit.hysteresis, 1_000.0, "V"), cx);
        }
        for (monitor, (kind, limit)) in self.frequency.iter_mut().zip(&cx.rules.frequency) {
            told(monitor.cut(last.time), *kind, None, (limit.threshold, limit.hysteresis, 1_000.0, "Hz"), cx);
        }
        if let Some(limit) = cx.contract_power_w.map(Rules::overload) {
            told(self.overload.cut(last.time), QualityKind::Overload, None, (limit.threshold, limit.hysteresis, 10.0, "W"), cx);
        }
        (self.overload, self.reverse, self.neutral) = Default::default();
    }

    fn measured(&mut self, reading: &ReadingRecord, time: UnixMillis, cx: &mut Context<'_>) {
        if self.last.is_some_and(|it| time.millis_since(it.time) > cx.rules.gap_ms) {
            self.cut(cx);
        }
        let millivolts = i64::from(reading.raw_voltage_v.millivolts());
        let millihertz = i64::from(reading.frequency_hz.millihertz());
        let deciwatts = i64::from(reading.raw_active_power_w.deciwatts());
        self.stood(time, cx);
        for (monitor, (kind, short, limit)) in self.voltage.iter_mut().zip(&cx.rules.voltage) {
            let change = monitor.push(limit, time, millivolts);
            told(change, *kind, *short, (limit.threshold, limit.hysteresis, 1_000.0, "V"), cx);
        }
        if let Some(limit) = cx.contract_power_w.map(Rules::overload) {
            let change = self.overload.push(&limit, time, deciwatts);
            told(change, QualityKind::Overload, None, (limit.threshold, limit.hysteresis, 10.0, "W"), cx);
        }
        let neutral = i64::from(i64::from(reading.raw_current_a.milliamperes()) > NEUTRAL_CURRENT_MA && millivolts < NEUTRAL_VOLTAGE_MV);
        for (change, kind) in [
            (self.reverse.push(&REVERSE, time, deciwatts), FeederEventKind::ReversePower),
            (self.neutral.push(&NEUTRAL, time, neutral), FeederEventKind::NeutralMissing),
        ] {
            if let Some(Change::Begun(it)) = change {
                cx.sign(kind, it.start);
            }
        }
        self.last = Some(Last { time, millivolts, millihertz });
    }

    /// The last values stood until `time`.
    fn stood(&mut self, time: UnixMillis, cx: &mut Context<'_>) {
        let Some(last) = self.last else { return };
        let mut windows = Vec::new();
        self.ten_seconds.push(TEN_SECONDS_MS, last.time, time, last.millihertz, |window| windows.push(window));
        for window in windows.drain(..) {
            for (monitor, (kind, limit)) in self.frequency.iter_mut().zip(&cx.rules.frequency) {
                let change = monitor.push(limit, window.start, window.mean);
                told(change, *kind, None, (limit.threshold, limit.hysteresis, 1_000.0, "Hz"), cx);
            }
        }
        // The mean is that of squares, as the standard has it. An interruption does not count.
        if !self.voltage.last().is_some_and(Monitor::is_open) {
            let square = last.millivolts.saturating_mul(last.millivolts);
            self.ten_minutes.push(TEN_MINUTES_MS, last.time, time, square, |window| windows.push(window));
        }
        for window in windows {
            let over = Week::add(&mut self.week, &cx.rules.band, window.start, window.mean.isqrt());
            if let Some(week) = over {
                cx.week(&week);
            }
        }
    }

    fn signs(&mut self, reading: &ReadingRecord, cx: &mut Context<'_>) {
        let time = reading.time_ms;
        let import = reading.import_wh.centiwatthours();
        let fell = self.import.saturating_sub(import);
        // By more than half of its range it has begun again at zero.
        let decreased = fell > 0 && cx.rules.register_modulus.is_none_or(|modulus| fell <= modulus / 2);
        self.import = import;
        let flags = SIGNS.map(|(flag, kind)| (reading.flags.contains(flag), kind));
        let all = flags.into_iter().chain([(decreased, FeederEventKind::RegisterDecreased)]);
        for (told, (is_there, kind)) in self.told.iter_mut().zip(all) {
            if is_there && (*told == UnixMillis::default() || time.millis_since(*told) >= SIGN_AGAIN_MS) {
                *told = time;
                cx.sign(kind, time);
            }
        }
    }
}

/// Makes a record of a change. `limit` is its threshold, its hysteresis, how many counts make a unit, and the unit.
fn told(change: Option<Change>, kind: QualityKind, short: Option<QualityKind>, limit: (i64, i64, f64, &'static str), cx: &mut Context<'_>) {
    let (kind, it) = match (change, short) {
        (Some(Change::Begun(it) | Change::Ended(it)), _) => (kind, it),
        (Some(Change::Short(it)), Some(short)) => (short, it),
        (Some(Change::Short(_)), None) | (None, _) => return,
    };
    let (threshold, hysteresis, counts, unit) = limit;
    let Excursion { start, end, cut, extreme, mean, samples } = it;
    let units = |value: i64| value as f64 / counts;
    let record = QualityRecord {
        meter: cx.meter.clone(),
        channel: cx.number,
        account: Some(Account::new(cx.meter, cx.number)),
        kind,
        method: QualityMethod::SlowRms,
        start_ms: start,
        end_ms: end,
        duration_ms: end.map(|end| end.millis_since(start)),
        cut,
        threshold: units(threshold),
        hysteresis: units(hysteresis),
        extreme: units(extreme),
        mean: units(mean),
        unit: unit.to_owned(),
        samples,
        at_ms: cx.at,
    };
    cx.out.push(Output::Event(EventRecord::PowerQuality(record)));
    let sign = match (kind, end) {
        (QualityKind::Interruption, None) => Some((FeederEventKind::Interrupted, start)),
        (QualityKind::Interruption, Some(end)) => Some((FeederEventKind::Supplied, end)),
        _ => None,
    };
    if let Some((kind, since)) = sign {
        cx.sign(kind, since);
    }
}

impl Context<'_> {
    fn sign(&mut self, kind: FeederEventKind, since: UnixMillis) {
        self.out.push(Output::Sign(Sign { meter: self.meter.clone(), kind, since, at: self.at }));
    }

    fn week(&mut self, week: &Week) {
        let volts = |millivolts: i64| Volts::from_millivolts(i32::try_from(millivolts).unwrap_or(i32::MAX));
        let record = VoltageWeekRecord {
            meter: self.meter.clone(),
            channel: self.number,
            account: Some(Account::new(self.meter, self.number)),
            start_ms: week.start,
            end_ms: week.start.saturating_add(WEEK_MS),
            nominal_v: volts(self.rules.nominal_mv),
            means: week.means,
            within: week.within,
            far_out: week.far_out,
            lowest_v: volts(week.lowest),
            highest_v: volts(week.highest),
            complies: week.complies(),
            method: QualityMethod::SlowRms,
            at_ms: self.at,
        };
        self.out.push(Output::Event(EventRecord::VoltageWeek(record)));
    }
}
