//! `meter.events.v1`: events, gaps and hellos.

use measure::{Channel, ClockQuality, Event, EventKind, Gap, GapReason, Hello, MeterId, Record, Seq, StreamId, Text, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a meter has to say besides readings; `record` says which of the three it is. The key of the Kafka record is the meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "record", rename_all = "snake_case", rename = "Event")]
pub enum EventRecord {
    /// Something happened at the meter.
    Event(HappenedRecord),
    /// Records are missing for good.
    Gap(GapRecord),
    /// A stream begins: who speaks.
    Hello(HelloRecord),
}

/// Something happened at the meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HappenedRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel of the meter, from 0.
    pub channel: Channel,
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

impl EventRecord {
    /// The record, received at `received` as number `seq` of `stream`; `None` for a reading, which belongs elsewhere.
    pub fn new(meter: &MeterId, stream: StreamId, seq: Seq, received: UnixMillis, record: &Record) -> Option<Self> {
        let meter = meter.clone();
        Some(match record {
            Record::Reading(_) => return None,
            Record::Event(Event { time, clock, channel, kind, value }) => Self::Event(HappenedRecord {
                meter,
                channel: *channel,
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
        })
    }

    /// Where it belongs: meter, stream and number.
    pub const fn place(&self) -> (&MeterId, StreamId, Seq) {
        match self {
            Self::Event(it) => (&it.meter, it.stream, it.seq),
            Self::Gap(it) => (&it.meter, it.stream, it.seq),
            Self::Hello(it) => (&it.meter, it.stream, it.seq),
        }
    }
}
