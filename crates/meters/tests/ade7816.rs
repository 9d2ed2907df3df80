//! The six-channel chip on a mock bus: what goes over the wire, byte by byte, and what is made of it.
#![expect(clippy::arithmetic_side_effects, clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::i2c::{Mock as I2c, Transaction as OnI2c};
use embedded_hal_mock::eh1::spi::{Mock as Spi, Transaction as OnSpi};
use measure::{Hertz, PowerFactor, Volts, WattHours, Watts};
use meters::ade7816::driver::{Channel, Counts, Totals};
use meters::ade7816::register::{self, Impossible, Register};
use meters::ade7816::{Ade7816, CHANNELS, Events, FrontEnd, I2cPort, Port, Settings, SpiPort, StartError, front_end};
use meters::calibration::phase_coefficient;
use proptest::prelude::*;

const SETTINGS: Settings = Settings {
    front_end: FrontEnd::PAPER,
    voltage_gain: -0x1000,
    channels: [Channel { current_gain: 0x18_c631, power_gain: 0x25_ee40, ..Channel::NOMINAL }; CHANNELS],
    over_voltage: Some(150.0),
    sag: None,
    sag_half_cycles: 2,
    over_current: Some(4.0),
    peak_half_cycles: 50,
};

/// Reads and writes that are expected, on either bus.
#[derive(Default)]
struct Script {
    i2c: Vec<OnI2c>,
    spi: Vec<OnSpi<u8>>,
}

impl Script {
    fn write(&mut self, register: Register, data: &[u8]) {
        let address = register.address.to_be_bytes();
        self.i2c.push(OnI2c::write(0x38, [&address, data].concat()));
        self.spi.extend([OnSpi::transaction_start(), OnSpi::write_vec([&[0x00], &address[..], data].concat()), OnSpi::transaction_end()]);
    }

    fn read(&mut self, register: Register, data: &[u8]) {
        let address = register.address.to_be_bytes();
        self.i2c.push(OnI2c::write_read(0x38, address.to_vec(), data.to_vec()));
        self.spi.extend([
            OnSpi::transaction_start(),
            OnSpi::write_vec([&[0x01], &address[..]].concat()),
            OnSpi::read_vec(data.to_vec()),
            OnSpi::transaction_end(),
        ]);
    }

    fn keep(&mut self, register: Register, data: &[u8]) {
        self.write(register, data);
        self.read(register, data);
    }

    fn lock(&mut self) {
        self.i2c.push(OnI2c::write(0x38, vec![0xec, 0x01, 0x02]));
        for bytes in [[0x00, 0xeb, 0xff, 0x00], [0x00, 0xeb, 0xff, 0x00], [0x00, 0xeb, 0xff, 0x00], [0x00, 0xec, 0x01, 0x00]] {
            self.spi.extend([OnSpi::transaction_start(), OnSpi::write_vec(bytes.to_vec()), OnSpi::transaction_end()]);
        }
    }

    /// Up to the clearing of what the reset said.
    fn reset() -> Self {
        let mut script = Self::default();
        script.lock();
        script.write(register::CONFIG, &[0x00, 0x80]);
        script.lock();
        script.read(register::STATUS1, &[0x00, 0x20, 0x80, 0x00]);
        script.write(register::STATUS1, &[0x00, 0x00, 0x80, 0x00]);
        script
    }

    fn start() -> Self {
        let mut script = Self::reset();
        script.read(register::LCYCMODE, &[0x78]);
        script.keep(register::LCYCMODE, &[0x38]);
        script.keep(register::VGAIN, &[0x0f, 0xff, 0xf0, 0x00]);
        for channel in 0..6 {
            script.keep(register::current_gain(channel), &[0x00, 0x18, 0xc6, 0x31]);
            script.keep(register::power_gain(channel), &[0x00, 0x25, 0xee, 0x40]);
            script.keep(register::phase(channel), &[0x00, 0x40, 0x0c, 0xa4]);
        }
        script.write(register::phase(5), &[0x00, 0x40, 0x0c, 0xa4]);
        script.write(register::phase(5), &[0x00, 0x40, 0x0c, 0xa4]);
        // 150 of 176.8 V and 4 of 4.31 A, in counts of the waveform.
        script.keep(register::OVLVL, &[0x00, 0x4c, 0xc1, 0x94]);
        script.keep(register::OILVL, &[0x00, 0x53, 0xeb, 0x89]);
        script.keep(register::SAGLVL, &[0x00, 0x00, 0x00, 0x00]);
        script.keep(register::SAGCYC, &[0x02]);
        script.keep(register::PEAKCYC, &[0x32]);
        script.keep(register::MASK1, &[0x00, 0x06, 0x80, 0x00]);
        script.write(register::RUN, &[0x00, 0x01]);
        for channel in 0..6 {
            script.read(register::active_energy(channel), &[0, 0, 0, 0]);
        }
        script
    }

