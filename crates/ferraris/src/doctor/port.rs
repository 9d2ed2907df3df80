//! What is on a serial port.

use std::io;
use std::path::Path;

use anyhow::anyhow;
use edge_agent::probe::{Found, Way};
use edge_agent::push::Told;
use meters::iec62056_21::identification::Mode;
use serde_json::{Value, json};

use crate::output::{self, Outcome};

/// Looks at a port and prints what is on it.
pub(super) async fn run(port: &Path, json: bool) -> anyhow::Result<Outcome> {
    let shown = port.display();
    let others = holders(port);
    if !json {
        output::line(format_args!("{shown}"))?;
        for holder in &others {
            output::line(format_args!("  {holder} has the port open, too: stop it first, or both hear half"))?;
        }
    }
    let mut tried = Vec::new();
    let mut found = None;
    for way in Way::ALL {
        match way.try_on(port).await.map_err(|error| anyhow!("{}", cannot_open(port, &error)))? {
            Ok(it) => {
                found = Some((way, it));
                break;
            }
            Err(cause) => {
                if !json {
                    output::line(format_args!("  {:<40} {cause}", way.name()))?;
                }
                tried.push(json!({ "way": way.name(), "cause": cause }));
            }
        }
    }
    let command = found.as_ref().map(|(way, _)| format!("ferraris read --driver {} --port {shown}", way.driver()));
    if json {
        let driver = found.as_ref().map(|(way, _)| way.driver());
        let told = found.as_ref().map(|(_, it)| lines(it));
        let report: Value =
            json!({ "port": shown.to_string(), "driver": driver, "found": told, "tried": tried, "open_in": others, "read_with": command });
        output::line(report)?;
    } else if let (Some((way, it)), Some(command)) = (&found, &command) {
        for line in lines(it) {
            output::line(format_args!("  {:<40} {line}", way.name()))?;
        }
        output::line(format_args!("\nread it:     {command}\nagent.toml:  device = \"{}\"", way.driver()))?;
    } else {
        output::line(
            "\nNothing answers and nothing is said. Does the meter have its supply, do RX and TX cross, is the head the right way round, and is the right\n\
             port named? A meter on batteries, one with an address on a current loop, or one that talks at another speed is not found so: see docs/meter-*.md.",
        )?;
    }
    Ok(Outcome::good_if(found.is_some()))
}

/// What was found, a line for each device.
fn lines(found: &Found) -> Vec<String> {
    match found {
        Found::Pzem(modules) => modules
            .iter()
            .map(|(address, it)| format!("address {}: {}, {}, {}, {}", address.get(), it.voltage, it.current, it.active_power, it.energy))
            .collect(),
        Found::Push(Told::DsmrP1 { identification, .. }) => vec![identification.clone()],
        Found::Push(Told::Sml(messages)) => vec![match meters::sml::Readout::parse(messages) {
            Ok(readout) => format!("meter {}, {} registers", hex::encode(readout.server), readout.entries().len()),
            Err(error) => format!("a transmission without registers: {error}"),
        }],
        Found::Optical(it) => {
            let mode = match it.mode() {
                Mode::A => "mode A".to_owned(),
                Mode::B(baud) => format!("mode B at {} baud", baud.per_second()),
                Mode::C(baud) => format!("mode C up to {} baud", baud.per_second()),
            };
            vec![format!("{}, {mode}", it.line())]
        }
    }
}

/// Why a port can't be opened, and what to do.
fn cannot_open(port: &Path, error: &io::Error) -> String {
    let shown = port.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let there = terminals();
            let there =
                if there.is_empty() { "no serial adapter is plugged in".to_owned() } else { format!("there are {}", there.join(", ")) };
            format!("there is no {shown}: {there}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{shown} may not be opened: add yourself to its group (`sudo usermod -aG dialout $USER`) and log in anew")
        }
        io::ErrorKind::ResourceBusy => format!("{shown} is in use by another program: stop it first"),
        _ => format!("can't use {shown}: {error}; is it a serial port, and still plugged in?"),
    }
}

/// Serial adapters of this machine, by the names that stay.
fn terminals() -> Vec<String> {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path().display().to_string()).collect()
    };
    let mut found = names("/dev/serial/by-id");
    if found.is_empty() {
        found = names("/dev");
        found.retain(|name| ["/dev/ttyUSB", "/dev/ttyACM", "/dev/ttyAMA"].iter().any(|prefix| name.starts_with(prefix)));
    }
    found.sort();
    found
}

/// Other processes that have the port open, as far as this one may know.
pub(super) fn holders(port: &Path) -> Vec<String> {
    let Ok(port) = port.canonicalize() else { return Vec::new() };
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let numbers = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let others = numbers.filter(|name| *name != own && name.bytes().all(|byte| byte.is_ascii_digit()));
    let has_it = |number: &String| {
        let files = std::fs::read_dir(format!("/proc/{number}/fd")).into_iter().flatten().filter_map(Result::ok);
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| target == port)
    };
    others
        .filter(has_it)
        .map(|number| {
            let name = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
            format!("process {number} ({})", name.trim_end())
        })
        .collect()
}
