//! A meter with an optical port, after IEC 62056-21, on a pseudo-terminal.
//!
//! It answers at the pace of its line and hears only what is sent at its speed: a reader that changes speed too early, too late or not at
//! all gets noise, as from a real one. An optical head that repeats what is sent can be put in front of it.

mod device;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use device::{Device, Mode, Said, Settings, Source};

use crate::terminal::{AtWork, Terminal};

/// How often to look whether we should stop.
const IDLE: Duration = Duration::from_millis(50);

/// A meter at work.
#[derive(Debug)]
pub struct OpticalMeter(AtWork<Shared>);

#[derive(Debug, Default)]
struct Shared {
    silent: AtomicBool,
    readouts: AtomicU64,
}

impl OpticalMeter {
    /// Opens a pseudo-terminal and lets a meter answer on it. `head_echoes`: an optical head repeats what is sent.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left.
    pub fn start(settings: Settings, source: Source, head_echoes: bool) -> io::Result<Self> {
        let mut meter = Meter { device: Device::new(settings, source), head_echoes, started: Instant::now() };
        AtWork::start("optical-meter", Shared::default(), move |line, shared| meter.turn(line, shared)).map(Self)
    }

    /// The terminal to open, as one opens `/dev/ttyUSB0`.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Whether the head lies beside the meter.
    pub fn set_silent(&self, silent: bool) {
        self.0.shared().silent.store(silent, Ordering::Relaxed);
    }

    /// Readouts and pushes begun so far.
    pub fn readouts(&self) -> u64 {
        self.0.shared().readouts.load(Ordering::Relaxed)
    }
}

/// The meter and what lies on it.
struct Meter {
    device: Device,
    head_echoes: bool,
    started: Instant,
}

impl Meter {
    fn turn(&mut self, line: &Terminal, shared: &Shared) -> io::Result<()> {
        let now = self.started.elapsed();
        let wait = self.device.due().map_or(IDLE, |due| due.saturating_sub(now).min(IDLE));
        let heard = line.read(wait)?;
        let now = self.started.elapsed();
        if shared.silent.load(Ordering::Relaxed) {
            self.device.say(now);
            return Ok(());
        }
        if self.head_echoes {
            line.write(&heard)?;
        }
        let baud = line.baud()?;
        // A terminal hands over at once what takes its time on a wire.
        let byte_time = Duration::from_secs(10).checked_div(baud).unwrap_or_default();
        let on_wire = byte_time.saturating_mul(u32::try_from(heard.len()).unwrap_or(u32::MAX));
        self.device.hear(&heard, baud, now.saturating_add(on_wire));
        let Said { bytes, baud } = self.device.say(now);
        if !bytes.is_empty() {
            line.write_at(baud, &bytes)?;
        }
        shared.readouts.store(self.device.readouts(), Ordering::Relaxed);
        Ok(())
    }
}