    fn channel(&mut self, channel: u8, rms: [u32; 2], period: u16, energy: i32) {
        self.read(register::VRMS, &rms[0].to_be_bytes());
        self.read(register::current_rms(channel), &rms[1].to_be_bytes());
        self.read(register::PERIOD, &period.to_be_bytes());
        self.read(register::active_energy(channel), &energy.to_be_bytes());
    }
}

/// The addresses that the data sheet prints, beside what the functions compute.
#[test]
fn addresses() {
    let of = |register: Register| register.address;
    assert_eq!([of(register::current_gain(0)), of(register::current_gain(5))], [0x4381, 0x4386]);
    assert_eq!([of(register::power_gain(0)), of(register::power_gain(1)), of(register::power_gain(5))], [0x4391, 0x4393, 0x439b]);
    assert_eq!([of(register::phase(0)), of(register::phase(5)), of(register::current_rms(5))], [0x43b1, 0x43b6, 0x43c6]);
    assert_eq!(
        [of(register::active_energy(5)), of(register::reactive_energy(0)), of(register::reactive_energy(5))],
        [0xe405, 0xe406, 0xe40b]
    );
}

fn talk<P: Port<Error: std::fmt::Debug>>(port: P) -> P {
    let before = [Totals { import: 1_000, export: 5 }; CHANNELS];
    let mut chip = Ade7816::start(port, &mut NoopDelay::new(), SETTINGS, before).expect("starts");
    let second = Duration::from_secs(1);
    let first = chip.read(2, second).expect("the bus is well").expect("a reading");
    // 60 % of the voltage's range, half of the current's.
    assert_eq!((first.raw.voltage, first.raw.current.milliamperes()), (Volts::from_millivolts(106_066), 2_156));
    assert_eq!((first.raw.frequency, first.clips), (Hertz::from_millihertz(50_000), false));
    // 800 counts of 6e-5 Wh in a second.
    assert_eq!((first.raw.active_power, first.raw.power_factor), (Watts::from_deciwatts(1_728), PowerFactor::from_thousandths(756)));
    assert_eq!((first.import, first.export), (WattHours::from_centiwatthours(11), WattHours::from_centiwatthours(0)));
    assert_eq!(first.counts, Counts { voltage: 2_515_146, current: 2_095_955, energy: 800 });
    // 129 kWh do not come through this front end in a second.
    let disturbed = chip.read(2, second).expect_err("a bit flipped").to_string();
    assert!(disturbed.starts_with("register 0xe402 read as 0x80000320"), "{disturbed}");
    // The register wraps; then energy flows back.
    let second_reading = chip.read(2, Duration::from_secs(864_000)).expect("well").expect("a reading");
    assert_eq!(second_reading.import, WattHours::from_f64((1_000.0 + 2_147_483_647.0) * 6e-5).expect("in range"));
    let third = chip.read(2, second).expect("well").expect("a reading");
    assert_eq!(third.import.centiwatthours() - second_reading.import.centiwatthours(), 6, "1,000 counts over the end of the range");
    let fourth = chip.read(2, second).expect("well").expect("a reading");
    assert_eq!((fourth.import, fourth.export, fourth.clips), (third.import, WattHours::from_centiwatthours(12), true));
    assert!(fourth.raw.active_power < Watts::default());
    assert_eq!(chip.read(6, second).expect("well"), None, "there is no seventh channel");

    let events = chip.events().expect("well");
    assert_eq!(events, Events { sag: true, over_current: true, over_voltage: true, current_peak: true, voltage_peak: true, reset: false });
    assert_eq!(chip.peaks().expect("well"), (0x12_3456, 0x5a_7540));
    // No reset is told, and yet the settings are those of one.
    assert_eq!(chip.events().expect("well"), Events { reset: true, ..Events::default() });
    let (port, totals) = chip.release();
    assert_eq!((totals[0], totals[2].export), (before[0], 5 + 2_000));
    port
}

fn conversation() -> Script {
    let mut script = Script::start();
    script.channel(2, [2_515_146, 2_095_955], 5_119, 800);
    script.channel(2, [2_515_146, 2_095_955], 5_119, i32::MIN + 800);
    script.channel(2, [2_515_146, 2_095_955], 5_119, i32::MAX);
    script.channel(2, [2_515_146, 2_095_955], 5_119, i32::MIN + 999);
    script.channel(2, [4_191_910, 2_095_955], 4_266, (i32::MIN + 999).wrapping_sub(2_000));
    script.read(register::STATUS1, &[0x01, 0xa7, 0x00, 0x00]);
    script.write(register::STATUS1, &[0x01, 0x87, 0x00, 0x00]);
    script.read(register::STATUS0, &[0x00, 0x00, 0x00, 0x01]);
    script.write(register::STATUS0, &[0x00, 0x00, 0x00, 0x01]);
    script.read(register::LCYCMODE, &[0x38]);
    script.read(register::IPEAK, &[0x01, 0x12, 0x34, 0x56]);
    script.read(register::VPEAK, &[0x00, 0x5a, 0x75, 0x40]);
    script.read(register::STATUS1, &[0x00, 0x20, 0x00, 0x00]);
    script.write(register::STATUS1, &[0x00, 0x00, 0x00, 0x00]);
    script.read(register::STATUS0, &[0x00, 0x00, 0x00, 0x00]);
    script.read(register::LCYCMODE, &[0x78]);
    script
}

