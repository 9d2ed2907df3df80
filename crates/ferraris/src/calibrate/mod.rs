//! `ferraris calibrate`: a meter's gains against a reference instrument, step by step.

mod compare;
mod front_end;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use edge_agent::bus;
use edge_agent::calibration::File;
use meters::modbus::Address;

use crate::clock;
use crate::output::{self, Outcome};
use compare::{Comparison, Means};

/// Calibrate a meter against a reference instrument.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// A PZEM-004T: gains of voltage and current, into the file that the agent reads
    ///
    /// Asks for what is not given as an option: what the reference instrument shows at the module's terminals, under a steady load of an ampere or more. The module is
    /// read some times meanwhile, and before and after are shown before anything is written. The agent must not have the port open.
    #[command(after_help = "Examples:\n  \
        ferraris calibrate module --port /dev/ttyUSB0 --out M0001.calibration.toml\n  \
        ferraris calibrate module --port /dev/ttyUSB0 --address 2 --instrument 'Fluke 1736, 4711' \\\n      \
          --reference-voltage 229.6 --reference-current 4.31 --out M0001.calibration.toml --yes\n\n\
        Then name the file as calibration_file in agent.toml, and restart the agent.\n\
        Exit code 1: the module is silent, the load is not steady, or a gain is none that a sound module has.")]
    Module(Module),
    /// An ADE7816: what to write into its registers, from what they read and should, as lines for agent.toml
    #[command(after_help = "Examples:\n  \
        ferraris calibrate front-end --reference-counts 370000 --counts 310000\n  \
        ferraris calibrate front-end --load-w 105 --seconds 8 --energy-counts 3000\n  \
        ferraris calibrate front-end --load-w 105 --seconds 8 --wh-per-count 6e-5 --energy-counts 3000\n  \
        ferraris calibrate front-end --active-counts 3000 --reactive-counts 1700 --angle-deg 30 --frequency-hz 50")]
    FrontEnd(front_end::Options),
}

/// How a module is calibrated.
#[derive(Debug, clap::Args)]
pub struct Module {
    /// The serial port
    #[arg(long, value_name = "TERMINAL")]
    port: PathBuf,
    /// The module's address; 248 asks whichever is alone on the port
    #[arg(long, default_value_t = 248)]
    address: u8,
    /// Where the calibration goes; a file that is there already is the version before
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The reference instrument: maker, type, number
    #[arg(long)]
    instrument: Option<String>,
    /// What the instrument shows, in V
    #[arg(long, value_name = "VOLTS")]
    reference_voltage: Option<f64>,
    /// What the instrument shows, in A; without a load, 0 leaves the current as it is
    #[arg(long, value_name = "AMPERES")]
    reference_current: Option<f64>,
    /// How often the module is read, a second apart
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    readings: u16,
    /// Write without asking
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
pub fn run(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Module(options) => module(options),
        Command::FrontEnd(options) => front_end::run(options),
    }
}

fn module(options: &Module) -> anyhow::Result<Outcome> {
    let address = Address::new(options.address)?;
    let before = if options.out.exists() { Some(File::load(&options.out)?) } else { None };
    let instrument = match &options.instrument {
        Some(name) => name.clone(),
        None => ask("Reference instrument (maker, type, number)", "--instrument")?,
    };
    output::line("Connect the instrument to the module's terminals and switch on a steady load of an ampere or more.")?;
    let voltage = number(options.reference_voltage, "Voltage that it shows, in V", "--reference-voltage")?;
    let current = number(options.reference_current, "Current that it shows, in A (0: leave the current as it is)", "--reference-current")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let means = match runtime.block_on(read(options, address))? {
        Ok(means) => means,
        Err(cause) => {
            output::complain(format_args!("{}: {cause}", options.port.display()));
            return Ok(Outcome::Bad);
        }
    };
    let comparison = match Comparison::new(&means, voltage, current) {
        Ok(comparison) => comparison,
        Err(cause) => {
            output::complain(cause);
            return Ok(Outcome::Bad);
        }
    };
    output::line(comparison.table())?;
    let file = File {
        version: before.as_ref().map_or(1, |file| file.version.saturating_add(1)),
        date: today(),
        instrument,
        voltage_gain: comparison.voltage_gain,
        current_gain: comparison.current_gain.unwrap_or_else(|| before.as_ref().map_or(1.0, |file| file.current_gain)),
    };
    // Refused here and not when the agent starts.
    file.calibration(&options.out)?;
    if !options.yes && !confirmed(&options.out)? {
        output::line("nothing was written")?;
        return Ok(Outcome::Good);
    }
    file.save(&options.out)?;
    output::line(format_args!("version {} is in {}; restart the agent, and it tells the head-end", file.version, options.out.display()))?;
    Ok(Outcome::Good)
}

/// Reads the module, a second apart: its registers are not refreshed more often.
async fn read(options: &Module, address: Address) -> anyhow::Result<Result<Means, String>> {
    let mut means = Means::default();
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..options.readings {
        pace.tick().await;
        let read = bus::read(&options.port, address).await;
        let read =
            read.with_context(|| format!("can't read from {}; plug the adapter in and name the right port", options.port.display()))?;
        match read {
            Ok(measurement) => means.add(measurement.voltage.as_f64(), measurement.current.as_f64()),
            Err(cause) => return Ok(Err(format!("{cause}; `ferraris doctor --port {}` tells more", options.port.display()))),
        }
    }
    Ok(Ok(means))
}

/// Today, UTC.
fn today() -> String {
    let seconds = clock::now().0.checked_div(1_000).unwrap_or(0);
    let date = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH).date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn number(given: Option<f64>, question: &str, option: &str) -> anyhow::Result<f64> {
    let value = match given {
        Some(value) => value,
        None => {
            let text = ask(question, option)?;
            text.replace(',', ".").parse().with_context(|| format!("{text} is no number: give it as {option}"))?
        }
    };
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(anyhow!("{option} {value} is no measurement")) }
}

fn ask(question: &str, option: &str) -> anyhow::Result<String> {
    let mut out = io::stdout().lock();
    write!(out, "{question}: ")?;
    out.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("nobody answers on standard input: give {option}");
    }
    if !io::stdin().is_terminal() {
        // Whoever feeds answers does not see them otherwise.
        writeln!(out, "{}", line.trim())?;
    }
    let line = line.trim().to_owned();
    if line.is_empty() { Err(anyhow!("nothing was answered: give {option}")) } else { Ok(line) }
}

fn confirmed(path: &Path) -> anyhow::Result<bool> {
    let answer = ask(&format!("Write {}? [y/n]", path.display()), "--yes")?;
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}
