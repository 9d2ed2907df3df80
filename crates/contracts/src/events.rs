//! `meter.events.v1`: events, gaps, hellos and outcomes of commands of meters, and what the head-end derives of their readings.

use measure::{
    Account, ActionKind, Channel, ClockQuality, Event, EventKind, Gap, GapReason, Hello, MeterId, Outcome, Record, Seq, StreamId, Text,
    UnixMillis, Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quality::{QualityRecord, VoltageWeekRecord};

/// What a meter has to say besides readings, and what the head-end derives of these; `record` says which it is. The key of the Kafka record is
/// the meter. New values of `record` may come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "record", rename_all = "snake_case", rename = "Event")]
pub enum EventRecord {
    /// Something happened at the meter.
    Event(HappenedRecord),
    /// Records are missing for good.
    Gap(GapRecord),
    /// A stream begins: who speaks.
    Hello(HelloRecord),
    /// What became of a command.
    Outcome(OutcomeRecord),
    /// A quantity was beyond a limit, or the meter was silent.
    PowerQuality(QualityRecord),
    /// A week of the voltage.
    VoltageWeek(VoltageWeekRecord),
}

/// Something happened at the meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HappenedRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel of the meter, from 0.
    pub channel: Channel,
    /// The channel's account: `<meter>.<channel>`. Absent where it is about the meter as a whole, and in records that are older than
    /// accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// When: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub time_ms: UnixMillis,
    /// How far `time_ms` can be trusted.
    #[schemars(with = "crate::contract::Clock")]
    pub clock: ClockQuality,
    /// When the head-end received it: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub received_ms: UnixMillis,
    /// The run of numbered records that it belongs to: 16 hexadecimal digits.
    #[schemars(with = "String")]
    pub stream: StreamId,
    /// Its number in the stream.
    pub seq: Seq,
    /// What: `started`, `device_silent`, `register_decreased` … New kinds may come.
    #[schemars(with = "String")]
    pub kind: EventKind,
    /// The number that goes with the kind, in the unit that the kind's description names; 0 where it names none.
    pub value: i64,
}

/// Records that are missing for good: a loss is always visible.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GapRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Time of the first missing record: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub from_ms: UnixMillis,
    /// Time of the last missing record: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub to_ms: UnixMillis,
    /// How many records are missing; with `ledger_restored` how many may come twice.
    pub count: u64,
    /// Why: `journal_full`, `journal_damaged`, `ledger_restored`. New reasons may come.
    #[schemars(with = "String")]
    pub reason: GapReason,
    /// When the head-end received it: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub received_ms: UnixMillis,
    /// The run of numbered records that it belongs to: 16 hexadecimal digits.
    #[schemars(with = "String")]
    pub stream: StreamId,
    /// Its number in the stream.
    pub seq: Seq,
}

/// The first record of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HelloRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// When the stream was opened: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub time_ms: UnixMillis,
    /// How far `time_ms` can be trusted.
    #[schemars(with = "crate::contract::Clock")]
    pub clock: ClockQuality,
    /// Kind of device, for example `pzem-004t`.
    #[schemars(with = "String")]
    pub device: Text,
    /// Version of the agent or firmware.
    #[schemars(with = "String")]
    pub software: Text,
    /// Start of the hash of the configuration in force: 16 hexadecimal digits.
    #[schemars(with = "String")]
    pub configuration: StreamId,
    /// How often this meter's service has started.
    pub starts: u64,
    /// When the head-end received it: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub received_ms: UnixMillis,
    /// The run of numbered records that begins: 16 hexadecimal digits.
    #[schemars(with = "String")]
    pub stream: StreamId,
    /// Its number in the stream: 1.
    pub seq: Seq,
}

/// What became of a command: one of these for each command that its meter could believe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel that the command names, from 0; 0 where it names none.
    pub channel: Channel,
    /// The channel's account: `<meter>.<channel>`. Absent where the command names no channel, or may have named all, and in records
    /// that are older than accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// When it was carried out or refused: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub time_ms: UnixMillis,
    /// How far `time_ms` can be trusted.
    #[schemars(with = "crate::contract::Clock")]
    pub clock: ClockQuality,
    /// The command's number, as in `meter.commands.v1`.
    pub number: u64,
    /// What it asked for: `read`, `top_up`, `relay`, `limit`, `report_interval`, `calibration`. New actions may come.
    #[schemars(with = "String")]
    pub action: ActionKind,
    /// `done`, or why not: `expired`, `reordered`, `not_equipped`, `out_of_range`, `no_data`, `interlocked`. New ones may come.
    #[schemars(with = "String")]
    pub verdict: Verdict,
    /// After a top-up the channel's credit, in 0.001 Wh or thousandths of the currency, as the channel counts; else 0.
    pub value: i64,
    /// When the head-end received it: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub received_ms: UnixMillis,
    /// The run of numbered records that it belongs to: 16 hexadecimal digits.
    #[schemars(with = "String")]
    pub stream: StreamId,
    /// Its number in the stream.
    pub seq: Seq,
}

impl EventRecord {
    /// The record, received at `received` as number `seq` of `stream`; `None` for a reading, which belongs elsewhere.
    pub fn new(id: &MeterId, stream: StreamId, seq: Seq, received: UnixMillis, record: &Record) -> Option<Self> {
        let meter = id.clone();
        Some(match record {
            Record::Reading(_) => return None,
            Record::Event(it @ Event { time, clock, channel, kind, value }) => Self::Event(HappenedRecord {
                meter,
                channel: *channel,
                account: it.account(id),
                time_ms: *time,
                clock: *clock,
                received_ms: received,
                stream,
                seq,
                kind: *kind,
                value: *value,
            }),
            Record::Gap(Gap { from, to, count, reason }) => Self::Gap(GapRecord {
                meter,
                from_ms: *from,
                to_ms: *to,
                count: *count,
                reason: *reason,
                received_ms: received,
                stream,
                seq,
            }),
            Record::Hello(Hello { time, clock, device, software, configuration, starts }) => Self::Hello(HelloRecord {
                meter,
                time_ms: *time,
                clock: *clock,
                device: device.clone(),
                software: software.clone(),
                configuration: StreamId(*configuration),
                starts: *starts,
                received_ms: received,
                stream,
                seq,
            }),
            Record::Outcome(it @ Outcome { time, clock, channel, number, action, verdict, value }) => Self::Outcome(OutcomeRecord {
                meter,
                channel: *channel,
                account: it.account(id),
                time_ms: *time,
                clock: *clock,
                number: *number,
                action: *action,
                verdict: *verdict,
                value: *value,
                received_ms: received,
                stream,
                seq,
            }),
        })
    }

    /// Where it belongs: meter, stream and number; none of what the meter did not say itself.
    pub const fn place(&self) -> Option<(&MeterId, StreamId, Seq)> {
        match self {
            Self::Event(it) => Some((&it.meter, it.stream, it.seq)),
            Self::Gap(it) => Some((&it.meter, it.stream, it.seq)),
            Self::Hello(it) => Some((&it.meter, it.stream, it.seq)),
            Self::Outcome(it) => Some((&it.meter, it.stream, it.seq)),
            Self::PowerQuality(_) | Self::VoltageWeek(_) => None,
        }
    }
}
