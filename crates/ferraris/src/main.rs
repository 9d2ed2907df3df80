//! The `ferraris` command: the whole system in one process, and the tools around it.
//!
//! Exit codes: 0 all is well; 1 the answer is bad (something is missing, doubled or malformed); 2 the command could not do its work.

mod alerts;
mod calibrate;
mod canvas;
mod chip;
mod cli;
mod clock;
mod command;
mod decode;
mod demo;
mod doctor;
mod gaps;
mod kafka;
mod output;
mod pki;
mod ranges;
mod read;
mod sheet;
mod tail;
mod topics;
mod topology;

use std::process::ExitCode;

use cli::Command;
use output::Outcome;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    output::start_logging(matches!(command, Command::Demo(_)));
    match run(command) {
        Ok(outcome) => outcome.into(),
        // Whoever reads our output has seen enough.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(options) => demo::run(&options),
        Command::Pki(command) => pki::run(&command),
        Command::Topics(command) => topics::run(&command),
        Command::Topology(command) => topology::run(&command),
        Command::Alerts(command) => alerts::run(&command),
        Command::Command(command) => command::run(&command),
        Command::Decode(options) => decode::run(&options),
        Command::Tail(options) => tail::run(&options),
        Command::Gaps(options) => gaps::run(&options),
        Command::Read(options) => read::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Calibrate(command) => calibrate::run(&command),
    }
}
