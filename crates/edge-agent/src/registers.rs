//! From what a meter shows to the registers that a reading holds.

use edge_core::Registers;
use measure::WattHours;
use meters::decimal::Quantity;
use meters::iec62056_21::readout::Readout;
use meters::sml;

/// OBIS quantities.
const IMPORT: u8 = 1;
const EXPORT: u8 = 2;
/// OBIS processing of a register.
const REGISTER: u8 = 8;
/// Tariffs that are added up where a meter has no total.
const TARIFFS: std::ops::RangeInclusive<u8> = 1..=4;

/// Of data sets; `None` without a total of imported energy.
pub(crate) fn of_readout(readout: &Readout<'_>) -> Option<Registers> {
    registers(|quantity, tariff| readout.find(quantity, REGISTER, tariff)?.value().quantity())
}

/// Of SML's entries; `None` without a total of imported energy.
pub(crate) fn of_sml(readout: &sml::Readout<'_>) -> Option<Registers> {
    registers(|quantity, tariff| readout.find(quantity, REGISTER, tariff)?.quantity())
}

fn registers(find: impl Fn(u8, u8) -> Option<Quantity>) -> Option<Registers> {
    Some(Registers { import: energy(|tariff| find(IMPORT, tariff))?, export: energy(|tariff| find(EXPORT, tariff)).unwrap_or_default() })
}

/// The total of a quantity: the register of all tariffs, or the sum of theirs. A register below zero is none.
fn energy(find: impl Fn(u8) -> Option<Quantity>) -> Option<WattHours> {
    let register = |tariff| match find(tariff)? {
        Quantity::Energy(energy) => Some(energy.centiwatthours()).filter(|energy| *energy >= 0),
        _ => None,
    };
    let sum = || TARIFFS.filter_map(register).reduce(i64::saturating_add);
    register(0).or_else(sum).map(WattHours::from_centiwatthours)
}
