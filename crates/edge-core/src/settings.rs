//! What commands have set, as long as nothing newer does: it holds over restarts, and goes before the configuration.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use estimator::Sample;
use measure::Channel as Number;

use crate::channel::Channel;

/// Heartbeats that may be set, in ms: from a second to a day.
pub(crate) const HEARTBEAT_MS: RangeInclusive<u32> = 1_000..=86_400_000;
/// The largest correction of a sensor, in millionths: a fifth. What is further off is broken, not out of calibration.
const GAIN_PPM_MAX: u32 = 200_000;
/// First byte of the note.
const NOTE_VERSION: u8 = 1;
/// Channels whose gains are kept.
const GAINS_MAX: usize = 32;

/// Corrections of a channel's sensors, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gain {
    voltage_ppm: i32,
    current_ppm: i32,
}

impl Gain {
    /// None if it is too large to be one.
    pub fn new(voltage_ppm: i32, current_ppm: i32) -> Option<Self> {
        let sane = voltage_ppm.unsigned_abs() <= GAIN_PPM_MAX && current_ppm.unsigned_abs() <= GAIN_PPM_MAX;
        sane.then_some(Self { voltage_ppm, current_ppm })
    }

    /// What the filter is given; the power has both errors, the frequency and the register neither.
    pub fn correct(self, sample: Sample<f64>) -> Sample<f64> {
        let factor = |ppm: i32| 1.0 + f64::from(ppm) / 1_000_000.0;
        let (voltage, current) = (factor(self.voltage_ppm), factor(self.current_ppm));
        Sample {
            voltage: sample.voltage * voltage,
            current: sample.current * current,
            active_power: sample.active_power * voltage * current,
            ..sample
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub heartbeat_ms: Option<u32>,
    gains: Vec<(Number, Gain)>,
}

impl Settings {
    /// Replaces a channel's gain.
    pub fn set_gain(&mut self, channel: Number, gain: Gain) {
        self.gains.retain(|(number, _)| *number != channel);
        if self.gains.len() < GAINS_MAX {
            self.gains.push((channel, gain));
        }
    }

    /// Makes channels follow.
    pub fn apply(&self, channels: &mut [Channel]) {
        for channel in channels.iter_mut() {
            channel.set(self.heartbeat_ms, Gain::default());
        }
        for (number, gain) in &self.gains {
            if let Some(channel) = channels.get_mut(usize::from(*number)) {
                channel.set(self.heartbeat_ms, *gain);
            }
        }
    }

    pub fn to_note(&self) -> Vec<u8> {
        let mut note = Vec::from([NOTE_VERSION]);
        note.extend(self.heartbeat_ms.unwrap_or(0).to_le_bytes());
        for (number, gain) in &self.gains {
            note.push(*number);
            note.extend(gain.voltage_ppm.to_le_bytes());
            note.extend(gain.current_ppm.to_le_bytes());
        }
        note
    }

    /// What makes no sense sets nothing.
    pub fn from_note(note: &[u8]) -> Self {
        let mut settings = Self::default();
        let Some(([NOTE_VERSION, heartbeat @ ..], gains)) = note.split_first_chunk::<5>() else { return settings };
        settings.heartbeat_ms = Some(u32::from_le_bytes(*heartbeat)).filter(|ms| HEARTBEAT_MS.contains(ms));
        for [number, v0, v1, v2, v3, i0, i1, i2, i3] in gains.as_chunks::<9>().0 {
            let (voltage_ppm, current_ppm) = (i32::from_le_bytes([*v0, *v1, *v2, *v3]), i32::from_le_bytes([*i0, *i1, *i2, *i3]));
            if let Some(gain) = Gain::new(voltage_ppm, current_ppm) {
                settings.set_gain(*number, gain);
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leads_back_and_nonsense_sets_nothing() {
        let mut settings = Settings { heartbeat_ms: Some(10_000), ..Settings::default() };
        settings.set_gain(0, Gain::new(-9_000, 12).unwrap());
        settings.set_gain(5, Gain::new(1, -1).unwrap());
        settings.set_gain(0, Gain::new(-8_900, 12).unwrap());
        assert_eq!(settings.gains.len(), 2);
        assert_eq!(Settings::from_note(&settings.to_note()), settings);
        for nonsense in [&[][..], &[2, 0, 0, 0, 0], &[1, 0, 0], &[1, 255, 255, 255, 255]] {
            assert_eq!(Settings::from_note(nonsense), Settings::default());
        }
        assert_eq!(Gain::new(200_001, 0), None);
    }

    #[test]
    fn a_gain_scales_power_by_both() {
        let sample = Sample { voltage: 230.0, current: 10.0, active_power: 2_300.0, frequency: 50.0, power_factor: 1.0, energy_wh: 7 };
        let corrected = Gain::new(-10_000, 20_000).unwrap().correct(sample);
        assert!((corrected.voltage - 227.7).abs() < 1e-9 && (corrected.current - 10.2).abs() < 1e-9);
        assert!((corrected.active_power - 2_322.54).abs() < 1e-9);
        assert_eq!((corrected.frequency, corrected.energy_wh), (50.0, 7));
    }
}
