//! `ferraris decode`: the bytes of a frame or an acknowledgement, field by field.

mod ack;
mod ack_batch;
mod frame;
mod input;
mod report;

use std::path::PathBuf;

use crate::output::{self, Outcome};
use report::Report;

/// Show a frame's or an acknowledgement's bytes, field by field.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ferraris decode fd0107000000000000000500ceaf0566\n  \
    mosquitto_sub … -t 'f1/+/+/up' -C 1 -F %x | ferraris decode\n  \
    kcat -b localhost:9092 -C -t dead-letter.v1 -o -1 -c 1 -D '' | ferraris decode --json\n  \
    ferraris decode --file frame.bin\n\n\
    Exit code 1: the bytes are malformed; what can be read of them is shown, and stderr says what is wrong at which byte.")]
pub struct Options {
    /// The bytes as text; `-` or nothing reads stdin
    bytes: Option<String>,
    /// Read the bytes from a file
    #[arg(long, value_name = "PATH", conflicts_with = "bytes")]
    file: Option<PathBuf>,
    /// How the bytes are written [default: found out]
    #[arg(long, value_enum)]
    encoding: Option<input::Encoding>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let bytes = input::read(options.bytes.as_deref(), options.file.as_deref(), options.encoding)?;
    let report = explain(&bytes);
    if options.json {
        output::line(report.to_json())?;
    } else {
        for line in report.to_lines() {
            output::line(line)?;
        }
    }
    match report.fault {
        None => Ok(Outcome::Good),
        Some(fault) => {
            output::complain(format_args!("{}, {}: {}", report.kind, fault.place, fault.what));
            Ok(Outcome::Bad)
        }
    }
}

/// Explains any bytes.
fn explain(bytes: &[u8]) -> Report {
    match bytes.first() {
        Some(&wire::ack::MAGIC) => ack::explain(bytes),
        Some(&wire::ack_batch::MAGIC) => ack_batch::explain(bytes),
        Some(&wire::frame::MAGIC) | None => frame::explain(bytes),
        Some(&other) => Report::unknown(bytes.len(), other),
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "offsets into bytes that the test itself made")]
mod tests {
    use measure::{Record, StreamId};
    use wire::ack::Ack;
    use wire::frame::FrameBuilder;

    use super::*;

    fn frame() -> Vec<u8> {
        let mut builder = FrameBuilder::new(StreamId(0x75bcd15), 300);
        for time in [1_800_000_000_000, 1_800_000_001_000] {
            let reading = measure::Reading { time: measure::UnixMillis(time), ..Default::default() };
            builder.push(&Record::Reading(reading)).unwrap();
        }
        builder.finish().to_vec()
    }

    fn batch() -> Vec<u8> {
        let mut batch = wire::AckBatch::new(300);
        for meter in ["M0001", "M0002"] {
            batch.push(&meter.parse().unwrap(), &Ack { stream: StreamId(7), through: 500, incarnation: 300 }).unwrap();
        }
        batch.finish().to_vec()
    }

    fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
        let checksum = report::CRC32C.checksum(&bytes[..bytes.len() - 4]);
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn fields_cover_every_byte_once_and_in_order() {
        let ack = Ack { stream: StreamId(7), through: 1 << 40, incarnation: 1 }.encode().to_vec();
        for bytes in [frame(), ack, batch()] {
            let report = explain(&bytes);
            assert!(report.fault.is_none(), "{report:?}");
            let covered: Vec<u8> = report.fields.iter().flat_map(|field| field.bytes.clone()).collect();
            assert_eq!(covered, bytes);
            let mut offset = 0;
            for field in &report.fields {
                assert_eq!(field.offset, offset, "{}", field.name);
                offset += field.bytes.len();
            }
        }
    }

    #[test]
    fn a_frame_shows_header_and_records() {
        let text = explain(&frame()).to_lines().join("\n");
        for expected in ["stream         00000000075bcd15", "first_seq      300", "count          2", "record 301", "checksum       0x"] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn a_batch_shows_its_meters() {
        let text = explain(&batch()).to_lines().join("\n");
        for expected in ["incarnation    300", "M0001", "M0002", "500"] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let mut damaged = batch();
        damaged[6] ^= 1;
        assert!(explain(&damaged).fault.unwrap().what.contains("damaged"));
    }

    #[test]
    fn the_example_of_the_help_is_sound() {
        use clap::Args as _;
        let command = Options::augment_args(clap::Command::new("decode"));
        let help = command.get_after_help().unwrap().to_string();
        let example = help.split_whitespace().find(|word| word.starts_with("fd01")).unwrap();
        assert!(explain(&hex::decode(example).unwrap()).fault.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let fault = |bytes: &[u8]| {
            let fault = explain(bytes).fault.unwrap();
            format!("{}: {}", fault.place, fault.what)
        };
        let mut damaged = frame();
        damaged[13] ^= 1;
        assert!(
            fault(&damaged).starts_with(&format!("bytes {}-{}: checksum", damaged.len() - 4, damaged.len() - 1)),
            "{}",
            fault(&damaged)
        );
        assert!(fault(b"{}").starts_with("byte 0: 0x7b"));
        assert!(fault(&[]).contains("too short"));
        let mut none = frame();
        none[12] = 0;
        assert!(fault(&with_checksum(none)).starts_with("byte 12: frame of 0 records"));
        let mut later = frame();
        later[1] = 9;
        assert!(fault(&with_checksum(later)).starts_with("byte 1: body version 9"));
        let mut more = frame();
        let at = more.len() - 4;
        more.insert(at, 0);
        let more = with_checksum(more);
        assert!(fault(&more).starts_with(&format!("byte {at}: 1 bytes follow")), "{}", fault(&more));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let (frame, ack) = (frame(), Ack { stream: StreamId(7), through: 300, incarnation: 1 }.encode().to_vec());
        for bytes in [frame, ack] {
            for length in 0..bytes.len() {
                assert!(explain(&bytes[..length]).fault.is_some());
                for bit in 0..8 {
                    let mut flipped = bytes.clone();
                    flipped[length] ^= 1 << bit;
                    assert!(explain(&flipped).fault.is_some(), "byte {length} bit {bit}");
                    if length < flipped.len() - 4 {
                        explain(&with_checksum(flipped)).to_lines();
                    }
                }
            }
        }
    }
}
