//! A conversation by IEC 62056-21 on a serial port, and what of it is a reading.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use edge_core::Registers;
use meters::iec62056_21::identification::{Baud, Identification};
use meters::iec62056_21::readout::{DataError, Readout};
use meters::iec62056_21::session::{self, Options, Parity, ReadCommand, Session, Step, Task, Timing};
use serial2_tokio::SerialPort;
use tokio::time::timeout_at;

use crate::port::{open, set_baud};
use crate::registers::of_readout;

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
    let mut session = Box::new(Conversation::new(task, options, Duration::ZERO));
    let ended = drive(port, &mut session, Conversation::first_baud(task), |_| false).await?;
    Ok(ended.map(|()| Told { identification: session.identification().cloned(), text: session.text().to_owned() }))
}

/// Asks whichever meter is there who it is, and nothing more: it takes the conversation for ended after some seconds.
///
/// # Errors
/// The port itself failed.
pub async fn sign_on(port: &mut SerialPort) -> io::Result<Result<Identification, session::NoData>> {
    let mut session = Box::new(Conversation::new(Task::Readout, Options::STANDARD, Duration::ZERO));
    let ended = drive(port, &mut session, Baud::B300, |session| session.identification().is_some()).await?;
    Ok(ended.and_then(|()| session.identification().cloned().ok_or(session::NoData::Silent)))
}

type Conversation<'a> = Session<'a, READOUT_LEN_MAX>;

/// Does what the session says until it has ended, or there is `enough`.
async fn drive(
    port: &mut SerialPort,
    session: &mut Conversation<'_>,
    first: Baud,
    enough: impl Fn(&Conversation<'_>) -> bool,
) -> io::Result<Result<(), session::NoData>> {
    set_baud(port, first.per_second())?;
    port.discard_input_buffer()?;
    let began = Instant::now();
    let mut bytes = [0; 256];
    while !enough(session) {
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
            Step::Done => return Ok(Ok(())),
            Step::Failed(cause) => return Ok(Err(cause)),
        }
    }
    Ok(Ok(()))
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
        of_readout(&self.readout(what)?).ok_or(NoRegisters::NoEnergy)
    }
}

#[cfg(test)]
mod tests {
    use measure::WattHours;

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
