//! What a meter has to say besides readings.

use crate::{Account, Channel, ClockQuality, MeterId, UnixMillis};

/// Short text about a device: printable ASCII, up to 32 characters.
pub type Text = heapless::String<32>;

/// Something happened, now or over a time that it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// When.
    pub time: UnixMillis,
    /// How far `time` can be trusted.
    pub clock: ClockQuality,
    /// Where.
    pub channel: Channel,
    /// What.
    pub kind: EventKind,
    /// The number that goes with the kind, in the unit that the kind names; 0 where it names none.
    pub value: i64,
}

impl Event {
    /// The account that it is about; none where it is about the meter as a whole.
    pub fn account(&self, meter: &MeterId) -> Option<Account> {
        self.kind.is_of_channel().then(|| Account::new(meter, self.channel))
    }
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal $(urgent $urgent:literal)?,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number on the wire; never reused.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// From the number on the wire.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// For people and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether it goes ahead of everything that waits.
            pub const fn is_urgent(self) -> bool {
                match self { $(Self::$name => false $(|| $urgent)?,)* }
            }
        }
    };
}

event_kinds! {
    /// The meter's service started; the value counts its starts.
    Started = 1 "started",
    /// The device does not answer any more.
    DeviceSilent = 2 "device_silent" urgent true,
    /// The device answers again; the value is the time it did not, in ms.
    DeviceBack = 3 "device_back" urgent true,
    /// The registers have not moved for a long time; the value counts equal samples.
    Stuck = 4 "stuck" urgent true,
    /// The cumulative register went back; the value is the difference in 0.01 Wh.
    RegisterDecreased = 5 "register_decreased" urgent true,
    /// The power factor contradicts P/(V I): a register was corrupted or tampered with.
    PowerFactorMismatch = 6 "power_factor_mismatch" urgent true,
    /// The clock was set; the value is the jump in ms.
    ClockSet = 7 "clock_set",
    /// The journal was damaged and salvaged; the value counts rows that were lost.
    JournalSalvaged = 8 "journal_salvaged" urgent true,
    /// The supply is failing: last gasp.
    SupplyFailing = 9 "supply_failing" urgent true,
    /// The meter's own power alarm went on (1) or off (0).
    PowerAlarm = 10 "power_alarm" urgent true,
    /// Frames came that were measured before; the value counts the frames in between.
    Replay = 11 "replay" urgent true,
    /// The sensor is noisier than it used to be; the value is its standard deviation relative to what that was, in thousandths.
    Noise = 12 "noise",
    /// Currents of switched loads are too small for the voltage that they cost: a shunted sensor, a bypass, or a bad contact. The value is
    /// the apparent resistance of the service loop in 0.001 ohm.
    LoopResistance = 13 "loop_resistance" urgent true,
    /// A command was refused that cannot be answered by its number; the value is the code of the verdict ([`Verdict`](crate::Verdict)).
    CommandRefused = 14 "command_refused",
    /// Prepaid credit is low.
    CreditLow = 15 "credit_low" urgent true,
    /// Credit is used up: the channel is cut off when the grace has passed; the value is the grace in ms.
    DisconnectWarning = 16 "disconnect_warning" urgent true,
    /// The channel takes more than its limit, and is cut off if it goes on; the value is its power in 0.1 W.
    LimitExceeded = 17 "limit_exceeded" urgent true,
    /// The channel's relay opened; the value says why, one bit each: 1 supplier, 2 consumer, 4 limit, 8 credit.
    Disconnected = 18 "disconnected" urgent true,
    /// The channel's relay closed.
    Reconnected = 19 "reconnected" urgent true,
    /// The meter is too hot (its temperature in 0.1 degrees Celsius), or no longer (0).
    OverTemperature = 20 "over_temperature" urgent true,
    /// The meter's battery is low (what is left, in percent), or no longer (-1).
    BatteryLow = 21 "battery_low" urgent true,
    /// The meter started without knowing the time.
    ClockUnknown = 22 "clock_unknown",
    /// A top-up code was refused; the value says why: 1 not a code, 2 wrong, 3 used, 4 too soon after wrong ones.
    CodeRefused = 23 "code_refused",
    /// A top-up code was accepted; the value is the credit afterwards, in 0.001 Wh or thousandths of the currency.
    CodeAccepted = 24 "code_accepted" urgent true,
    /// Readings are calibrated from here on; the value is the calibration's version, times 10^8, plus its date as YYYYMMDD.
    Calibrated = 32 "calibrated",
    /// What the calibration multiplies voltages with, and powers; the value is in millionths.
    VoltageGain = 33 "voltage_gain",
    /// What the calibration multiplies currents with, and powers; the value is in millionths.
    CurrentGain = 34 "current_gain",
}

impl EventKind {
    /// Whether it is about one channel, and not about the meter as a whole.
    pub const fn is_of_channel(self) -> bool {
        match self {
            Self::Started
            | Self::ClockSet
            | Self::JournalSalvaged
            | Self::SupplyFailing
            | Self::CommandRefused
            | Self::OverTemperature
            | Self::BatteryLow
            | Self::ClockUnknown => false,
            Self::DeviceSilent
            | Self::DeviceBack
            | Self::Stuck
            | Self::RegisterDecreased
            | Self::PowerFactorMismatch
            | Self::PowerAlarm
            | Self::Replay
            | Self::Noise
            | Self::LoopResistance
            | Self::CreditLow
            | Self::DisconnectWarning
            | Self::LimitExceeded
            | Self::Disconnected
            | Self::Reconnected
            | Self::CodeRefused
            | Self::CodeAccepted
            | Self::Calibrated
            | Self::VoltageGain
            | Self::CurrentGain => true,
        }
    }
}

/// Records that are missing for good: a loss is always visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gap {
    /// Time of the first missing record.
    pub from: UnixMillis,
    /// Time of the last missing record.
    pub to: UnixMillis,
    /// How many records are missing.
    pub count: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum GapReason {
    /// The journal was full.
    JournalFull,
    /// Rows of the journal were damaged.
    JournalDamaged,
    /// The head-end's ledger was put back; records may come twice, `count` is how many were numbered anew.
    LedgerRestored,
}

impl GapReason {
    /// The number on the wire; never reused.
    pub const fn code(self) -> u8 {
        match self {
            Self::JournalFull => 1,
            Self::JournalDamaged => 2,
            Self::LedgerRestored => 3,
        }
    }

    /// From the number on the wire.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::JournalFull),
            2 => Some(Self::JournalDamaged),
            3 => Some(Self::LedgerRestored),
            _ => None,
        }
    }
}

/// Record 1 of every stream: who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hello {
    /// When the stream was opened.
    pub time: UnixMillis,
    /// How far `time` can be trusted.
    pub clock: ClockQuality,
    /// Kind of device, for example `pzem-004t`.
    pub device: Text,
    /// Version of the agent or firmware.
    pub software: Text,
    /// First eight bytes of the hash of the configuration in force.
    pub configuration: u64,
    /// How often this meter's service has started.
    pub starts: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_lead_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(EventKind::from_code(0), None);
        assert!(!EventKind::Started.is_urgent());
        assert!(EventKind::SupplyFailing.is_urgent());
    }

    #[test]
    fn what_is_about_the_meter_is_nobodys_account() {
        let meter: MeterId = "M1".parse().unwrap();
        let event = |kind| Event { time: UnixMillis(0), clock: ClockQuality::Synchronised, channel: 0, kind, value: 0 };
        assert_eq!(event(EventKind::Started).account(&meter), None);
        assert_eq!(event(EventKind::Disconnected).account(&meter), Some(Account::new(&meter, 0)));
    }
}
