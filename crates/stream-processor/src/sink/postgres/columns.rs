//! Columns of the tables, and rows in the binary form of COPY.

use std::error::Error;
use std::ops::Range;
use std::pin::Pin;

use contracts::intervals::{IntervalLength, Quality};
use contracts::{IntervalRecord, ReadingRecord};
use measure::{ClockQuality, UnixMillis};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};

/// A table that is written by way of a staging table.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Where rows are copied to first.
    pub(super) staging: &'static str,
    /// Its columns with their types, in the order of the values.
    pub(super) columns: &'static [(&'static str, Type)],
    /// What is done about rows that are there already.
    pub(super) conflict: &'static str,
}

impl Table {
    pub(super) fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|(_, kind)| kind.clone()).collect()
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    }

    /// Makes the staging table, which lives as long as the session.
    pub(super) fn make_staging(&self) -> String {
        format!("create temporary table {} (like {}) on commit delete rows", self.staging, self.name)
    }

    pub(super) fn copy(&self) -> String {
        format!("copy {} ({}) from stdin binary", self.staging, self.names())
    }

    /// From the staging table into the table: new rows, and later revisions.
    pub(super) fn upsert(&self) -> String {
        let names = self.names();
        format!("insert into {} ({names}) select {names} from {} {}", self.name, self.staging, self.conflict)
    }
}

const F: Type = Type::FLOAT8;

/// The first reading of a meter's channel at a time stands. A second one is the same once more, told under other numbers after Kafka was
/// brought back from a backup.
pub(super) const READINGS: Table = Table {
    name: "readings",
    staging: "readings_staging",
    columns: &[
        ("meter", Type::TEXT),
        ("channel", Type::INT2),
        ("time", Type::TIMESTAMPTZ),
        ("clock", Type::TEXT),
        ("received", Type::TIMESTAMPTZ),
        ("stream", Type::TEXT),
        ("seq", Type::INT8),
        ("voltage_v", F),
        ("current_a", F),
        ("active_power_w", F),
        ("frequency_hz", F),
        ("power_factor", F),
        ("non_active_power_var", F),
        ("import_wh", F),
        ("import_integrated_wh", F),
        ("export_wh", F),
        ("export_integrated_wh", F),
        ("voltage_sd_v", F),
        ("current_sd_a", F),
        ("active_power_sd_w", F),
        ("frequency_sd_hz", F),
        ("nis", F),
        ("flags", Type::TEXT_ARRAY),
        ("raw_voltage_v", F),
        ("raw_current_a", F),
        ("raw_active_power_w", F),
        ("raw_frequency_hz", F),
        ("raw_power_factor", F),
    ],
    conflict: "on conflict (meter, channel, time) do nothing",
};

/// A later revision replaces the row.
pub(super) const INTERVALS: Table = Table {
    name: "intervals",
    staging: "intervals_staging",
    columns: &[
        ("meter", Type::TEXT),
        ("channel", Type::INT2),
        ("length", Type::TEXT),
        ("start", Type::TIMESTAMPTZ),
        ("end", Type::TIMESTAMPTZ),
        ("revision", Type::INT8),
        ("quality", Type::TEXT),
        ("checks", Type::TEXT_ARRAY),
        ("import_wh", F),
        ("export_wh", F),
        ("import_register_wh", F),
        ("export_register_wh", F),
        ("tariff_import_wh", Type::FLOAT8_ARRAY),
        ("readings", Type::INT8),
        ("covered_ms", Type::INT8),
        ("voltage_mean_v", F),
        ("voltage_min_v", F),
        ("voltage_max_v", F),
        ("current_mean_a", F),
        ("current_min_a", F),
        ("current_max_a", F),
        ("active_power_mean_w", F),
        ("active_power_min_w", F),
        ("active_power_max_w", F),
        ("power_factor_mean", F),
        ("power_factor_min", F),
        ("power_factor_max", F),
        ("frequency_mean_hz", F),
        ("frequency_min_hz", F),
        ("frequency_max_hz", F),
        ("block_demand_max_w", F),
        ("block_demand_max", Type::TIMESTAMPTZ),
        ("sliding_demand_max_w", F),
        ("sliding_demand_max", Type::TIMESTAMPTZ),
    ],
    conflict: "on conflict (meter, channel, length, start) do update set (\"end\", revision, quality, checks, import_wh, export_wh, \
               import_register_wh, export_register_wh, tariff_import_wh, readings, covered_ms, voltage_mean_v, voltage_min_v, \
               voltage_max_v, current_mean_a, current_min_a, current_max_a, active_power_mean_w, active_power_min_w, \
               active_power_max_w, power_factor_mean, power_factor_min, power_factor_max, frequency_mean_hz, frequency_min_hz, \
               frequency_max_hz, block_demand_max_w, block_demand_max, sliding_demand_max_w, sliding_demand_max) = \
               (excluded.\"end\", excluded.revision, excluded.quality, excluded.checks, excluded.import_wh, excluded.export_wh, \
               excluded.import_register_wh, excluded.export_register_wh, excluded.tariff_import_wh, excluded.readings, \
               excluded.covered_ms, excluded.voltage_mean_v, excluded.voltage_min_v, excluded.voltage_max_v, \
               excluded.current_mean_a, excluded.current_min_a, excluded.current_max_a, excluded.active_power_mean_w, \
               excluded.active_power_min_w, excluded.active_power_max_w, excluded.power_factor_mean, excluded.power_factor_min, \
               excluded.power_factor_max, excluded.frequency_mean_hz, excluded.frequency_min_hz, excluded.frequency_max_hz, \
               excluded.block_demand_max_w, excluded.block_demand_max, excluded.sliding_demand_max_w, excluded.sliding_demand_max) \
               where excluded.revision > intervals.revision",
};

