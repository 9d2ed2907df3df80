//! A six-channel chip on a bus of this machine.

use std::time::Duration;

use anyhow::bail;
use edge_agent::ade7816;
use meters::ade7816::driver::{Channel, Settings};
use meters::ade7816::{CHANNELS, FrontEnd};

use super::rows::Shown;
use super::{Options, Read};
use crate::chip;

/// What is between the mains and the chip.
#[derive(Debug, clap::Args)]
pub(super) struct Front {
    /// Of an ADE7816: volts of the mains for each volt at the chip
    #[arg(long, value_name = "RATIO", default_value_t = FrontEnd::PAPER.divider)]
    divider: f64,
    /// Of an ADE7816: volts at the chip for each ampere
    #[arg(long, value_name = "VOLTS", default_value_t = FrontEnd::PAPER.volts_per_ampere)]
    volts_per_ampere: f64,
    /// Of an ADE7816: energy of a count, in Wh
    #[arg(long, value_name = "WH", default_value_t = Channel::NOMINAL.watt_hours_per_count)]
    wh_per_count: f64,
    /// How long an ADE7816 counts energy before it is read
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

/// Starts the chip and reads it.
pub(super) fn read(options: &Options) -> anyhow::Result<Read> {
    options.only_for(false, true, false)?;
    if !options.address.is_empty() {
        bail!("--address is for meters that have several: an ADE7816 has 0x38");
    }
    let front = &options.front;
    for (name, value) in
        [("--divider", front.divider), ("--volts-per-ampere", front.volts_per_ampere), ("--wh-per-count", front.wh_per_count)]
    {
        if !(value > 0.0 && value.is_finite()) {
            bail!("{name} {value} makes no sense: it has to be more than zero");
        }
    }
    let (_, wire) = chip::open(&options.port)?;
    let settings = Settings {
        front_end: FrontEnd { divider: front.divider, volts_per_ampere: front.volts_per_ampere },
        voltage_gain: 0,
        channels: [Channel { watt_hours_per_count: front.wh_per_count, ..Channel::NOMINAL }; CHANNELS],
        over_voltage: None,
        sag: None,
        sag_half_cycles: 0,
        over_current: None,
        peak_half_cycles: 0,
    };
    let title = format!(
        "ade7816 behind 1:{} and {} V/A, {:e} Wh a count, no gains, over {} s",
        front.divider, front.volts_per_ampere, front.wh_per_count, front.seconds
    );
    let readings = ade7816::read(wire, settings, Duration::from_secs(front.seconds));
    Ok(readings.map(|readings| Shown::of_chip(title, &readings)).map_err(|fault| format!("{fault}; `ferraris doctor` looks closer")))
}
