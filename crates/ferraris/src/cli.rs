//! The command line.

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Parser, Subcommand};

use crate::{alerts, calibrate, command, decode, demo, doctor, gaps, output, pki, read, tail, topics, topology};

/// Ferraris: smart metering, from the meter's bytes to one Kafka record, exactly once.
#[derive(Debug, Parser)]
#[command(name = "ferraris", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Logs go to stderr; RUST_LOG sets their level.\n\
    Exit codes: 0 all is well, 1 the answer is bad (missing, doubled, malformed), 2 the command could not do its work.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole system in this process, kill parts of it, and count what was lost or doubled
    Demo(demo::Options),
    /// Certificates of meters, services and operators
    #[command(subcommand)]
    Pki(pki::Command),
    /// Kafka topics: create, check, new ledger
    #[command(subcommand)]
    Topics(topics::Command),
    /// Feeders and what hangs on them: check a file, publish it
    #[command(subcommand)]
    Topology(topology::Command),
    /// Alerts: list, follow, acknowledge, shelve, clear
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Signed commands to meters: read now, top up, relay, limit, report interval, calibrate; codes for their keypads
    #[command(subcommand)]
    Command(command::Command),
    /// Show a frame's or an acknowledgement's bytes, field by field
    Decode(decode::Options),
    /// Live readings, states and alerts from the broker
    Tail(tail::Options),
    /// What Kafka misses or holds twice, by the ledger
    Gaps(gaps::Options),
    /// What a meter on a serial port or a chip on a bus shows now
    Read(read::Options),
    /// What is on a serial port or a chip's bus; how durable a Kafka is
    Doctor(doctor::Options),
    /// Gains of a meter against a reference instrument
    #[command(subcommand)]
    Calibrate(calibrate::Command),
}

/// Parses the command line. Help and version go to stdout; a mistake is one line on stderr.
pub fn parse() -> Result<Command, ExitCode> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(cli.command),
        Err(error) => error,
    };
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe is no mistake.
        let _ = error.print();
        return Err(ExitCode::SUCCESS);
    }
    output::complain(mistake(&error));
    Err(ExitCode::from(2))
}

/// What is wrong with the command line and what to type instead, in one line.
fn mistake(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command given: `ferraris --help` lists them, `ferraris COMMAND --help` what each can do".to_owned();
    }
    let text = error.render().to_string();
    let wrong: Vec<&str> =
        text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information")).collect();
    let wrong = output::one_line(&wrong.join(" "));
    let wrong = wrong.strip_prefix("error: ").unwrap_or(&wrong);
    match error.get(ContextKind::Usage) {
        Some(usage) => format!("{wrong}; {}", output::one_line(&usage.to_string())),
        None => format!("{wrong}; see `ferraris --help`"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            if command.has_subcommands() {
                command.get_subcommands().for_each(check);
            } else {
                assert!(command.get_after_help().is_some_and(|help| help.to_string().contains("Examples:")), "{name} has no examples");
            }
        }
        Cli::command().get_subcommands().for_each(check);
    }

    #[test]
    fn mistakes_are_one_line_that_says_what_to_do() {
        for arguments in [&["ferraris", "dmeo"][..], &["ferraris"], &["ferraris", "demo", "--homes", "x"], &["ferraris", "gaps"]] {
            let text = mistake(&Cli::try_parse_from(arguments).unwrap_err());
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains("ferraris"), "{text}");
        }
    }
}
