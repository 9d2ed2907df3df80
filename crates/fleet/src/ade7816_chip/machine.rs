//! The chip's inside: its registers as they travel, and what its loads do to them.

use std::array;
use std::collections::BTreeMap;
use std::iter::Cycle;
use std::time::Duration;

use meters::ade7816::front_end::RMS_FULL_SCALE;
use meters::ade7816::register::{self, Register};
use meters::ade7816::{CHANNELS, Events, FrontEnd};

use super::Fault;

/// Asked for each look.
pub type Clock = Box<dyn FnMut() -> Duration + Send>;

const SUPPLY_V: f64 = 230.0;
/// How it trembles from reading to reading: a sound chip hardly shows the same values twice.
const TREMBLE: [f64; 5] = [0.0, 8e-4, -4e-4, 4e-4, -8e-4];
const HOUR_S: f64 = 3_600.0;
/// One in a gain register.
const ONE: f64 = 8_388_608.0;
const SOFTWARE_RESET: u32 = 1 << 7;
const RESET_WITH_READ: u32 = 1 << 6;
/// Bit 21 of STATUS1 is always one.
const STATUS1_ALWAYS: u32 = 1 << 21;
/// PERIOD at 50 Hz.
const PERIOD_50_HZ: u32 = 5_119;
/// Selects that go by before it listens to SPI.
const SELECTS: u8 = 3;
/// The currents that over-current is looked for in: A to C.
const WATCHED: usize = 3;

/// What registers hold after a reset, where that is not zero.
const DEFAULTS: [(Register, u32); 5] = [
    (register::LCYCMODE, 0x78),
    (register::OVLVL, 0x00ff_ffff),
    (register::OILVL, 0x00ff_ffff),
    (register::VERSION, 0x02),
    (register::PERIOD, PERIOD_50_HZ),
];

/// See the module.
pub struct Machine {
    pub fault: Fault,
    pub listens_to_spi: bool,
    pub starts: u32,
    pub disturbed: u32,
    front_end: FrontEnd,
    watt_hours_per_count: f64,
    clock: Clock,
    looked: Duration,
    selects: u8,
    supply: f64,
    tremble: Cycle<array::IntoIter<f64, { TREMBLE.len() }>>,
    channels: [Channel; CHANNELS],
    words: BTreeMap<u16, u32>,
}

#[derive(Clone, Copy, Default)]
struct Channel {
    watts: f64,
    /// The energy register, before it wraps.
    counts: f64,
    counted_wh: f64,
}

impl Machine {
    pub fn new(front_end: FrontEnd, watt_hours_per_count: f64, mut clock: Clock) -> Self {
        let looked = clock();
        let mut this = Self {
            fault: Fault::None,
            listens_to_spi: false,
            starts: 0,
            disturbed: 0,
            front_end,
            watt_hours_per_count,
            clock,
            looked,
            selects: 0,
            supply: SUPPLY_V,
            tremble: TREMBLE.into_iter().cycle(),
            channels: [Channel::default(); CHANNELS],
            words: BTreeMap::new(),
        };
        this.reset();
        this
    }

