//! `ferraris read`: what a meter on a serial port or a chip on a bus of this machine shows now.

mod chip;
mod rows;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use edge_agent::bus;
use edge_agent::optical::{self, What};
use edge_agent::push::{self, Language};
use meters::iec62056_21::identification::Baud;
use meters::modbus::Address;

use crate::output::{self, Outcome};
use rows::Shown;

/// What a meter on a serial port, or a chip on a bus, shows now.
///
/// Asks a PZEM-004T by Modbus, reads a meter with an optical port or a current loop by IEC 62056-21 (everything, or single registers in programming mode), or
/// listens for the next message of a P1 port or a German meter's optical port. A chip on I2C or SPI is reset and counts for some seconds. The agent must not have the
/// port open meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ferraris read --driver pzem-004t --port /dev/ttyUSB0\n  \
    ferraris read --driver pzem-004t --port /dev/ttyUSB0 --address 2 --json | jq .\n  \
    ferraris read --driver iec62056-21 --port /dev/ttyUSB0\n  \
    ferraris read --driver iec62056-21 --port /dev/ttyUSB0 --register 1.8.0 --register 2.8.0\n  \
    ferraris read --driver dsmr-p1 --port /dev/ttyUSB0\n  \
    ferraris read --driver sml --port /dev/ttyUSB0\n  \
    ferraris read --driver ade7816 --port /dev/i2c-1 --divider 750 --volts-per-ampere 0.02\n  \
    ferraris read --driver ade7816 --port /dev/spidev0.0 --divider 750 --volts-per-ampere 0.02 --json | jq .\n\n\
    Which driver? `ferraris doctor --port /dev/ttyUSB0` tells.\n\
    Exit code 1: the meter is silent, or what it says is damaged or refused.")]
pub struct Options {
    /// How the meter talks
    #[arg(long, value_enum)]
    driver: Driver,
    /// The serial port, or the bus of a chip
    #[arg(long, value_name = "TERMINAL")]
    port: PathBuf,
    /// The meter's address; without one, whichever is there. A PZEM-004T has 1 to 247
    #[arg(long, default_value = "", hide_default_value = true)]
    address: String,
    /// Only this register, in programming mode of IEC 62056-21; may be repeated
    #[arg(long = "register", value_name = "NAME")]
    registers: Vec<String>,
    /// A file with the password of programming mode
    #[arg(long, value_name = "FILE", requires = "registers")]
    password_file: Option<PathBuf>,
    /// Speed of a meter that talks unasked, where it is not the usual one: 115200 for dsmr-p1, 9600 for sml
    #[arg(long, value_parser = clap::value_parser!(u32).range(300..=921_600))]
    baud: Option<u32>,
    /// Longest time for all of it, in seconds
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(2..=900))]
    deadline_s: u64,
    #[command(flatten)]
    front: chip::Front,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// How a meter talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Driver {
    /// A PZEM-004T v3 module, by Modbus
    #[value(name = "pzem-004t")]
    Pzem,
    /// Modes A to C, by an optical port or a current loop
    #[value(name = "iec62056-21")]
    Iec62056,
    /// The consumer's port of Dutch, Belgian, Swedish and Finnish meters
    #[value(name = "dsmr-p1")]
    DsmrP1,
    /// The optical port of German meters
    #[value(name = "sml")]
    Sml,
    /// Six channels on a chip, by I2C or SPI
    #[value(name = "ade7816")]
    Ade7816,
}

/// What came of it: what is shown, or why there is nothing and what to look at.
type Read = Result<Shown, String>;

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let read = match options.driver {
        Driver::Pzem => runtime.block_on(module(options))?,
        Driver::Iec62056 => runtime.block_on(optical(options))?,
        Driver::DsmrP1 => runtime.block_on(listen(options, Language::DsmrP1))?,
        Driver::Sml => runtime.block_on(listen(options, Language::Sml))?,
        Driver::Ade7816 => chip::read(options)?,
    };
    match read {
        Ok(shown) => {
            output::line(if options.json { shown.json().to_string() } else { shown.table() })?;
            Ok(Outcome::Good)
        }
        Err(cause) => {
            output::complain(format_args!("{}: {cause}", options.port.display()));
            Ok(Outcome::Bad)
        }
    }
}

