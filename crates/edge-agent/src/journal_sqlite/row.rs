//! One row as it lies in the table, and its checksum.

use crc::{CRC_32_ISCSI, Crc};
use edge_core::journal::{Place, Row, RowId};
use measure::{Record, RowKind, StreamId};
use wire::frame::FrameBuilder;

use super::unsigned;

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The columns, as read.
pub struct Stored {
    pub id: u64,
    unclocked: Option<u64>,
    pub place: Option<Place>,
    record: Vec<u8>,
    crc: i64,
}

impl Stored {
    pub fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let (stream, seq): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
        let place = stream.zip(seq).map(|(stream, seq)| Place { stream: StreamId(stream.cast_unsigned()), seq: unsigned(seq) });
        let unclocked = row.get::<_, Option<i64>>(1)?.map(unsigned);
        Ok(Self { id: unsigned(row.get(0)?), unclocked, place, record: row.get(4)?, crc: row.get(5)? })
    }

    /// The row, unless its checksum or its record says that it was damaged.
    pub fn check(&self, meter: &str) -> Option<Row> {
        if self.crc != checksum(meter, self.id, self.unclocked, self.place, &self.record) {
            return None;
        }
        Some(Row { id: RowId(self.id), record: decode(&self.record)?, unclocked: self.unclocked, place: self.place })
    }
}

/// A record's bytes: a frame of one. The wire's format is frozen, canonical and bounded, which is what a journal needs too.
pub fn encode(record: &Record) -> Vec<u8> {
    let mut frame = FrameBuilder::new(StreamId(0), 1);
    // An empty frame takes any record.
    let _ = frame.push(record);
    frame.finish().to_vec()
}

fn decode(bytes: &[u8]) -> Option<Record> {
    let (_, mut body) = wire::frame::decode(bytes).ok()?;
    body.next()?.ok()
}

/// Over the record and everything the journal knows of it.
pub fn checksum(meter: &str, id: u64, unclocked: Option<u64>, place: Option<Place>, record: &[u8]) -> i64 {
    let mut digest = CRC32C.digest();
    let mut add = |value: Option<u64>| {
        digest.update(&[u8::from(value.is_some())]);
        digest.update(&value.unwrap_or(0).to_le_bytes());
    };
    add(Some(id));
    add(unclocked);
    add(place.map(|place| place.stream.0));
    add(place.map(|place| place.seq));
    digest.update(meter.as_bytes());
    digest.update(record);
    digest.finalize().into()
}

/// Over a note and whose it is.
pub fn note_checksum(meter: &str, name: u16, value: &[u8]) -> i64 {
    let mut digest = CRC32C.digest();
    digest.update(&name.to_le_bytes());
    digest.update(meter.as_bytes());
    digest.update(&[0]);
    digest.update(value);
    digest.finalize().into()
}

/// The kind's number; those below the last are ordinary.
pub const fn kind(kind: RowKind) -> i64 {
    match kind {
        RowKind::Reading => 0,
        RowKind::Snapshot => 1,
        RowKind::Event => 2,
        RowKind::Urgent => 3,
    }
}
