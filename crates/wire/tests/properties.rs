//! What holds for every record and for every sequence of bytes.
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code: the numbers are its own")]

mod common;

use common::{afternoon, readings, records};
use measure::{MeterId, Record, StreamId};
use proptest::prelude::*;
use proptest::sample::Index;
use wire::AckBatch;
use wire::ack::{ACK_LEN_MAX, Ack};
use wire::ack_batch::{self, BATCH_LEN_MAX};
use wire::frame::{self, FRAME_LEN_MAX, FrameBuilder, Full, RECORDS_MAX};

/// The frame of as many of the records as it takes, and how many it took.
fn encode(stream: StreamId, first_seq: u64, records: &[Record]) -> (Vec<u8>, usize) {
    let mut builder = FrameBuilder::new(stream, first_seq);
    let taken = records.iter().take_while(|record| builder.push(record).is_ok()).count();
    assert_eq!(builder.len_records(), taken);
    (builder.finish().to_vec(), taken)
}

/// Decodes, and if all of it succeeds encodes again.
fn again(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = frame::decode(bytes).ok()?;
    let records: Vec<_> = body.collect::<Result<_, _>>().ok()?;
    assert_eq!(records.len(), usize::from(header.count));
    Some(encode(header.stream, header.first_seq, &records).0)
}

/// With the checksum that the bytes before it ask for.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len().saturating_sub(4);
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes[..at]);
    bytes.truncate(at);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn usual_frame() -> Vec<u8> {
    let records: Vec<_> = afternoon(5).into_iter().map(Record::Reading).collect();
    encode(StreamId(0x0123_4567_89ab_cdef), 2, &records).0
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    (any::<u64>(), 1..u64::MAX - 64, prop::collection::vec(records(), 1..8))
        .prop_map(|(stream, seq, it)| encode(StreamId(stream), seq, &it).0)
}

