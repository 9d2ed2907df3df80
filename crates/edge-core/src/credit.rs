//! Prepaid credit of a channel: debited from differences of its register, topped up by commands and codes. Pure.
//!
//! The register up to which the channel is paid for and the credit that is left are one note in the journal, so that a power cut at any
//! instant leaves both as they were together: what the meter counts on while the power fails, or while this program is not there, is the
//! difference that is debited next. Nothing is rounded away: what a tariff leaves of a debit is carried on.

use alloc::vec::Vec;

use measure::WattHours;
use wire::command::Amount;

use crate::relay::{Reasons, Relay, Standing};
use measure::{UnixMillis, Watts};

/// First byte of the note.
const NOTE_VERSION: u8 = 1;
/// Hundredths of a Wh in a kWh.
const CENTIWATTHOURS_PER_KWH: i128 = 100_000;
/// No channel has more, in its own unit; a typing mistake would.
const BALANCE_MAX: i64 = 1_000_000_000_000;

/// What a channel counts its credit in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Milliwatt-hours.
    #[default]
    Energy,
    /// Thousandths of the currency.
    Money {
        /// Thousandths of the currency for a kWh.
        per_kwh: u32,
    },
}

/// A channel's credit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What it is counted in.
    pub unit: Unit,
    /// Credit below this is low: the consumer is warned. In the unit.
    pub low: i64,
}

/// The amount is in another unit, or would lead beyond what a channel may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAccepted;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credit {
    /// What is left, in the unit; negative for what was taken after it was used up.
    pub balance: i64,
    /// What was debited too little so far, in hundred-thousandths of the unit.
    carry: i64,
    /// The register is paid for up to here, in hundredths of a Wh.
    paid: Option<i64>,
}

impl Credit {
    /// The register up to which it is debited.
    pub fn paid(&self) -> Option<WattHours> {
        self.paid.map(WattHours::from_centiwatthours)
    }

    /// The register shows this: debits what was taken since it was last seen. True if anything changed.
    ///
    /// A register that went back was reset or exchanged: it is followed from there, and nothing is debited.
    pub fn debit(&mut self, unit: Unit, import: WattHours) -> bool {
        let now = import.centiwatthours();
        let Some(paid) = self.paid.replace(now) else { return true };
        let taken = now.saturating_sub(paid);
        if taken > 0 {
            self.take(unit, taken);
        }
        taken != 0
    }

    fn take(&mut self, unit: Unit, centiwatthours: i64) {
        // In hundred-thousandths of the unit; a wider type, for the product of two.
        let per_kwh: i128 = match unit {
            Unit::Energy => 1_000_000,
            Unit::Money { per_kwh } => per_kwh.into(),
        };
        let fine = i128::from(centiwatthours).saturating_mul(per_kwh).saturating_add(self.carry.into());
        let whole = fine.div_euclid(CENTIWATTHOURS_PER_KWH);
        self.carry = i64::try_from(fine.rem_euclid(CENTIWATTHOURS_PER_KWH)).unwrap_or(0);
        self.balance = self.balance.saturating_sub(i64::try_from(whole).unwrap_or(i64::MAX));
    }

    /// More credit, or less. What is left afterwards.
    pub fn top_up(&mut self, unit: Unit, amount: Amount) -> Result<i64, NotAccepted> {
        let amount = match (unit, amount) {
            (Unit::Energy, Amount::MilliwattHours(amount)) | (Unit::Money { .. }, Amount::Thousandths(amount)) => amount,
            _ => return Err(NotAccepted),
        };
        let balance = self.balance.checked_add(amount).filter(|it| it.unsigned_abs() <= BALANCE_MAX.unsigned_abs()).ok_or(NotAccepted)?;
        self.balance = balance;
        Ok(balance)
    }

    /// What is left, in words.
    pub const fn standing(&self, config: &Config) -> Standing {
        if self.balance <= 0 {
            Standing::UsedUp
        } else if self.balance < config.low {
            Standing::Low
        } else {
            Standing::Good
        }
    }
}

/// What a channel must not forget, in one note: credit and relay together, for a top-up closes the relay and a cut opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub credit: Credit,
    pub relay: Relay,
}

impl Account {
    pub fn to_note(&self) -> Vec<u8> {
        let Self { credit, relay } = self;
        let mut note = Vec::from([NOTE_VERSION]);
        note.extend(credit.balance.to_le_bytes());
        note.extend(credit.carry.to_le_bytes());
        note.extend(credit.paid.unwrap_or(i64::MIN).to_le_bytes());
        note.push(relay.reasons.to_bits());
        note.push(u8::from(relay.low_told) | u8::from(relay.warned.is_some()) << 1);
        note.extend(relay.warned.flatten().map_or(i64::MIN, |at| at.0).to_le_bytes());
        note.extend(relay.limit.map_or(0, Watts::deciwatts).to_le_bytes());
        note
    }

