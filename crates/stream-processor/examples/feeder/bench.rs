//! One simulated feeder before the detectors.

use fleet::feeder::{self, FeederConfig, HOUSES, INTERVALS_A_DAY, Interval, POLES, Theft};
use measure::UnixMillis;
use stream_processor::balance::drop::LEARN_DAYS;
use stream_processor::balance::finding::{Finding, Subject, Test};
use stream_processor::balance::topology::{Feeder, House};
use stream_processor::balance::watch::{FeederInterval, FeederWatch};

const INTERVAL_MS: i64 = 900_000;

/// What the detectors said of a feeder.
#[derive(Debug)]
pub struct Outcome {
    /// Everything found, in order.
    pub findings: Vec<Finding>,
    /// How long they watched, in days.
    pub watched_days: f64,
    /// Bytes a meter: the most while learning, and in the end.
    pub bytes: (usize, usize),
    /// Stolen, as a share of what entered the line since the theft began.
    pub stolen: f64,
    /// Energy that entered and was lost, in Wh, over all days.
    pub line_and_loss_wh: (f64, f64),
    /// Share of intervals in which more than 2 % of the line's energy was missing: what a fixed limit calls theft.
    pub two_percent: f64,
    theft: Option<Theft>,
}

/// Simulates and watches.
pub fn run(seed: u64, config: &FeederConfig) -> anyhow::Result<Outcome> {
    let intervals = feeder::simulate(seed, config);
    let mut watch = FeederWatch::new(topology()?);
    let mut findings = Vec::new();
    let mut bytes = (0, 0);
    for (interval, number) in intervals.iter().zip(0..) {
        findings.extend(watch.push(&reported(interval, UnixMillis(number * INTERVAL_MS))));
        bytes = (watch.bytes_a_meter().max(bytes.0), watch.bytes_a_meter());
    }
    let from = config.theft.map_or(0, |it| it.from_day * INTERVALS_A_DAY);
    let sum = |of: fn(&Interval) -> f64, from: usize| intervals.iter().skip(from).map(of).sum::<f64>();
    let missing = |it: &&Interval| it.line_wh - it.houses.iter().map(|it| it.energy_wh).sum::<f64>() > 0.02 * it.line_wh;
    Ok(Outcome {
        findings,
        watched_days: config.days as f64 - LEARN_DAYS as f64,
        bytes,
        stolen: sum(|it| it.truth.stolen_wh, from) / sum(|it| it.truth.line_wh, from),
        line_and_loss_wh: (sum(|it| it.truth.line_wh, 0), sum(|it| it.truth.loss_wh, 0)),
        two_percent: intervals.iter().filter(missing).count() as f64 / intervals.len() as f64,
        theft: config.theft,
    })
}

impl Outcome {
    /// Days from the beginning of the theft to this test's first alarm after it; the least of both tests if none is named.
    pub fn days_to_detect(&self, test: Option<Test>) -> Option<f64> {
        let theft_from = self.theft?.from_day as f64;
        let mut begun = self.findings.iter().filter(|it| it.begins && test.is_none_or(|test| it.test == test)).map(days);
        begun.find(|day| *day >= theft_from).map(|day| day - theft_from)
    }

    /// Days in which nobody stole and the detectors watched.
    pub fn honest_days(&self) -> f64 {
        self.theft.map_or(self.watched_days, |it| it.from_day as f64 - LEARN_DAYS as f64)
    }

    /// Alarms of this test before a theft began: false ones.
    pub fn false_alarms(&self, test: Test) -> usize {
        let until = self.theft.map_or(f64::INFINITY, |it| it.from_day as f64);
        self.findings.iter().filter(|it| it.begins && it.test == test && days(it) < until).count()
    }

    /// Whether the first place that the voltages named after the theft began is the thief's: the meter, or a tap's pole. None if none was named.
    pub fn right_place(&self) -> Option<bool> {
        let theft = self.theft?;
        let mut begun = self.findings.iter().filter(|it| it.begins && it.test == Test::VoltageDrop);
        let first = begun.find(|it| days(it) >= theft.from_day as f64)?;
        Some(match &first.subject {
            Subject::Meter(meter) => theft.kind.is_behind_a_meter() && meter.as_str() == house_name(theft.house),
            Subject::Pole(_, pole) => !theft.kind.is_behind_a_meter() && *pole == pole_name(feeder::pole(theft.house)),
            Subject::Feeder(_) => false,
        })
    }
}

/// End of the interval of the alarm, in days.
fn days(finding: &Finding) -> f64 {
    let closing = if finding.test == Test::Balance { INTERVAL_MS } else { 0 };
    (finding.at.0 + closing) as f64 / 86_400_000.0
}

fn house_name(house: usize) -> String {
    format!("H{:02}", house + 1)
}

fn pole_name(pole: usize) -> String {
    format!("P{}", pole + 1)
}

fn topology() -> anyhow::Result<Feeder> {
    let house = |number: usize| {
        let pole = pole_name(feeder::pole(number));
        let meter = house_name(number).parse()?;
        Ok(House { meter, pole, class: 1.0, line_side: None, loop_ohm: None, contract_power_w: None, phase: None })
    };
    let houses = (0..HOUSES).map(house).collect::<anyhow::Result<Vec<_>>>()?;
    let poles = (0..POLES).map(pole_name).collect();
    Ok(Feeder { id: "F1".parse()?, line_meter: "L1".parse()?, line_class: 0.5, poles, houses })
}

fn reported(it: &Interval, start: UnixMillis) -> FeederInterval {
    FeederInterval {
        start,
        line_wh: it.line_wh,
        line_current_squared: it.line_current_squared,
        line_voltage: it.line_voltage,
        houses: it.houses.iter().map(|it| Some((it.energy_wh, it.voltage))).collect(),
    }
}
