//! One meter: what it hears, and what it says when. No clock, no line.

use std::collections::VecDeque;
use std::time::Duration;

use meters::iec62056_21::identification::Baud;
use meters::iec62056_21::message::{check_character, with_parity, without_parity};

/// Where the registers come from: address and what stands in its parentheses, in order. Called for each readout.
pub type Source = Box<dyn FnMut() -> Vec<(String, String)> + Send>;

/// From the end of what was heard to the first byte said: the standard's shortest.
const REACTION: Duration = Duration::from_millis(200);
/// How long a meter that hears no acknowledgement waits for one, from the request on.
const UNTOLD: Duration = Duration::from_millis(2_500);
/// Silence after which a conversation is over: to answer the identification, and within programming mode.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest message heard.
const HEARD_MAX: usize = 128;

const SOH: u8 = 0x01;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

/// How it goes on after the identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reads out at 300 baud.
    A,
    /// Reads out at this speed, without being asked.
    B(Baud),
    /// Waits to be told; up to this speed.
    C(Baud),
    /// Offers this speed and never hears what it is told: reads out at 300 baud after a while.
    Deaf(Baud),
    /// Says everything unasked, at 2400 baud, this often.
    D(Duration),
}

/// What kind of meter it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Three letters.
    pub manufacturer: String,
    /// Its name.
    pub name: String,
    /// The address that it answers to, besides none at all.
    pub address: String,
    /// How it talks.
    pub mode: Mode,
    /// What opens programming mode; none needs no password.
    pub password: Option<String>,
}

/// What is said up to some time, and how fast.
#[derive(Debug)]
pub struct Said {
    /// The bytes, with parity.
    pub bytes: Vec<u8>,
    /// In baud.
    pub baud: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Identified,
    /// Programming mode, and whether it is open.
    Commands {
        open: bool,
    },
}

/// See the module.
pub struct Device {
    settings: Settings,
    source: Source,
    state: State,
    baud: Baud,
    heard: Vec<u8>,
    last: Duration,
    /// Bytes to be said, each with the time at which it is on the wire, and its speed.
    queue: VecDeque<(Duration, u8, Baud)>,
    /// The last block said, in case it was not understood.
    block: Vec<u8>,
    readouts: u64,
    next_push: Duration,
}

impl Device {
    /// A meter that nobody has talked to.
    pub fn new(settings: Settings, source: Source) -> Self {
        let baud = if matches!(settings.mode, Mode::D(_)) { Baud::B2400 } else { Baud::B300 };
        Self {
            settings,
            source,
            state: State::Idle,
            baud,
            heard: Vec::new(),
            last: Duration::ZERO,
            queue: VecDeque::new(),
            block: Vec::new(),
            readouts: 0,
            next_push: Duration::ZERO,
        }
    }

    /// Readouts and pushes begun so far.
    pub const fn readouts(&self) -> u64 {
        self.readouts
    }

    /// When it next says something, unless it hears something.
    pub fn due(&self) -> Option<Duration> {
        let push = matches!(self.settings.mode, Mode::D(_)).then_some(self.next_push);
        self.queue.front().map(|(at, ..)| *at).or(push)
    }

    /// Bytes came at `now`, sent at `baud`.
    pub fn hear(&mut self, bytes: &[u8], baud: u32, now: Duration) {
        if self.state != State::Idle && self.queue.is_empty() && self.last.saturating_add(PATIENCE) < now {
            self.rest();
        }
        for byte in bytes {
            // What comes while the meter talks, or at another speed, is noise to it.
            let Some(byte) = without_parity(*byte).filter(|_| baud == self.baud.per_second() && self.queue.is_empty()) else { continue };
            self.last = now;
            self.heard.push(byte);
            self.understand(now);
            if self.heard.len() > HEARD_MAX {
                self.heard.clear();
            }
        }
    }

    /// What is on the wire by `now`, as far as it has one speed: call it until it says nothing.
    pub fn say(&mut self, now: Duration) -> Said {
        if let Mode::D(every) = self.settings.mode
            && self.next_push <= now
        {
            self.next_push = now.saturating_add(every);
            let text = format!("/{}\r\n\r\n{}!\r\n", self.identification(), self.lines());
            self.queue(text.as_bytes(), now);
        }
        let speed = self.queue.front().map_or(self.baud, |(_, _, baud)| *baud);
        let waiting = self.queue.iter().position(|(at, _, baud)| now < *at || *baud != speed).unwrap_or(self.queue.len());
        let bytes: Vec<u8> = self.queue.drain(..waiting).map(|(_, byte, _)| byte).collect();
        if !bytes.is_empty() {
            self.last = now;
            if self.queue.is_empty() && self.state == State::Idle {
                self.rest();
            }
        }
        Said { bytes, baud: speed.per_second() }
    }

    /// As if nobody had talked to it.
    fn rest(&mut self) {
        self.state = State::Idle;
        self.heard.clear();
        if !matches!(self.settings.mode, Mode::D(_)) {
            self.baud = Baud::B300;
        }
    }

