mod contract;
mod forget;
mod model;

use measure::{ClockQuality, Event, EventKind, MeterId, Record, StreamId, UnixMillis};
use wire::frame::FrameBuilder;

use super::{Limits, Partition, Rebuild};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const S: StreamId = StreamId(0xfe);

fn meter(name: &str) -> MeterId {
    name.parse().unwrap()
}

/// The record that stands for number `seq` of every stream.
fn record(seq: u64) -> Record {
    let time = UnixMillis(NOW.0 + i64::try_from(seq).unwrap());
    Record::Event(Event {
        time,
        clock: ClockQuality::Synchronised,
        channel: 0,
        kind: EventKind::Started,
        value: i64::try_from(seq).unwrap(),
    })
}

/// A sound frame of the records `first` to `last`.
fn frame(stream: StreamId, first: u64, last: u64) -> Vec<u8> {
    let mut frame = FrameBuilder::new(stream, first);
    for seq in first..=last {
        frame.push(&record(seq)).unwrap();
    }
    frame.finish().to_vec()
}

/// The same with a body of a version that nobody knows, and a good checksum.
fn poison(stream: StreamId, first: u64, last: u64) -> Vec<u8> {
    let mut bytes = frame(stream, first, last);
    bytes[1] = 99;
    let end = bytes.len() - 4;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn empty(limits: Limits) -> Partition {
    Rebuild::new(limits).finish()
}
