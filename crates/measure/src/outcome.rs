//! What became of a command.

use crate::{Account, Channel, ClockQuality, MeterId, UnixMillis};

/// The answer to one command: exactly one of these for each command that a meter could read, believe and date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Outcome {
    /// When it was carried out or refused.
    pub time: UnixMillis,
    /// How far `time` can be trusted.
    pub clock: ClockQuality,
    /// Of which channel; 0 where the command names none.
    pub channel: Channel,
    /// The command's number.
    pub number: u64,
    /// What it asked for.
    pub action: ActionKind,
    /// What became of it.
    pub verdict: Verdict,
    /// The number that goes with the action: for a top-up the credit afterwards, in its own unit; else 0.
    pub value: i64,
}

impl Outcome {
    /// The account that it is about; none where the command names no channel, or may not: a relay command to all is answered as channel 0.
    pub fn account(&self, meter: &MeterId) -> Option<Account> {
        let names_one = match self.action {
            ActionKind::TopUp | ActionKind::Limit | ActionKind::Calibration => true,
            ActionKind::Relay => self.channel != 0,
            ActionKind::Read | ActionKind::ReportInterval => false,
        };
        names_one.then(|| Account::new(meter, self.channel))
    }
}

macro_rules! codes {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire; never reused.
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// From the number on the wire.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// For people, metrics and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// What a command asks for.
    ActionKind {
        /// A fresh reading of every channel.
        Read = 1 "read",
        /// More credit for a channel.
        TopUp = 2 "top_up",
        /// A channel's relay, or all of them, on or off.
        Relay = 3 "relay",
        /// The power above which a channel is cut off.
        Limit = 4 "limit",
        /// Longest time without a reading.
        ReportInterval = 5 "report_interval",
        /// Gains of a channel's voltage and current.
        Calibration = 6 "calibration",
    }
}

codes! {
    /// What became of a command.
    Verdict {
        /// It was carried out.
        Done = 0 "done",
        /// It is no command: damaged, or of a version that the meter does not know.
        Malformed = 1 "malformed",
        /// None of the keys that the meter believes has signed it.
        BadSignature = 2 "bad_signature",
        /// It is for another meter.
        Foreign = 3 "foreign",
        /// Its number was answered before.
        Replayed = 4 "replayed",
        /// A later number was answered before.
        Reordered = 5 "reordered",
        /// Its time is over.
        Expired = 6 "expired",
        /// The meter does not know the time, so it cannot tell whether the command's is over.
        ClockUnknown = 7 "clock_unknown",
        /// The meter has no such channel, or the channel has no relay, no credit or nothing to be calibrated.
        NotEquipped = 8 "not_equipped",
        /// A value beyond what the meter accepts, or in another unit.
        OutOfRange = 9 "out_of_range",
        /// The device gave no data in time.
        NoData = 10 "no_data",
        /// The channel must stay as it is: for want of credit, above its limit, or by its switch.
        Interlocked = 11 "interlocked",
    }
}

impl Verdict {
    /// Whether the command was carried out.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_lead_back() {
        for kind in ActionKind::ALL {
            assert_eq!(ActionKind::from_code(kind.code()), Some(*kind));
        }
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_code(verdict.code()), Some(*verdict));
        }
        assert_eq!((ActionKind::from_code(0), Verdict::from_code(255)), (None, None));
    }

    #[test]
    fn what_may_be_about_all_channels_is_nobodys_account() {
        let meter: MeterId = "M1".parse().unwrap();
        let account = |action, channel| {
            let (time, clock) = (UnixMillis(0), ClockQuality::Synchronised);
            Outcome { time, clock, channel, number: 1, action, verdict: Verdict::Done, value: 0 }.account(&meter)
        };
        assert_eq!(account(ActionKind::TopUp, 0), Some(Account::new(&meter, 0)));
        assert_eq!(account(ActionKind::Relay, 2), Some(Account::new(&meter, 2)));
        assert_eq!((account(ActionKind::Relay, 0), account(ActionKind::Read, 0)), (None, None));
    }

    #[test]
    fn names_are_those_of_json() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
        for kind in ActionKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
