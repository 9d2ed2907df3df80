//! A day of meters through the edge: how many messages, how many bytes, and how well a reader who holds the last reading knows the power.

use edge_core::journal::MemoryJournal;
use edge_core::{Config as EdgeConfig, Edge, Now, Sample, Wall};
use estimator::{Config, Estimator};
use fleet::household::HouseholdConfig;
use fleet::meter::{Meter, Second};
use fleet::sensor::SensedSample;
use measure::{ClockQuality, Flags, Raw, Reading, Record, UnixMillis, WattHours};
use wire::ack::Ack;
use wire::frame;

use crate::figure::{Figure, Target};
use crate::run::{DAY_S, Kind, LAGGING, NOISY, PZEM, all, for_filter, median, pairs};

/// Households in which people live as they do, and some in which every program runs eight times a day, as in the vectors.
const HOUSEHOLDS: u64 = 20;
const RESTLESS: u64 = 6;
/// Some midnight UTC, in ms.
const MIDNIGHT_MS: i64 = 1_799_971_200_000;
/// What a reader is promised about the power: so many W or so much of it.
const BOUND_W: f64 = 20.0;
const BOUND_SHARE: f64 = 0.02;
/// The registers of power have steps of 0.1 W on the wire.
const ROUNDING_W: f64 = 0.1;

/// What a day came to.
#[derive(Default)]
struct Day {
    messages: f64,
    readings: f64,
    /// Readings that were sent because an appliance was switched or the supply shifted, and those that are a sign of life.
    told: f64,
    heartbeats: f64,
    bytes: f64,
    seconds: f64,
    within: f64,
    squares: f64,
    truth_squares: f64,
    /// Off the truth at the end of the day, by the last reading's register, in Wh.
    register_off_wh: f64,
}

pub fn figures(seed: u64) -> anyhow::Result<Vec<Figure>> {
    let days = |what, kinds: &[Kind], count, household: fn(u64) -> HouseholdConfig| {
        let jobs = pairs(kinds, seed, count);
        let days = all(what, &jobs, |(kind, seed)| Ok((*kind, day(*kind, *seed, &household(*seed))?)));
        days.into_iter().collect::<anyhow::Result<Vec<(Kind, Day)>>>()
    };
    let kinds = [PZEM, LAGGING, NOISY];
    let everyday = days("days through the edge", &kinds, HOUSEHOLDS, HouseholdConfig::everyday)?;
    let restless = days("days of households that never sleep", &[LAGGING], RESTLESS, HouseholdConfig::typical)?;
    let of_kind = |kind: &Kind| everyday.iter().filter(|(of, _)| of.name == kind.name).map(|(_, day)| day).collect::<Vec<_>>();
    let mut figures: Vec<Figure> = kinds.iter().flat_map(|kind| of_days(kind.name, &of_kind(kind))).collect();
    let messages = restless.iter().map(|(_, day)| day.messages).sum::<f64>() / restless.len() as f64;
    figures.push(Figure::new("report/pzem lagging, never asleep/messages, mean", messages, "a day"));
    Ok(figures)
}

fn of_days(kind: &str, days: &[&Day]) -> Vec<Figure> {
    let name = |what: &str| format!("report/{kind}/{what}");
    let sum = |of: fn(&Day) -> f64| days.iter().map(|day| of(day)).sum::<f64>();
    let count = days.len() as f64;
    let messages = Figure::new(name("messages, mean"), sum(|day| day.messages) / count, "a day");
    let within = Figure::new(name("seconds within 20 W or 2 %"), 100.0 * sum(|day| day.within) / sum(|day| day.seconds), "%");
    // A noisy sensor's power moves by more than the bound without any reason: printed for comparison.
    let [messages, within] = if kind == NOISY.name {
        [messages, within]
    } else {
        [messages.target(Target::AtMost(2400.0)), within.target(Target::AtLeast(100.0))]
    };
    vec![
        messages,
        Figure::new(name("messages, median"), median(days.iter().map(|day| day.messages)), "a day"),
        Figure::new(name("messages, worst day"), days.iter().map(|day| day.messages).fold(0.0, f64::max), "a day"),
        Figure::new(name("of them after a switch or shift"), sum(|day| day.told) / count, "a day"),
        Figure::new(name("of them signs of life"), sum(|day| day.heartbeats) / count, "a day"),
        Figure::new(name("fewer than one a second"), sum(|day| day.seconds) / sum(|day| day.messages), "times"),
        within,
        Figure::new(name("power held against the filter, rms"), (sum(|day| day.squares) / sum(|day| day.seconds)).sqrt(), "W"),
        Figure::new(name("power held against the truth, rms"), (sum(|day| day.truth_squares) / sum(|day| day.seconds)).sqrt(), "W"),
        Figure::new(name("energy in the last reading, off, worst"), days.iter().map(|day| day.register_off_wh).fold(0.0, f64::max), "Wh"),
        Figure::new(name("bytes a reading"), sum(|day| day.bytes) / sum(|day| day.readings), "bytes"),
        Figure::new(name("bytes a day"), sum(|day| day.bytes) / count, "bytes"),
    ]
}

