//! A six-channel chip on a bus of this machine.

use std::time::Duration;

use anyhow::bail;
use edge_agent::ade7816;
use meters::ade7816::driver::{Channel, Settings};
use meters::ade7816::{CHANNELS, FrontEnd};

use super::rows::Shown;
use super::{Options, Read};
use crate::chip;

/// How long a chip counts.
const SECONDS: u64 = 2;

/// What is between the mains and the chip.
#[derive(Debug, clap::Args)]
pub(super) struct Front {
    /// Of an ADE7816: volts of the mains for each volt at the chip
    #[arg(long, value_name = "RATIO")]
    divider: Option<f64>,
    /// Of an ADE7816: volts at the chip for each ampere
    #[arg(long, value_name = "VOLTS")]
    volts_per_ampere: Option<f64>,
    /// Of an ADE7816: energy of a count, in Wh; 6e-5 unless said
    #[arg(long, value_name = "WH")]
    wh_per_count: Option<f64>,
    /// How long an ADE7816 counts energy before it is read; 2 unless said
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
}

impl Front {
    /// Whether any of it was said.
    pub(super) const fn is_there(&self) -> bool {
        self.divider.is_some() || self.volts_per_ampere.is_some() || self.wh_per_count.is_some() || self.seconds.is_some()
    }
}

/// Starts the chip and reads it.
pub(super) fn read(options: &Options) -> anyhow::Result<Read> {
    options.only_for(false, true, false)?;
    if !options.address.is_empty() {
        bail!("--address is for meters that have several: an ADE7816 has 0x38");
    }
    let front = &options.front;
    let (Some(divider), Some(volts_per_ampere)) = (front.divider, front.volts_per_ampere) else {
        bail!(
            "--driver ade7816 needs --divider and --volts-per-ampere: what is between the mains and the chip makes its counts volts and amperes"
        );
    };
    let watt_hours_per_count = front.wh_per_count.unwrap_or(Channel::NOMINAL.watt_hours_per_count);
    let seconds = front.seconds.unwrap_or(SECONDS);
    for (name, value) in [("--divider", divider), ("--volts-per-ampere", volts_per_ampere), ("--wh-per-count", watt_hours_per_count)] {
        if !(value > 0.0 && value.is_finite()) {
            bail!("{name} {value} makes no sense: it has to be more than zero");
        }
    }
    let (_, wire) = chip::open(&options.port)?;
    let settings = Settings {
        front_end: FrontEnd { divider, volts_per_ampere },
        voltage_gain: 0,
        channels: [Channel { watt_hours_per_count, ..Channel::NOMINAL }; CHANNELS],
        over_voltage: None,
        sag: None,
        sag_half_cycles: 0,
        over_current: None,
        peak_half_cycles: 0,
    };
    let title =
        format!("ade7816 behind 1:{divider} and {volts_per_ampere} V/A, {watt_hours_per_count:e} Wh a count, no gains, over {seconds} s");
    let readings = ade7816::read(wire, settings, Duration::from_secs(seconds));
    Ok(readings.map(|readings| Shown::of_chip(title, &readings)).map_err(|fault| format!("{fault}; `ferraris doctor` looks closer")))
}
