//! A meter with an optical port, after IEC 62056-21, on a pseudo-terminal.
//!
//! It answers at the pace of its line and hears only what is sent at its speed: a reader that changes speed too early, too late or not at
//! all gets noise, as from a real one. An optical head that repeats what is sent can be put in front of it.

mod device;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use device::{Device, Mode, Said, Settings, Source};

use crate::terminal::Terminal;

/// How often to look whether we should stop.
const IDLE: Duration = Duration::from_millis(50);

/// A meter at work.
#[derive(Debug)]
pub struct OpticalMeter {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    silent: AtomicBool,
    readouts: AtomicU64,
}

impl OpticalMeter {
    /// Opens a pseudo-terminal and lets a meter answer on it. `head_echoes`: an optical head repeats what is sent.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left.
    pub fn start(settings: Settings, source: Source, head_echoes: bool) -> io::Result<Self> {
        let line = Terminal::open()?;
        let path = line.path().to_owned();
        let shared = Arc::new(Shared::default());
        let device = Device::new(settings, source);
        let wire = Wire { line, shared: shared.clone(), device, head_echoes, started: Instant::now() };
        let thread = std::thread::Builder::new().name("optical-meter".into()).spawn(move || {
            // Nobody is left to hear of a line that is gone.
            let _ = wire.run();
        })?;
        Ok(Self { path, shared, thread: Some(thread) })
    }

    /// The terminal to open, as one opens `/dev/ttyUSB0`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the head lies beside the meter.
    pub fn set_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// Readouts and pushes begun so far.
    pub fn readouts(&self) -> u64 {
        self.shared.readouts.load(Ordering::Relaxed)
    }
}

impl Drop for OpticalMeter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// The meter's end of the line.
struct Wire {
    line: Terminal,
    shared: Arc<Shared>,
    device: Device,
    head_echoes: bool,
    started: Instant,
}

impl Wire {
    fn run(mut self) -> io::Result<()> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let now = self.started.elapsed();
            let wait = self.device.due().map_or(IDLE, |due| due.saturating_sub(now).min(IDLE));
            let heard = self.line.read(wait)?;
            let now = self.started.elapsed();
            if self.shared.silent.load(Ordering::Relaxed) {
                self.device.say(now);
                continue;
            }
            if self.head_echoes {
                self.line.write(&heard)?;
            }
            let baud = self.line.baud()?;
            // A terminal hands over at once what takes its time on a wire.
            let byte_time = Duration::from_secs(10).checked_div(baud).unwrap_or_default();
            let on_wire = byte_time.saturating_mul(u32::try_from(heard.len()).unwrap_or(u32::MAX));
            self.device.hear(&heard, baud, now.saturating_add(on_wire));
            let Said { bytes, baud } = self.device.say(now);
            if !bytes.is_empty() {
                let matches = self.line.baud()? == baud;
                // At another speed the same bits make other bytes.
                let bytes = if matches { bytes } else { bytes.iter().map(|byte| byte.rotate_left(3) ^ 0xa5).collect() };
                self.line.write(&bytes)?;
            }
            self.shared.readouts.store(self.device.readouts(), Ordering::Relaxed);
        }
        Ok(())
    }
}
