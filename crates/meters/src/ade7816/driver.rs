//! Starting the chip, reading a channel, hearing an interrupt.
//!
//! The chip keeps nothing when its supply fails. Its energies are counters of 32 bits that are left to wrap, and are read as differences:
//! a read that is lost, or comes twice, loses and doubles nothing (with LCYCMODE.RSTREAD set, as it is after a reset, each read clears the
//! register, and a read that is lost takes its energy with it). Whoever owns the driver keeps [`Totals`] over a restart.
//!
//! Neither bus has a checksum. An energy that the front end could not have let through is disturbed, and is not added to anything.

use core::time::Duration;

use embedded_hal::delay::DelayNs;
use measure::{PowerFactor, Raw, WattHours, Watts};

use super::CHANNELS;
use super::event::Events;
use super::front_end::{self, FrontEnd};
use super::port::{Port, PortError};
use super::register::{self, Impossible, Register};

/// Until the chip is there after a reset.
const RESET_MS: u32 = 40;
/// Bit 7 of CONFIG.
const SOFTWARE_RESET: i64 = 1 << 7;
/// Bit 6 of LCYCMODE.
const RESET_WITH_READ: i64 = 1 << 6;
/// The signal processor takes what is written last only when more follows: the last write is made three times.
const FLUSH: u8 = 2;
const SECONDS_AN_HOUR: f64 = 3_600.0;
/// No energy is more than so many times what a sine at both ends of the range brings: loads may be peaked, and gains are at most 2.
const ENERGY_MARGIN: f64 = 4.0;
/// And a count or two come at any time.
const COUNTS_ALWAYS: f64 = 16.0;

/// How a channel is calibrated: see [`crate::calibration`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// Register of the current's gain.
    pub current_gain: i32,
    /// Register of the active power's gain.
    pub power_gain: i32,
    /// Coefficient of the phase filter, in the 28 bits of [`crate::calibration::phase_coefficient`].
    pub phase: u32,
    /// Energy of a count, in Wh.
    pub watt_hours_per_count: f64,
}

impl Channel {
    /// A channel without error, at 50 Hz, with the energy of a count that the paper's calibration begins with.
    pub const NOMINAL: Self = Self { current_gain: 0, power_gain: 0, phase: 0x0040_0ca4, watt_hours_per_count: 6e-5 };
}

/// Everything that is set at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What is between the mains and the chip.
    pub front_end: FrontEnd,
    /// Register of the voltage's gain.
    pub voltage_gain: i32,
    /// The channels A to F.
    pub channels: [Channel; CHANNELS],
    /// Over-voltage from this rms of a sine on, in V.
    pub over_voltage: Option<f64>,
    /// A sag below this, in V.
    pub sag: Option<f64>,
    /// Half cycles that it lasts before it is one.
    pub sag_half_cycles: u8,
    /// Over-current from this rms of a sine on, in A.
    pub over_current: Option<f64>,
    /// Half cycles over which peaks are looked for.
    pub peak_half_cycles: u8,
}

/// Energy of a channel since it was first read, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What was taken from the mains.
    pub import: i64,
    /// What was given to it.
    pub export: i64,
}

/// What a reading was computed from, for calibration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of the voltage's rms register.
    pub voltage: i64,
    /// Of the current's rms register.
    pub current: i64,
    /// What the energy register counted since it was read last; negative for what was exported.
    pub energy: i64,
}

/// What a channel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Rms voltage and current, mean power since the last reading, frequency, power factor.
    pub raw: Raw,
    /// Imported energy.
    pub import: WattHours,
    /// Exported energy.
    pub export: WattHours,
    /// Voltage or current is at the end of the front end's range: it is larger than it reads.
    pub clips: bool,
    /// The registers behind it.
    pub counts: Counts,
}

/// The chip can't be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError<E> {
    /// The bus, or a value that no register can hold.
    #[error(transparent)]
    Port(#[from] PortError<E>),
    /// It did not say that its reset is done.
    #[error("chip does not come out of its reset: is it supplied, its clock running, the PM pins set to normal mode?")]
    NotReady,
    /// It holds something else than was written.
    #[error("register {address:#06x} holds {got}, not {expected}: is the wiring short, the bus slow enough?")]
    NotKept {
        /// Which register.
        address: u16,
        /// What was written.
        expected: i64,
        /// What was read.
        got: i64,
    },
}