fn acks(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<(MeterId, Ack)>> {
    let ack = |(meter, stream, through): (String, u64, u64)| {
        let meter: MeterId = meter.parse().ok()?;
        Some((meter, Ack { stream: StreamId(stream), through, incarnation: 7 }))
    };
    prop::collection::vec(("[A-Za-z0-9][A-Za-z0-9_-]{0,31}", any::<u64>(), any::<u64>()).prop_filter_map("a meter's name", ack), len)
}

/// The batch of as many of these as it takes, and how many it took.
fn batch(incarnation: u64, acks: &[(MeterId, Ack)]) -> (Vec<u8>, usize) {
    let mut batch = AckBatch::new(incarnation);
    let taken = acks.iter().take_while(|(meter, ack)| batch.push(meter, ack).is_ok()).count();
    assert_eq!(batch.len(), taken);
    (batch.finish().to_vec(), taken)
}

/// Decodes a batch, and encodes it again if that succeeds.
fn batch_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let entries = AckBatch::decode(bytes).ok()?;
    let incarnation = entries.incarnation();
    let acks: Vec<_> = entries.collect();
    let (bytes, taken) = batch(incarnation, &acks);
    assert_eq!(taken, acks.len());
    Some(bytes)
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
    fn a_full_frame_is_unchanged_and_the_next_takes_the_record(records in prop::collection::vec(readings(), 65..70)) {
        let mut builder = FrameBuilder::new(StreamId(1), 1);
        let mut taken = Vec::new();
        for record in records.into_iter().map(Record::Reading) {
            match builder.push(&record) {
                Ok(()) => taken.push(record),
                Err(Full) => prop_assert_eq!(FrameBuilder::new(StreamId(1), 1).push(&record), Ok(())),
            }
        }
        let (_, body) = frame::decode(&builder.finish()).map(|(header, body)| (header, body.collect::<Result<Vec<_>, _>>())).unwrap();
        prop_assert_eq!(body.unwrap(), taken);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(again) = again(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }

    /// Beyond the checksum: header and body are arbitrary, the checksum is right.
    #[test]
    fn arbitrary_bodies_are_refused_or_canonical(count in 1..=64u8, seq in 1..128u8, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let header = [frame::MAGIC, frame::VERSION, 1, 2, 3, 4, 5, 6, 7, 8, seq, count];
        let bytes = with_checksum([&header[..], &body, &[0; 4]].concat());
        let (decoded, records) = frame::decode(&bytes).unwrap();
        prop_assert_eq!(decoded.count, count);
        let _ = records.count();
        if let Some(again) = again(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }

    /// Damage that the checksum was made to fit: either other records in their own canonical form, or refused.
    #[test]
    fn forged_frames_are_refused_or_canonical(frame in frames(), at: Index, value: u8) {
        let mut bytes = frame;
        let at = at.index(bytes.len());
        bytes[at] = value;
        let bytes = with_checksum(bytes);
        if let Some(again) = again(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn one_flipped_bit_is_refused(frame in frames(), at: Index, bit in 0..8u8) {
        let mut bytes = frame;
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(frame::decode(&bytes).is_err());
    }

    #[test]
    fn what_is_cut_off_or_put_together_is_refused(first in frames(), second in frames(), at: Index) {
        let cut = at.index(first.len());
        prop_assert!(frame::decode(&first[..cut]).is_err());
        let frame = frame::decode(&[first, second].concat()).map(|(_, body)| body.collect::<Result<Vec<_>, _>>());
        prop_assert!(!matches!(frame, Ok(Ok(_))));
    }

    /// The same with a checksum that fits: no prefix of a body stands for all its records, nothing may follow them.
    #[test]
    fn a_body_has_exactly_its_length(frame in frames(), at: Index, more in prop::collection::vec(any::<u8>(), 1..20)) {
        let body = 12..frame.len() - 4;
        let cut = body.start + at.index(body.len());
        prop_assert_eq!(again(&with_checksum([&frame[..cut], &[0; 4]].concat())), None);
        prop_assert_eq!(again(&with_checksum([&frame[..body.end], &more, &[0; 4]].concat())), None);
    }

    #[test]
    fn every_ack_comes_back(stream: u64, through: u64, incarnation: u64) {
        let ack = Ack { stream: StreamId(stream), through, incarnation };
        prop_assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
    }

    #[test]
    fn a_damaged_ack_is_refused(stream: u64, through: u64, at: Index, bit in 0..8u8, more: u8) {
        let bytes = Ack { stream: StreamId(stream), through, incarnation: 1 }.encode();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(Ack::decode(&flipped).is_err());
        prop_assert!(Ack::decode(&bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(Ack::decode(&[&bytes[..], &[more]].concat()).is_err());
    }

    /// A batch never grows beyond its bound, whatever is put in, and what did not fit goes into the next one.
    #[test]
    fn every_ack_of_a_batch_comes_back(acks in acks(1..400)) {
        let (mut rest, mut back) = (&acks[..], Vec::new());
        while !rest.is_empty() {
            let (bytes, taken) = batch(7, rest);
            prop_assert!(bytes.len() <= BATCH_LEN_MAX && taken >= rest.len().min(160), "{taken} in {} bytes", bytes.len());
            back.extend(AckBatch::decode(&bytes).unwrap());
            rest = &rest[taken..];
        }
        prop_assert_eq!(back, acks);
    }

    #[test]
    fn a_batch_has_one_incarnation(acks in acks(1..3), other in (0..u64::MAX).prop_filter("another one", |it| *it != 7)) {
        let mut batch = AckBatch::new(other);
        prop_assert!(acks.iter().all(|(meter, ack)| batch.push(meter, ack).is_err()) && batch.is_empty());
    }

    #[test]
    fn a_damaged_batch_is_refused(acks in acks(1..8), at: Index, bit in 0..8u8, more: u8) {
        let (bytes, _) = batch(7, &acks);
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(AckBatch::decode(&flipped).is_err());
        prop_assert!(AckBatch::decode(&bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(AckBatch::decode(&[&bytes[..], &[more]].concat()).is_err());
    }

    /// With a checksum that fits.
    #[test]
    fn forged_batches_are_refused_or_canonical(acks in acks(1..4), at: Index, value: u8, cut: Index) {
        let (mut bytes, _) = batch(7, &acks);
        let at = at.index(bytes.len());
        bytes[at] = value;
        for bytes in [bytes.clone(), bytes[..=cut.index(bytes.len())].to_vec()].map(with_checksum) {
            if let Some(again) = batch_again(&bytes) {
                prop_assert_eq!(again, bytes);
            }
        }
    }

    /// With a checksum that fits.
    #[test]
    fn arbitrary_batches_are_refused_or_canonical(mut bytes in prop::collection::vec(any::<u8>(), 6..80)) {
        bytes[0] = ack_batch::MAGIC;
        bytes[1] = ack_batch::VERSION;
        let bytes = with_checksum(bytes);
        if let Some(again) = batch_again(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }

    /// With a checksum that fits.
    #[test]
    fn arbitrary_acks_are_refused_or_canonical(mut bytes in prop::collection::vec(any::<u8>(), 6..ACK_LEN_MAX + 2)) {
        bytes[0] = wire::ack::MAGIC;
        bytes[1] = wire::ack::VERSION;
        let bytes = with_checksum(bytes);
        if let Ok(ack) = Ack::decode(&bytes) {
            prop_assert_eq!(&ack.encode()[..], &bytes[..]);
        }
    }
}

#[test]
fn every_bit_and_every_cut_of_a_usual_frame() {
    let frame = usual_frame();
    assert_eq!(again(&frame).as_ref(), Some(&frame));
    for at in 0..frame.len() {
        assert!(frame::decode(&frame[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut flipped = frame.clone();
            flipped[at] ^= 1 << bit;
            assert!(frame::decode(&flipped).is_err(), "bit {bit} of byte {at}");
            if let Some(again) = again(&with_checksum(flipped.clone())) {
                assert_eq!(again, with_checksum(flipped), "bit {bit} of byte {at}");
            }
        }
    }
}
