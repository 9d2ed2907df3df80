//! `live/{meter}` and `live/{meter}/{channel}` on MQTT: the last reading of a channel for operators, retained, at most one a second.

use measure::{
    Account, Amperes, Channel, ClockQuality, Deviation, Flags, Hertz, MeterId, NormalisedInnovation, PowerFactor, Seq, StreamId,
    UnixMillis, Vars, Volts, WattHours, Watts,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ReadingRecord;

/// What a channel of a meter shows now. Published after the reading is committed in Kafka; never older than the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Live")]
pub struct LiveValue {
    /// The meter: `[A-Za-z0-9][A-Za-z0-9_-]{0,31}`.
    #[schemars(with = "String")]
    pub meter: MeterId,
    /// Channel of the meter, from 0.
    pub channel: Channel,
    /// The channel's account: `<meter>.<channel>`. Absent in values that are older than accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<Account>,
    /// When the sample was taken: milliseconds since 1970-01-01 UTC.
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
    /// Imported energy as the filter integrates it, in Wh.
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
}

impl From<&ReadingRecord> for LiveValue {
    fn from(it: &ReadingRecord) -> Self {
        Self {
            meter: it.meter.clone(),
            channel: it.channel,
            account: it.account.clone(),
            time_ms: it.time_ms,
            clock: it.clock,
            received_ms: it.received_ms,
            stream: it.stream,
            seq: it.seq,
            voltage_v: it.voltage_v,
            current_a: it.current_a,
            active_power_w: it.active_power_w,
            frequency_hz: it.frequency_hz,
            power_factor: it.power_factor,
            non_active_power_var: it.non_active_power_var,
            import_wh: it.import_wh,
            import_integrated_wh: it.import_integrated_wh,
            export_wh: it.export_wh,
            export_integrated_wh: it.export_integrated_wh,
            voltage_sd_v: it.voltage_sd_v,
            current_sd_a: it.current_sd_a,
            active_power_sd_w: it.active_power_sd_w,
            frequency_sd_hz: it.frequency_sd_hz,
            nis: it.nis,
            flags: it.flags,
        }
    }
}
