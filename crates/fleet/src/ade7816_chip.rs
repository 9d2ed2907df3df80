//! An ADE7816 behind its front end, on a bus of `embedded-hal`: registers, faults, and the energies of six loads in real time or by a clock
//! that is given. It shows what its loads take; its gains work as a chip's do.

mod machine;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use embedded_hal::i2c::{self, I2c, NoAcknowledgeSource};
use embedded_hal::spi::{self, SpiDevice};
use meters::ade7816::FrontEnd;
use meters::ade7816::port::ADDRESS;

use machine::Machine;

/// What is wrong with a chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The bus is broken: no acknowledgement on I²C, zeros on SPI. The chip counts on.
    Absent,
    /// It does not say that its reset is done.
    NotReady,
    /// Whoever asks waits until the fault is another.
    Hangs,
}

/// A chip; clones are the same one. It is a device on I²C, and [`Self::spi`] is one on SPI.
#[derive(Clone)]
pub struct Chip(Arc<Shared>);

/// The chip on SPI, selected by each transaction.
pub struct OnSpi(Chip);

struct Shared {
    machine: Mutex<Machine>,
    mended: Condvar,
}

impl Chip {
    /// At 230 V without a load, in real time. A count of energy is worth `watt_hours_per_count` without a gain.
    pub fn new(front_end: FrontEnd, watt_hours_per_count: f64) -> Self {
        let began = Instant::now();
        Self::with_clock(front_end, watt_hours_per_count, move || began.elapsed())
    }

    /// By this clock: the time since some instant.
    pub fn with_clock(front_end: FrontEnd, watt_hours_per_count: f64, clock: impl FnMut() -> Duration + Send + 'static) -> Self {
        let machine = Mutex::new(Machine::new(front_end, watt_hours_per_count, Box::new(clock)));
        Self(Arc::new(Shared { machine, mended: Condvar::new() }))
    }

    /// The same chip as a device on SPI.
    pub fn spi(&self) -> OnSpi {
        OnSpi(self.clone())
    }

    /// What a channel takes from now on, in W; negative is given to the mains.
    pub fn set_load(&self, channel: usize, watts: f64) {
        self.lock().set_load(channel, watts);
    }

    /// The mains from now on, in V rms.
    pub fn set_supply(&self, volts: f64) {
        self.lock().set_supply(volts);
    }

    /// Breaks it, or mends it.
    pub fn set_fault(&self, fault: Fault) {
        self.lock().fault = fault;
        self.0.mended.notify_all();
    }

    /// Its supply fails for a moment: it forgets everything.
    pub fn reset(&self) {
        self.lock().reset();
    }

    /// Where a channel's energy register stands.
    pub fn set_counter(&self, channel: usize, counts: i32) {
        self.lock().set_counter(channel, counts);
    }

    /// The next read of an energy register has these bits turned over.
    pub fn disturb(&self, bits: u32) {
        self.lock().disturbed = bits;
    }

    /// What a channel has counted since the chip was made, in Wh, export subtracted; without what passed while it stood still.
    pub fn counted_wh(&self, channel: usize) -> f64 {
        self.lock().counted_wh(channel)
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.lock().starts
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once it does not hang.
    fn answering(&self) -> MutexGuard<'_, Machine> {
        let hangs = |it: &mut Machine| it.fault == Fault::Hangs;
        self.0.mended.wait_while(self.lock(), hangs).unwrap_or_else(PoisonError::into_inner)
    }
}

impl i2c::ErrorType for Chip {
    type Error = i2c::ErrorKind;
}

impl I2c for Chip {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), i2c::ErrorKind> {
        let mut machine = self.answering();
        if address != ADDRESS || machine.fault == Fault::Absent || machine.listens_to_spi {
            return Err(i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        }
        let mut pointer = 0;
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => {
                    let refused = i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data);
                    let (register, data) = bytes.split_first_chunk().ok_or(refused)?;
                    pointer = u16::from_be_bytes(*register);
                    machine.write(pointer, data);
                }
                i2c::Operation::Read(buffer) => machine.read(pointer, buffer),
            }
        }
        Ok(())
    }
}

impl spi::ErrorType for OnSpi {
    type Error = spi::ErrorKind;
}