fn day(kind: Kind, seed: u64, household: &HouseholdConfig) -> anyhow::Result<Day> {
    let filter = Config::new(kind.noise);
    let mut agent = Agent::new(filter)?;
    let mut estimator = Estimator::<f64>::new(filter);
    let mut day = Day::default();
    let mut held: Option<Reading> = None;
    for Second { number, truth, reply, .. } in Meter::new(seed, household, kind.profile).take(DAY_S) {
        let Some(sensed) = reply.sample else { continue };
        let sample = as_driver_gives(&sensed);
        let reading = agent.sample(number, &sample, &mut day)?;
        held = reading.or(held);
        let estimate = estimator.step(1.0, &for_filter(&sensed));
        let (Some(held), Some(estimate)) = (&held, estimate) else { continue };
        let sent = held.active_power.as_f64();
        let off = (sent - estimate.active_power).abs();
        day.seconds += 1.0;
        day.within += f64::from(u8::from(off <= BOUND_W.max(BOUND_SHARE * sent.abs()) + ROUNDING_W));
        day.squares += off * off;
        day.truth_squares += (sent - truth.active_power).powi(2);
        if reading.is_some() {
            day.register_off_wh = (held.import.integrated.as_f64() - truth.energy_wh).abs();
        }
    }
    Ok(day)
}

/// A meter's service and a head-end that acknowledges at once.
struct Agent {
    edge: Edge,
    journal: MemoryJournal,
}

impl Agent {
    fn new(filter: Config) -> anyhow::Result<Self> {
        let config = EdgeConfig { channels: vec![filter], ..EdgeConfig::default() };
        let mut journal = MemoryJournal::new(1000);
        let mut edge = Edge::start(config, [7; 32], now(0), &mut journal)?;
        edge.handle_connected();
        Ok(Self { edge, journal })
    }

    /// Takes a sample, sends what there is to send, and returns the reading that a reader now holds, if it is a new one.
    fn sample(&mut self, second: u64, sample: &Sample, day: &mut Day) -> anyhow::Result<Option<Reading>> {
        let now = now(second);
        self.edge.handle_sample(now, &mut self.journal, 0, sample)?;
        let mut last = None;
        while let Some(transmit) = self.edge.poll_transmit(now, &mut self.journal)? {
            self.journal.commit();
            self.edge.handle_committed();
            let (header, body) = frame::decode(&transmit.bytes)?;
            for record in body {
                if let Record::Reading(reading) = record? {
                    day.readings += 1.0;
                    day.told += f64::from(u8::from(reading.flags.intersects(Flags::STEP | Flags::VOLTAGE_SHIFT)));
                    day.heartbeats += f64::from(u8::from(reading.flags.contains(Flags::HEARTBEAT)));
                    last = Some(reading);
                }
            }
            day.messages += 1.0;
            day.bytes += transmit.bytes.len() as f64;
            let ack = Ack { stream: header.stream, through: header.last_seq(), incarnation: 1 };
            self.edge.handle_ack(now, &mut self.journal, &ack)?;
        }
        Ok(last)
    }
}

fn now(second: u64) -> Now {
    let monotonic_ms = second * 1000;
    let time = UnixMillis(MIDNIGHT_MS).saturating_add(i64::try_from(monotonic_ms).unwrap_or(i64::MAX));
    Now { monotonic_ms, wall: Some(Wall { time, quality: ClockQuality::Synchronised }) }
}

fn as_driver_gives(sensed: &SensedSample) -> Sample {
    let it = sensed.measurement();
    let raw = Raw {
        voltage: it.voltage,
        current: it.current,
        active_power: it.active_power,
        frequency: it.frequency,
        power_factor: it.power_factor,
    };
    Sample { raw, import: it.energy, export: WattHours::default(), alarm: it.alarm }
}
