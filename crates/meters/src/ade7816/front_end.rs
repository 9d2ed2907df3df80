//! From counts to volts and amperes, and back.
//!
//! A full-scale input, 0.5 V peak, makes ±5,928,256 in the waveform and its peaks, and 4,191,910 in the rms registers (data sheets of the
//! ADE7816 and, for the rms, the ADE7878).

use core::f64::consts::SQRT_2;

use measure::{Amperes, Hertz, Volts};

/// Largest input of the chip, in V peak, at gain 1.
pub const INPUT_MAX: f64 = 0.5;
/// What that makes in a waveform.
pub const WAVEFORM_FULL_SCALE: i64 = 5_928_256;
/// What a sine of that peak makes in an rms register.
pub const RMS_FULL_SCALE: i64 = 4_191_910;
/// Counts a second of the period's counter.
const PERIOD_CLOCK: f64 = 256_000.0;

/// What is between the mains and the chip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrontEnd {
    /// Volts of the mains for each volt at the chip.
    pub divider: f64,
    /// Volts at the chip for each ampere.
    pub volts_per_ampere: f64,
}

impl FrontEnd {
    /// The one of the paper on six-channel prepaid metering: a divider of 1:500, and current transformers on 41 Ω that make 82 mV of an
    /// ampere. It clips at 176.8 V rms and at 4.31 A rms: mains of 230 V need a divider of 1:750 at least, larger loads a smaller burden.
    pub const PAPER: Self = Self { divider: 500.0, volts_per_ampere: 0.082 };

    /// Largest rms voltage that does not clip.
    pub fn volts_max(&self) -> f64 {
        INPUT_MAX / SQRT_2 * self.divider
    }

    /// Largest rms current that does not clip.
    pub fn amperes_max(&self) -> f64 {
        INPUT_MAX / SQRT_2 / self.volts_per_ampere
    }

    /// Rms voltage; `None` beyond what a reading can hold.
    pub fn voltage(&self, counts: i64) -> Option<Volts> {
        Volts::from_f64(share(counts, RMS_FULL_SCALE) * self.volts_max())
    }

    /// Rms current; `None` beyond what a reading can hold.
    pub fn current(&self, counts: i64) -> Option<Amperes> {
        Amperes::from_f64(share(counts, RMS_FULL_SCALE) * self.amperes_max())
    }

    /// A threshold of voltage, given as the rms of a sine, in counts of the waveform: no more than clips.
    pub fn voltage_level(&self, rms: f64) -> i64 {
        level(rms / self.volts_max())
    }

    /// A threshold of current, alike.
    pub fn current_level(&self, rms: f64) -> i64 {
        level(rms / self.amperes_max())
    }
}

/// Frequency from the register PERIOD; `None` beyond what a reading can hold.
pub fn frequency(period: i64) -> Option<Hertz> {
    // 16 bits: exact.
    Hertz::from_f64(PERIOD_CLOCK / (period.saturating_add(1) as f64))
}

/// Whether an rms register is at the end of its range, where the input clips.
pub const fn clips(counts: i64) -> bool {
    counts >= RMS_FULL_SCALE
}

fn share(counts: i64, full: i64) -> f64 {
    // 24 bits: exact.
    counts as f64 / full as f64
}

fn level(share: f64) -> i64 {
    let counts = share.clamp(0.0, 1.0) * WAVEFORM_FULL_SCALE as f64;
    // At most the full scale; NaN becomes 0.
    counts as i64
}
