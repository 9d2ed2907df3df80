//! Readings as meters send them that report changes: two in three minutes, and one at each quarter of an hour.

use contracts::ReadingRecord;
use measure::{ClockQuality, MeterId, Reading, Register, StreamId, UnixMillis, Volts, WattHours, Watts};

/// 2026-11-29 00:00 UTC.
pub const BEGIN_MS: i64 = 1_795_910_400_000;
/// Mean time between two readings of a meter, in ms.
const STEP_MS: i64 = 40_000;

/// The readings of `meters` meters in the order received, without an end.
pub fn readings(meters: usize) -> impl Iterator<Item = ReadingRecord> {
    let ids: Vec<MeterId> = (0..meters).map(|number| format!("M{number:06}").parse().unwrap()).collect();
    (0_i64..).flat_map(move |round| {
        let ids = ids.clone();
        (0_i64..).zip(ids).map(move |(number, id)| record(round, number, &id))
    })
}

fn record(round: i64, number: i64, id: &MeterId) -> ReadingRecord {
    // Spread over the step, so that time passes as it does.
    let time = BEGIN_MS + round * STEP_MS + number * 7 % STEP_MS;
    // Every 22.5 steps a quarter of an hour begins; the nearest reading lies on it.
    let quarter = (time + STEP_MS / 2) / 900_000 * 900_000;
    let time = if (time - quarter).abs() <= STEP_MS / 2 { quarter } else { time };
    let watts = 200 + (number * 37 + round * 11) % 2_000;
    let energy = WattHours::from_centiwatthours(number * 1_000 + round * (100 + number % 900));
    let reading = Reading {
        time: UnixMillis(time),
        clock: ClockQuality::Synchronised,
        voltage: Volts::from_millivolts(230_000 + i32::try_from((number + round) % 5_000).unwrap()),
        active_power: Watts::from_deciwatts(i32::try_from(watts * 10).unwrap()),
        import: Register { raw: energy, integrated: energy },
        ..Reading::default()
    };
    let received = UnixMillis(BEGIN_MS + (round + 1) * STEP_MS + 200);
    ReadingRecord::new(id, StreamId(1), u64::try_from(round).unwrap() + 1, received, &reading)
}