/// A `timestamptz`: µs since 2000-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timestamp(i64);

/// What PostgreSQL takes: from 4714 BC to 294276 AD (`MIN_TIMESTAMP` and `END_TIMESTAMP` of its `datatype/timestamp.h`).
const TIMESTAMPS: Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
/// 2000-01-01 in Unix time.
const EPOCH_MS: i64 = 946_684_800_000;

impl Timestamp {
    pub(super) fn of(time: UnixMillis) -> Option<Self> {
        let micros = time.0.checked_sub(EPOCH_MS)?.checked_mul(1_000)?;
        TIMESTAMPS.contains(&micros).then_some(Self(micros))
    }

    /// Outside is an absent time that has no place; inside whether there is one at all.
    fn of_option(time: Option<UnixMillis>) -> Option<Option<Self>> {
        time.map_or(Some(None), |time| Self::of(time).map(Some))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql(&Type::INT8, out)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

/// A reading that has a place in the table.
#[derive(Clone, Debug)]
pub(super) struct ReadingRow {
    record: ReadingRecord,
    time: Timestamp,
    received: Timestamp,
    seq: i64,
}

impl ReadingRow {
    /// `None` if a time or number has no place.
    pub(super) fn of(record: ReadingRecord) -> Option<Self> {
        let (time, received) = (Timestamp::of(record.time_ms)?, Timestamp::of(record.received_ms)?);
        Some(Self { time, received, seq: i64::try_from(record.seq).ok()?, record })
    }

    pub(super) async fn write(&self, out: Pin<&mut BinaryCopyInWriter>) -> Result<(), tokio_postgres::Error> {
        let it = &self.record;
        let flags: Vec<&str> = it.flags.iter_names().map(|(name, _)| name).collect();
        out.write(&[
            &it.meter.as_str(),
            &i16::from(it.channel),
            &self.time,
            &clock(it.clock),
            &self.received,
            &it.stream.to_string(),
            &self.seq,
            &it.voltage_v.as_f64(),
            &it.current_a.as_f64(),
            &it.active_power_w.as_f64(),
            &it.frequency_hz.as_f64(),
            &it.power_factor.as_f64(),
            &it.non_active_power_var.as_f64(),
            &it.import_wh.as_f64(),
            &it.import_integrated_wh.as_f64(),
            &it.export_wh.as_f64(),
            &it.export_integrated_wh.as_f64(),
            &it.voltage_sd_v.as_f64(),
            &it.current_sd_a.as_f64(),
            &it.active_power_sd_w.as_f64(),
            &it.frequency_sd_hz.as_f64(),
            &it.nis.as_f64(),
            &flags,
            &it.raw_voltage_v.as_f64(),
            &it.raw_current_a.as_f64(),
            &it.raw_active_power_w.as_f64(),
            &it.raw_frequency_hz.as_f64(),
            &it.raw_power_factor.as_f64(),
        ])
        .await
    }
}

/// An interval that has a place in the table.
#[derive(Clone, Debug)]
pub(super) struct IntervalRow {
    pub(super) record: IntervalRecord,
    start: Timestamp,
    end: Timestamp,
    block_demand_max: Option<Timestamp>,
    sliding_demand_max: Option<Timestamp>,
}

impl IntervalRow {
    /// `None` if a time has no place.
    pub(super) fn of(record: IntervalRecord) -> Option<Self> {
        Some(Self {
            start: Timestamp::of(record.start_ms)?,
            end: Timestamp::of(record.end_ms)?,
            block_demand_max: Timestamp::of_option(record.block_demand_max_ms)?,
            sliding_demand_max: Timestamp::of_option(record.sliding_demand_max_ms)?,
            record,
        })
    }

    pub(super) async fn write(&self, out: Pin<&mut BinaryCopyInWriter>) -> Result<(), tokio_postgres::Error> {
        let it = &self.record;
        let checks: Vec<&str> = it.checks.iter_names().map(|(name, _)| name).collect();
        let tariffs: Vec<f64> = it.tariff_import_wh.iter().map(|it| it.as_f64()).collect();
        out.write(&[
            &it.meter.as_str(),
            &i16::from(it.channel),
            &length(it.length),
            &self.start,
            &self.end,
            &i64::from(it.revision),
            &quality(it.quality),
            &checks,
            &it.import_wh.as_f64(),
            &it.export_wh.as_f64(),
            &it.import_register_wh.map(|it| it.as_f64()),
            &it.export_register_wh.map(|it| it.as_f64()),
            &tariffs,
            &i64::from(it.readings),
            &i64::from(it.covered_ms),
            &it.voltage_mean_v.map(|it| it.as_f64()),
            &it.voltage_min_v.map(|it| it.as_f64()),
            &it.voltage_max_v.map(|it| it.as_f64()),
            &it.current_mean_a.map(|it| it.as_f64()),
            &it.current_min_a.map(|it| it.as_f64()),
            &it.current_max_a.map(|it| it.as_f64()),
            &it.active_power_mean_w.map(|it| it.as_f64()),
            &it.active_power_min_w.map(|it| it.as_f64()),
            &it.active_power_max_w.map(|it| it.as_f64()),
            &it.power_factor_mean.map(|it| it.as_f64()),
            &it.power_factor_min.map(|it| it.as_f64()),
            &it.power_factor_max.map(|it| it.as_f64()),
            &it.frequency_mean_hz.map(|it| it.as_f64()),
            &it.frequency_min_hz.map(|it| it.as_f64()),
            &it.frequency_max_hz.map(|it| it.as_f64()),
            &it.block_demand_max_w.map(|it| it.as_f64()),
            &self.block_demand_max,
            &it.sliding_demand_max_w.map(|it| it.as_f64()),
            &self.sliding_demand_max,
        ])
        .await
    }
}

const fn clock(quality: ClockQuality) -> &'static str {
    match quality {
        ClockQuality::Synchronised => "synchronised",
        ClockQuality::Holdover => "holdover",
        ClockQuality::Repaired => "repaired",
        ClockQuality::Unknown => "unknown",
    }
}

const fn length(length: IntervalLength) -> &'static str {
    match length {
        IntervalLength::Minute => "1min",
        IntervalLength::QuarterHour => "15min",
        IntervalLength::HalfHour => "30min",
        IntervalLength::Hour => "1h",
        IntervalLength::Day => "1d",
    }
}