    fn understand(&mut self, now: Duration) {
        match self.state {
            State::Idle => self.request(now),
            State::Identified => self.option(now),
            State::Commands { open } => self.command(open, now),
        }
    }

    /// `/?address!`.
    fn request(&mut self, now: Duration) {
        if !self.heard.ends_with(b"!\r\n") {
            return;
        }
        let heard = String::from_utf8_lossy(&std::mem::take(&mut self.heard)).into_owned();
        let Some((_, address)) = heard.rsplit_once("/?") else { return };
        let address = address.trim_end_matches("!\r\n").trim_start_matches('0');
        if !address.is_empty() && address != self.settings.address.trim_start_matches('0') {
            return;
        }
        let line = format!("/{}\r\n", self.identification());
        self.queue(line.as_bytes(), now.saturating_add(REACTION));
        match self.settings.mode {
            Mode::A => self.read_out(Baud::B300, now),
            Mode::B(baud) => self.read_out(baud, now),
            Mode::C(_) => self.state = State::Identified,
            Mode::Deaf(_) => self.read_out(Baud::B300, now.saturating_add(UNTOLD)),
            Mode::D(_) => {}
        }
    }

    /// `ACK 0 Z Y`.
    fn option(&mut self, now: Duration) {
        let [ACK, b'0', speed, what, b'\r', b'\n'] = *self.heard else {
            if self.heard.ends_with(b"\n") {
                self.rest();
            }
            return;
        };
        self.heard.clear();
        let offered = if let Mode::C(offered) = self.settings.mode { offered } else { Baud::B300 };
        let Some(baud) = Baud::ALL.into_iter().find(|baud| baud.digit() == speed && *baud <= offered) else {
            return self.rest();
        };
        match what {
            b'0' => self.read_out(baud, now),
            b'1' => {
                (self.baud, self.state) = (baud, State::Commands { open: self.settings.password.is_none() });
                self.block(&[&[SOH], b"P0", &[STX], b"(00000001)", &[ETX]], now);
            }
            _ => self.rest(),
        }
    }

    /// `SOH letter digit STX operand ETX BCC`.
    fn command(&mut self, open: bool, now: Duration) {
        if self.heard.as_slice() == [NAK] {
            self.heard.clear();
            let block = self.block.clone();
            return self.queue(&block, now.saturating_add(REACTION));
        }
        let [SOH, letter, digit, rest @ .., ETX, check] = self.heard.as_slice() else { return };
        let (name, operand) = ([*letter, *digit], String::from_utf8_lossy(rest).into_owned());
        let sound = self.heard.split_last().is_some_and(|(_, block)| check_character(block) == *check);
        self.heard.clear();
        let operand = operand.trim_start_matches('\u{2}').to_owned();
        match &name {
            _ if !sound => self.queue(&[NAK], now.saturating_add(REACTION)),
            b"B0" => self.rest(),
            b"P1" if self.settings.password.as_ref().is_none_or(|password| operand == format!("({password})")) => {
                self.state = State::Commands { open: true };
                self.queue(&[ACK], now.saturating_add(REACTION));
            }
            b"R1" | b"R5" if open => {
                let wanted = operand.split('(').next().unwrap_or_default();
                let value = (self.source)().into_iter().find(|(address, _)| address == wanted);
                let reply = value.map_or_else(|| "(ER02)".to_owned(), |(address, value)| format!("{address}({value})"));
                self.block(&[&[STX], reply.as_bytes(), &[ETX]], now);
            }
            _ => self.block(&[&[STX], b"(ER01)", &[ETX]], now),
        }
    }

    fn identification(&self) -> String {
        let speed = match self.settings.mode {
            Mode::A => '#',
            Mode::B(baud) => char::from(baud.digit().saturating_add(b'A' - b'1')),
            Mode::C(baud) | Mode::Deaf(baud) => char::from(baud.digit()),
            Mode::D(_) => '3',
        };
        format!("{}{speed}{}", self.settings.manufacturer, self.settings.name)
    }

    fn lines(&mut self) -> String {
        self.readouts = self.readouts.saturating_add(1);
        (self.source)().into_iter().map(|(address, value)| format!("{address}({value})\r\n")).collect()
    }

    fn read_out(&mut self, baud: Baud, now: Duration) {
        let text = self.lines();
        (self.baud, self.state) = (baud, State::Idle);
        self.block(&[&[STX], text.as_bytes(), b"!\r\n", &[ETX]], now);
    }

    fn block(&mut self, parts: &[&[u8]], now: Duration) {
        let mut block = parts.concat();
        block.push(check_character(&block));
        self.queue(&block, now.saturating_add(REACTION));
        self.block = block;
    }

    /// Each byte of 7E1 takes ten bits.
    fn queue(&mut self, bytes: &[u8], from: Duration) {
        let byte_time = Duration::from_secs(10).checked_div(self.baud.per_second()).unwrap_or_default();
        let mut at = self.queue.back().map_or(from, |(last, ..)| (*last).max(from));
        for byte in bytes {
            at = at.saturating_add(byte_time);
            self.queue.push_back((at, with_parity(*byte), self.baud));
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("settings", &self.settings).field("state", &self.state).finish_non_exhaustive()
    }
}
