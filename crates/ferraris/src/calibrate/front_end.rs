//! An ADE7816's registers, from what they read and what they should.

use anyhow::bail;
use meters::calibration::{NoCalibration, expected_energy, gain, phase_coefficient, phase_error, watt_hours_per_count};

use crate::output::{self, Outcome};

/// What was read, and what the reference says. Three calibrations, each with its options; any of them at once.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Rms reading that the reference makes on a channel without error; with --counts
    #[arg(long, value_name = "COUNTS", requires = "counts")]
    reference_counts: Option<f64>,
    /// Rms reading of the channel
    #[arg(long, value_name = "COUNTS", requires = "reference_counts")]
    counts: Option<f64>,
    /// Active power of the load, in W; with --seconds, --energy-counts and --wh-per-count
    #[arg(long, value_name = "WATTS", requires = "energy_counts")]
    load_w: Option<f64>,
    /// How long it was on
    #[arg(long, requires = "load_w")]
    seconds: Option<f64>,
    /// Energy that a count is to stand for, in Wh; without it, what it stands for without a gain is computed
    #[arg(long, value_name = "WH", requires = "load_w")]
    wh_per_count: Option<f64>,
    /// What the energy register counted meanwhile
    #[arg(long, value_name = "COUNTS", requires = "load_w")]
    energy_counts: Option<f64>,
    /// Active energy counted at a load angle; with --reactive-counts and --angle-deg
    #[arg(long, value_name = "COUNTS", requires = "angle_deg")]
    active_counts: Option<f64>,
    /// Reactive energy counted meanwhile
    #[arg(long, value_name = "COUNTS", requires = "active_counts", allow_negative_numbers = true)]
    reactive_counts: Option<f64>,
    /// The load's angle, in degrees
    #[arg(long, value_name = "DEGREES", requires = "reactive_counts", allow_negative_numbers = true)]
    angle_deg: Option<f64>,
    /// Mains frequency, in Hz
    #[arg(long, value_name = "HERTZ", default_value_t = 50.0)]
    frequency_hz: f64,
}

/// Bits of a gain's register.
const GAIN_BITS: u32 = 0x00ff_ffff;

/// Prints a line for each register, as it may stand in agent.toml.
pub(super) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut lines = Vec::new();
    let mut refused = None;
    let mut take = |key: &str, value: Result<String, NoCalibration>, register: &str| match value {
        Ok(value) => lines.push(format!("{:<36}# {register}", format!("{key} = {value}"))),
        Err(cause) => refused = Some(format!("{key}: {cause}")),
    };
    let shown = |register: u32| format!("{register:#010x}");
    let bits = |gain: i32| shown(gain.cast_unsigned() & GAIN_BITS);
    if let (Some(reference), Some(counts)) = (options.reference_counts, options.counts) {
        take(
            "current_gain",
            gain(reference, counts).map(bits),
            "xIGAIN, in [[meter.channel]]; of the voltage VGAIN: voltage_gain, in [[meter]]",
        );
    }
    match (options.load_w, options.seconds, options.wh_per_count, options.energy_counts) {
        (Some(load), Some(seconds), Some(per_count), Some(counts)) => {
            let gain = expected_energy(load, seconds, per_count).and_then(|expected| gain(expected, counts));
            take("power_gain", gain.map(bits), "xWGAIN, in [[meter.channel]]");
        }
        (Some(load), Some(seconds), None, Some(counts)) => {
            let per_count = watt_hours_per_count(load, seconds, counts).map(|it| format!("{it:e}"));
            take("wh_per_count", per_count, "without a power_gain, in [[meter]] or [[meter.channel]]");
        }
        (None, ..) => {}
        _ => bail!("an energy gain needs --load-w, --seconds and --energy-counts, and --wh-per-count"),
    }
    if let (Some(active), Some(reactive), Some(angle)) = (options.active_counts, options.reactive_counts, options.angle_deg) {
        let error = phase_error(active, reactive, angle.to_radians());
        let coefficient = error.and_then(|error| phase_coefficient(error, options.frequency_hz));
        take("phase", coefficient.map(shown), "PCF_x_COEFF, in [[meter.channel]]");
    }
    if let Some(cause) = refused {
        output::complain(cause);
        return Ok(Outcome::Bad);
    }
    if lines.is_empty() {
        bail!("nothing to calibrate: see `ferraris calibrate front-end --help` for what each register needs");
    }
    lines.into_iter().try_for_each(output::line)?;
    Ok(Outcome::Good)
}
