//! Whether a chip answers on a bus of this machine.

use std::path::Path;

use edge_agent::ade7816;
use edge_agent::config::Interface;
use serde_json::json;

use super::port::holders;
use crate::chip;
use crate::output::{self, Outcome};

/// Asks for the chip's version, and prints what comes.
pub(super) fn run(port: &Path, json: bool) -> anyhow::Result<Outcome> {
    let (interface, wire) = chip::open(port)?;
    let version = ade7816::version(wire, interface == Interface::Spi);
    let (shown, others) = (port.display(), holders(port));
    let way = format!("ADE7816, {}", chip::name(interface));
    let command = format!("ferraris read --driver ade7816 --port {shown} --divider … --volts-per-ampere …");
    if json {
        let found = version.is_ok();
        let tried = version.as_ref().err().map(|fault| json!({ "way": way, "cause": fault.to_string() }));
        output::line(json!({
            "port": shown.to_string(),
            "driver": found.then_some("ade7816"),
            "found": version.as_ref().ok().map(|version| vec![told(*version)]),
            "tried": tried.into_iter().collect::<Vec<_>>(),
            "open_in": others,
            "read_with": found.then_some(command),
        }))?;
        return Ok(Outcome::good_if(found));
    }
    output::line(&shown)?;
    for holder in &others {
        output::line(format_args!("  {holder} has the bus open, too"))?;
    }
    match &version {
        Ok(version) => {
            output::line(format_args!("  {way:<40} {}", told(*version)))?;
            output::line(format_args!("\nread it:     {command}\nagent.toml:  device = \"ade7816\""))?;
        }
        Err(fault) => {
            output::line(format_args!("  {way:<40} {fault}"))?;
            output::line(
                "\nDoes the chip have its supply and its clock, are the PM pins set to normal mode, and is it wired as docs/meter-ade7816.md says?",
            )?;
        }
    }
    Ok(Outcome::good_if(version.is_ok()))
}

fn told(version: u8) -> String {
    format!("version {version}")
}
