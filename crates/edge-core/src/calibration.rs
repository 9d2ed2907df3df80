//! Gains of a channel against a reference instrument.
//!
//! A sensor that reads one percent high does so all its life, and no filter can see it. The gains are applied to what the filter is given;
//! what the meter gave stays in the record beside it, and its registers are left alone: a cumulative register must never jump.

use estimator::Sample;
use measure::EventKind;

/// One in a gain.
pub const ONE: u32 = 1_000_000;
/// Gains beyond this are no calibration: something is broken, or wired wrongly.
pub const GAINS: core::ops::RangeInclusive<u32> = 800_000..=1_250_000;

/// What is measured times its gain is what a reference instrument shows. In millionths, within [`GAINS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gains {
    voltage: u32,
    current: u32,
}

/// A calibration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    version: u16,
    date: u32,
    gains: Gains,
}

/// Not a calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCalibration {
    /// Versions count from 1.
    #[error("version is 0: count from 1")]
    Version,
    /// Not a day as YYYYMMDD.
    #[error("date {0} is no day: write it as YYYYMMDD")]
    Date(u32),
    /// A gain that no calibration has.
    #[error("gain of the {0} is {1} millionths: use 800000 to 1250000, and look for what is broken beyond that")]
    Gain(&'static str, u32),
}

impl Default for Gains {
    fn default() -> Self {
        Self { voltage: ONE, current: ONE }
    }
}

impl Gains {
    /// In millionths.
    ///
    /// # Errors
    /// [`NoCalibration::Gain`].
    pub fn new(voltage: u32, current: u32) -> Result<Self, NoCalibration> {
        for (name, gain) in [("voltage", voltage), ("current", current)] {
            if !GAINS.contains(&gain) {
                return Err(NoCalibration::Gain(name, gain));
            }
        }
        Ok(Self { voltage, current })
    }

    /// From how far they are from one, in millionths; none beyond [`GAINS`].
    pub fn from_corrections(voltage: i32, current: i32) -> Option<Self> {
        Self::new(ONE.checked_add_signed(voltage)?, ONE.checked_add_signed(current)?).ok()
    }

    /// How far voltage and current are from one, in millionths.
    pub const fn corrections(self) -> [i32; 2] {
        [self.voltage.wrapping_sub(ONE).cast_signed(), self.current.wrapping_sub(ONE).cast_signed()]
    }

    /// What the sensor would have shown without its error: the power has both, the frequency and the register neither.
    pub fn correct(self, sample: Sample<f64>) -> Sample<f64> {
        let factor = |gain: u32| f64::from(gain) / f64::from(ONE);
        let (voltage, current) = (factor(self.voltage), factor(self.current));
        Sample {
            voltage: sample.voltage * voltage,
            current: sample.current * current,
            active_power: sample.active_power * voltage * current,
            ..sample
        }
    }
}

impl Calibration {
    /// `date` as YYYYMMDD.
    ///
    /// # Errors
    /// See [`NoCalibration`].
    pub fn new(version: u16, date: u32, gains: Gains) -> Result<Self, NoCalibration> {
        let (month, day) = (date.checked_div(100).unwrap_or(0) % 100, date % 100);
        if version == 0 {
            return Err(NoCalibration::Version);
        }
        if !(20_000_000..30_000_000).contains(&date) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(NoCalibration::Date(date));
        }
        Ok(Self { version, date, gains })
    }

    /// Its gains.
    pub const fn gains(&self) -> Gains {
        self.gains
    }

    /// What is told of it at each start, in order: which, and its gains.
    pub fn events(&self) -> [(EventKind, i64); 3] {
        const DATES: i64 = 100_000_000;
        let which = i64::from(self.version).saturating_mul(DATES).saturating_add(self.date.into());
        let Gains { voltage, current } = self.gains;
        [(EventKind::Calibrated, which), (EventKind::VoltageGain, voltage.into()), (EventKind::CurrentGain, current.into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voltage_and_current_are_scaled_and_power_with_both() {
        let sample = Sample { voltage: 230.0, current: 10.0, active_power: 2_300.0, frequency: 50.0, power_factor: 1.0, energy_wh: 7 };
        let corrected = Gains::new(990_000, 1_020_000).unwrap().correct(sample);
        assert!((corrected.voltage - 227.7).abs() < 1e-9 && (corrected.current - 10.2).abs() < 1e-9);
        assert!((corrected.active_power - 2_322.54).abs() < 1e-9);
        assert_eq!((corrected.frequency, corrected.power_factor, corrected.energy_wh), (50.0, 1.0, 7));
        assert_eq!(Gains::default().correct(sample), sample);
    }

    #[test]
    fn corrections_lead_back_and_have_bounds() {
        let gains = Gains::from_corrections(-9_000, 12).unwrap();
        assert_eq!((gains, gains.corrections()), (Gains::new(991_000, 1_000_012).unwrap(), [-9_000, 12]));
        for (voltage, current) in [(-200_001, 0), (0, 250_001), (i32::MIN, 0), (0, i32::MAX)] {
            assert_eq!(Gains::from_corrections(voltage, current), None);
        }
    }

    #[test]
    fn what_is_told_names_version_date_and_gains() {
        let calibration = Calibration::new(12, 20_261_201, Gains::new(991_000, 1_020_000).unwrap()).unwrap();
        let told = [(EventKind::Calibrated, 1_220_261_201), (EventKind::VoltageGain, 991_000), (EventKind::CurrentGain, 1_020_000)];
        assert_eq!(calibration.events(), told);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Calibration::new(0, 20_261_201, Gains::default()), Err(NoCalibration::Version));
        for date in [0, 20_261_301, 20_260_001, 20_261_200, 20_261_232, 99_991_201] {
            assert_eq!(Calibration::new(1, date, Gains::default()), Err(NoCalibration::Date(date)));
        }
        assert_eq!(Gains::new(799_999, ONE), Err(NoCalibration::Gain("voltage", 799_999)));
        assert_eq!(Gains::new(ONE, 1_250_001), Err(NoCalibration::Gain("current", 1_250_001)));
    }
}
