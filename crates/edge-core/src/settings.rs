//! What commands have set, as long as nothing newer does: it holds over restarts, and goes before the configuration.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use measure::Channel as Number;

use crate::calibration::Gains;
use crate::channel::Channel;

/// Heartbeats that may be set, in ms: from a second to a day.
pub(crate) const HEARTBEAT_MS: RangeInclusive<u32> = 1_000..=86_400_000;
/// First byte of the note.
const NOTE_VERSION: u8 = 1;
/// Channels whose gains are kept.
const GAINS_MAX: usize = 32;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub heartbeat_ms: Option<u32>,
    gains: Vec<(Number, Gains)>,
}

impl Settings {
    /// Replaces a channel's gains.
    pub fn set_gains(&mut self, channel: Number, gains: Gains) {
        self.gains.retain(|(number, _)| *number != channel);
        if self.gains.len() < GAINS_MAX {
            self.gains.push((channel, gains));
        }
    }

    /// Makes channels follow.
    pub fn apply(&self, channels: &mut [Channel]) {
        for channel in channels.iter_mut() {
            channel.set(self.heartbeat_ms, Gains::default());
        }
        for (number, gains) in &self.gains {
            if let Some(channel) = channels.get_mut(usize::from(*number)) {
                channel.set(self.heartbeat_ms, *gains);
            }
        }
    }

    pub fn to_note(&self) -> Vec<u8> {
        let mut note = Vec::from([NOTE_VERSION]);
        note.extend(self.heartbeat_ms.unwrap_or(0).to_le_bytes());
        for (number, gains) in &self.gains {
            note.push(*number);
            note.extend(gains.corrections().map(i32::to_le_bytes).as_flattened());
        }
        note
    }

    /// What makes no sense sets nothing.
    pub fn from_note(note: &[u8]) -> Self {
        let mut settings = Self::default();
        let Some(([NOTE_VERSION, heartbeat @ ..], gains)) = note.split_first_chunk::<5>() else { return settings };
        settings.heartbeat_ms = Some(u32::from_le_bytes(*heartbeat)).filter(|ms| HEARTBEAT_MS.contains(ms));
        for [number, v0, v1, v2, v3, i0, i1, i2, i3] in gains.as_chunks::<9>().0 {
            let (voltage, current) = (i32::from_le_bytes([*v0, *v1, *v2, *v3]), i32::from_le_bytes([*i0, *i1, *i2, *i3]));
            if let Some(gains) = Gains::from_corrections(voltage, current) {
                settings.set_gains(*number, gains);
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
        settings.set_gains(0, Gains::from_corrections(-9_000, 12).unwrap());
        settings.set_gains(5, Gains::from_corrections(1, -1).unwrap());
        settings.set_gains(0, Gains::from_corrections(-8_900, 12).unwrap());
        assert_eq!(settings.gains.len(), 2);
        assert_eq!(Settings::from_note(&settings.to_note()), settings);
        for nonsense in [&[][..], &[2, 0, 0, 0, 0], &[1, 0, 0], &[1, 255, 255, 255, 255]] {
            assert_eq!(Settings::from_note(nonsense), Settings::default());
        }
    }
}
