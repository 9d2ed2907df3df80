//! The captures, as bytes.

use meters::iec62056_21::identification::Identification;
use meters::iec62056_21::receiver::{FrameError, Received, Receiver};

const TEXTS: [(&str, &str); 3] = [
    ("iskra_mt174", include_str!("../fixtures/iec62056_21/iskra_mt174.txt")),
    ("landis_gyr_e350", include_str!("../fixtures/iec62056_21/landis_gyr_e350.txt")),
    ("prepaid_paper", include_str!("../fixtures/iec62056_21/prepaid_paper.txt")),
];

/// Name and bytes of each.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    TEXTS.into_iter().map(|(name, text)| (name, unescape(text))).collect()
}

pub fn named(name: &str) -> Vec<u8> {
    all().into_iter().find(|(other, _)| *other == name).map(|(_, bytes)| bytes).expect("a fixture")
}

/// What `\r`, `\n` and `\x02` stand for; comments and line ends stand for nothing.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut rest = line;
        while let Some((plain, escape)) = rest.split_once('\\') {
            bytes.extend(plain.bytes());
            let (byte, len) = match escape.as_bytes()[0] {
                b'r' => (b'\r', 1),
                b'n' => (b'\n', 1),
                b'x' => (u8::from_str_radix(&escape[1..3], 16).expect("two digits"), 3),
                other => panic!("escape {other}"),
            };
            bytes.push(byte);
            rest = &escape[len..];
        }
        bytes.extend(rest.bytes());
    }
    bytes
}

pub type Buffer = Receiver<4_096>;

/// A readout out of bytes, or why they are none.
pub fn receive(bytes: &[u8]) -> Result<(Identification, Buffer), FrameError> {
    let mut receiver = Buffer::default();
    let mut identification = None;
    for byte in bytes {
        match receiver.push(*byte)? {
            Some(Received::Identification(it)) => identification = Some(it),
            Some(Received::Block { last: true, .. }) => {
                return identification.map(|it| (it, receiver)).ok_or(FrameError::Identification);
            }
            _ => {}
        }
    }
    Err(receiver.truncated())
}
