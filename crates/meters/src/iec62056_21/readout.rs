//! From a block's text to registers: `address(value*unit)`, in lines.
//!
//! An address is an OBIS code, full or short, or the manufacturer's own name. Several values follow each other in parentheses; a value
//! without address belongs to the last one. Codes may come more than once, with other meanings: all are kept, in order, and flagged.

use heapless::Vec;
use measure::Obis;

use super::date_time::{self, NotTime};
use crate::decimal::{Decimal, NotDecimal, Quantity};

/// Registers of one readout at most: some meters show a year of periods for each of four tariffs.
pub const REGISTERS_MAX: usize = 512;
/// Longest address: a full code has 23 characters at most.
const ADDRESS_LEN_MAX: usize = 32;
/// Longest value, unit excluded.
const VALUE_LEN_MAX: usize = 128;
/// Longest value in a telegram of a P1 port: its text message has 1,024 characters, in hexadecimal.
const TELEGRAM_VALUE_LEN_MAX: usize = 2_048;
/// Longest unit.
const UNIT_LEN_MAX: usize = 16;

/// Why a text is no readout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data set at byte {at}: {what}")]
pub struct DataError {
    /// Where the data set begins in the text.
    pub at: usize,
    /// What is wrong with it.
    pub what: Fault,
}

/// What is wrong with a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No parenthesis in the line.
    #[error("no value in parentheses")]
    NoValue,
    /// The line ends within parentheses.
    #[error("parenthesis is not closed")]
    Unclosed,
    /// A parenthesis within parentheses, or one that closes nothing.
    #[error("parenthesis in the wrong place")]
    Parenthesis,
    /// No address that it could belong to.
    #[error("value without address")]
    NoAddress,
    /// Longer than any address is.
    #[error("address is longer than {ADDRESS_LEN_MAX} characters")]
    Address,
    /// Longer than any value is.
    #[error("value is longer than {0} characters")]
    Value(usize),
    /// Longer than any unit is.
    #[error("unit is longer than {UNIT_LEN_MAX} characters")]
    Unit,
    /// More than can be kept.
    #[error("more than {REGISTERS_MAX} registers")]
    TooMany,
    /// The line of the exclamation mark is missing.
    #[error("end of readout is missing")]
    End,
}

/// One value of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The value without padding; may be empty.
    pub text: &'a str,
    /// The unit as the meter writes it; may be empty.
    pub unit: &'a str,
}

impl Value<'_> {
    /// As a number, exactly.
    ///
    /// # Errors
    /// See [`NotDecimal`].
    pub fn decimal(&self) -> Result<Decimal, NotDecimal> {
        Decimal::parse(self.text)
    }

    /// As a number with one of the house's units; `None` if it is not one.
    pub fn quantity(&self) -> Option<Quantity> {
        Quantity::new(self.decimal().ok()?, self.unit)
    }

    /// As a time by the meter's own clock, `18-07-04,10:15` for example; `None` where it was never set.
    ///
    /// # Errors
    /// It is something else.
    pub fn date_time(&self) -> Result<Option<time::PrimitiveDateTime>, NotTime> {
        date_time::parse(self.text)
    }
}

/// One data set: an address and its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register<'a> {
    /// The address as the meter writes it.
    pub address: &'a str,
    /// Its meaning, where it is an OBIS code.
    pub code: Option<Obis>,
    /// How many data sets with the same address came before it.
    pub occurrence: u16,
    /// Whether the address comes more than once: then only the order, or the unit, tells what is meant.
    pub repeated: bool,
    /// Everything within the parentheses, first to last: checked.
    values: &'a str,
}

impl<'a> Register<'a> {
    /// Its values, in order: one at least.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        self.values.split(")(").map(value)
    }

    /// The first of them.
    pub fn value(&self) -> Value<'a> {
        self.values().next().unwrap_or(Value { text: "", unit: "" })
    }

    fn same(&self, other: &Self) -> bool {
        match (self.code, other.code) {
            (Some(one), Some(another)) => one == another,
            _ => self.address == other.address,
        }
    }
}

fn value(inside: &str) -> Value<'_> {
    let (text, unit) = inside.rsplit_once('*').unwrap_or((inside, ""));
    Value { text: text.trim(), unit: unit.trim() }
}

/// Everything that a meter told, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readout<'a> {
    registers: Vec<Register<'a>, REGISTERS_MAX>,
}

impl<'a> Readout<'a> {
    /// A readout: data sets up to a line with an exclamation mark.
    ///
    /// # Errors
    /// The first data set that is none, or a missing end.
    pub fn parse(text: &'a str) -> Result<Self, DataError> {
        Self::ended(text, VALUE_LEN_MAX)
    }

