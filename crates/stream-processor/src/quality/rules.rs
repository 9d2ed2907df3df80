//! What is too much, too little, too long.
//!
//! Limits of voltage and frequency are those of EN 50160 for low voltage; delays are what meters that measure once a second can tell.

use contracts::quality::QualityKind;
use serde::Deserialize;

use super::excursion::{Limit, Side};
use super::week::Band;

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Nominal voltage between phase and neutral, in V: 100 to 500.
    pub nominal_voltage_v: f64,
    /// Nominal frequency, in Hz: 50 or 60.
    pub nominal_frequency_hz: f64,
    /// A meter that was not heard for so long is silent, in ms: 2,000 to 86,400,000. Three heartbeats.
    pub silence_ms: i64,
    /// Readings further apart have a gap between them, in which nothing is known, in ms: 1,000 to 3,600,000.
    pub gap_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { nominal_voltage_v: 230.0, nominal_frequency_hz: 50.0, silence_ms: 180_000, gap_ms: 180_000 }
    }
}

/// Why settings can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} is {value}: {possible} are possible")]
pub struct RulesError {
    /// Which.
    pub key: &'static str,
    /// What it is.
    pub value: String,
    /// What it may be.
    pub possible: &'static str,
}

/// Settings that were checked, and the limits that follow from them. Voltages in mV, frequencies in mHz, powers in 0.1 W.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub(super) silence_ms: i64,
    pub(super) gap_ms: i64,
    pub(super) nominal_mv: i64,
    /// Where the registers begin again at zero, in 0.01 Wh.
    pub(super) register_modulus: Option<i64>,
    pub(super) voltage: [(QualityKind, Option<QualityKind>, Limit); 5],
    pub(super) frequency: [(QualityKind, Limit); 2],
    pub(super) band: Band,
}

/// Power out of the house: 20 W or more, for 10 s.
pub(super) const REVERSE: Limit = Limit { threshold: -200, hysteresis: 100, side: Side::Below, on_ms: 10_000, off_ms: 10_000 };
/// Current without voltage (1) for 10 s.
pub(super) const NEUTRAL: Limit = Limit { threshold: 0, hysteresis: -1, side: Side::Above, on_ms: 10_000, off_ms: 10_000 };
/// Current without voltage: more than 0.2 A at less than 60 V.
pub(super) const NEUTRAL_CURRENT_MA: i64 = 200;
pub(super) const NEUTRAL_VOLTAGE_MV: i64 = 60_000;

impl Rules {
    /// Checks settings. `register_modulus_wh` is where energy registers begin again at zero, if they do.
    pub fn new(settings: &Settings, register_modulus_wh: Option<i64>) -> Result<Self, RulesError> {
        let refuse = |key, value: String, possible| Err(RulesError { key, value, possible });
        let Settings { nominal_voltage_v: volts, nominal_frequency_hz: hertz, silence_ms, gap_ms } = *settings;
        if !(100.0..=500.0).contains(&volts) {
            return refuse("nominal_voltage_v", volts.to_string(), "100 to 500");
        }
        if ![50.0, 60.0].contains(&hertz) {
            return refuse("nominal_frequency_hz", hertz.to_string(), "50 and 60");
        }
        if !(2_000..=86_400_000).contains(&silence_ms) {
            return refuse("silence_ms", silence_ms.to_string(), "2000 to 86400000");
        }
        if !(1_000..=3_600_000).contains(&gap_ms) {
            return refuse("gap_ms", gap_ms.to_string(), "1000 to 3600000");
        }
        let nominal_mv = (volts * 1_000.0) as i64;
        let nominal_mhz = (hertz * 1_000.0) as i64;
        let percent = |percent: i64| nominal_mv * percent / 100;
        let voltage = |at: i64, side, on_ms| Limit { threshold: percent(at), hysteresis: percent(2), side, on_ms, off_ms: 3_000 };
        let frequency = |per_cent: i64, side| {
            let (threshold, hysteresis) = (nominal_mhz * per_cent / 100, nominal_mhz / 1_000);
            Limit { threshold, hysteresis, side, on_ms: 10_000, off_ms: 10_000 }
        };
        Ok(Self {
            silence_ms,
            gap_ms,
            nominal_mv,
            register_modulus: register_modulus_wh.map(|it| it.saturating_mul(100)),
            voltage: [
                (QualityKind::UnderVoltage, Some(QualityKind::Dip), voltage(90, Side::Below, 3_000)),
                (QualityKind::OverVoltage, Some(QualityKind::Swell), voltage(110, Side::Above, 3_000)),
                (QualityKind::UnderVoltageSevere, None, voltage(85, Side::Below, 1_000)),
                (QualityKind::OverVoltageSevere, None, voltage(115, Side::Above, 1_000)),
                (QualityKind::Interruption, None, voltage(5, Side::Below, 1_000)),
            ],
            frequency: [(QualityKind::FrequencyLow, frequency(99, Side::Below)), (QualityKind::FrequencyHigh, frequency(101, Side::Above))],
            band: Band { low: percent(90), high: percent(110), never: percent(85) },
        })
    }

    /// Power beyond what a contract allows, in W, for a minute.
    pub(super) fn overload(contract_power_w: f64) -> Limit {
        let threshold = (contract_power_w * 10.0) as i64;
        Limit { threshold, hysteresis: threshold / 20, side: Side::Above, on_ms: 60_000, off_ms: 60_000 }
    }
}
