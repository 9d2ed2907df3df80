//! `meter.readings.v1`: each accepted reading, once.

use measure::{
    Account, Amperes, Channel, ClockQuality, Deviation, Flags, Hertz, MeterId, NormalisedInnovation, PowerFactor, Raw, Reading, Register,
    Seq, StreamId, UnixMillis, Vars, Volts, WattHours, Watts,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A reading of one channel of a meter: the filter's estimates with their standard deviations, and the measurement they come from.
///
/// The key of the Kafka record is the meter. (meter, channel, time_ms) is the natural key; (stream, seq) is the transport's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Reading")]
pub struct ReadingRecord {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel of the meter, from 0.
    pub channel: Channel,
    /// The channel's account: `<meter>.<channel>`. Absent in records that are older than accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// When the sample was taken: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub time_ms: UnixMillis,
    /// How far `time_ms` can be trusted: `synchronised`, `holdover`, `repaired` (computed afterwards) or `unknown` (an upper bound).
    #[schemars(with = "crate::contract::Clock")]
    pub clock: ClockQuality,
    /// When the head-end received it: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub received_ms: UnixMillis,
    /// The run of numbered records that it belongs to: 16 hexadecimal digits.
    #[schemars(with = "String")]
    pub stream: StreamId,
    /// Its number in the stream, from 1 without gaps.
    pub seq: Seq,
    /// Filtered rms voltage at the meter, in V.
    #[schemars(with = "f64")]
    pub voltage_v: Volts,
    /// Filtered rms current, in A.
    #[schemars(with = "f64")]
    pub current_a: Amperes,
    /// Filtered active power, in W; positive is import.
    #[schemars(with = "f64")]
    pub active_power_w: Watts,
    /// Filtered frequency, in Hz.
    #[schemars(with = "f64")]
    pub frequency_hz: Hertz,
    /// Power factor of the estimates.
    #[schemars(with = "f64")]
    pub power_factor: PowerFactor,
    /// Non-active power of the estimates, in var.
    #[schemars(with = "f64")]
    pub non_active_power_var: Vars,
    /// Imported energy as the meter's register shows it, in Wh.
    #[schemars(with = "f64")]
    pub import_wh: WattHours,
    /// Imported energy as the filter integrates it, anchored to the register, in Wh.
    #[schemars(with = "f64")]
    pub import_integrated_wh: WattHours,
    /// Exported energy as the meter's register shows it, in Wh.
    #[schemars(with = "f64")]
    pub export_wh: WattHours,
    /// Exported energy as the filter integrates it, in Wh.
    #[schemars(with = "f64")]
    pub export_integrated_wh: WattHours,
    /// Standard deviation of `voltage_v`, gain error excluded.
    #[schemars(with = "f64")]
    pub voltage_sd_v: Deviation,
    /// Standard deviation of `current_a`, gain error excluded.
    #[schemars(with = "f64")]
    pub current_sd_a: Deviation,
    /// Standard deviation of `active_power_w`, gain error excluded.
    #[schemars(with = "f64")]
    pub active_power_sd_w: Deviation,
    /// Standard deviation of `frequency_hz`, gain error excluded.
    #[schemars(with = "f64")]
    pub frequency_sd_hz: Deviation,
    /// Normalised innovation squared of voltage, current and active power; three degrees of freedom.
    #[schemars(with = "f64")]
    pub nis: NormalisedInnovation,
    /// Verdicts of the filter and reasons for sending, by name. With `REGISTERS_ONLY` the meter showed its energy registers and nothing
    /// else: every measurement and estimate that is no register is absent, and stands as 0.
    #[schemars(with = "Vec<String>")]
    pub flags: Flags,
    /// Rms voltage as the meter gave it, in V.
    #[schemars(with = "f64")]
    pub raw_voltage_v: Volts,
    /// Rms current as the meter gave it, in A.
    #[schemars(with = "f64")]
    pub raw_current_a: Amperes,
    /// Active power as the meter gave it, in W.
    #[schemars(with = "f64")]
    pub raw_active_power_w: Watts,
    /// Frequency as the meter gave it, in Hz.
    #[schemars(with = "f64")]
    pub raw_frequency_hz: Hertz,
    /// Power factor as the meter gave it.
    #[schemars(with = "f64")]
    pub raw_power_factor: PowerFactor,
}

/// Where a reading belongs: what a [`ReadingRecord`] says of it besides the reading.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The meter.
    pub meter: &'a MeterId,
    /// The run of numbered records.
    pub stream: StreamId,
    /// The number in it.
    pub seq: Seq,
    /// When the head-end received it.
    pub received: UnixMillis,
}

impl ReadingRecord {
    /// The record of `reading`, received at `received` as number `seq` of `stream`.
    pub fn new(meter: &MeterId, stream: StreamId, seq: Seq, received: UnixMillis, reading: &Reading) -> Self {
        Self {
            meter: meter.clone(),
            channel: reading.channel,
            account: Some(reading.account(meter)),
            time_ms: reading.time,
            clock: reading.clock,
            received_ms: received,
            stream,
            seq,
            voltage_v: reading.voltage,
            current_a: reading.current,
            active_power_w: reading.active_power,
            frequency_hz: reading.frequency,
            power_factor: reading.power_factor,
            non_active_power_var: reading.non_active_power,
            import_wh: reading.import.raw,
            import_integrated_wh: reading.import.integrated,
            export_wh: reading.export.raw,
            export_integrated_wh: reading.export.integrated,
            voltage_sd_v: reading.deviation.voltage,
            current_sd_a: reading.deviation.current,
            active_power_sd_w: reading.deviation.active_power,
            frequency_sd_hz: reading.deviation.frequency,
            nis: reading.nis,
            flags: reading.flags,
            raw_voltage_v: reading.raw.voltage,
            raw_current_a: reading.raw.current,
            raw_active_power_w: reading.raw.active_power,
            raw_frequency_hz: reading.raw.frequency,
            raw_power_factor: reading.raw.power_factor,
        }
    }

    /// Appends its JSON to `out`: the bytes that `serde_json` writes, several times faster, and the account in any case.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let place = Place { meter: &self.meter, stream: self.stream, seq: self.seq, received: self.received_ms };
        Self::write_json_of(place, &self.reading(), out);
    }

    /// Appends the JSON of the record of `reading` at `place` to `out`, without making the record.
    pub fn write_json_of(place: Place<'_>, reading: &Reading, out: &mut Vec<u8>) {
        crate::fast_json::write(place, reading, out);
    }

    /// The reading as the meter made it.
    pub fn reading(&self) -> Reading {
        Reading {
            time: self.time_ms,
            clock: self.clock,
            channel: self.channel,
            voltage: self.voltage_v,
            current: self.current_a,
            active_power: self.active_power_w,
            frequency: self.frequency_hz,
            power_factor: self.power_factor,
            non_active_power: self.non_active_power_var,
            import: Register { raw: self.import_wh, integrated: self.import_integrated_wh },
            export: Register { raw: self.export_wh, integrated: self.export_integrated_wh },
            deviation: measure::Deviations {
                voltage: self.voltage_sd_v,
                current: self.current_sd_a,
                active_power: self.active_power_sd_w,
                frequency: self.frequency_sd_hz,
            },
            nis: self.nis,
            flags: self.flags,
            raw: Raw {
                voltage: self.raw_voltage_v,
                current: self.raw_current_a,
                active_power: self.raw_active_power_w,
                frequency: self.raw_frequency_hz,
                power_factor: self.raw_power_factor,
            },
        }
    }
}
