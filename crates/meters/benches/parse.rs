//! How long it takes to make registers of a meter's bytes: `cargo bench -p meters --bench parse -- [--json]`.
//!
//! The bytes are the captures of the tests. Each figure is the median of many runs; the targets are for a server's core, and leave a
//! gateway of fifty meters that talk each second far below one percent of it.
#![expect(clippy::unwrap_used, reason = "a measurement: what is odd must end it")]

use std::hint::black_box;
use std::time::Instant;

use meters::iec62056_21::readout::Readout;
use meters::iec62056_21::receiver::{Received, Receiver};
use meters::modbus::Address;
use meters::pzem004t::ReadAll;
use meters::transaction::Command;
use meters::{dsmr_p1, sml};

const ISKRA: &str = include_str!("../tests/fixtures/dsmr_p1/iskra_2m550e.txt");
const ITRON: &str = include_str!("../tests/fixtures/sml/itron_openway.txt");
const PZEM: &str = include_str!("../tests/fixtures/pzem004t_replies.txt");

/// Runs of each figure, and parses in one.
const RUNS: usize = 51;
const PARSES: u32 = 200;

/// A line of the result.
struct Figure {
    name: &'static str,
    bytes: usize,
    value: f64,
    target: f64,
}

impl Figure {
    fn new(name: &'static str, bytes: usize, target: f64, mut parse: impl FnMut()) -> Self {
        let mut runs: Vec<f64> = (0..RUNS)
            .map(|_| {
                let began = Instant::now();
                (0..PARSES).for_each(|_| parse());
                began.elapsed().as_secs_f64() * 1e6 / f64::from(PARSES)
            })
            .collect();
        runs.sort_by(f64::total_cmp);
        let value = runs.get(RUNS / 2).copied().unwrap();
        Self { name, bytes, value, target }
    }

    fn ok(&self) -> bool {
        self.value <= self.target
    }
}

fn lines(fixture: &str) -> impl Iterator<Item = &str> {
    fixture.lines().filter(|line| !line.starts_with('#'))
}

fn hexadecimal(words: &str) -> Vec<u8> {
    words.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// A readout of forty registers, checked.
fn readout() -> Vec<u8> {
    let text: String = (0..40).map(|number| format!("1-0:1.8.{number}*255(0000{number:03}.853*kWh)\r\n")).collect();
    let mut block = format!("\u{2}{text}!\r\n\u{3}").into_bytes();
    block.push(meters::iec62056_21::message::check_character(&block));
    [b"/ABC5BENCH\r\n", &block[..]].concat()
}

fn main() {
    let pzem = hexadecimal(&lines(PZEM).next().unwrap().split_whitespace().skip(2).collect::<Vec<_>>().join(" "));
    let address = Address::new(*pzem.first().unwrap()).unwrap();
    ReadAll.parse(address, &pzem).unwrap();
    let optical = readout();
    let p1: Vec<u8> = lines(ISKRA).flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
    let itron = hexadecimal(&lines(ITRON).collect::<Vec<_>>().join(" "));
    let figures = [
        Figure::new("PZEM-004T, a reply", pzem.len(), 2.0, || {
            black_box(ReadAll.parse(address, black_box(&pzem)).unwrap());
        }),
        Figure::new("IEC 62056-21, a readout of 40 registers", optical.len(), 60.0, || {
            let mut receiver = Box::new(Receiver::<4_096>::default());
            let ended = optical.iter().filter(|byte| matches!(receiver.push(**byte).unwrap(), Some(Received::Block { .. }))).count();
            assert_eq!((ended, Readout::parse(receiver.text()).unwrap().registers().len()), (1, 40));
        }),
        Figure::new("DSMR P1, a telegram of 23 data sets", p1.len(), 60.0, || {
            let mut receiver = Box::new(dsmr_p1::Receiver::<4_096>::default());
            let mut count = 0;
            for byte in &p1 {
                if let Some(telegram) = receiver.push(*byte).unwrap() {
                    count = telegram.readout().unwrap().registers().len();
                }
            }
            assert_eq!(count, 23);
        }),
        Figure::new("SML, a transmission of 4 entries", itron.len(), 30.0, || {
            let mut receiver = Box::new(sml::Receiver::<4_096>::default());
            let mut count = 0;
            for byte in &itron {
                if let Some(messages) = receiver.push(*byte).unwrap() {
                    count = sml::Readout::parse(messages).unwrap().entries().len();
                }
            }
            assert_eq!(count, 4);
        }),
    ];
    if std::env::args().any(|argument| argument == "--json") {
        for figure in &figures {
            let Figure { name, value, target, .. } = figure;
            println!("{{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"µs\",\"target\":{target},\"ok\":{}}}", figure.ok());
        }
    } else {
        println!("{:<42} {:>6} {:>9} {:>7} {:>8}", "figure", "bytes", "µs", "MB/s", "target");
        for figure in &figures {
            let Figure { name, bytes, value, target } = figure;
            let verdict = if figure.ok() { "ok" } else { "MISSED" };
            println!("{name:<42} {bytes:>6} {value:>9.2} {:>7.0} {:>8}  {verdict}", *bytes as f64 / value, format!("<= {target}"));
        }
    }
    if !figures.iter().all(Figure::ok) {
        std::process::exit(1);
    }
}