    /// The data sets of a P1 port's telegram, which may be longer, up to an exclamation mark.
    ///
    /// # Errors
    /// The first data set that is none, or a missing end.
    pub fn parse_telegram(text: &'a str) -> Result<Self, DataError> {
        Self::ended(text, TELEGRAM_VALUE_LEN_MAX)
    }

    /// Replies to reads of single registers: data sets without end.
    ///
    /// # Errors
    /// The first data set that is none.
    pub fn parse_replies(text: &'a str) -> Result<Self, DataError> {
        Self::data_sets(text, VALUE_LEN_MAX).map(|(readout, _)| readout)
    }

    /// The registers, in the meter's order.
    pub fn registers(&self) -> &[Register<'a>] {
        &self.registers
    }

    /// The first current register of quantity C, processing D and tariff E, of any medium and channel.
    pub fn find(&self, quantity: u8, processing: u8, tariff: u8) -> Option<&Register<'a>> {
        self.registers.iter().find(|register| register.code.is_some_and(|code| code.names(quantity, processing, tariff)))
    }

    fn ended(text: &'a str, value_len_max: usize) -> Result<Self, DataError> {
        let (readout, ended) = Self::data_sets(text, value_len_max)?;
        if ended { Ok(readout) } else { Err(DataError { at: text.len(), what: Fault::End }) }
    }

    fn data_sets(text: &'a str, value_len_max: usize) -> Result<(Self, bool), DataError> {
        let mut readout = Self { registers: Vec::new() };
        let (mut rest, mut address, mut ended) = (text, "", false);
        loop {
            rest = rest.trim_start_matches(['\r', '\n', ' ']);
            let at = text.len().saturating_sub(rest.len());
            if rest.is_empty() || rest.starts_with('!') {
                ended |= !rest.is_empty();
                break;
            }
            let fault = |what| DataError { at, what };
            let (own, values, behind) = data_set(rest, value_len_max).map_err(fault)?;
            if !own.is_empty() {
                address = own;
            } else if address.is_empty() {
                return Err(fault(Fault::NoAddress));
            }
            let register = Register { address, code: address.parse().ok(), occurrence: 0, repeated: false, values };
            readout.registers.push(register).map_err(|_| fault(Fault::TooMany))?;
            rest = behind;
        }
        readout.count();
        Ok((readout, ended))
    }

    /// Numbers the registers of each address.
    fn count(&mut self) {
        // Every pair: some hundred thousand comparisons of nine bytes at the most.
        for at in 1..self.registers.len() {
            let (before, behind) = self.registers.split_at_mut(at);
            let Some(register) = behind.first_mut() else { continue };
            for earlier in before {
                if earlier.same(register) {
                    (earlier.repeated, register.repeated) = (true, true);
                    register.occurrence = register.occurrence.saturating_add(1);
                }
            }
        }
    }
}

/// Address, values, and what follows, of the data set at the front of `text`.
fn data_set(text: &str, value_len_max: usize) -> Result<(&str, &str, &str), Fault> {
    let line = text.find(['\r', '\n']).and_then(|end| text.get(..end)).unwrap_or(text);
    let (address, inside) = line.split_once('(').ok_or(Fault::NoValue)?;
    if address.contains(')') {
        return Err(Fault::Parenthesis);
    }
    let address = address.trim();
    if address.len() > ADDRESS_LEN_MAX {
        return Err(Fault::Address);
    }
    let mut end = 0usize;
    loop {
        let value_text = inside.get(end..).unwrap_or_default();
        let len = value_text.find(')').ok_or(Fault::Unclosed)?;
        check_value(value_text.get(..len).unwrap_or_default(), value_len_max)?;
        end = end.saturating_add(len);
        match inside.get(end..).and_then(|behind| behind.strip_prefix(")(")) {
            Some(_) => end = end.saturating_add(2),
            None => break,
        }
    }
    let (values, _) = inside.split_at_checked(end).ok_or(Fault::Unclosed)?;
    let used = line.len().saturating_sub(inside.len()).saturating_add(end).saturating_add(1);
    Ok((address, values, text.get(used..).unwrap_or_default()))
}

fn check_value(inside: &str, value_len_max: usize) -> Result<(), Fault> {
    if inside.contains('(') {
        return Err(Fault::Parenthesis);
    }
    let Value { text, unit } = value(inside);
    if text.len() > value_len_max {
        return Err(Fault::Value(value_len_max));
    }
    if unit.len() > UNIT_LEN_MAX { Err(Fault::Unit) } else { Ok(()) }
}
