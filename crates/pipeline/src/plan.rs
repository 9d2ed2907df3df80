//! What the meters of a run say: a function of the meter's and the record's number. The load sends it, the audit compares with it.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edge_core::journal::MemoryJournal;
use edge_core::{Config, Edge, Now, Sample, Wall};
use fleet::household::{Household, HouseholdConfig};
use fleet::sensor::{Profile, Sensor};
use measure::{ClockQuality, Hello, MeterId, Raw, Reading, Record, Seq, StreamId, Text, UnixMillis, WattHours};
use serde::{Deserialize, Serialize};
use wire::frame::{FrameBuilder, RECORDS_MAX};

/// Readings that are told again and again, under other times and numbers.
const PATTERN_LEN: usize = 1_000;
pub(crate) static PATTERN: LazyLock<Vec<Reading>> = LazyLock::new(pattern);
const SEED: u64 = 2026;

/// A run's load. A meter's first frame is its hello, alone; every other one holds as many readings as all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// How many meters.
    pub meters: usize,
    /// Readings in a frame, 1 to 64.
    pub records_per_frame: usize,
    /// Channels of a meter, which take turns.
    pub channels: u8,
    /// Frames a second of all meters together; without it each meter sends as fast as it is acknowledged.
    pub rate: Option<f64>,
    /// Before the measurement, in s.
    pub warm_up_s: f64,
    /// How long is measured, in s.
    pub seconds: f64,
}

impl Load {
    /// Why the load is none that meters could send, if so.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!((1..=50_000).contains(&self.meters), "{} meters: 1 to 50,000 are possible", self.meters);
        anyhow::ensure!(
            (1..=RECORDS_MAX).contains(&self.records_per_frame),
            "{} records a frame: 1 to {RECORDS_MAX} are possible",
            self.records_per_frame
        );
        anyhow::ensure!(self.channels > 0, "a meter has a channel or more");
        anyhow::ensure!(self.seconds >= 1.0, "measure for a second or more");
        anyhow::ensure!(self.rate.is_none_or(|rate| rate > 0.0), "a rate is above 0");
        Ok(())
    }

    /// Warm-up and measurement together.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up_s + self.seconds)
    }
}

/// The load with the instant of its start.
pub struct Plan {
    load: Load,
    start_us: i64,
}

impl Plan {
    /// `start_us`: when the first frame is due, µs since 1970.
    pub const fn new(load: Load, start_us: i64) -> Self {
        Self { load, start_us }
    }

    /// The load.
    pub const fn load(&self) -> &Load {
        &self.load
    }

    /// When a meter's frame is due, µs since 1970. Meters take turns. Without a rate the times are only names.
    pub fn due_us(&self, meter: usize, frame: usize) -> i64 {
        let all = frame * self.load.meters + meter;
        self.start_us + (all as f64 / self.load.rate.unwrap_or(100_000.0) * 1e6) as i64
    }

    /// Number of a frame's first record.
    pub const fn first_seq(&self, frame: usize) -> Seq {
        if frame == 0 { 1 } else { ((frame - 1) * self.load.records_per_frame) as Seq + 2 }
    }

    /// Number of a frame's last record.
    pub const fn last_seq(&self, frame: usize) -> Seq {
        if frame == 0 { 1 } else { self.first_seq(frame) + self.load.records_per_frame as Seq - 1 }
    }

    /// The record that a meter sends under a number; the last reading of a frame is measured when the frame is due.
    pub fn record(&self, meter: usize, seq: Seq) -> Record {
        let count = self.load.records_per_frame as i64;
        let frame = if seq == 1 { 0 } else { (seq as usize - 2) / self.load.records_per_frame + 1 };
        let due_ms = self.due_us(meter, frame).div_euclid(1_000);
        if frame == 0 {
            return Record::Hello(hello(UnixMillis(due_ms)));
        }
        let before_last = count - 1 - (seq as i64 - 2) % count;
        let period_ms = (self.due_us(meter, frame) - self.due_us(meter, frame - 1)) / 1_000;
        let reading = PATTERN[(meter * 131 + seq as usize) % PATTERN.len()];
        let channel = ((seq - 2) % Seq::from(self.load.channels)) as u8;
        Record::Reading(Reading { time: UnixMillis(due_ms - before_last * period_ms / count), channel, ..reading })
    }