impl Options {
    fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s)
    }

    fn cannot_read(&self) -> String {
        format!("can't read from {}; plug the adapter in, name the right port, and be in its group", self.port.display())
    }

    /// Options of other drivers make no sense here.
    fn only_for(&self, optical: bool, address: bool, baud: bool) -> anyhow::Result<()> {
        if !optical && !self.registers.is_empty() {
            bail!("--register is for --driver iec62056-21: other meters show all they have");
        }
        if !address && !self.address.is_empty() {
            bail!("--address is for meters that are asked: whichever is on the port is listened to");
        }
        if self.driver != Driver::Ade7816 && self.front.is_there() {
            bail!("--divider, --volts-per-ampere, --wh-per-count and --seconds are for --driver ade7816: other meters know their own");
        }
        if !baud && self.baud.is_some() {
            bail!("--baud is for dsmr-p1 and sml: other meters' speed is fixed, or agreed on");
        }
        Ok(())
    }
}

async fn module(options: &Options) -> anyhow::Result<Read> {
    options.only_for(false, true, false)?;
    let address = match options.address.as_str() {
        "" => Address::GENERAL,
        text => {
            let number = text.parse().with_context(|| format!("--address {text} is no number: use 1 to 247"))?;
            Address::new(number)?
        }
    };
    let read = bus::read(&options.port, address).await.with_context(|| options.cannot_read())?;
    let hint = "are supply and RX and TX right, is the address, are there several modules? `ferraris doctor` tries others";
    Ok(read.map(|measurement| Shown::of_module(address, &measurement)).map_err(|cause| format!("{cause}; {hint}")))
}

async fn optical(options: &Options) -> anyhow::Result<Read> {
    options.only_for(true, true, false)?;
    let what = what(options)?;
    let question = optical::Question {
        address: options.address.clone(),
        what: what.clone(),
        baud_max: Baud::B19200,
        parity: true,
        wake_up: false,
        deadline: options.deadline(),
    };
    let told = match optical::read(&options.port, &question).await.with_context(|| options.cannot_read())? {
        Ok(told) => told,
        Err(cause) => return Ok(Err(format!("{cause}; is the head on the meter, the right way round?"))),
    };
    let meter = told.identification.as_ref().map(|it| it.line().to_owned()).unwrap_or_default();
    Ok(told.readout(&what).map(|readout| Shown::of_readout(meter, readout.registers())).map_err(|error| error.to_string()))
}

async fn listen(options: &Options, language: Language) -> anyhow::Result<Read> {
    options.only_for(false, false, true)?;
    let question = push::Question { language, baud: options.baud.unwrap_or(language.usual_baud()), deadline: options.deadline() };
    let told = push::read(&options.port, question).await.with_context(|| options.cannot_read())?;
    let hint = match language {
        Language::DsmrP1 => "does the cable feed the port's pin 2 with 5 V, and is its line inverted?",
        Language::Sml => "is the head on the meter, the right way round, and are messages switched on in its menu?",
    };
    match told {
        Ok(told) => Ok(Shown::of_told(&told).map_err(|error| error.to_string())),
        Err(cause) => Ok(Err(format!("{cause}; {hint}"))),
    }
}

fn what(options: &Options) -> anyhow::Result<What> {
    if options.registers.is_empty() {
        return Ok(What::Readout);
    }
    let password = options.password_file.as_ref().map(|path| {
        std::fs::read_to_string(path).map(|text| text.trim_end().to_owned()).with_context(|| format!("can't read {}", path.display()))
    });
    Ok(What::Registers { password: password.transpose()?, names: options.registers.clone() })
}
