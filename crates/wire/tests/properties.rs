//! What holds for every record and for every sequence of bytes.

#![expect(clippy::arithmetic_side_effects, reason = "test code: the numbers are its own")]
mod common;

use common::records;
use measure::{Record, StreamId};
use proptest::prelude::*;
use wire::ack::Ack;
use wire::frame::{self, FRAME_LEN_MAX, FrameBuilder, RECORDS_MAX};

/// The frame of as many of the records as it takes, and how many it took.
fn encode(stream: StreamId, first_seq: u64, records: &[Record]) -> (Vec<u8>, usize) {
    let mut builder = FrameBuilder::new(stream, first_seq);
    let taken = records.iter().take_while(|record| builder.push(record).is_ok()).count();
    assert_eq!(builder.len_records(), taken);
    (builder.finish().to_vec(), taken)
}

/// Decodes, and if that succeeds encodes again.
fn again(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = frame::decode(bytes).ok()?;
    let records: Vec<_> = body.collect::<Result<_, _>>().ok()?;
    assert_eq!(records.len(), usize::from(header.count));
    Some(encode(header.stream, header.first_seq, &records).0)
}

proptest! {
    #[test]
    fn every_record_comes_back(
        stream: u64, first_seq in 1..u64::MAX - 64, records in prop::collection::vec(records(), 1..=RECORDS_MAX),
    ) {
        let (bytes, taken) = encode(StreamId(stream), first_seq, &records);
        prop_assert!(taken > 0 && bytes.len() <= FRAME_LEN_MAX);
        let (header, body) = frame::decode(&bytes).unwrap();
        prop_assert_eq!(header.stream, StreamId(stream));
        prop_assert_eq!(header.first_seq, first_seq);
        prop_assert_eq!(header.last_seq(), first_seq + taken as u64 - 1);
        let decoded = body.collect::<Result<Vec<_>, _>>().unwrap();
        prop_assert_eq!(&decoded[..], &records[..taken]);
        prop_assert_eq!(again(&bytes), Some(bytes));
    }

    #[test]
    fn every_ack_comes_back(stream: u64, through: u64, incarnation: u64) {
        let ack = Ack { stream: StreamId(stream), through, incarnation };
        prop_assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
    }
}