#[test]
fn over_i2c() {
    talk(I2cPort(I2c::new(&conversation().i2c))).0.done();
}

#[test]
fn over_spi() {
    talk(SpiPort(Spi::new(&conversation().spi))).0.done();
}

fn start(script: &Script, settings: Settings) -> Result<(), String> {
    let mut bus = I2c::new(&script.i2c);
    let port = I2cPort(bus.clone());
    let started = Ade7816::start(port, &mut NoopDelay::new(), settings, [Totals::default(); CHANNELS]);
    bus.done();
    started.map(drop).map_err(|error| match error {
        StartError::Port(error) => error.to_string(),
        other => other.to_string(),
    })
}

#[test]
fn a_chip_that_is_not_there_or_forgets_is_told() {
    let mut silent = Script::default();
    silent.lock();
    silent.write(register::CONFIG, &[0x00, 0x80]);
    silent.lock();
    silent.read(register::STATUS1, &[0x00, 0x20, 0x00, 0x00]);
    assert!(start(&silent, SETTINGS).expect_err("not ready").contains("does not come out of its reset"));

    let mut forgetful = Script::reset();
    forgetful.read(register::LCYCMODE, &[0x78]);
    forgetful.write(register::LCYCMODE, &[0x38]);
    forgetful.read(register::LCYCMODE, &[0x78]);
    assert!(start(&forgetful, SETTINGS).expect_err("not kept").starts_with("register 0xe702 holds 120, not 56"));

    let mut script = Script::reset();
    script.read(register::LCYCMODE, &[0x78]);
    script.keep(register::LCYCMODE, &[0x38]);
    let gain = Settings { voltage_gain: 0x80_0000, ..SETTINGS };
    assert_eq!(start(&script, gain), Err("register 0x4380 cannot hold 8388608".to_owned()));
}

#[test]
fn totals_of_registers_never_show_less() {
    for per_count in [6e-5, 2.65e-5, 0.07] {
        for centi in [0, 1, 11, 12_345_678_901] {
            let register = WattHours::from_centiwatthours(centi);
            let totals = Totals::of_registers(register, WattHours::default(), per_count);
            let shown = WattHours::from_f64(totals.import as f64 * per_count).expect("in range");
            assert!(shown >= register && shown.as_f64() <= register.as_f64() + per_count + 0.01, "{register} is {shown} at {per_count}");
            assert_eq!(totals.export, 0);
        }
    }
    let nonsense = Totals::of_registers(WattHours::from_centiwatthours(-5), WattHours::default(), f64::NAN);
    assert_eq!(nonsense, Totals::default());
}

#[test]
fn negative_phases_go_out_in_the_width_of_the_register() {
    let coefficient = phase_coefficient(-0.1, 50.0).expect("fits");
    let value = i64::from(coefficient) - (1 << 28);
    assert_eq!(register::phase(0).encode(value).expect("fits").as_slice(), coefficient.to_be_bytes());
}

#[test]
fn the_papers_front_end_clips_below_european_mains() {
    let paper = FrontEnd::PAPER;
    assert_eq!((format!("{:.1}", paper.volts_max()), format!("{:.2}", paper.amperes_max())), ("176.8".into(), "4.31".into()));
    assert_eq!(paper.voltage_level(230.0), front_end::WAVEFORM_FULL_SCALE, "no level beyond what can be measured");
    assert!(FrontEnd { divider: 750.0, ..paper }.volts_max() > 230.0 * 1.1);
    assert_eq!((front_end::frequency(5_119), front_end::frequency(4_266)), (Hertz::from_f64(50.0), Hertz::from_f64(256_000.0 / 4_267.0)));
}

proptest! {
    #[test]
    fn values_come_back_as_they_went(value in -0x80_0000i64..0x80_0000) {
        for register in [register::VGAIN, register::active_energy(0)] {
            let bytes = register.encode(value).expect("fits");
            prop_assert_eq!(register.decode(&bytes), Ok(value));
        }
        let padded = register::OVLVL;
        prop_assert_eq!(padded.encode(value).ok().map(|bytes| padded.decode(&bytes)), (value >= 0).then_some(Ok(value)));
    }

    #[test]
    fn words_that_no_register_holds_are_refused(word: u32) {
        let bytes = word.to_be_bytes();
        let padded = register::VRMS.decode(&bytes);
        prop_assert_eq!(padded, if word < 1 << 24 { Ok(word.into()) } else { Err(Impossible { address: 0x43c0, word }) });
        if let Ok(value) = register::VGAIN.decode(&bytes) {
            prop_assert_eq!(&register::VGAIN.encode(value).expect("fits")[..], &bytes[..]);
        }
        prop_assert!(register::VRMS.decode(&bytes[..3]).is_err());
    }
}
