//! A serial port that may be unplugged and come back.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serial2_tokio::SerialPort;

/// Wait before a port that is gone is tried again, and how far that grows.
const REOPEN_FIRST: Duration = Duration::from_millis(500);
const REOPEN_MAX: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Port {
    path: PathBuf,
    baud: u32,
    state: State,
}

enum State {
    Open(SerialPort),
    Gone { again: Instant, wait: Duration },
}

impl Port {
    /// Opens the port. Where it must be there, one that never was is a mistake in the configuration.
    pub fn open(path: &Path, baud: u32, optional: bool) -> io::Result<Self> {
        let state = match open(path, baud) {
            Ok(port) => State::Open(port),
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(port = %path.display(), "serial port is not there yet; trying again");
                State::Gone { again: Instant::now(), wait: REOPEN_FIRST }
            }
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.into(), baud, state })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The port, opened again if it is time to try.
    pub fn get(&mut self) -> Option<&mut SerialPort> {
        if let State::Gone { again, wait } = &mut self.state {
            let now = Instant::now();
            if now < *again {
                return None;
            }
            match open(&self.path, self.baud) {
                Ok(port) => {
                    tracing::info!(port = %self.path.display(), "serial port is back");
                    self.state = State::Open(port);
                }
                Err(_) => {
                    *wait = wait.saturating_mul(2).min(REOPEN_MAX);
                    *again = now.checked_add(*wait).unwrap_or(now);
                    return None;
                }
            }
        }
        match &mut self.state {
            State::Open(port) => Some(port),
            State::Gone { .. } => None,
        }
    }

    /// The port failed: it is closed, and tried again later.
    pub fn failed(&mut self, error: &io::Error) {
        tracing::warn!(port = %self.path.display(), %error, "serial port failed; trying again");
        let now = Instant::now();
        self.state = State::Gone { again: now.checked_add(REOPEN_FIRST).unwrap_or(now), wait: REOPEN_FIRST };
    }
}

/// 8N1 at this speed, with nothing left over from before.
pub(crate) fn open(path: &Path, baud: u32) -> io::Result<SerialPort> {
    let port = SerialPort::open(path, baud)?;
    port.discard_buffers()?;
    Ok(port)
}

/// Changes the speed.
pub(crate) fn set_baud(port: &mut SerialPort, baud: u32) -> io::Result<()> {
    let mut settings = port.get_configuration()?;
    settings.set_baud_rate(baud)?;
    port.set_configuration(&settings)
}
