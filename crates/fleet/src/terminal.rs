//! A pseudo-terminal with a simulated device behind it: what a serial port looks like from outside.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

/// A device at work on a line of its own, until it is dropped. `S` is what it and its owner both see.
#[derive(Debug)]
pub struct AtWork<S> {
    path: PathBuf,
    shared: Arc<S>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Send + Sync + 'static> AtWork<S> {
    /// Opens a pseudo-terminal and calls `turn` again and again, in a thread of this name, until the line is gone. A turn waits for no
    /// longer than its owner should wait for the end.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left.
    pub fn start(name: &str, shared: S, mut turn: impl FnMut(&Terminal, &S) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let line = Terminal::open()?;
        let path = line.path().to_owned();
        let (shared, stop) = (Arc::new(shared), Arc::new(AtomicBool::new(false)));
        let (mine, stopped) = (shared.clone(), stop.clone());
        // Nobody is left to hear of a line that is gone.
        let work = move || while !stopped.load(Ordering::Relaxed) && turn(&line, &mine).is_ok() {};
        let thread = std::thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Self { path, shared, stop, thread: Some(thread) })
    }

    /// The terminal to open, as one opens `/dev/ttyUSB0`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What both see.
    pub fn shared(&self) -> &S {
        &self.shared
    }
}

impl<S> Drop for AtWork<S> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed where it happened.
            let _ = thread.join();
        }
    }
}

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

    /// Says something at this speed, in baud: if the other end has set another one, the same bits make other bytes.
    ///
    /// # Errors
    /// The line is gone.
    pub fn write_at(&self, baud: u32, bytes: &[u8]) -> io::Result<()> {
        if self.baud()? == baud {
            return self.write(bytes);
        }
        let noise: Vec<u8> = bytes.iter().map(|byte| byte.rotate_left(3) ^ 0xa5).collect();
        self.write(&noise)
    }

    /// The speed that the other end has set, in baud.
    ///
    /// # Errors
    /// The line is gone.
    pub fn baud(&self) -> io::Result<u32> {
        Ok(rustix::termios::tcgetattr(&self.line)?.output_speed())
    }
}
