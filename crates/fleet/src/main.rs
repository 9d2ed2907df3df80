//! Simulated homes for an agent that runs beside them: each is a PZEM-004T on a pseudo-terminal, with a stable name in a directory.
//!
//! `fleet --dir /run/lines --homes 5` makes `/run/lines/home-1` … `home-5`; an agent opens them as it would open `/dev/ttyUSB0`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use fleet::household::{Household, HouseholdConfig};
use fleet::pzem_module::{PzemLine, Source, registers};
use fleet::sensor::{Profile, Sensor};

/// Simulated homes: PZEM-004T modules on pseudo-terminals, until it is ended
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the lines get their names: DIR/home-1, DIR/home-2 …
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How many
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    homes: u16,
    /// The same seed gives the same homes; home N has seed + N
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Address of each module on its line.
const ADDRESS: u8 = 1;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match lines(&arguments) {
        Ok(_lines) => {
            println!("{} homes in {}, seed {}", arguments.homes, arguments.dir.display(), arguments.seed);
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            eprintln!("fleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn lines(arguments: &Arguments) -> anyhow::Result<Vec<PzemLine>> {
    fs::create_dir_all(&arguments.dir).with_context(|| format!("cannot create {}", arguments.dir.display()))?;
    (1..=arguments.homes).map(|number| line(arguments, number)).collect()
}

fn line(arguments: &Arguments, number: u16) -> anyhow::Result<PzemLine> {
    let line = PzemLine::start([(ADDRESS, home(arguments.seed.wrapping_add(number.into())))]).context("no pseudo-terminal")?;
    let name = arguments.dir.join(format!("home-{number}"));
    point(&name, line.path()).with_context(|| format!("cannot make {}", name.display()))?;
    Ok(line)
}

/// Makes `name` lead to `terminal`, also if it led to one of an earlier run. What is not a link stays.
fn point(name: &Path, terminal: &Path) -> io::Result<()> {
    if name.is_symlink() {
        fs::remove_file(name)?;
    }
    symlink(terminal, name)
}

/// A household as its meter shows it, in real time.
fn home(seed: u64) -> Source {
    let mut household = Household::new(seed, &HouseholdConfig::default());
    let mut sensor = Sensor::new(seed, Profile::PZEM);
    let begin = Instant::now();
    let mut seconds = 0;
    let mut shown = sensor.sample(&household.second());
    Box::new(move || {
        while seconds < begin.elapsed().as_secs() {
            seconds = seconds.saturating_add(1);
            shown = sensor.sample(&household.second());
        }
        Some(registers(&shown.measurement()))
    })
}