impl SpiDevice for OnSpi {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        const READ: u8 = 0x01;
        let mut machine = self.0.answering();
        let listens = machine.fault != Fault::Absent && machine.select();
        let mut pointer = 0;
        for operation in operations {
            match operation {
                spi::Operation::Read(buffer) if listens => machine.read(pointer, buffer),
                spi::Operation::Read(buffer) => buffer.fill(0),
                spi::Operation::Write(bytes) => {
                    let ([head, high, low], data) = bytes.split_first_chunk().ok_or(spi::ErrorKind::Other)?;
                    pointer = u16::from_be_bytes([*high, *low]);
                    if listens && head & READ == 0 {
                        machine.write(pointer, data);
                    }
                }
                _ => return Err(spi::ErrorKind::Other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal::delay::DelayNs;
    use meters::ade7816::driver::{Channel, Settings, Totals};
    use meters::ade7816::{Ade7816, CHANNELS, I2cPort, Port, SpiPort, StartError};

    use super::*;

    const PER_COUNT: f64 = 6e-5;
    const HOME: FrontEnd = FrontEnd { divider: 750.0, volts_per_ampere: 0.02 };
    const SETTINGS: Settings = Settings {
        front_end: HOME,
        voltage_gain: 0,
        channels: [Channel::NOMINAL; CHANNELS],
        over_voltage: Some(253.0),
        sag: Some(207.0),
        sag_half_cycles: 4,
        over_current: Some(16.0),
        peak_half_cycles: 100,
    };

    struct NoDelay;

    impl DelayNs for NoDelay {
        fn delay_ns(&mut self, _: u32) {}
    }

    /// A chip and its clock, in s.
    fn chip() -> (Chip, Arc<Mutex<u64>>) {
        let clock = Arc::new(Mutex::new(0));
        let time = clock.clone();
        (Chip::with_clock(HOME, PER_COUNT, move || Duration::from_secs(*time.lock().expect("whole"))), clock)
    }

    fn start<P: Port>(port: P) -> Result<Ade7816<P>, StartError<P::Error>> {
        Ade7816::start(port, &mut NoDelay, SETTINGS, [Totals::default(); CHANNELS])
    }

    fn measures<P: Port<Error: std::fmt::Debug>>(chip: &Chip, clock: &Mutex<u64>, port: P) {
        let mut driver = start(port).expect("starts");
        let loads = [100.0, 200.0, 300.0, -400.0, 0.0, 2_300.0];
        loads.iter().enumerate().for_each(|(channel, watts)| chip.set_load(channel, *watts));
        chip.set_counter(1, i32::MAX);
        let minute = Duration::from_secs(60);
        // Where the register stands now is not energy.
        let _ = driver.read(1, Duration::from_secs(1_000_000)).expect("well");
        let before = driver.totals()[1].import as f64 * PER_COUNT;
        *clock.lock().expect("whole") = 60;
        for (channel, watts) in (0..).zip(loads) {
            let reading = driver.read(channel, minute).expect("well").expect("a reading");
            assert!((reading.raw.active_power.as_f64() - watts).abs() <= 0.2, "channel {channel}: {reading:?}");
            assert!((reading.raw.voltage.as_f64() - 230.0).abs() < 0.5 && (reading.raw.frequency.as_f64() - 50.0).abs() < 0.1);
            assert!((reading.raw.current.as_f64() - watts.abs() / 230.0).abs() < 0.01, "{reading:?}");
            let taken = if channel == 1 { reading.import.as_f64() - before } else { reading.import.as_f64() - reading.export.as_f64() };
            assert!((taken - watts / 60.0).abs() < 0.02, "channel {channel}: {taken} Wh");
        }
        assert!(!driver.events().expect("well").reset);
        chip.set_supply(180.0);
        assert!(driver.events().expect("well").sag);
        chip.reset();
        assert!(driver.events().expect("well").reset, "it does not go unnoticed");
    }

    #[test]
    fn the_driver_reads_six_loads_over_either_bus() {
        let (one, clock) = chip();
        measures(&one, &clock, I2cPort(one.clone()));
        let (other, clock) = chip();
        measures(&other, &clock, SpiPort(other.spi()));
    }

    #[test]
    fn gains_and_faults_are_a_chips() {
        let (chip, clock) = chip();
        chip.set_fault(Fault::Absent);
        assert!(start(I2cPort(chip.clone())).is_err());
        assert!(start(SpiPort(chip.spi())).is_err());
        chip.set_fault(Fault::NotReady);
        assert!(matches!(start(I2cPort(chip.clone())), Err(StartError::NotReady)));
        chip.set_fault(Fault::None);

        let gains = Channel { current_gain: 0x40_0000, power_gain: -0x40_0000, ..Channel::NOMINAL };
        let settings = Settings { channels: [gains; CHANNELS], ..SETTINGS };
        let mut driver = Ade7816::start(I2cPort(chip.clone()), &mut NoDelay, settings, [Totals::default(); CHANNELS]).expect("starts");
        chip.set_load(2, 230.0);
        *clock.lock().expect("whole") = 60;
        let reading = driver.read(2, Duration::from_secs(60)).expect("well").expect("a reading");
        assert!(
            (reading.raw.current.as_f64() - 1.5).abs() < 0.01 && (reading.raw.active_power.as_f64() - 115.0).abs() < 0.2,
            "{reading:?}"
        );

        chip.disturb(1 << 30);
        assert!(driver.read(2, Duration::from_secs(1)).is_err(), "what can't have been taken is no energy");
        assert!((chip.counted_wh(2) - 230.0 / 120.0).abs() < 1e-6 && chip.starts() == 1);
        chip.set_supply(400.0);
        assert!(driver.read(0, Duration::from_secs(1)).expect("well").is_some_and(|it| it.clips));
    }
}
