//! Gains of a channel against a reference instrument.
//!
//! A sensor that reads one percent high does so all its life, and no filter can see it. The gains are applied to what the filter is given;
//! what the meter gave stays in the record beside it, and its registers are left alone: a cumulative register must never jump.

use measure::{Amperes, EventKind, Raw, Volts, Watts};

/// One in a gain.
pub const ONE: u32 = 1_000_000;
/// Gains beyond this are no calibration: something is broken, or wired wrongly.
pub const GAINS: core::ops::RangeInclusive<u32> = 800_000..=1_250_000;

/// A calibration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    version: u16,
    date: u32,
    voltage: u32,
    current: u32,
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

impl Calibration {
    /// `date` as YYYYMMDD; gains in millionths: what is measured times the gain is what the reference instrument shows.
    ///
    /// # Errors
    /// See [`NoCalibration`].
    pub fn new(version: u16, date: u32, voltage: u32, current: u32) -> Result<Self, NoCalibration> {
        let (month, day) = (date.checked_div(100).unwrap_or(0) % 100, date % 100);
        if version == 0 {
            return Err(NoCalibration::Version);
        }
        if !(20_000_000..30_000_000).contains(&date) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(NoCalibration::Date(date));
        }
        for (name, gain) in [("voltage", voltage), ("current", current)] {
            if !GAINS.contains(&gain) {
                return Err(NoCalibration::Gain(name, gain));
            }
        }
        Ok(Self { version, date, voltage, current })
    }

    /// What the sensor would have shown without its error.
    pub fn apply(&self, raw: &Raw) -> Raw {
        Raw {
            voltage: Volts::from_millivolts(scaled(raw.voltage.millivolts(), self.voltage)),
            current: Amperes::from_milliamperes(scaled(raw.current.milliamperes(), self.current)),
            active_power: Watts::from_deciwatts(scaled(scaled(raw.active_power.deciwatts(), self.voltage), self.current)),
            ..*raw
        }
    }

    /// What is told of it at each start, in order: which, and its gains.
    pub fn events(&self) -> [(EventKind, i64); 3] {
        const DATES: i64 = 100_000_000;
        let which = i64::from(self.version).saturating_mul(DATES).saturating_add(self.date.into());
        [(EventKind::Calibrated, which), (EventKind::VoltageGain, self.voltage.into()), (EventKind::CurrentGain, self.current.into())]
    }
}

/// Rounded to the nearest.
fn scaled(count: i32, gain: u32) -> i32 {
    let product = i64::from(count).saturating_mul(gain.into());
    let half = if product < 0 { -500_000 } else { 500_000 };
    let scaled = product.saturating_add(half).checked_div(ONE.into()).unwrap_or(0);
    i32::try_from(scaled).unwrap_or(if scaled < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use measure::{Hertz, PowerFactor};

    use super::*;

    #[test]
    fn voltage_and_current_are_scaled_and_power_with_both() {
        let raw = Raw {
            voltage: Volts::from_millivolts(232_100),
            current: Amperes::from_milliamperes(4_310),
            active_power: Watts::from_deciwatts(-9_876),
            frequency: Hertz::from_millihertz(50_000),
            power_factor: PowerFactor::from_thousandths(987),
        };
        let calibration = Calibration::new(1, 20_261_201, 991_000, 1_020_000).expect("sound");
        let applied = calibration.apply(&raw);
        assert_eq!((applied.voltage.millivolts(), applied.current.milliamperes()), (230_011, 4_396));
        assert_eq!((applied.active_power.deciwatts(), applied.frequency, applied.power_factor), (-9_983, raw.frequency, raw.power_factor));
        let unity = Calibration::new(7, 20_261_201, ONE, ONE).expect("sound");
        assert_eq!(unity.apply(&raw), raw);
        let largest = Raw { voltage: Volts::from_millivolts(i32::MAX), ..raw };
        assert_eq!(Calibration::new(1, 20_261_201, 1_250_000, ONE).expect("sound").apply(&largest).voltage.millivolts(), i32::MAX);
    }

    #[test]
    fn what_is_told_names_version_date_and_gains() {
        let calibration = Calibration::new(12, 20_261_201, 991_000, 1_020_000).expect("sound");
        let told = [(EventKind::Calibrated, 1_220_261_201), (EventKind::VoltageGain, 991_000), (EventKind::CurrentGain, 1_020_000)];
        assert_eq!(calibration.events(), told);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Calibration::new(0, 20_261_201, ONE, ONE), Err(NoCalibration::Version));
        for date in [0, 20_261_301, 20_260_001, 20_261_200, 20_261_232, 99_991_201] {
            assert_eq!(Calibration::new(1, date, ONE, ONE), Err(NoCalibration::Date(date)));
        }
        assert_eq!(Calibration::new(1, 20_261_201, 799_999, ONE), Err(NoCalibration::Gain("voltage", 799_999)));
        assert_eq!(Calibration::new(1, 20_261_201, ONE, 1_250_001), Err(NoCalibration::Gain("current", 1_250_001)));
    }
}