    /// Nothing for what is no such note.
    pub fn from_note(note: &[u8]) -> Option<Self> {
        let ([NOTE_VERSION], rest) = note.split_first_chunk::<1>()? else { return None };
        let (balance, rest) = number(rest)?;
        let (carry, rest) = number(rest)?;
        let (paid, rest) = number(rest)?;
        let ([bits, states], rest) = rest.split_first_chunk::<2>()?;
        let (warned, rest) = number(rest)?;
        let limit = i32::from_le_bytes(rest.try_into().ok()?);
        let known = |value: i64| (value != i64::MIN).then_some(value);
        let relay = Relay {
            reasons: Reasons::from_bits(*bits),
            low_told: states & 1 != 0,
            warned: (states & 2 != 0).then(|| known(warned).map(UnixMillis)),
            limit: (limit > 0).then(|| Watts::from_deciwatts(limit)),
            ..Relay::default()
        };
        Some(Self { credit: Credit { balance, carry, paid: known(paid) }, relay })
    }
}

fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(number, rest)| (i64::from_le_bytes(*number), rest))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn register(centiwatthours: i64) -> WattHours {
        WattHours::from_centiwatthours(centiwatthours)
    }

    #[test]
    fn the_first_look_at_a_register_costs_nothing() {
        let mut credit = Credit::default();
        assert!(credit.debit(Unit::Energy, register(1_000_000)));
        assert!(!credit.debit(Unit::Energy, register(1_000_000)));
        credit.top_up(Unit::Energy, Amount::MilliwattHours(5_000)).unwrap();
        assert!(credit.debit(Unit::Energy, register(1_000_100)));
        assert_eq!(credit.balance, 4_000, "1 Wh is 1000 mWh");
        credit.debit(Unit::Energy, register(500));
        assert_eq!(credit.balance, 4_000, "the register was exchanged");
        credit.debit(Unit::Energy, register(600));
        assert_eq!(credit.balance, 3_000);
    }

    #[test]
    fn amounts_of_another_unit_and_absurd_ones_are_not_accepted() {
        let mut credit = Credit::default();
        assert_eq!(credit.top_up(Unit::Energy, Amount::Thousandths(5)), Err(NotAccepted));
        assert_eq!(credit.top_up(Unit::Money { per_kwh: 300 }, Amount::MilliwattHours(5)), Err(NotAccepted));
        for absurd in [i64::MAX, i64::MIN, BALANCE_MAX + 1] {
            assert_eq!(credit.top_up(Unit::Energy, Amount::MilliwattHours(absurd)), Err(NotAccepted));
        }
        assert_eq!(credit.top_up(Unit::Money { per_kwh: 300 }, Amount::Thousandths(-5)), Ok(-5));
    }

    fn accounts() -> impl Strategy<Value = Account> {
        let credit = (any::<i64>(), 0..100_000_i64, prop::option::of(i64::MIN + 1..i64::MAX));
        let relay = (0..16_u8, any::<bool>(), prop::option::of(prop::option::of(i64::MIN + 1..i64::MAX)), prop::option::of(1..i32::MAX));
        (credit, relay).prop_map(|((balance, carry, paid), (bits, low_told, warned, limit))| Account {
            credit: Credit { balance, carry, paid },
            relay: Relay {
                reasons: Reasons::from_bits(bits),
                low_told,
                warned: warned.map(|it| it.map(UnixMillis)),
                limit: limit.map(Watts::from_deciwatts),
                ..Relay::default()
            },
        })
    }

    proptest! {
        /// However a consumption is cut into readings, it costs the same, to the last thousandth.
        #[test]
        fn readings_cut_differently_cost_the_same(steps in prop::collection::vec(0..5_000_i64, 1..60), per_kwh in 1..5_000_u32, money in any::<bool>()) {
            let unit = if money { Unit::Money { per_kwh } } else { Unit::Energy };
            let (mut often, mut once, mut total) = (Credit::default(), Credit::default(), 0);
            often.debit(unit, register(0));
            once.debit(unit, register(0));
            for step in steps {
                total += step;
                often.debit(unit, register(total));
            }
            once.debit(unit, register(total));
            prop_assert_eq!(&often, &once);
            let fine = if money { i64::from(per_kwh) } else { 1_000_000 } * total;
            prop_assert_eq!(-often.balance * 100_000 + often.carry, fine);
        }

        /// A note leads back to what it was made of.
        #[test]
        fn notes_lead_back(account in accounts()) {
            let note = account.to_note();
            prop_assert!(note.len() <= crate::journal::NOTE_LEN_MAX);
            prop_assert_eq!(Account::from_note(&note), Some(account));
        }

        /// No bytes are too strange.
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(account) = Account::from_note(&bytes) {
                prop_assert!(account.credit.carry.checked_add(1).is_some() || account.credit.carry == i64::MAX);
            }
        }
    }
}
