//! A pseudo-terminal with a simulated device behind it: what a serial port looks like from outside.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

/// The device's end.
#[derive(Debug)]
pub struct Terminal {
    line: OwnedFd,
    path: PathBuf,
    /// Held open so that the line lives on while nobody else has it open.
    _far_end: OwnedFd,
}

impl Terminal {
    /// Opens one; raw from the start, so that nothing is echoed.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left.
    pub fn open() -> io::Result<Self> {
        let line = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&line)?;
        rustix::pty::unlockpt(&line)?;
        let path = PathBuf::from(rustix::pty::ptsname(&line, Vec::new())?.into_string().map_err(io::Error::other)?);
        let far_end = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = rustix::termios::tcgetattr(&far_end)?;
        settings.make_raw();
        rustix::termios::tcsetattr(&far_end, OptionalActions::Now, &settings)?;
        Ok(Self { line, path, _far_end: far_end })
    }

    /// The terminal to open, as one opens `/dev/ttyUSB0`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What arrives within `wait`, a second at most; empty if nothing does.
    ///
    /// # Errors
    /// The line is gone.
    pub fn read(&self, wait: Duration) -> io::Result<Vec<u8>> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        if poll(&mut [PollFd::new(&self.line, PollFlags::IN)], Some(&timeout))? == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; 256];
        let len = rustix::io::read(&self.line, &mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Says something.
    ///
    /// # Errors
    /// The line is gone.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.line, bytes)?;
        Ok(())
    }

    /// The speed that the other end has set, in baud.
    ///
    /// # Errors
    /// The line is gone.
    pub fn baud(&self) -> io::Result<u32> {
        Ok(rustix::termios::tcgetattr(&self.line)?.output_speed())
    }
}
