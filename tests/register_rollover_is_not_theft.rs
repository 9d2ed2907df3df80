//! Promise: a register that passes its highest value and begins again at zero loses no energy and accuses nobody; one that falls otherwise is
//! a sign. From readings to intervals, to the signs that readings bear, and to the comparison with the meter at the pole.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use contracts::feeders::FeederEventKind;
use contracts::intervals::{Checks, IntervalLength, Quality};
use contracts::{FeederIntervalRecord, IntervalRecord, ReadingRecord};
use fleet::feeder;
use measure::{Amperes, ClockQuality, FeederId, Raw, Reading, Register, StreamId, UnixMillis, Volts, WattHours};
use stream_processor::analytics::partition::{Output as Analysed, Partition};
use stream_processor::balance::topology::Feeder;
use stream_processor::derive::{Mark, Transform};
use stream_processor::interval::{self, Aggregator, Calendar, Rules, Settings};
use stream_processor::metrics::Metrics;
use stream_processor::quality::{self, Output, Watch};

const MODULUS_WH: i64 = 10_000_000;
const MINUTE_MS: i64 = 60_000;
/// 2026-11-30 00:00 UTC.
const BEGIN_MS: i64 = 1_795_996_800_000;

/// Two days with a reading a minute and 10 Wh a minute, of a register that begins at `first` Wh.
fn readings(meter: &str, first: i64, register: impl Fn(i64) -> i64) -> anyhow::Result<Vec<ReadingRecord>> {
    let reading = |minute: i64| {
        let raw = WattHours::from_centiwatthours(100 * register(first + minute * 10));
        let time = UnixMillis(BEGIN_MS + minute * MINUTE_MS);
        let (voltage, current) = (Volts::from_millivolts(230_000), Amperes::from_milliamperes(2_609));
        let reading = Reading {
            time,
            clock: ClockQuality::Synchronised,
            voltage,
            current,
            import: Register { raw, integrated: raw },
            raw: Raw { voltage, current, ..Raw::default() },
            ..Reading::default()
        };
        Ok(ReadingRecord::new(&meter.parse()?, StreamId(1), u64::try_from(minute)? + 1, time.saturating_add(200), &reading))
    };
    (0..=(2 * 24 + 3) * 60).map(reading).collect()
}

fn intervals(readings: &[ReadingRecord]) -> anyhow::Result<Vec<IntervalRecord>> {
    let settings = Settings { register_modulus_wh: Some(MODULUS_WH), ..Settings::default() };
    let mut aggregator = Aggregator::new(Rules::new(settings, Calendar::default())?, Mark::BEGINNING.into());
    let mut out = Vec::new();
    readings.iter().zip(0..).for_each(|(reading, offset)| Transform::take(&mut aggregator, offset, reading, &mut out));
    Ok(out.into_iter().filter_map(interval::Output::interval).collect())
}

fn signs(readings: &[ReadingRecord]) -> anyhow::Result<Vec<FeederEventKind>> {
    let rules = quality::Rules::new(&quality::Settings::default(), Some(MODULUS_WH))?;
    let (mut watch, mut out) = (Watch::new(rules.into(), None, Metrics::new()), Vec::new());
    readings.iter().zip(0..).for_each(|(reading, offset)| watch.take(offset, reading, &mut out));
    Ok(out.into_iter().filter_map(|it| if let Output::Sign(sign) = it { Some(sign.kind) } else { None }).collect())
}

#[test]
fn the_energy_is_whole_and_nobody_is_accused() -> anyhow::Result<()> {
    let house = readings("F1-H01", 9_993_000, |wh| wh % MODULUS_WH)?;
    let line = readings("S1", 100, |wh| wh)?;
    let of_house = intervals(&house)?;
    let day = of_house.iter().find(|it| it.length == IntervalLength::Day && it.start_ms.0 == BEGIN_MS).expect("a day");
    assert_eq!((day.import_wh.as_f64(), day.quality, day.checks), (14_400.0, Quality::Actual, Checks::ROLLOVER));
    let quarters: Vec<_> = of_house.iter().filter(|it| it.length == IntervalLength::QuarterHour).collect();
    assert!(quarters.len() > 190 && quarters.iter().all(|it| it.import_wh.as_f64() == 150.0 && it.quality == Quality::Actual));
    assert_eq!(signs(&house)?, []);

    let id: FeederId = "F1".parse()?;
    let mut record = feeder::topology(&id)?;
    record.houses.truncate(1);
    (record.houses[0].line_side, record.houses[0].loop_ohm) = (Some("S1".parse()?), Some(0.3));
    let (mut partition, mut out) = (Partition::new(7_200_000, 60_000, Metrics::new()), Vec::new());
    partition.topology(0, UnixMillis(0), &id, Some(Feeder::of(record)?), &mut out);
    let mut all: Vec<IntervalRecord> = of_house.into_iter().chain(intervals(&line)?).collect();
    all.retain(|it| it.length == IntervalLength::QuarterHour);
    all.sort_by_key(|it| it.start_ms);
    for (interval, offset) in all.into_iter().zip(0..) {
        partition.interval(offset, UnixMillis(0), &FeederIntervalRecord { feeder: id.clone(), interval }, &mut out);
    }
    let alerts: Vec<_> = out.iter().filter(|it| matches!(it, Analysed::Alert(_))).collect();
    assert!(alerts.is_empty(), "{alerts:?}");
    Ok(())
}

#[test]
fn a_register_that_falls_otherwise_is_a_sign() -> anyhow::Result<()> {
    // Turned back by 3 kWh in the middle of the first day.
    let turned_back = readings("F1-H01", 5_000_000, |wh| if wh > 5_007_200 { wh - 3_000 } else { wh })?;
    assert_eq!(signs(&turned_back)?, [FeederEventKind::RegisterDecreased]);
    let day = intervals(&turned_back)?.into_iter().find(|it| it.length == IntervalLength::Day).expect("a day");
    assert!(day.checks.contains(Checks::EXCHANGE) && day.quality == Quality::Failed, "{day:?}");
    Ok(())
}
