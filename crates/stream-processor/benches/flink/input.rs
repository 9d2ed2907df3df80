//! Readings as they reach the head-end from simulated households: most punctual, some late, some never, some not to be believed.

use contracts::ReadingRecord;
use fleet::household::HouseholdConfig;
use fleet::meter::Meter;
use fleet::sensor::{Profile, SensedSample};
use measure::{ClockQuality, Flags, MeterId, Raw, Reading, Register, StreamId, UnixMillis, WattHours};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// 2026-11-29 00:00 UTC.
pub const BEGIN_MS: i64 = 1_795_910_400_000;
const MINUTE_MS: i64 = 60_000;
/// Readings go on for so long after what is compared, so that everything of it has closed and settled.
const EPILOGUE_S: u64 = 1_800;
/// Where the registers begin again at zero, in Wh.
pub const MODULUS_WH: i64 = 10_000_000;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Households that are simulated.
    pub households: u64,
    /// Meters that measure each of them, with other ids, clocks and registers.
    pub copies: u64,
    /// Hours that are compared.
    pub hours: u64,
    /// First of the seeds.
    pub seed: u64,
}

impl Extent {
    /// End of what is compared.
    pub fn end_ms(&self) -> i64 {
        BEGIN_MS + i64::try_from(self.hours).unwrap() * 60 * MINUTE_MS
    }
}

/// What is special about a household's meters. Times are minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// Nothing.
    Plain,
    /// The household feeds in what others take.
    Exports,
    /// Offline from `from` to `to`; what was measured meanwhile comes in order at `back`.
    Offline { from: i64, to: i64, back: i64 },
    /// What was measured from `from` to `to` never comes.
    Silent { from: i64, to: i64 },
    /// The register begins again at zero.
    RollsOver,
    /// Another meter is put in its place.
    Exchanged { at: i64 },
    /// The register jumps.
    Jumps { at: i64 },
    /// Readings overtake each other, by up to 90 s.
    Jittery,
    /// It shows registers only.
    RegistersOnly,
    /// Some readings are rejected by the meter's filter, some have no certain time, and their registers are nonsense.
    Untrusted,
}

/// Household by household, again and again.
pub const SPECIALS: [Special; 12] = [
    Special::Plain,
    Special::Exports,
    Special::Offline { from: 70, to: 110, back: 130 },
    // Over hours without a single reading.
    Special::Offline { from: 50, to: 195, back: 200 },
    Special::Silent { from: 85, to: 105 },
    Special::Silent { from: 55, to: 205 },
    Special::RollsOver,
    Special::Exchanged { at: 95 },
    Special::Jumps { at: 125 },
    Special::Jittery,
    Special::RegistersOnly,
    Special::Untrusted,
];

/// What is special about the meter of a household.
pub fn special(household: u64) -> Special {
    SPECIALS[usize::try_from(household).unwrap() % SPECIALS.len()]
}

/// All readings in the order in which they were received.
pub fn readings(extent: &Extent) -> Vec<ReadingRecord> {
    let mut all = Vec::new();
    for household in 0..extent.households {
        let said = said(extent, household);
        for copy in 0..extent.copies {
            heard(extent, household, copy, &said, &mut all);
        }
    }
    all.sort_by_key(|it| it.received_ms);
    all
}

/// Meter and channel of a copy of a household: two households share a meter.
pub fn place(extent: &Extent, household: u64, copy: u64) -> (MeterId, u8) {
    let meter = copy * extent.households.div_ceil(2) + household / 2;
    (format!("M{meter:06}").parse().unwrap(), u8::from(household % 2 == 1))
}

/// Seconds at which a meter of the household reports, and what: a change, a minute since the last, a quarter of an hour.
fn said(extent: &Extent, household: u64) -> Vec<(u64, SensedSample)> {
    let seed = extent.seed + household;
    let mut said: Vec<(u64, SensedSample)> = Vec::new();
    for second in Meter::new(seed, &HouseholdConfig::typical(seed), Profile::PZEM) {
        if second.number > extent.hours * 3_600 + EPILOGUE_S {
            break;
        }
        let Some(sample) = second.reply.sample else { continue };
        let is_due = second.number % 900 == 0
            || said.last().is_none_or(|(at, last)| {
                let power = (sample.active_power - last.active_power).abs();
                let is_changed = power > 20.0_f64.max(0.05 * last.active_power) || (sample.voltage - last.voltage).abs() > 1.0;
                is_changed || second.number - at >= 60
            });
        if is_due {
            said.push((second.number, sample));
        }
    }
    said
}

/// What the head-end hears of it from one of the household's meters.
fn heard(extent: &Extent, household: u64, copy: u64, said: &[(u64, SensedSample)], all: &mut Vec<ReadingRecord>) {
    let (meter, channel) = place(extent, household, copy);
    let special = special(household);
    let mut random = ChaCha8Rng::seed_from_u64(extent.seed);
    random.set_stream(household * extent.copies + copy + 1);
    // Where in the second it samples.
    let phase_ms: i64 = random.random_range(0..1_000);
    let start_wh: i64 = random.random_range(0..1_000_000);
    for ((second, sample), seq) in said.iter().zip(1..) {
        let since_ms = i64::try_from(*second).unwrap() * 1_000 + phase_ms;
        let minute = since_ms / MINUTE_MS;
        let time = BEGIN_MS + since_ms;
        let mut received = time + 200;
        let energy = i64::try_from(sample.energy_wh).unwrap();
        let mut reading = reading(time, channel, sample);
        let mut register = start_wh + energy;
        match special {
            Special::Plain | Special::Exports | Special::RegistersOnly => {}
            Special::Offline { from, to, back } if (from..to).contains(&minute) => received = BEGIN_MS + back * MINUTE_MS,
            Special::Silent { from, to } if (from..to).contains(&minute) => continue,
            Special::Offline { .. } | Special::Silent { .. } => {}
            Special::RollsOver => register = (MODULUS_WH - 300 + energy) % MODULUS_WH,
            Special::Exchanged { at } => register = if minute < at { 5_000_000 + energy } else { energy },
            Special::Jumps { at } => register += if minute < at { 0 } else { 50_000 },
            Special::Jittery => received += random.random_range(0..90_000),
            Special::Untrusted if seq % 7 == 0 => (reading.flags, register) = (Flags::REJECTED, 0),
            Special::Untrusted if seq % 11 == 0 => (reading.clock, register) = (ClockQuality::Unknown, 0),
            Special::Untrusted => {}
        }
        let register = WattHours::from_centiwatthours(register * 100);
        let register = Register { raw: register, integrated: register };
        *(if special == Special::Exports { &mut reading.export } else { &mut reading.import }) = register;
        if special == Special::RegistersOnly {
            reading = Reading::of_registers(reading.time, reading.clock, channel, reading.import.raw, reading.export.raw);
        }
        all.push(ReadingRecord::new(&meter, StreamId(1), seq, UnixMillis(received), &reading));
    }
}

fn reading(time: i64, channel: u8, sample: &SensedSample) -> Reading {
    let it = sample.measurement();
    Reading {
        time: UnixMillis(time),
        clock: ClockQuality::Synchronised,
        channel,
        voltage: it.voltage,
        current: it.current,
        active_power: it.active_power,
        frequency: it.frequency,
        power_factor: it.power_factor,
        raw: Raw {
            voltage: it.voltage,
            current: it.current,
            active_power: it.active_power,
            frequency: it.frequency,
            power_factor: it.power_factor,
        },
        ..Reading::default()
    }
}
