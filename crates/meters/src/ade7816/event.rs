//! What an interrupt means.
//!
//! The chip pulls IRQ1 low while a bit of STATUS1 is set that MASK1 lets through, and IRQ0 for STATUS0. Whoever owns the lines calls
//! [`super::Ade7816::events`] when one is low, which reads both and clears what it has seen.

/// Bits of STATUS1.
mod bit {
    pub const RESET_DONE: u32 = 1 << 15;
    pub const SAG: u32 = 1 << 16;
    pub const OVER_CURRENT: u32 = 1 << 17;
    pub const OVER_VOLTAGE: u32 = 1 << 18;
    pub const CURRENT_PEAK: u32 = 1 << 23;
    pub const VOLTAGE_PEAK: u32 = 1 << 24;
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// The chip was reset: it has forgotten its settings, and its energies begin at zero.
    pub reset: bool,
    /// The voltage's peaks stayed below the level for so many half cycles.
    pub sag: bool,
    /// A current was above its level. The three currents that are watched are A to C, or D to F, by COMPMODE.
    pub over_current: bool,
    /// The voltage was above its level.
    pub over_voltage: bool,
    /// A new peak of the currents stands in IPEAK.
    pub current_peak: bool,
    /// A new peak of the voltage stands in VPEAK.
    pub voltage_peak: bool,
}

impl Events {
    /// From the register. Bit 21 always reads as one and means nothing.
    pub const fn from_status1(status: u32) -> Self {
        Self {
            reset: status & bit::RESET_DONE != 0,
            sag: status & bit::SAG != 0,
            over_current: status & bit::OVER_CURRENT != 0,
            over_voltage: status & bit::OVER_VOLTAGE != 0,
            current_peak: status & bit::CURRENT_PEAK != 0,
            voltage_peak: status & bit::VOLTAGE_PEAK != 0,
        }
    }

    /// The bits of these, for MASK1 and for clearing.
    pub fn bits(self) -> u32 {
        let all = [
            (self.reset, bit::RESET_DONE),
            (self.sag, bit::SAG),
            (self.over_current, bit::OVER_CURRENT),
            (self.over_voltage, bit::OVER_VOLTAGE),
            (self.current_peak, bit::CURRENT_PEAK),
            (self.voltage_peak, bit::VOLTAGE_PEAK),
        ];
        all.into_iter().filter(|(happened, _)| *happened).fold(0, |bits, (_, bit)| bits | bit)
    }
}
