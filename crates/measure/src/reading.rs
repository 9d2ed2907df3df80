//! One reading of one channel: what the meter measured and what the filter makes of it.

use crate::{
    Account, Amperes, Channel, ClockQuality, Deviation, Hertz, MeterId, NormalisedInnovation, PowerFactor, UnixMillis, Vars, Volts,
    WattHours, Watts,
};

/// Estimates, their uncertainty, and the raw measurement they come from.
///
/// Meters that show nothing but registers have none of these: see [`Flags::REGISTERS_ONLY`] and [`Reading::of_registers`].
/// The natural key is (meter, channel, time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reading {
    /// When the sample was taken.
    pub time: UnixMillis,
    /// How far `time` can be trusted.
    pub clock: ClockQuality,
    /// Channel of the meter.
    pub channel: Channel,
    /// Filtered rms voltage at the meter.
    pub voltage: Volts,
    /// Filtered rms current.
    pub current: Amperes,
    /// Filtered active power.
    pub active_power: Watts,
    /// Filtered frequency.
    pub frequency: Hertz,
    /// Power factor of the estimates.
    pub power_factor: PowerFactor,
    /// Non-active power of the estimates.
    pub non_active_power: Vars,
    /// Cumulative imported energy.
    pub import: Register,
    /// Cumulative exported energy.
    pub export: Register,
    /// Standard deviations of the estimates, sensor gain error excluded.
    pub deviation: Deviations,
    /// Normalised innovation squared of (V, I, P); three degrees of freedom.
    pub nis: NormalisedInnovation,
    /// What the filter and the meter have to say about this sample.
    pub flags: Flags,
    /// The measurement as the meter gave it.
    pub raw: Raw,
}

impl Reading {
    /// The reading of a meter that shows its registers only.
    pub fn of_registers(time: UnixMillis, clock: ClockQuality, channel: Channel, import: WattHours, export: WattHours) -> Self {
        let register = |raw| Register { raw, integrated: raw };
        let (import, export) = (register(import), register(export));
        Self { time, clock, channel, import, export, flags: Flags::REGISTERS_ONLY, ..Self::default() }
    }

    /// The account that it is of.
    pub fn account(&self, meter: &MeterId) -> Account {
        Account::new(meter, self.channel)
    }

    /// Whether voltage, current and power were measured at all.
    pub const fn is_measured(&self) -> bool {
        !self.flags.contains(Flags::REGISTERS_ONLY)
    }
}

/// A cumulative energy register, twice: as the meter shows it and as the filter integrates it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Register {
    /// As the meter shows it.
    pub raw: WattHours,
    /// Integrated by the filter and anchored to the meter's ticks.
    pub integrated: WattHours,
}

/// Standard deviations of the estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deviations {
    /// In V.
    pub voltage: Deviation,
    /// In A.
    pub current: Deviation,
    /// In W.
    pub active_power: Deviation,
    /// In Hz.
    pub frequency: Deviation,
}

/// A measurement as the meter gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Raw {
    /// Rms voltage.
    pub voltage: Volts,
    /// Rms current.
    pub current: Amperes,
    /// Active power.
    pub active_power: Watts,
    /// Frequency.
    pub frequency: Hertz,
    /// Power factor.
    pub power_factor: PowerFactor,
}

bitflags::bitflags! {
    /// Verdicts of the filter and its monitors, states of the meter, and reasons for sending.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u32 {
        /// A load was switched.
        const STEP = 1 << 0;
        /// The supply voltage jumped.
        const VOLTAGE_SHIFT = 1 << 1;
        /// The voltage was judged bad data.
        const BAD_VOLTAGE = 1 << 2;
        /// The current was judged bad data.
        const BAD_CURRENT = 1 << 3;
        /// The active power was judged bad data.
        const BAD_POWER = 1 << 4;
        /// The frequency was judged bad data.
        const BAD_FREQUENCY = 1 << 5;
        /// The whole sample was rejected.
        const REJECTED = 1 << 6;
        /// The meter had not refreshed its registers.
        const DUPLICATE = 1 << 7;
        /// The power factor contradicts P/(V I).
        const POWER_FACTOR = 1 << 8;
        /// The registers have not moved for a long time.
        const STUCK = 1 << 9;
        /// The filter started anew.
        const RESTARTED = 1 << 10;
        /// The integrated energy was anchored anew to the register.
        const REGISTER_ANCHORED = 1 << 11;
        /// The meter's own alarm is on.
        const METER_ALARM = 1 << 12;
        /// Register snapshot at the start of a quarter hour (UTC).
        const SNAPSHOT = 1 << 13;
        /// Sent because the heartbeat interval had passed.
        const HEARTBEAT = 1 << 14;
        /// These frames were measured before: the meter, or somebody in its place, repeats a stretch of the past.
        const REPLAY = 1 << 15;
        /// The sensor is noisier than it used to be.
        const NOISE = 1 << 16;
        /// The service loop's resistance seems to have risen: the voltage drops as before, but the measured current is too small for it.
        const LOOP_RESISTANCE = 1 << 17;
        /// The meter showed its energy registers only: no filter ran, and everything but registers, time and channel is absent and
        /// stands as 0.
        const REGISTERS_ONLY = 1 << 18;
        /// Sent because a command asked for it.
        const REQUESTED = 1 << 19;
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Flags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter_names().map(|(name, _)| name))
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Flags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = <heapless::Vec<heapless::String<24>, 32> as serde::Deserialize>::deserialize(deserializer)?;
        names.iter().try_fold(Self::empty(), |flags, name| {
            let flag = Self::from_name(name).ok_or_else(|| <D::Error as serde::de::Error>::custom("unknown flag"))?;
            Ok(flags | flag)
        })
    }
}
