//! PZEM-004T modules on a pseudo-terminal: what a serial port with real modules on it looks like from outside.
//!
//! The modules answer Modbus at the pace of 9600 baud, from whatever supplies their registers: captured replies, a simulated household,
//! a test's own closure. Faults can be switched while they run.

mod device;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use device::{Registers, Source, captured, registers};

use crate::terminal::{AtWork, Terminal};
use device::Device;

/// One byte at 9600 8N1.
const BYTE: Duration = Duration::from_micros(1_042);
/// Quiet after which what came is taken for a whole request: 3.5 bytes.
const SILENCE: Duration = Duration::from_millis(4);
/// From the end of the request to the first byte of the reply.
const THINKING: Duration = Duration::from_millis(25);
/// Serial adapters hand bytes over in pieces; so do we.
const PIECE: usize = 8;
/// How often to look whether we should stop.
const IDLE: Duration = Duration::from_millis(50);

/// What is wrong with a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It does not answer.
    Silent,
    /// A bit of each reply is flipped.
    Corrupt,
    /// Each reply breaks off.
    Truncated,
    /// Each reply comes so much later, perhaps after the next request.
    Late(Duration),
}

/// Modules on one line.
#[derive(Debug)]
pub struct PzemLine(AtWork<Shared>);

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicU64,
    bytes_said: AtomicU64,
    faults: Mutex<BTreeMap<u8, Fault>>,
}

impl PzemLine {
    /// Opens a pseudo-terminal and lets modules with these addresses answer on it.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left.
    pub fn start(modules: impl IntoIterator<Item = (u8, Source)>) -> io::Result<Self> {
        let devices = modules.into_iter().map(|(address, source)| Device::new(address, source)).collect();
        let mut modules = Modules { devices, request: Vec::new(), heard: Duration::ZERO, due: Vec::new(), started: Instant::now() };
        AtWork::start("pzem-line", Shared::default(), move |line, shared| modules.turn(line, shared)).map(Self)
    }

    /// The terminal to open, as one opens `/dev/ttyUSB0`.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Breaks or mends the module at `address`.
    pub fn set_fault(&self, address: u8, fault: Fault) {
        self.0.shared().faults.lock().unwrap_or_else(PoisonError::into_inner).insert(address, fault);
    }

    /// Frames heard so far, sound or not.
    pub fn requests(&self) -> u64 {
        self.0.shared().requests.load(Ordering::Relaxed)
    }

    /// Bytes that the modules have said so far.
    pub fn bytes_said(&self) -> u64 {
        self.0.shared().bytes_said.load(Ordering::Relaxed)
    }
}

/// The modules and what is on its way. Times are since `started`.
struct Modules {
    devices: Vec<Device>,
    request: Vec<u8>,
    /// When the last of it came.
    heard: Duration,
    due: Vec<(Duration, Vec<u8>)>,
    started: Instant,
}

impl Modules {
    fn turn(&mut self, line: &Terminal, shared: &Shared) -> io::Result<()> {
        let now = self.started.elapsed();
        let silence_at = (!self.request.is_empty()).then(|| self.heard.saturating_add(SILENCE));
        let next = self.due.iter().map(|(at, _)| *at).chain(silence_at).min();
        let bytes = line.read(next.map_or(IDLE, |next| next.saturating_sub(now).min(IDLE)))?;
        if !bytes.is_empty() {
            self.request.extend(bytes);
            self.heard = self.started.elapsed();
        }
        let now = self.started.elapsed();
        if !self.request.is_empty() && self.heard.saturating_add(SILENCE) <= now {
            shared.requests.fetch_add(1, Ordering::Relaxed);
            self.answer(shared, now);
        }
        self.write(line, shared, now)
    }

    /// Lets the modules answer and schedules the pieces of what they say.
    fn answer(&mut self, shared: &Shared, now: Duration) {
        let request = std::mem::take(&mut self.request);
        let faults = shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let alone = self.devices.len() == 1;
        for device in &mut self.devices {
            let fault = faults.get(&device.address()).copied().unwrap_or_default();
            if fault == Fault::Silent {
                continue;
            }
            let Some(mut reply) = device.reply(&request, alone) else { continue };
            let mut at = now.saturating_add(THINKING);
            match fault {
                Fault::None | Fault::Silent => {}
                Fault::Corrupt => reply.iter_mut().skip(3).take(1).for_each(|byte| *byte ^= 0x04),
                Fault::Truncated => reply.truncate(reply.len().saturating_sub(3)),
                Fault::Late(by) => at = at.saturating_add(by),
            }
            for piece in reply.chunks(PIECE) {
                at = at.saturating_add(BYTE.saturating_mul(u32::try_from(piece.len()).unwrap_or(u32::MAX)));
                self.due.push((at, piece.to_vec()));
            }
        }
    }

    fn write(&mut self, line: &Terminal, shared: &Shared, now: Duration) -> io::Result<()> {
        self.due.sort_by_key(|(at, _)| *at);
        let waiting = self.due.iter().position(|(at, _)| now < *at).unwrap_or(self.due.len());
        for (_, piece) in self.due.drain(..waiting) {
            line.write(&piece)?;
            shared.bytes_said.fetch_add(u64::try_from(piece.len()).unwrap_or(0), Ordering::Relaxed);
        }
        Ok(())
    }
}