    /// The bytes of a meter's frame.
    pub fn frame(&self, meter: usize, frame: usize) -> Vec<u8> {
        let mut builder = FrameBuilder::new(stream(meter), self.first_seq(frame));
        for seq in self.first_seq(frame)..=self.last_seq(frame) {
            builder.push(&self.record(meter, seq)).expect("64 readings fit a frame");
        }
        builder.finish().to_vec()
    }
}

/// A meter's name.
pub fn name(meter: usize) -> MeterId {
    format!("m{meter:05}").parse().expect("a name of the right form")
}

/// The meter of a name.
pub fn number(name: &MeterId) -> Option<usize> {
    name.as_str().strip_prefix('m')?.parse().ok()
}

/// The one stream of a meter.
pub fn stream(meter: usize) -> StreamId {
    StreamId(SEED.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ meter as u64)
}

/// The time, µs since 1970.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

fn hello(time: UnixMillis) -> Hello {
    let text = |text: &str| Text::try_from(text).unwrap_or_default();
    Hello {
        time,
        clock: ClockQuality::Synchronised,
        device: text("simulated"),
        software: text("pipeline 0.1.0"),
        configuration: 7,
        starts: 1,
    }
}

/// What an agent makes of a simulated house: filtered, reported on change.
fn pattern() -> Vec<Reading> {
    let mut journal = MemoryJournal::new(100 * PATTERN_LEN);
    let filter = estimator::Config::new(estimator::SensorNoise::PZEM_004T);
    let config = Config { channels: vec![filter], ..Config::default() };
    let mut household = Household::new(SEED, &HouseholdConfig::default());
    let mut sensor = Sensor::new(SEED, Profile::PZEM_LAGGING).with_register(1_234_567);
    let now = |second: u64| {
        let time = UnixMillis(1_795_000_000_000 + second as i64 * 1_000);
        Now { monotonic_ms: second * 1_000, wall: Some(Wall { time, quality: ClockQuality::Synchronised }) }
    };
    let mut edge = Edge::start(config, [7; 32], now(0), &mut journal).expect("memory does not fail");
    let mut second = 0;
    while journal.rows().count() < PATTERN_LEN {
        for _ in 0..PATTERN_LEN {
            second += 1;
            let it = sensor.sample(&household.second()).measurement();
            let raw = Raw {
                voltage: it.voltage,
                current: it.current,
                active_power: it.active_power,
                frequency: it.frequency,
                power_factor: it.power_factor,
            };
            let sample = Sample { raw, import: it.energy, export: WattHours::default(), alarm: it.alarm };
            edge.handle_sample(now(second), &mut journal, 0, &sample).expect("memory does not fail");
            journal.commit();
        }
    }
    journal
        .rows()
        .filter_map(|row| if let Record::Reading(reading) = row.record { Some(reading) } else { None })
        .take(PATTERN_LEN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(records_per_frame: usize) -> Plan {
        let load = Load { meters: 3, records_per_frame, channels: 1, rate: Some(30.0), warm_up_s: 1.0, seconds: 1.0 };
        Plan::new(load, 1_800_000_000_000_000)
    }

    #[test]
    fn a_frame_decodes_to_the_records_of_its_numbers() {
        for records_per_frame in [1, 7, 64] {
            let plan = plan(records_per_frame);
            let mut next = 1;
            for frame in 0..4 {
                let bytes = plan.frame(2, frame);
                let (header, body) = wire::frame::decode(&bytes).unwrap();
                assert_eq!((header.stream, header.first_seq, header.last_seq()), (stream(2), next, plan.last_seq(frame)));
                for record in body {
                    assert_eq!(record.unwrap(), plan.record(2, next));
                    next += 1;
                }
                assert_eq!(next, plan.last_seq(frame) + 1);
            }
        }
    }

    #[test]
    fn meters_take_turns_and_the_newest_reading_is_as_old_as_its_frame() {
        let plan = plan(10);
        assert_eq!(plan.due_us(0, 1) - plan.due_us(0, 0), 100_000);
        assert_eq!(plan.due_us(1, 0) - plan.due_us(0, 0), 33_333);
        let time = |seq| plan.record(0, seq).time().0;
        assert_eq!(time(plan.last_seq(2)) * 1_000, plan.due_us(0, 2));
        assert_eq!(time(plan.last_seq(2)) - time(plan.first_seq(2)), 90);
    }

    #[test]
    fn a_name_leads_back_to_its_meter() {
        assert_eq!(number(&name(12_345)), Some(12_345));
        assert_eq!(number(&"house-1".parse().unwrap()), None);
    }
}
