//! Meters that talk unasked: DSMR P1 and SML. One whole, sound message is waited for; what is damaged before it is passed over.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use edge_core::Registers;
use meters::iec62056_21::readout::{DataError, Readout};
use meters::{dsmr_p1, sml};
use serial2_tokio::SerialPort;
use tokio::time::timeout_at;

use crate::port::{open, set_baud};
use crate::registers::{of_readout, of_sml};

/// Longest message. A P1 telegram with its longest text and four other meters takes 4 KiB; SML's largest seen has 700 bytes.
pub const MESSAGE_LEN_MAX: usize = 8 * 1024;

/// What is listened for, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which language.
    pub language: Language,
    /// The line's speed, in baud; 8N1.
    pub baud: u32,
    /// Longest time to wait.
    pub deadline: Duration,
}

/// A language that meters talk unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The consumer's port of Dutch, Belgian, Swedish and Finnish meters.
    DsmrP1,
    /// The optical port of German meters.
    Sml,
}

impl Language {
    /// The speed that meters have by their standard.
    pub const fn usual_baud(self) -> u32 {
        match self {
            Self::DsmrP1 => 115_200,
            Self::Sml => 9_600,
        }
    }
}

/// What a meter told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A P1 telegram.
    DsmrP1 {
        /// Who it is.
        identification: String,
        /// Its data sets.
        text: String,
    },
    /// The messages of an SML transmission.
    Sml(Vec<u8>),
}

/// Why there are no registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRegisters {
    /// Not one byte came.
    #[error("meter is silent")]
    Silent,
    /// Bytes came, and no message began.
    #[error("{0} bytes came and no message began: is the speed right, the line inverted?")]
    Noise(u32),
    /// A message began and did not end.
    #[error("meter did not finish in time")]
    Late,
    /// A P1 telegram that is none.
    #[error(transparent)]
    DsmrP1(#[from] dsmr_p1::FrameError),
    /// An SML transmission that is none.
    #[error(transparent)]
    Sml(#[from] sml::FrameError),
    /// Data sets that are none.
    #[error(transparent)]
    DataSets(#[from] DataError),
    /// Messages that are none.
    #[error(transparent)]
    Messages(#[from] sml::DataError),
    /// It told no total of imported energy.
    #[error("no register 1.8.0 in Wh or kWh, and no tariffs 1.8.1 … either")]
    NoEnergy,
}

impl NoRegisters {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Noise(_) => "noise",
            Self::Late => "late",
            Self::DsmrP1(error) => error.name(),
            Self::Sml(error) => error.name(),
            Self::DataSets(_) | Self::Messages(_) => "data",
            Self::NoEnergy => "no_energy",
        }
    }
}

impl Told {
    /// The registers that a reading holds.
    ///
    /// # Errors
    /// There are none.
    pub fn registers(&self) -> Result<Registers, NoRegisters> {
        match self {
            Self::DsmrP1 { text, .. } => of_readout(&Readout::parse_telegram(text)?),
            Self::Sml(messages) => of_sml(&sml::Readout::parse(messages)?),
        }
        .ok_or(NoRegisters::NoEnergy)
    }
}

/// Opens a port for one message.
///
/// # Errors
/// The port is not there, or failed.
pub async fn read(path: &Path, question: Question) -> io::Result<Result<Told, NoRegisters>> {
    let mut port = open(path, question.baud)?;
    listen(&mut port, question, |_| {}).await
}

/// Waits for the next whole message on the port, whatever its speed was before. `damaged` is told of each that was none.
///
/// # Errors
/// The port itself failed.
pub async fn listen(
    port: &mut SerialPort,
    question: Question,
    mut damaged: impl FnMut(NoRegisters),
) -> io::Result<Result<Told, NoRegisters>> {
    set_baud(port, question.baud)?;
    // What came before this moment may be old.
    port.discard_input_buffer()?;
    let began = Instant::now();
    let until = began.checked_add(question.deadline).unwrap_or(began);
    let mut receiver = Receiver::new(question.language);
    let (mut last, mut count, mut bytes) = (None, 0u32, [0; 512]);
    loop {
        let len = match timeout_at(until.into(), port.read(&mut bytes)).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(len)) => len,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(Err(last.unwrap_or_else(|| receiver.silence(count)))),
        };
        count = count.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        for byte in bytes.iter().take(len) {
            match receiver.push(*byte) {
                Ok(None) => {}
                Ok(Some(told)) => return Ok(Ok(told)),
                Err(cause) => {
                    damaged(cause);
                    last = Some(cause);
                }
            }
        }
        // Noise at the line's full speed must not keep the clock from being looked at.
        if until <= Instant::now() {
            return Ok(Err(last.unwrap_or_else(|| receiver.silence(count))));
        }
    }
}

/// Of either language; on the heap, for it holds a whole message.
enum Receiver {
    DsmrP1(Box<dsmr_p1::Receiver<MESSAGE_LEN_MAX>>),
    Sml(Box<sml::Receiver<MESSAGE_LEN_MAX>>),
}

impl Receiver {
    fn new(language: Language) -> Self {
        match language {
            Language::DsmrP1 => Self::DsmrP1(Box::default()),
            Language::Sml => Self::Sml(Box::default()),
        }
    }

    fn push(&mut self, byte: u8) -> Result<Option<Told>, NoRegisters> {
        Ok(match self {
            Self::DsmrP1(receiver) => {
                receiver.push(byte)?.map(|it| Told::DsmrP1 { identification: it.identification.to_owned(), text: it.text.to_owned() })
            }
            Self::Sml(receiver) => receiver.push(byte)?.map(|messages| Told::Sml(messages.to_owned())),
        })
    }

    /// Why no message came, given how many bytes did.
    fn silence(&self, count: u32) -> NoRegisters {
        let noise = match self {
            Self::DsmrP1(receiver) if receiver.is_busy() => return NoRegisters::Late,
            Self::DsmrP1(receiver) => receiver.noise(),
            Self::Sml(receiver) => receiver.noise(),
        };
        match (count, noise) {
            (0, _) => NoRegisters::Silent,
            (count, 0) => NoRegisters::Noise(count),
            (_, noise) => NoRegisters::Noise(noise),
        }
    }
}
