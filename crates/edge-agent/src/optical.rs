//! A conversation by IEC 62056-21 on a serial port, and what of it is a reading.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use edge_core::Registers;
use measure::WattHours;
use meters::decimal::Quantity;
use meters::iec62056_21::identification::{Baud, Identification};
use meters::iec62056_21::readout::{DataError, Readout};
use meters::iec62056_21::session::{self, Options, Parity, ReadCommand, Session, Step, Task, Timing};
use serial2_tokio::SerialPort;
use tokio::time::timeout_at;

use crate::port::{open, set_baud};

/// Longest readout. A year of periods for four tariffs takes about 6 KiB.
pub const READOUT_LEN_MAX: usize = 16 * 1024;

/// What to ask a meter, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its address; empty for whichever is there.
    pub address: String,
    /// What is wanted.
    pub what: What,
    /// The fastest speed to agree to.
    pub baud_max: Baud,
    /// Whether the line has even parity, or something has taken it away.
    pub parity: bool,
    /// Whether the meter must be woken up.
    pub wake_up: bool,
    /// Longest time for all of it.
    pub deadline: Duration,
}

/// What is wanted of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Everything that it reads out.
    Readout,
    /// What it says unasked.
    Push,
    /// These registers, in programming mode.
    Registers {
        /// The password, where it wants one.
        password: Option<String>,
        /// Their names.
        names: Vec<String>,
    },
}

/// What a meter told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who it is.
    pub identification: Option<Identification>,
    /// Its data sets, checked.
    pub text: String,
}

/// Why there are no registers.
#[derive(Debug, thiserror::Error)]
pub enum NoRegisters {
    /// The meter.
    #[error(transparent)]
    Session(#[from] session::NoData),
    /// What it said is no readout.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It told no total of imported energy.
    #[error("no register 1.8.0 in Wh, kWh or MWh, and no tariffs 1.8.1 … either")]
    NoEnergy,
}

impl NoRegisters {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Session(cause) => cause.name(),
            Self::Data(_) => "data",
            Self::NoEnergy => "no_energy",
        }
    }
}

/// Opens a port for one conversation.
///
/// # Errors
/// The port is not there, or failed.
pub async fn read(path: &Path, question: &Question) -> io::Result<Result<Told, session::NoData>> {
    let mut port = open(path, Baud::B300.per_second())?;
    converse(&mut port, question).await
}

/// Talks to a meter on the port, whatever its speed was before.
///
/// # Errors
/// The port itself failed.
pub async fn converse(port: &mut SerialPort, question: &Question) -> io::Result<Result<Told, session::NoData>> {
    let names: Vec<&str> = match &question.what {
        What::Registers { names, .. } => names.iter().map(String::as_str).collect(),
        What::Readout | What::Push => Vec::new(),
    };
    let task = match &question.what {
        What::Readout => Task::Readout,
        What::Push => Task::Push,
        What::Registers { password, .. } => Task::Registers { password: password.as_deref(), command: ReadCommand::Ascii, names: &names },
    };
    let options = Options {
        address: &question.address,
        baud_max: question.baud_max,
        parity: if question.parity { Parity::Even } else { Parity::None },
        wake_up: question.wake_up,
        timing: Timing { deadline: question.deadline, ..Timing::STANDARD },
    };
    type Conversation<'a> = Session<'a, READOUT_LEN_MAX>;
    set_baud(port, Conversation::first_baud(task).per_second())?;
    port.discard_input_buffer()?;
    let began = Instant::now();
    let mut session = Box::new(Conversation::new(task, options, Duration::ZERO));
    let mut bytes = [0; 256];
    loop {
        match session.poll(began.elapsed()) {
            Step::Send(message) => port.write_all(&message).await?,
            Step::SetBaud(baud) => set_baud(port, baud.per_second())?,
            Step::Wait(until) => {
                let until = began.checked_add(until).unwrap_or(began);
                match timeout_at(until.into(), port.read(&mut bytes)).await {
                    Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(Ok(len)) => session.push(bytes.get(..len).unwrap_or_default(), began.elapsed()),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {}
                }
            }
            Step::Done => {
                return Ok(Ok(Told { identification: session.identification().cloned(), text: session.text().to_owned() }));
            }
            Step::Failed(cause) => return Ok(Err(cause)),
        }
    }
}

impl Told {
    /// The data sets; replies to reads of single registers have no end.
    ///
    /// # Errors
    /// The first that is none.
    pub fn readout(&self, what: &What) -> Result<Readout<'_>, DataError> {
        match what {
            What::Readout | What::Push => Readout::parse(&self.text),
            What::Registers { .. } => Readout::parse_replies(&self.text),
        }
    }

    /// The registers that a reading holds.
    ///
    /// # Errors
    /// There are none.
    pub fn registers(&self, what: &What) -> Result<Registers, NoRegisters> {
        let readout = self.readout(what)?;
        let import = energy(&readout, IMPORT).ok_or(NoRegisters::NoEnergy)?;
        Ok(Registers { import, export: energy(&readout, EXPORT).unwrap_or_default() })
    }
}

/// OBIS quantities.
const IMPORT: u8 = 1;
const EXPORT: u8 = 2;
/// OBIS processing of a register.
const REGISTER: u8 = 8;
/// Tariffs that are added up where a meter has no total.
const TARIFFS: std::ops::RangeInclusive<u8> = 1..=4;

/// The total of a quantity: the register of all tariffs, or the sum of theirs.
fn energy(readout: &Readout<'_>, quantity: u8) -> Option<WattHours> {
    let register = |tariff| match readout.find(quantity, REGISTER, tariff)?.value().quantity()? {
        Quantity::Energy(energy) => Some(energy.centiwatthours()),
        _ => None,
    };
    let sum = || TARIFFS.filter_map(register).reduce(i64::saturating_add);
    register(0).or_else(sum).map(WattHours::from_centiwatthours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(text: &str) -> Result<Registers, NoRegisters> {
        Told { identification: None, text: text.to_owned() }.registers(&What::Readout)
    }

    #[test]
    fn totals_or_the_sum_of_tariffs() {
        let energy = WattHours::from_centiwatthours;
        let both = registers("1.8.0(000001.234*kWh)\r\n1.8.1(9*kWh)\r\n2.8.0(000000.002*kWh)\r\n!").expect("registers");
        assert_eq!(both, Registers { import: energy(123_400), export: energy(200) });
        let tariffs = registers("1.8.1(1*kWh)\r\n1.8.2(2*kWh)\r\n1.8.2*01(5*kWh)\r\n!").expect("registers");
        assert_eq!(tariffs, Registers { import: energy(300_000), export: energy(0) });
        for none in ["2.8.0(1*kWh)\r\n!", "1.8.0(1*kvarh)\r\n!", "1.8.0(x*kWh)\r\n!"] {
            assert!(matches!(registers(none), Err(NoRegisters::NoEnergy)), "{none}");
        }
        assert!(matches!(registers("1.8.0(1*kWh)"), Err(NoRegisters::Data(_))));
    }
}
