//! Promise: the readout that the paper on prepaid metering lists parses into registers: codes that come twice keep their values in order,
//! flagged; past periods, maxima with their times, and times that were never set are what they are.

use measure::{Period, WattHours};
use meters::decimal::Quantity;
use meters::iec62056_21::readout::{Readout, Register};
use meters::iec62056_21::receiver::{Received, Receiver};

const PAPER: &str = include_str!("../crates/meters/tests/fixtures/iec62056_21/prepaid_paper.txt");

fn bytes() -> Vec<u8> {
    let lines = PAPER.lines().filter(|line| !line.starts_with('#'));
    let text: String =
        lines.collect::<String>().replace("\\r\\n", "\r\n").replace("\\x02", "\x02").replace("\\x03", "\x03").replace("\\x0a", "\n");
    text.into_bytes()
}

fn numbers(register: &Register<'_>) -> Vec<String> {
    register.values().map(|value| value.decimal().map_or_else(|_| value.text.to_owned(), |number| number.to_string())).collect()
}

#[test]
fn paper_readout_parses() {
    let mut receiver = Receiver::<4_096>::default();
    let received: Vec<Received> = bytes().into_iter().filter_map(|byte| receiver.push(byte).unwrap()).collect();
    assert!(matches!(received[..], [Received::Identification(_), Received::Block { command: None, last: true }]), "{received:?}");
    let readout = Readout::parse(receiver.text()).unwrap();
    assert_eq!(readout.registers().len(), 20);

    // The serial number and the demand period have the same code: both are kept, in order, flagged.
    let twice: Vec<_> = readout.registers().iter().filter(|it| it.code.is_some_and(|code| code.names(0, 0, 0))).collect();
    let shown: Vec<_> = twice.iter().map(|it| (it.address, it.value().text, it.value().unit, it.repeated, it.occurrence)).collect();
    assert_eq!(shown, [("0.0.0", "00000000", "", true, 0), ("0.0", "15", "min", true, 1)]);
    assert_eq!(readout.registers().iter().filter(|it| it.repeated).count(), 2, "nothing else comes twice: a period is another register");

    for (code, text) in [("0.9.1", "10:15:30"), ("0.9.2", "18-07-04"), ("0.9.5", "3"), ("96.89.1", "00000001")] {
        let register = readout.registers().iter().find(|it| it.address == code).unwrap();
        assert_eq!(register.value().text, text);
    }
    let energy = |register: &Register<'_>| match register.value().quantity() {
        Some(Quantity::Energy(energy)) => energy.centiwatthours(),
        other => panic!("{other:?}"),
    };
    assert_eq!(energy(readout.find(1, 8, 0).unwrap()), WattHours::from_f64(1_234_567.0).unwrap().centiwatthours());
    let tariffs: i64 = (1..=4).map(|tariff| energy(readout.find(1, 8, tariff).unwrap())).sum();
    assert_eq!(tariffs, energy(readout.find(1, 8, 0).unwrap()));
    assert_eq!(numbers(readout.find(5, 8, 0).unwrap()), ["120.125"], "the paper's table has it, its figure has not");
    assert_eq!(numbers(readout.find(6, 8, 0).unwrap()), ["3.875"]);

    let periods = |tariff, address: &str| {
        let of = readout.registers().iter().filter(|it| it.address.starts_with(address));
        of.filter_map(|it| it.code).filter(|code| code.tariff == tariff).map(|code| code.period).collect::<Vec<_>>()
    };
    let all = [None, Some(Period::Automatic(1)), Some(Period::Automatic(2))];
    assert_eq!((periods(0, "1.8.0"), periods(0, "1.6.0")), (all.to_vec(), all.to_vec()));

    let maxima: Vec<_> = readout.registers().iter().filter(|it| it.address.starts_with("1.6.0")).collect();
    let told: Vec<_> = maxima.iter().map(|it| (it.value().quantity(), it.values().nth(1).unwrap().date_time().unwrap())).collect();
    let [(Some(Quantity::Power(power)), Some(at)), (_, Some(_)), (_, None)] = told[..] else { panic!("{told:?}") };
    assert_eq!((power.deciwatts(), at.to_string().as_str()), (32_150, "2018-07-02 19:30:00.0"));
}