const fn quality(quality: Quality) -> &'static str {
    match quality {
        Quality::Actual => "A",
        Quality::RegisterScaled => "R",
        Quality::Estimated => "E",
        Quality::Substituted => "S",
        Quality::Failed => "X",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_update_of_an_interval_names_all_that_is_no_key() {
        let (set, _) = INTERVALS.conflict.split_once(" = ").unwrap();
        let names = |text: &str| text.split(['(', ')', ',']).map(|it| it.trim().trim_matches('"').to_owned()).collect::<Vec<_>>();
        let updated = names(set.split_once("set ").unwrap().1);
        let updated: Vec<_> = updated.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
        let key = ["meter", "channel", "length", "start"];
        let expected: Vec<_> = INTERVALS.columns.iter().map(|(name, _)| *name).filter(|it| !key.contains(it)).collect();
        assert_eq!(updated, expected);
    }

    #[test]
    fn only_times_that_postgresql_knows_have_a_place() {
        assert_eq!(Timestamp::of(UnixMillis(EPOCH_MS + 1)), Some(Timestamp(1_000)));
        for outside in [i64::MIN, -212_759_000_000_000, 9_224_318_016_000_000, i64::MAX] {
            assert_eq!(Timestamp::of(UnixMillis(outside)), None, "{outside}");
        }
    }
}
