//! `ferraris read`: what a meter on a serial port of this machine shows now.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::Table;
use edge_agent::optical::{self, Question, What};
use meters::iec62056_21::identification::Baud;
use meters::iec62056_21::readout::Register;
use serde_json::json;

use crate::output::{self, Outcome};
use crate::sheet;

/// What a meter on a serial port shows now.
///
/// Reads a meter with an optical port or a current loop by IEC 62056-21: everything that it reads out, or single registers in programming mode. The agent must
/// not have the port open meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ferraris read --driver iec62056-21 --port /dev/ttyUSB0\n  \
    ferraris read --driver iec62056-21 --port /dev/ttyUSB0 --json | jq .\n  \
    ferraris read --driver iec62056-21 --port /dev/ttyUSB0 --register 1.8.0 --register 2.8.0\n\n\
    Exit code 1: the meter is silent, or what it says is damaged or refused.")]
pub struct Options {
    /// How the meter talks
    #[arg(long, value_enum)]
    driver: Driver,
    /// The serial port
    #[arg(long, value_name = "TERMINAL")]
    port: PathBuf,
    /// The meter's address; without one, whichever is there
    #[arg(long, default_value = "", hide_default_value = true)]
    address: String,
    /// Only this register, in programming mode; may be repeated
    #[arg(long = "register", value_name = "NAME")]
    registers: Vec<String>,
    /// A file with the password of programming mode
    #[arg(long, value_name = "FILE", requires = "registers")]
    password_file: Option<PathBuf>,
    /// Longest time for all of it, in seconds
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(5..=900))]
    deadline_s: u64,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// How a meter talks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Driver {
    /// Modes A to C, by an optical port or a current loop
    #[value(name = "iec62056-21")]
    Iec62056,
}

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let what = what(options)?;
    let question = match options.driver {
        Driver::Iec62056 => Question {
            address: options.address.clone(),
            what: what.clone(),
            baud_max: Baud::B19200,
            parity: true,
            wake_up: false,
            deadline: Duration::from_secs(options.deadline_s),
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let port = options.port.display();
    let told = runtime.block_on(optical::read(&options.port, &question));
    let told = told.with_context(|| format!("can't read from {port}; plug the adapter in, name the right port, and be in its group"))?;
    let told = match told {
        Ok(told) => told,
        Err(cause) => {
            output::complain(format_args!("{port}: {cause}; is the head on the meter, the right way round?"));
            return Ok(Outcome::Bad);
        }
    };
    let readout = match told.readout(&what) {
        Ok(readout) => readout,
        Err(error) => {
            output::complain(format_args!("{port}: {error}"));
            return Ok(Outcome::Bad);
        }
    };
    let meter = told.identification.as_ref().map(|it| it.line().to_owned()).unwrap_or_default();
    output::line(if options.json { json_of(&meter, readout.registers()).to_string() } else { table_of(&meter, readout.registers()) })?;
    Ok(Outcome::Good)
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

fn json_of(meter: &str, registers: &[Register<'_>]) -> serde_json::Value {
    let registers: Vec<_> = registers
        .iter()
        .map(|it| {
            let values: Vec<_> = it.values().map(|value| json!({ "value": value.text, "unit": value.unit })).collect();
            json!({ "address": it.address, "obis": it.code.map(|code| code.to_string()), "repeated": it.repeated, "values": values })
        })
        .collect();
    json!({ "meter": meter, "registers": registers })
}

fn table_of(meter: &str, registers: &[Register<'_>]) -> String {
    let mut table = Table::new();
    table.load_style(sheet::STYLE).set_header(["register", "value", "unit", "more"]);
    for register in registers {
        let mut values = register.values();
        let first = values.next();
        let more: Vec<_> = values.map(|value| format!("{} {}", value.text, value.unit).trim_end().to_owned()).collect();
        let (text, unit) = first.map_or(("", ""), |value| (value.text, value.unit));
        table.add_row([register.address, text, unit, &more.join(", ")]);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{meter}\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use meters::iec62056_21::readout::Readout;

    use super::*;

    #[test]
    fn digits_and_repetitions_are_shown_as_the_meter_shows_them() {
        let readout = Readout::parse("0.0.0(7)\r\n0.0(15*min)\r\n1.6.0(003.215*kW)(18-07-02,19:30)\r\n!\r\n").unwrap();
        let table = table_of("ABC5X", readout.registers());
        assert!(table.contains("003.215") && table.contains("18-07-02,19:30") && table.contains("min"), "{table}");
        let json = json_of("ABC5X", readout.registers());
        assert_eq!(
            json["registers"][1],
            json!({ "address": "0.0", "obis": "0.0.0", "repeated": true, "values": [{ "value": "15", "unit": "min" }] })
        );
    }
}
