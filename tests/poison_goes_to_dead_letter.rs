//! Promise: a frame that can't be read never stops a stream. Its bytes are kept; if its header holds, the stream goes past it; if not, nothing
//! is acknowledged and the meter's next attempt counts.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a frame of our own making is longer than what is changed in it"
)]

use contracts::topics::DEAD_LETTERS;
use measure::{ClockQuality, Event, EventKind, MeterId, Record, StreamId, UnixMillis};
use promises::child::{Child, Halt};
use promises::meter::{RawMeter, frame};
use promises::{PATIENCE, Stage, books};
use testkit::await_until;
use testkit::kafka::Row;

const STREAM: StreamId = StreamId(0xbad);
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

fn record(value: i64) -> Record {
    Record::Event(Event { time: UnixMillis(value), clock: ClockQuality::Synchronised, channel: 0, kind: EventKind::ClockSet, value })
}

/// A frame of a version that does not exist yet: header and checksum are good, the body is not for us.
fn of_the_future(first: u64, value: i64) -> Vec<u8> {
    let mut bytes = frame(STREAM, first, &[record(value)]);
    bytes.truncate(bytes.len() - 4);
    bytes[1] = 200;
    let checksum = CRC32C.checksum(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn header<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_goes_to_dead_letter() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    let config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;
    let id: MeterId = "poison".parse()?;
    let mut meter = RawMeter::connect(&mut stage, id.as_str()).await?;

    meter.send(&id, frame(STREAM, 1, &[record(1)])).await?;
    meter.ack_through(STREAM, 1).await?;
    let unreadable = of_the_future(2, 2);
    meter.send(&id, unreadable.clone()).await?;
    meter.ack_through(STREAM, 2).await?;
    let mut damaged = frame(STREAM, 3, &[record(3)]);
    damaged[15] ^= 0x10;
    meter.send(&id, damaged.clone()).await?;
    await_until("both are kept", PATIENCE, async || Ok((stage.topic(&DEAD_LETTERS).await?.len() >= 2).then_some(()))).await?;
    // The damaged one was not acknowledged and did not advance the stream: its number is still to come.
    meter.send(&id, frame(STREAM, 3, &[record(3)])).await?;
    meter.ack_through(STREAM, 3).await?;

    let letters = stage.topic(&DEAD_LETTERS).await?;
    assert_eq!(letters.len(), 2, "{letters:?}");
    let body = letters.iter().find(|row| header(row, "reason") == Some("bad_body")).expect("the unreadable body is kept");
    assert_eq!(body.value.as_deref(), Some(unreadable.as_slice()));
    assert_eq!((header(body, "meter"), header(body, "from_seq"), header(body, "through_seq")), (Some("poison"), Some("2"), Some("2")));
    let bad = letters.iter().find(|row| header(row, "reason") == Some("bad_frame")).expect("the damaged frame is kept");
    assert_eq!(bad.value.as_deref(), Some(damaged.as_slice()));

    let numbers: Vec<_> = books::events(&stage).await?.iter().filter_map(|event| event.place()).map(|(_, _, seq)| seq).collect();
    assert_eq!(numbers, [1, 3], "the stream went past the poison");
    Ok(())
}
