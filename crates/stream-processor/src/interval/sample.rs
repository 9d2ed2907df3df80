//! What intervals need of a reading: its time, its registers, its measurements.

use contracts::ReadingRecord;
use measure::{ClockQuality, Flags, UnixMillis};

use super::rules::{REGISTER_MAX, Rules};

/// Voltage in mV, current in mA, active power in 0.1 W, power factor in 0.001, frequency in mHz.
pub(super) type Values = [i32; 5];

/// A reading, as far as intervals need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// When it was measured.
    pub time: UnixMillis,
    /// Import and export as the meter shows them, in 0.01 Wh.
    pub registers: [i64; 2],
    /// The filter's estimates; none of a meter that shows registers only.
    pub values: Option<Values>,
}

/// Why a reading is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Its time is an upper bound only: its register would stand at the wrong place.
    Clock,
    /// The edge filter rejected the sample, or saw it before.
    Untrusted,
    /// A register that can't be.
    Register,
}

impl Sample {
    /// Of a reading that can be used.
    pub fn new(reading: &ReadingRecord, rules: &Rules) -> Result<Self, Unfit> {
        if reading.clock == ClockQuality::Unknown {
            return Err(Unfit::Clock);
        }
        if reading.flags.intersects(Flags::REJECTED | Flags::REPLAY) {
            return Err(Unfit::Untrusted);
        }
        let registers = [reading.import_wh, reading.export_wh].map(|it| it.centiwatthours());
        let end = rules.modulus().unwrap_or(REGISTER_MAX);
        if registers.iter().any(|it| !(0..end).contains(it)) {
            return Err(Unfit::Register);
        }
        let values = [
            reading.voltage_v.millivolts(),
            reading.current_a.milliamperes(),
            reading.active_power_w.deciwatts(),
            reading.power_factor.thousandths().into(),
            reading.frequency_hz.millihertz(),
        ];
        let measured = !reading.flags.contains(Flags::REGISTERS_ONLY);
        Ok(Self { time: reading.time_ms, registers, values: measured.then_some(values) })
    }
}
