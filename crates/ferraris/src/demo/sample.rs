//! What a simulated sensor answers, as an agent takes it.

use edge_agent::Observation;
use edge_core::{NoData, Sample};
use fleet::sensor::SensedSample;
use measure::{Amperes, Hertz, PowerFactor, Raw, Volts, WattHours, Watts};

/// An observation of now. A number that no meter shows makes it none.
pub fn observation(sensed: &SensedSample) -> Observation {
    Observation { at: std::time::Instant::now(), channel: 0, result: sample(sensed).ok_or(NoData::Damaged) }
}

fn sample(sensed: &SensedSample) -> Option<Sample> {
    let raw = Raw {
        voltage: Volts::from_f64(sensed.voltage)?,
        current: Amperes::from_f64(sensed.current)?,
        active_power: Watts::from_f64(sensed.active_power)?,
        frequency: Hertz::from_f64(sensed.frequency)?,
        power_factor: PowerFactor::from_f64(sensed.power_factor)?,
    };
    let import = WattHours::from_centiwatthours(i64::try_from(sensed.energy_wh).ok()?.checked_mul(WattHours::PER_UNIT.into())?);
    Some(Sample { raw, import, export: WattHours::default(), alarm: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value() {
        let sensed =
            SensedSample { voltage: 230.1, current: 1.234, active_power: 280.5, frequency: 50.0, power_factor: 0.99, energy_wh: 1_234_567 };
        let sample = sample(&sensed).unwrap();
        assert_eq!((sample.raw.voltage.millivolts(), sample.raw.active_power.deciwatts()), (230_100, 2_805));
        assert_eq!(sample.import.as_f64(), 1_234_567.0);
        assert!(observation(&SensedSample { voltage: f64::NAN, ..sensed }).result.is_err());
    }
}
