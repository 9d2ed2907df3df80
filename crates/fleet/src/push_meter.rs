//! A meter that talks unasked, on a pseudo-terminal: a P1 port or the optical port of a German meter.
//!
//! It talks at its own speed: whoever listens at another one gets noise, as from a real one.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crc::{CRC_16_ARC, CRC_16_IBM_SDLC, Crc};
use sml_rs::transport::encode_streaming;

use crate::terminal::{AtWork, Terminal};

/// What it says, each time.
pub type Source = Box<dyn FnMut() -> Vec<u8> + Send>;

/// How often to look whether we should stop.
const IDLE: Duration = Duration::from_millis(20);

/// A meter at work, and how many messages it has said.
#[derive(Debug)]
pub struct PushMeter(AtWork<AtomicU64>);

impl PushMeter {
    /// Opens a pseudo-terminal and says something on it, at once and this often after.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left.
    pub fn start(baud: u32, every: Duration, mut source: Source) -> io::Result<Self> {
        let mut due = Instant::now();
        let turn = move |line: &Terminal, said: &AtomicU64| {
            // What is sent to it goes nowhere.
            line.read(IDLE)?;
            let now = Instant::now();
            if now >= due {
                due = now.checked_add(every).unwrap_or(now);
                line.write_at(baud, &source())?;
                said.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        AtWork::start("push-meter", AtomicU64::new(0), turn).map(Self)
    }

    /// The terminal to open, as one opens `/dev/ttyUSB0`.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Messages said so far.
    pub fn said(&self) -> u64 {
        self.0.shared().load(Ordering::Relaxed)
    }
}

/// A P1 telegram: identification without `/`, and what stands on its lines.
pub fn telegram(identification: &str, data_sets: &[(&str, String)]) -> Vec<u8> {
    let lines: String = data_sets.iter().map(|(address, value)| format!("{address}({value})\r\n")).collect();
    let text = format!("/{identification}\r\n\r\n{lines}!");
    let check = Crc::<u16>::new(&CRC_16_ARC).checksum(text.as_bytes());
    format!("{text}{check:04X}\r\n").into_bytes()
}

/// An SML transmission with registers of energy: OBIS quantities of the total (1 import, 2 export) and tenths of a Wh.
pub fn transmission(server: &[u8; 10], registers: &[(u8, u64)]) -> Vec<u8> {
    let mut body = vec![0x77, 0x01, 0x0b];
    body.extend(server);
    body.extend([0x01, 0x01]);
    body.push(0x70 | u8::try_from(registers.len()).unwrap_or(0) & 0x0f);
    for (quantity, tenths) in registers {
        body.extend([0x77, 0x07, 1, 0, *quantity, 8, 0, 255, 0x01, 0x01, 0x62, 30, 0x52, 0xff, 0x69]);
        body.extend(tenths.to_be_bytes());
        body.push(0x01);
    }
    body.extend([0x01, 0x01]);
    let messages = [message(1, 0x0701, &body), message(2, 0x0201, &[0x71, 0x01])].concat();
    encode_streaming(&messages).collect()
}

/// One message of a type.
fn message(number: u8, kind: u16, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0x76, 0x02, number, 0x62, 0x00, 0x62, 0x00, 0x72, 0x63];
    message.extend(kind.to_be_bytes());
    message.extend(body);
    let check = Crc::<u16>::new(&CRC_16_IBM_SDLC).checksum(&message);
    message.push(0x63);
    message.extend(check.to_le_bytes());
    message.push(0x00);
    message
}
