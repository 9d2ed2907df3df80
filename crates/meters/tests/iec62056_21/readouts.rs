//! What the captures say.

use measure::{Volts, WattHours};
use meters::decimal::{NotDecimal, Quantity};
use meters::iec62056_21::identification::{Baud, Mode};
use meters::iec62056_21::readout::{Readout, Register};

use crate::fixtures::{named, receive};

fn energy(register: Option<&Register<'_>>) -> i64 {
    match register.expect("a register").value().quantity() {
        Some(Quantity::Energy(energy)) => energy.centiwatthours(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn iskra_mt174() {
    let (identification, receiver) = receive(&named("iskra_mt174")).expect("sound");
    assert_eq!((identification.name(), identification.mode()), ("MT174-0002", Mode::C(Baud::B9600)));
    let readout = Readout::parse(receiver.text()).expect("registers");
    assert_eq!(readout.registers().len(), 4);
    assert_eq!((energy(readout.find(1, 8, 0)), energy(readout.find(2, 8, 0))), (50_285_300, 9_869_731_800));
    assert_eq!(readout.registers()[2].code.expect("OBIS").to_string(), "1-0:1.8.0");
    assert_eq!(readout.registers()[2].value().decimal().expect("a number").to_string(), "502.853");
}

#[test]
fn landis_gyr_e350() {
    let (identification, receiver) = receive(&named("landis_gyr_e350")).expect("sound");
    assert_eq!((identification.manufacturer(), identification.mode()), (['L', 'G', 'Z'], Mode::C(Baud::B4800)));
    let readout = Readout::parse(receiver.text()).expect("registers");
    assert_eq!(readout.registers().len(), 22);
    assert!(readout.registers().iter().all(|register| !register.repeated && register.code.is_some()));
    assert_eq!(readout.find(0, 0, 0).expect("padded").value().text, "100000");
    let blank = readout.find(96, 1, 1).expect("C.1.1").value();
    assert_eq!((blank.text, blank.decimal()), ("", Err(NotDecimal::Empty)));
    assert_eq!(readout.find(32, 7, 0).expect("32.7").value().quantity(), Some(Quantity::Voltage(Volts::from_millivolts(241_000))));
    assert_eq!(energy(readout.find(1, 8, 0)), energy(readout.find(1, 8, 1)) + energy(readout.find(1, 8, 2)));
    assert_eq!(readout.find(0, 2, 0).expect("firmware").value().decimal(), Err(NotDecimal::Text));
}

#[test]
fn several_values_units_and_names_of_all_kinds() {
    let text = "1.6.0( 03.215 * KW )(2018-07-04 10:15)\r\n3:14(314*kWh)4:15(415*kWh)\nC003(910324092239)\r\nP.01(180704101500)(00)(15)\r\n(1)(2)\r\n1.8.0&01(7*wh)\r\n!\r\n";
    let readout = Readout::parse(text).expect("registers");
    let told: Vec<_> = readout.registers().iter().map(|it| (it.address, it.values().map(|value| value.text).collect::<Vec<_>>())).collect();
    assert_eq!(
        told,
        [
            ("1.6.0", vec!["03.215", "2018-07-04 10:15"]),
            ("3:14", vec!["314"]),
            ("4:15", vec!["415"]),
            ("C003", vec!["910324092239"]),
            ("P.01", vec!["180704101500", "00", "15"]),
            ("P.01", vec!["1", "2"]),
            ("1.8.0&01", vec!["7"]),
        ]
    );
    let maximum = readout.registers()[0].values().nth(1).expect("its time").date_time().expect("a time").expect("set");
    assert_eq!(maximum.to_string(), "2018-07-04 10:15:00.0");
    let profile = &readout.registers()[5];
    assert_eq!((profile.repeated, profile.occurrence), (true, 1), "a value without address belongs to the last one");
    assert_eq!(readout.find(1, 8, 0), None, "a period that is over is not the register");
    let historical = readout.registers()[6].value().quantity();
    assert_eq!(historical, Some(Quantity::Energy(WattHours::from_centiwatthours(700))));
}