    pub fn set_load(&mut self, channel: usize, watts: f64) {
        self.pass();
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.watts = watts;
        }
    }

    pub fn set_supply(&mut self, volts: f64) {
        self.pass();
        self.supply = volts;
    }

    pub fn set_counter(&mut self, channel: usize, counts: i32) {
        self.pass();
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.counts = counts.into();
        }
    }

    pub fn counted_wh(&mut self, channel: usize) -> f64 {
        self.pass();
        self.channels.get(channel).map_or(0.0, |channel| channel.counted_wh)
    }

    pub fn reset(&mut self) {
        self.pass();
        self.words = DEFAULTS.iter().map(|(register, word)| (register.address, *word)).collect();
        (self.listens_to_spi, self.selects) = (false, 0);
        self.channels.iter_mut().for_each(|channel| channel.counts = 0.0);
        self.happened(Events { reset: self.fault != Fault::NotReady, ..Events::default() });
    }

    /// A transaction on SPI begins: whether it listens.
    pub fn select(&mut self) -> bool {
        self.listens_to_spi = self.listens_to_spi || self.selects == SELECTS;
        self.selects = self.selects.saturating_add(1).min(SELECTS);
        self.listens_to_spi
    }

    /// `data` may be empty: then only the pointer was set.
    pub fn write(&mut self, address: u16, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.pass();
        let word = data.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        match address {
            _ if address == register::CONFIG.address && word & SOFTWARE_RESET != 0 => self.reset(),
            _ if address == register::STATUS1.address => _ = self.words.insert(address, self.word(register::STATUS1) & !word),
            _ => {
                self.starts = self.starts.saturating_add(u32::from(address == register::RUN.address && word == 1));
                self.words.insert(address, word);
            }
        }
    }

    pub fn read(&mut self, address: u16, buffer: &mut [u8]) {
        self.pass();
        let word = self.shown(address).to_be_bytes();
        let unused = word.len().saturating_sub(buffer.len());
        buffer.fill(0);
        buffer.iter_mut().zip(word.iter().skip(unused)).for_each(|(to, byte)| *to = *byte);
    }

    fn shown(&mut self, address: u16) -> u32 {
        let channel_of = |first: u16| address.checked_sub(first).map(usize::from).filter(|channel| *channel < CHANNELS);
        if let Some(channel) = channel_of(register::active_energy(0).address) {
            return self.energy(channel);
        }
        if let Some(channel) = channel_of(register::current_rms(0).address) {
            let gain = self.gain(register::current_gain(channel as u8));
            return rms(self.current(channel) / self.front_end.amperes_max(), gain);
        }
        match address {
            _ if address == register::VRMS.address => {
                let tremble = self.tremble.next().unwrap_or(0.0);
                rms(self.supply * (1.0 + tremble) / self.front_end.volts_max(), self.gain(register::VGAIN))
            }
            _ if address == register::STATUS1.address => self.word(register::STATUS1) | STATUS1_ALWAYS,
            _ => self.words.get(&address).copied().unwrap_or(0),
        }
    }

    /// A channel's energy register; what is read is taken away where the mode says so.
    fn energy(&mut self, channel: usize) -> u32 {
        let taken = self.word(register::LCYCMODE) & RESET_WITH_READ != 0;
        let disturbed = std::mem::take(&mut self.disturbed);
        let Some(channel) = self.channels.get_mut(channel) else { return 0 };
        let whole = channel.counts.trunc();
        if taken {
            channel.counts -= whole;
        }
        // It wraps: the low 32 bits are shown.
        (whole as i64 & 0xffff_ffff) as u32 ^ disturbed
    }

    /// Counts the time since the last look, and sees what happened.
    fn pass(&mut self) {
        let now = (self.clock)();
        let hours = now.saturating_sub(self.looked).as_secs_f64() / HOUR_S;
        self.looked = now;
        if self.word(register::RUN) == 1 {
            let gains: [f64; CHANNELS] = array::from_fn(|channel| self.gain(register::power_gain(channel as u8)));
            for (channel, gain) in self.channels.iter_mut().zip(gains) {
                let taken = channel.watts * hours * gain;
                channel.counts += taken / self.watt_hours_per_count;
                channel.counted_wh += taken;
            }
        }
        let sag = u32::try_from(self.front_end.voltage_level(self.supply)).unwrap_or(u32::MAX);
        let most = (0..WATCHED).map(|channel| self.current(channel)).fold(0.0, f64::max);
        let current = u32::try_from(self.front_end.current_level(most)).unwrap_or(u32::MAX);
        self.happened(Events {
            sag: sag < self.word(register::SAGLVL),
            over_voltage: sag > self.word(register::OVLVL),
            over_current: current > self.word(register::OILVL),
            ..Events::default()
        });
    }

    fn happened(&mut self, events: Events) {
        *self.words.entry(register::STATUS1.address).or_default() |= events.bits();
    }

    fn current(&self, channel: usize) -> f64 {
        let watts = self.channels.get(channel).map_or(0.0, |channel| channel.watts.abs());
        if self.supply > 0.0 { watts / self.supply } else { 0.0 }
    }

    fn word(&self, register: Register) -> u32 {
        self.words.get(&register.address).copied().unwrap_or(0)
    }

    /// What a gain register, 24 bits in two's complement, multiplies with.
    fn gain(&self, register: Register) -> f64 {
        1.0 + f64::from((self.word(register) << 8).cast_signed() >> 8) / ONE
    }
}

/// An rms register: at the end of the range the input clips.
fn rms(share: f64, gain: f64) -> u32 {
    (share.clamp(0.0, 1.0) * RMS_FULL_SCALE as f64 * gain).clamp(0.0, 16_777_215.0).round() as u32
}
