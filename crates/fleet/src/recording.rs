//! Replay of what real meters said: CSV recordings, and the captured replies of PZEM modules.

use std::io::Read;

use serde::Deserialize;

use crate::pzem_module::{self, Registers};
use crate::sensor::SensedSample;

const CAPTURES: &str = include_str!("../../meters/tests/fixtures/pzem004t_replies.txt");

/// Captured replies further apart than this belong to different recordings, in s.
const PAUSE_S: f64 = 60.0;

/// Why a recording can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Not CSV, or a column is missing or no number.
    #[error("recording: {0}; its first line must name time_s, voltage, current, active_power, frequency, power_factor, energy_wh")]
    Malformed(#[from] csv::Error),
    /// Samples out of order.
    #[error("recording: line {line}: time goes back from {before} s to {time} s; sort the samples by time")]
    Backwards {
        /// Where, the header being line 1.
        line: u64,
        /// Time of the sample before it, in s.
        before: f64,
        /// Its time, in s.
        time: f64,
    },
}

/// One sample of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorded {
    /// When, in s from any origin.
    pub time_s: f64,
    /// What the meter said.
    pub sample: SensedSample,
}

/// A line of the CSV.
#[derive(Deserialize)]
struct Line {
    time_s: f64,
    voltage: f64,
    current: f64,
    active_power: f64,
    frequency: f64,
    power_factor: f64,
    energy_wh: u64,
}

/// Reads a recording: CSV with the columns `time_s,voltage,current,active_power,frequency,power_factor,energy_wh` in any order, in s, V, A,
/// W, Hz, 1 and Wh; columns of other names are passed over.
pub fn from_csv(reader: impl Read) -> Result<Vec<Recorded>, RecordingError> {
    let mut samples: Vec<Recorded> = Vec::new();
    let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader);
    let headers = csv.headers()?.clone();
    for record in csv.into_records() {
        let record = record?;
        let Line { time_s, voltage, current, active_power, frequency, power_factor, energy_wh } = record.deserialize(Some(&headers))?;
        if let Some(last) = samples.last().filter(|last| time_s < last.time_s) {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(RecordingError::Backwards { line, before: last.time_s, time: time_s });
        }
        samples.push(Recorded { time_s, sample: SensedSample { voltage, current, active_power, frequency, power_factor, energy_wh } });
    }
    Ok(samples)
}

/// The captured replies of PZEM modules (see [`pzem_module::captured`]) with their time of day, by sitting.
pub fn captured() -> Vec<Vec<Recorded>> {
    let mut sittings: Vec<Vec<Recorded>> = Vec::new();
    for (time_s, registers) in captured_times().zip(pzem_module::captured()) {
        let recorded = Recorded { time_s, sample: sensed(&registers) };
        match sittings.last_mut() {
            Some(sitting) if sitting.last().is_some_and(|last| (0.0..PAUSE_S).contains(&(time_s - last.time_s))) => sitting.push(recorded),
            _ => sittings.push(vec![recorded]),
        }
    }
    sittings
}

/// Time of day of each captured reply, in s.
fn captured_times() -> impl Iterator<Item = f64> {
    let lines = CAPTURES.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut parts = line.split_whitespace().nth(1)?.split(':').map(str::parse::<u32>);
        let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        Some(f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0 + f64::from(seconds))
    })
}

/// What the input registers say; 32-bit values come low word first.
fn sensed(registers: &Registers) -> SensedSample {
    let [volts, amps_low, amps_high, watts_low, watts_high, energy_low, energy_high, hertz, factor, _] = *registers;
    let double = |low: u16, high: u16| u32::from(high) << 16 | u32::from(low);
    SensedSample {
        voltage: f64::from(volts) / 10.0,
        current: f64::from(double(amps_low, amps_high)) / 1000.0,
        active_power: f64::from(double(watts_low, watts_high)) / 10.0,
        frequency: f64::from(hertz) / 10.0,
        power_factor: f64::from(factor) / 100.0,
        energy_wh: double(energy_low, energy_high).into(),
    }
}
