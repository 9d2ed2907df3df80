//! One look at a chip, for the command line. Makes the caller wait.

use std::time::{Duration, Instant};

use linux_embedded_hal::Delay;
use meters::ade7816::register::{self, Register};
use meters::ade7816::{Ade7816, CHANNELS, Port, Reading, Settings, Totals};

use super::fault::Fault;
use super::wire::Wire;

/// Starts a chip and reads its channels after a while: energies and mean powers are those of that time.
///
/// # Errors
/// See [`Fault`].
pub fn read(port: Wire, settings: Settings, wait: Duration) -> Result<Vec<Reading>, Fault> {
    let mut chip = Ade7816::start(port, &mut Delay, settings, [Totals::default(); CHANNELS])?;
    let began = Instant::now();
    std::thread::sleep(wait);
    let mut readings = Vec::new();
    for channel in (0..).take(CHANNELS) {
        let reading = chip.read(channel, began.elapsed())?;
        readings.push(reading.ok_or_else(|| Fault::Damaged(format!("channel {channel} shows what no meter can")))?);
    }
    if chip.events()?.reset { Err(Fault::Reset) } else { Ok(readings) }
}

/// The version of whatever chip is there, if it speaks as an ADE7816 does; nothing of it is changed, but which bus it listens to.
///
/// # Errors
/// See [`Fault`].
pub fn version(mut port: Wire, spi: bool) -> Result<u8, Fault> {
    if spi {
        port.lock()?;
    }
    let version = port.read(register::VERSION)?;
    // Whatever else has this address, or no chip at all on SPI, repeats a byte for ever.
    for known in [register::VRMS, register::VGAIN] {
        port.read(known)?;
    }
    let told = |register: Register, value: i64| {
        Fault::Damaged(format!("register {:#06x} reads as {value:#x}: no chip, or another", register.address))
    };
    let mode = port.read(register::LCYCMODE)?;
    if matches!(mode, 0 | 0xff) {
        return Err(told(register::LCYCMODE, mode));
    }
    u8::try_from(version).map_err(|_| told(register::VERSION, version))
}

#[cfg(test)]
mod tests {
    use fleet::ade7816_chip::{self, Chip};
    use meters::ade7816::driver::Channel;
    use meters::ade7816::{FrontEnd, I2cPort, SpiPort};

    use super::*;

    const SETTINGS: Settings = Settings {
        front_end: FrontEnd { divider: 750.0, volts_per_ampere: 0.02 },
        voltage_gain: 0,
        channels: [Channel::NOMINAL; CHANNELS],
        over_voltage: None,
        sag: None,
        sag_half_cycles: 0,
        over_current: None,
        peak_half_cycles: 0,
    };

    #[test]
    fn a_chip_is_known_on_either_bus_and_read() {
        let chip = Chip::new(SETTINGS.front_end, Channel::NOMINAL.watt_hours_per_count);
        (0..CHANNELS).for_each(|channel| chip.set_load(channel, 230.0 * (channel as f64 + 1.0)));
        assert!(version(Wire::new(I2cPort(chip.clone())), false).is_ok());
        assert_eq!(chip.starts(), 0, "it is asked, and no more");
        let readings = read(Wire::new(I2cPort(chip.clone())), SETTINGS, Duration::from_millis(50)).expect("six");
        for (amperes, reading) in (1..).zip(&readings) {
            assert!((reading.raw.current.as_f64() - f64::from(amperes)).abs() < 0.02 && reading.counts.energy > 0, "{reading:?}");
        }
        assert_eq!(readings.len(), CHANNELS);
        chip.reset();
        assert!(version(Wire::new(SpiPort(chip.spi())), true).is_ok());

        chip.set_fault(ade7816_chip::Fault::Absent);
        let told = |port: Wire, spi| version(port, spi).expect_err("absent").to_string();
        assert!(told(Wire::new(I2cPort(chip.clone())), false).starts_with("no chip answers"));
        assert!(told(Wire::new(SpiPort(chip.spi())), true).contains("no chip, or another"));
        let unread = read(Wire::new(SpiPort(chip.spi())), SETTINGS, Duration::ZERO);
        assert!(matches!(unread, Err(Fault::NotReady)), "{unread:?}");
    }
}
