//! Promise: the day on which clocks go forward has 92 quarter hours and 23 hours, that on which they go back 100 and 25, and each part adds
//! up to its day, which is the difference of its registers; from readings in Kafka to intervals in Kafka.
#![expect(clippy::arithmetic_side_effects, reason = "test code: small numbers")]

use anyhow::Context;
use contracts::intervals::{IntervalLength, Quality};
use contracts::topics::{INTERVALS, READINGS};
use contracts::{IntervalRecord, ReadingRecord};
use measure::{ClockQuality, Reading, Register, StreamId, UnixMillis, WattHours};
use promises::child::{Child, Halt};
use promises::{PATIENCE, Stage};
use testkit::await_until;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Midnight in Berlin of a usual day, of that on which clocks go forward, and of that on which they go back; and their hours.
const DAYS: [(&str, i64, i64); 3] = [("usual", 1_774_652_400_000, 24), ("forward", 1_774_738_800_000, 23), ("back", 1_792_879_200_000, 25)];

#[tokio::test(flavor = "multi_thread")]
async fn clocks_go_forward_and_back() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    stage.intervals = true;
    let calendar = stage.dir().join("calendar.toml");
    std::fs::write(&calendar, "zone = \"Europe/Berlin\"\n")?;
    stage.keys.insert("intervals", format!("calendar_file = {:?}", calendar.display().to_string()));
    stage.create_topics().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    for (meter, start, hours) in DAYS {
        write(&stage, meter, start, hours).await?;
    }
    for (meter, start, hours) in DAYS {
        let intervals = await_until("the day is in Kafka", PATIENCE, async || {
            let of = all(&stage).await?.into_iter().filter(|it| it.meter.as_str() == meter).collect::<Vec<_>>();
            let is_there = of.iter().any(|it| it.length == IntervalLength::Day && it.start_ms.0 == start);
            Ok(is_there.then_some(of))
        });
        check(&intervals.await?, start, hours)?;
    }
    Ok(())
}

fn check(intervals: &[IntervalRecord], start: i64, hours: i64) -> anyhow::Result<()> {
    let end = start + hours * HOUR_MS;
    let days: Vec<_> = intervals.iter().filter(|it| it.length == IntervalLength::Day && it.start_ms.0 == start).collect();
    let [day] = days[..] else { panic!("{days:?}") };
    assert_eq!((day.end_ms.0, day.quality), (end, Quality::RegisterScaled));
    let register = |at: i64| {
        let minute = intervals.iter().find(|it| it.length == IntervalLength::Minute && it.end_ms.0 == at);
        minute.and_then(|it| it.import_register_wh).map(WattHours::centiwatthours).context("a register at midnight")
    };
    let difference = register(end)? - register(start)?;
    assert_eq!(day.import_wh.centiwatthours(), difference, "the day is the difference of its registers");
    for (length, count) in [
        (IntervalLength::QuarterHour, 4 * hours),
        (IntervalLength::HalfHour, 2 * hours),
        (IntervalLength::Hour, hours),
        (IntervalLength::Minute, 60 * hours),
    ] {
        let parts = intervals.iter().filter(|it| it.length == length && it.start_ms.0 >= start && it.end_ms.0 <= end);
        let parts: Vec<_> = parts.map(|it| it.import_wh.centiwatthours()).collect();
        assert_eq!((i64::try_from(parts.len()), parts.iter().sum()), (Ok(count), difference), "{length:?} of {hours} h");
    }
    Ok(())
}

/// A reading each minute at 17 seconds, with half an hour on either side, and a use that changes all the time.
async fn write(stage: &Stage, meter: &str, start: i64, hours: i64) -> anyhow::Result<()> {
    let mut energy = 5_000_i64;
    let row = |minute: i64| {
        energy += minute * 37 % 101;
        let raw = WattHours::from_centiwatthours(100 * energy);
        let time = UnixMillis(start - 30 * MINUTE_MS + minute * MINUTE_MS + 17_000);
        let reading = Reading { time, clock: ClockQuality::Synchronised, import: Register { raw, integrated: raw }, ..Reading::default() };
        let received = time.saturating_add(200);
        let record = ReadingRecord::new(&meter.parse()?, StreamId(1), u64::try_from(minute)? + 1, received, &reading);
        Ok((meter.to_owned(), serde_json::to_vec(&record)?))
    };
    stage.write(&READINGS, (0..=(hours + 1) * 60).map(row).collect::<anyhow::Result<_>>()?).await
}

async fn all(stage: &Stage) -> anyhow::Result<Vec<IntervalRecord>> {
    let rows = stage.topic(&INTERVALS).await?;
    Ok(rows.iter().map(|row| serde_json::from_slice(row.value.as_deref().unwrap_or_default())).collect::<Result<_, _>>()?)
}
