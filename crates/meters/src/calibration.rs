//! Calibration of a six-channel energy front end (ADE7816): gains and phase from what a reference says and what the registers read.
//!
//! Pure arithmetic, as the paper on six-channel prepaid metering has it (its equations 12 to 19). Every result is cut off towards zero, and
//! the reading that is expected is rounded to a whole number first, for the paper's figures come out so. The paper prints
//! reference readings of 300,000 for channels B, C and F beside a result that takes the other numbers of its table: that column is a
//! misprint.

use core::f64::consts::PI;

/// One in a gain register: gain = 1 + register / 2^23.
const ONE: f64 = 8_388_608.0;
/// Samples a second in the phase filter.
const SAMPLES: f64 = 8_000.0;
/// Seconds in an hour.
const HOUR: f64 = 3_600.0;
/// A 24-bit register holds gains from -1 to just below 1.
const GAIN: core::ops::RangeInclusive<f64> = -8_388_608.0..=8_388_607.0;

/// The readings make no gain that a register can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCalibration {
    /// A reading, load or time that is zero, negative or no number.
    #[error("{0} has to be more than zero")]
    NotPositive(&'static str),
    /// The channel is too far from its reference for its register.
    #[error("the gain is beyond -1 to 1: is the load the right one, and the sensor connected?")]
    Range,
}

/// Gain of a current channel: 2^23 (reference / reading - 1), equation 12. Readings in counts.
///
/// The voltage's gain is computed alike, from the reference instrument's voltage and the reading.
///
/// # Errors
/// See [`NoCalibration`].
pub fn gain(reference: f64, reading: f64) -> Result<i32, NoCalibration> {
    positive("the reference", reference)?;
    positive("the reading", reading)?;
    register(ONE * (reference / reading - 1.0))
}

/// What one count of an energy register stands for, in Wh: load (W) times time (s) over reading times 3600, equation 17.
///
/// # Errors
/// See [`NoCalibration`].
pub fn watt_hours_per_count(load: f64, seconds: f64, reading: f64) -> Result<f64, NoCalibration> {
    positive("the load", load)?;
    positive("the time", seconds)?;
    positive("the reading", reading)?;
    Ok(load * seconds / (reading * HOUR))
}

/// The energy reading that a load makes in a time, in counts of `per_count` Wh, rounded to a whole number: equation 19.
///
/// # Errors
/// See [`NoCalibration`].
pub fn expected_energy(load: f64, seconds: f64, per_count: f64) -> Result<f64, NoCalibration> {
    positive("the load", load)?;
    positive("the time", seconds)?;
    positive("the energy of a count", per_count)?;
    let counts = load * seconds / (per_count * HOUR);
    // Half up: counts are positive.
    let rounded = floor(counts + 0.5).ok_or(NoCalibration::Range)?;
    if rounded > 0.0 { Ok(rounded) } else { Err(NoCalibration::Range) }
}

/// Phase error of a channel in radians, from its active and reactive energy at a load angle in radians: equation 13.
///
/// # Errors
/// Both energies are zero, or one is no number.
pub fn phase_error(active: f64, reactive: f64, angle: f64) -> Result<f64, NoCalibration> {
    if !(active.is_finite() && reactive.is_finite() && angle.is_finite()) || active == 0.0 && reactive == 0.0 {
        return Err(NoCalibration::NotPositive("the energy"));
    }
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    Ok(libm::atan((active * sin - reactive * cos) / (reactive * sin + active * cos)))
}

/// Coefficient of the phase filter for an error in radians at a mains frequency in Hz: equations 14 to 16, as the 28 bits that the register
/// holds.
///
/// For negative fractions the paper's equation 16 leaves the register; this is two's complement in its width, 2^28 + 2^23 fraction.
///
/// # Errors
/// The fraction does not fit, or the frequency is none.
pub fn phase_coefficient(error: f64, frequency: f64) -> Result<u32, NoCalibration> {
    positive("the frequency", frequency)?;
    let step = 2.0 * PI * frequency / SAMPLES;
    let fraction = (libm::sin(error + 3.0 * step) - libm::sin(step)) / libm::sin(error + 4.0 * step);
    Ok(register(ONE * fraction)?.cast_unsigned() & 0x0fff_ffff)
}

fn positive(what: &'static str, value: f64) -> Result<(), NoCalibration> {
    if value > 0.0 && value.is_finite() { Ok(()) } else { Err(NoCalibration::NotPositive(what)) }
}

fn floor(value: f64) -> Option<f64> {
    value.is_finite().then(|| libm::floor(value))
}

fn register(value: f64) -> Result<i32, NoCalibration> {
    // In range, so the cut is exact; NaN is in no range.
    if GAIN.contains(&value) { Ok(value as i32) } else { Err(NoCalibration::Range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_gain_is_refused() {
        for (reference, reading) in [(0.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (1.0, -1.0), (f64::INFINITY, 1.0)] {
            assert!(matches!(gain(reference, reading), Err(NoCalibration::NotPositive(_))));
        }
        assert_eq!(gain(2.0, 1.0), Err(NoCalibration::Range));
        assert_eq!(gain(1.0, 1e300), Ok(-8_388_608));
        assert!(phase_error(0.0, 0.0, 1.0).is_err());
        assert_eq!(phase_coefficient(0.0, 0.0), Err(NoCalibration::NotPositive("the frequency")));
    }

    #[test]
    fn a_leading_channel_gets_a_negative_coefficient_in_the_width_of_the_register() {
        let coefficient = phase_coefficient(-0.1, 50.0).expect("fits");
        assert!(coefficient >> 27 == 1, "sign bit of 28: {coefficient:#x}");
    }

    #[test]
    fn no_error_at_a_load_without_angle_is_no_error() {
        assert_eq!(phase_error(1_000.0, 0.0, 0.0), Ok(0.0));
        let tilted = phase_error(1_000.0 * libm::cos(0.61), 1_000.0 * libm::sin(0.61), 0.6).expect("energies");
        assert!((tilted + 0.01).abs() < 1e-12, "{tilted}");
    }
}