/// A chip at work.
#[derive(Debug)]
pub struct Ade7816<P> {
    port: P,
    settings: Settings,
    /// LCYCMODE as it was set: what it holds after a reset is something else.
    mode: i64,
    last: [i64; CHANNELS],
    totals: [Totals; CHANNELS],
}

impl<P: Port> Ade7816<P> {
    /// Resets the chip, locks its port, sets it and starts it. `totals` are those of the last start, or zeros.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        mut port: P,
        delay: &mut impl DelayNs,
        settings: Settings,
        totals: [Totals; CHANNELS],
    ) -> Result<Self, StartError<P::Error>> {
        port.lock()?;
        port.write(register::CONFIG, SOFTWARE_RESET)?;
        delay.delay_ms(RESET_MS);
        port.lock()?;
        let status = port.read(register::STATUS1)?;
        if !Events::from_status1(low_32(status)).reset {
            return Err(StartError::NotReady);
        }
        port.write(register::STATUS1, Events { reset: true, ..Events::default() }.bits().into())?;
        let mut chip = Self { port, settings, mode: 0, last: [0; CHANNELS], totals };
        chip.set()?;
        chip.port.write(register::RUN, 1)?;
        for (channel, last) in (0..).zip(&mut chip.last) {
            *last = chip.port.read(register::active_energy(channel))?;
        }
        Ok(chip)
    }

    /// Gives the port back, and the totals to start with anew.
    pub fn release(self) -> (P, [Totals; CHANNELS]) {
        (self.port, self.totals)
    }

    /// What was counted so far.
    pub const fn totals(&self) -> [Totals; CHANNELS] {
        self.totals
    }

    /// Goes on through another port to the same chip, which may have been reset meanwhile: [`Self::events`] tells.
    pub fn reconnect(&mut self, port: P) {
        self.port = port;
    }

    /// Reads a channel, 0 to 5, `elapsed` after it was read last. `None` for another channel, and for values that no reading can hold.
    ///
    /// Must come before half of an energy register's range has passed: 2^31 counts, which at 6e-5 Wh are 129 kWh.
    ///
    /// # Errors
    /// See [`PortError`]; the next read has the energy of this one, too. An energy that can't have been taken in `elapsed` is
    /// [`PortError::Impossible`].
    pub fn read(&mut self, channel: u8, elapsed: Duration) -> Result<Option<Reading>, PortError<P::Error>> {
        let (place, settings) = (usize::from(channel), self.settings);
        let (Some(last), Some(totals), Some(calibration)) =
            (self.last.get_mut(place), self.totals.get_mut(place), settings.channels.get(place))
        else {
            return Ok(None);
        };
        let volts = self.port.read(register::VRMS)?;
        let amperes = self.port.read(register::current_rms(channel))?;
        let period = self.port.read(register::PERIOD)?;
        let energy = self.port.read(register::active_energy(channel))?;
        let difference = wrapped(energy, *last);
        // Counts of a life have far less than 53 bits.
        let watt_hours = |counts: i64| counts as f64 * calibration.watt_hours_per_count;
        let hours = elapsed.as_secs_f64() / SECONDS_AN_HOUR;
        let most = ENERGY_MARGIN * settings.front_end.volts_max() * settings.front_end.amperes_max() * hours;
        if watt_hours(difference.saturating_abs()) > most + watt_hours(1) * COUNTS_ALWAYS {
            return Err(Impossible { address: register::active_energy(channel).address, word: low_32(energy) }.into());
        }
        *last = energy;
        totals.add(difference);
        let totals = *totals;
        let reading = || {
            let voltage = settings.front_end.voltage(volts)?;
            let current = settings.front_end.current(amperes)?;
            let watts = if hours > 0.0 { watt_hours(difference) / hours } else { 0.0 };
            let apparent = voltage.as_f64() * current.as_f64();
            let factor = if apparent > 0.0 { (watts / apparent).clamp(-1.0, 1.0) } else { 0.0 };
            let raw = Raw {
                voltage,
                current,
                active_power: Watts::from_f64(watts)?,
                frequency: front_end::frequency(period)?,
                power_factor: PowerFactor::from_f64(factor)?,
            };
            let import = WattHours::from_f64(watt_hours(totals.import))?;
            let export = WattHours::from_f64(watt_hours(totals.export))?;
            let clips = front_end::clips(volts) || front_end::clips(amperes);
            Some(Reading { raw, import, export, clips, counts: Counts { voltage: volts, current: amperes, energy: difference } })
        };
        Ok(reading())
    }

    /// What happened since the last call: to be called when the line IRQ0 or IRQ1 is low, or after each round of reads. Clears both.
    ///
    /// After [`Events::reset`] the chip has to be started anew, with the totals from before the reads that came before this call: they
    /// may have met a chip that counts from zero. A chip whose settings are gone says so even where it can't tell of its reset, on SPI, to
    /// which it does not listen then.
    ///
    /// # Errors
    /// See [`PortError`]; nothing was cleared that is not told the next time.
    pub fn events(&mut self) -> Result<Events, PortError<P::Error>> {
        let seen = self.port.read(register::STATUS1)?;
        let events = Events::from_status1(low_32(seen));
        // What happens between the read and the write must not be cleared unseen: only what was seen is.
        self.port.write(register::STATUS1, events.bits().into())?;
        let unused = self.port.read(register::STATUS0)?;
        if unused != 0 {
            self.port.write(register::STATUS0, unused)?;
        }
        let forgot = self.port.read(register::LCYCMODE)? != self.mode;
        Ok(Events { reset: events.reset || forgot, ..events })
    }

    /// The largest current and voltage since the last call, in counts of the waveform.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn peaks(&mut self) -> Result<(i64, i64), PortError<P::Error>> {
        const VALUE: i64 = 0x00ff_ffff;
        Ok((self.port.read(register::IPEAK)? & VALUE, self.port.read(register::VPEAK)? & VALUE))
    }

    fn set(&mut self) -> Result<(), StartError<P::Error>> {
        let settings = self.settings;
        self.mode = self.port.read(register::LCYCMODE)? & !RESET_WITH_READ;
        self.keep(register::LCYCMODE, self.mode)?;
        self.keep(register::VGAIN, settings.voltage_gain.into())?;
        for (channel, it) in (0..).zip(settings.channels) {
            self.keep(register::current_gain(channel), it.current_gain.into())?;
            self.keep(register::power_gain(channel), it.power_gain.into())?;
            self.keep(register::phase(channel), signed_28(it.phase))?;
        }
        if let Some(last) = settings.channels.last() {
            for _ in 0..FLUSH {
                self.port.write(register::phase(5), signed_28(last.phase))?;
            }
        }
        let events = Events {
            reset: true,
            sag: settings.sag.is_some(),
            over_current: settings.over_current.is_some(),
            over_voltage: settings.over_voltage.is_some(),
            current_peak: false,
            voltage_peak: false,
        };
        let front_end = settings.front_end;
        let never = |level: Option<i64>| level.unwrap_or(0x00ff_ffff);
        self.keep(register::OVLVL, never(settings.over_voltage.map(|rms| front_end.voltage_level(rms))))?;
        self.keep(register::OILVL, never(settings.over_current.map(|rms| front_end.current_level(rms))))?;
        self.keep(register::SAGLVL, settings.sag.map_or(0, |rms| front_end.voltage_level(rms)))?;
        self.keep(register::SAGCYC, settings.sag_half_cycles.into())?;
        self.keep(register::PEAKCYC, settings.peak_half_cycles.into())?;
        self.keep(register::MASK1, events.bits().into())
    }

    /// Writes a register and sees that it was kept: a write that is disturbed leaves anything.
    fn keep(&mut self, register: Register, value: i64) -> Result<(), StartError<P::Error>> {
        self.port.write(register, value)?;
        let got = self.port.read(register)?;
        if got == value { Ok(()) } else { Err(StartError::NotKept { address: register.address, expected: value, got }) }
    }
}

impl Totals {
    /// Those that show these registers, or the next count above: a register that was told never goes back.
    pub fn of_registers(import: WattHours, export: WattHours, watt_hours_per_count: f64) -> Self {
        // The cast saturates, and makes 0 of NaN.
        let counts = |energy: WattHours| libm::ceil(energy.as_f64().max(0.0) / watt_hours_per_count) as i64;
        Self { import: counts(import), export: counts(export) }
    }

    fn add(&mut self, difference: i64) {
        let total = if difference < 0 { &mut self.export } else { &mut self.import };
        *total = total.saturating_add(difference.saturating_abs());
    }
}

/// From one value of a counter of 32 bits to the next, over its wrap.
fn wrapped(now: i64, before: i64) -> i64 {
    low_32(now).wrapping_sub(low_32(before)).cast_signed().into()
}

const fn low_32(value: i64) -> u32 {
    (value & 0xffff_ffff) as u32
}

/// The value of 28 bits in two's complement.
const fn signed_28(bits: u32) -> i64 {
    ((bits << 4).cast_signed() >> 4) as i64
}
