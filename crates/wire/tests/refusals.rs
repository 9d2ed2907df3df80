//! Each way to be wrong has its own name.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code: what cannot be built fails the test"
)]

use measure::{Event, EventKind, Flags, Hello, InvalidId, Reading, Record, StreamId, Text, UnixMillis};
use wire::AckBatch;
use wire::ack::{Ack, AckError};
use wire::ack_batch::{self, BATCH_LEN_MAX, BatchError};
use wire::frame::{self, BodyError, FRAME_LEN_MAX, FrameBuilder, FrameError, MAGIC, VERSION};

const STREAM: [u8; 8] = [8, 7, 6, 5, 4, 3, 2, 1];

/// A message with its checksum.
fn sealed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = parts.concat();
    bytes.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes).to_le_bytes());
    bytes
}

/// A frame of one record with this body.
fn with_body(body: &[u8]) -> Vec<u8> {
    sealed(&[&[MAGIC, VERSION], &STREAM, &[1, 1], body])
}

fn frame_error(bytes: &[u8]) -> FrameError {
    frame::decode(bytes).map(|(header, _)| header).unwrap_err()
}

/// The body's error; the header must be readable.
fn body_error(bytes: &[u8]) -> BodyError {
    let (header, mut body) = frame::decode(bytes).unwrap();
    assert_eq!((header.stream, header.first_seq), (StreamId(0x0102_0304_0506_0708), 1));
    let error = body.find_map(Result::err).unwrap();
    assert_eq!(body.next(), None, "nothing comes after an error");
    error
}

/// The body of a frame of one record.
fn body_of(record: &Record) -> Vec<u8> {
    let mut builder = FrameBuilder::new(StreamId(0x0102_0304_0506_0708), 1);
    builder.push(record).unwrap();
    let bytes = builder.finish();
    bytes[12..bytes.len() - 4].to_vec()
}

fn hello() -> Record {
    let text = |it| Text::try_from(it).unwrap();
    Record::Hello(Hello {
        time: UnixMillis(1_767_225_600_000),
        clock: measure::ClockQuality::Synchronised,
        device: text("pzem-004t"),
        software: text("edge-agent 0.1.0"),
        configuration: 1,
        starts: 1,
    })
}

#[test]
fn frames_that_say_nothing_about_their_records() {
    assert_eq!(frame_error(&[]), FrameError::TooShort(0));
    assert_eq!(frame_error(&[MAGIC, VERSION]), FrameError::TooShort(2));
    assert_eq!(frame_error(&[MAGIC; FRAME_LEN_MAX + 1]), FrameError::TooLong(FRAME_LEN_MAX + 1));
    assert_eq!(frame_error(b"{\"voltage\": 230}"), FrameError::Magic(b'{'));
    let mut damaged = with_body(&body_of(&hello()));
    damaged[20] ^= 1;
    assert_eq!(frame_error(&damaged), FrameError::Checksum);
    let header = |rest: &[u8]| sealed(&[&[MAGIC, VERSION], &STREAM, rest]);
    assert_eq!(frame_error(&header(&[0, 1])), FrameError::FirstSeq);
    assert_eq!(frame_error(&header(&[0x81, 0x00, 1])), FrameError::FirstSeq);
    assert_eq!(frame_error(&header(&[0xff; 12])), FrameError::FirstSeq);
    assert_eq!(frame_error(&header(&[0x81, 0x81])), FrameError::FirstSeq);
    assert_eq!(frame_error(&header(&[1, 0])), FrameError::Count(0));
    assert_eq!(frame_error(&header(&[1, 65])), FrameError::Count(65));
    let last = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(frame_error(&header(&[&last[..], &[2]].concat())), FrameError::SeqOverflow);
    assert!(frame::decode(&header(&[&last[..], &[1]].concat())).is_ok());
}

#[test]
fn a_version_to_come_keeps_its_place() {
    let frame = sealed(&[&[MAGIC, 2], &STREAM, &[1, 64], b"whatever version 2 will be"]);
    assert_eq!(body_error(&frame), BodyError::UnknownVersion(2));
    let (header, body) = frame::decode(&frame).unwrap();
    assert_eq!((header.count, header.last_seq(), body.version()), (64, 64, 2));
}

#[test]
fn bodies_that_cannot_be_read() {
    let good = body_of(&hello());
    assert_eq!(body_error(&with_body(&[])), BodyError::Truncated);
    assert_eq!(body_error(&with_body(&good[..good.len() - 1])), BodyError::Truncated);
    assert_eq!(body_error(&with_body(&[&good[..], &[0]].concat())), BodyError::Trailing(1));
    // Kinds 4 to 7 of a record that is no reading.
    for kind in 4..8u8 {
        assert_eq!(body_error(&with_body(&[1 | kind << 1, 0, 0])), BodyError::UnknownKind(kind));
    }
    // The head's varint in two bytes instead of one, and one that never ends.
    assert_eq!(body_error(&with_body(&[&[good[0] | 0x80, 0], &good[1..]].concat())), BodyError::NonCanonical);
    assert_eq!(body_error(&with_body(&[0xff; 12])), BodyError::NonCanonical);
    // A bit of the head that means nothing.
    assert_eq!(body_error(&with_body(&[&[good[0] | 0x40], &good[1..]].concat())), BodyError::NonCanonical);
}

#[test]
fn fields_that_announce_no_difference_are_not_canonical() {
    // A reading whose head announces the voltage, and whose difference is nought.
    assert_eq!(body_error(&with_body(&[0b100, 0, 0, 0])), BodyError::NonCanonical);
    assert!(frame::decode(&with_body(&[0, 0, 0])).unwrap().1.all(|it| it.is_ok()));
}

#[test]
fn codes_that_no_one_knows() {
    let event = Event { time: UnixMillis(1_767_225_600_000), clock: Default::default(), channel: 0, kind: EventKind::Started, value: 0 };
    let mut body = body_of(&Record::Event(event));
    assert_eq!(body, [0b011, 0, 1]);
    body[2] = 0;
    assert_eq!(body_error(&with_body(&body)), BodyError::UnknownCode(0));
    assert_eq!(body_error(&with_body(&[0b011, 0, 0xff, 0x7f])), BodyError::UnknownCode(0x3fff));
    // A gap: head, time, from, count, reason.
    assert_eq!(body_error(&with_body(&[0b101, 0, 0, 0, 99])), BodyError::UnknownCode(99));
    // A hello: head, time, clock.
    assert_eq!(body_error(&with_body(&[0b001, 0, 4])), BodyError::UnknownCode(4));
}

#[test]
fn texts_are_short_and_printable() {
    let good = body_of(&hello());
    // Head, time and clock take three bytes; then the length and "pzem-004t".
    assert_eq!(&good[3..6], b"\x09pz");
    for (at, byte) in [(4, 0x1f), (4, 0x7f), (4, 0x80), (3, 33), (3, 0xff)] {
        let mut body = good.clone();
        body[at] = byte;
        assert_eq!(body_error(&with_body(&body)), BodyError::Text, "byte {at} = {byte:#x}");
    }
}

#[test]
fn a_name_in_another_alphabet_travels_as_far_as_it_is_printable() {
    let Record::Hello(mut it) = hello() else { return };
    it.device = Text::try_from("zähler\n7").unwrap();
    let bytes = with_body(&body_of(&Record::Hello(it.clone())));
    it.device = Text::try_from("z?hler?7").unwrap();
    let decoded: Vec<_> = frame::decode(&bytes).unwrap().1.collect();
    assert_eq!(decoded, [Ok(Record::Hello(it))]);
}

#[test]
fn flags_that_are_not_named_yet_travel() {
    let reading = Reading { flags: Flags::from_bits_retain(u32::MAX), ..Reading::default() };
    let bytes = with_body(&body_of(&Record::Reading(reading)));
    assert_eq!(frame::decode(&bytes).unwrap().1.collect::<Vec<_>>(), [Ok(Record::Reading(reading))]);
}

#[test]
fn acknowledgements() {
    let ack = Ack { stream: StreamId(0x0102_0304_0506_0708), through: 5, incarnation: 1 };
    let good = ack.encode();
    assert_eq!(Ack::decode(&good), Ok(ack));
    assert_eq!(Ack::decode(&[]), Err(AckError::Length(0)));
    assert_eq!(Ack::decode(&[wire::ack::MAGIC; 99]), Err(AckError::Length(99)));
    assert_eq!(Ack::decode(b"ok"), Err(AckError::Magic(b'o')));
    assert_eq!(Ack::decode(&good[..good.len() - 1]), Err(AckError::Checksum));
    let of = |version: u8, numbers: &[u8]| Ack::decode(&sealed(&[&[wire::ack::MAGIC, version], &STREAM, numbers]));
    assert_eq!(of(1, &[5, 1]), Ok(ack));
    assert_eq!(of(2, &[5, 1]), Err(AckError::UnknownVersion(2)));
    assert_eq!(of(1, &[0x85, 0x00, 1]), Err(AckError::NonCanonical));
    assert_eq!(of(1, &[5]), Err(AckError::Length(15)));
    assert_eq!(of(1, &[5, 1, 0]), Err(AckError::Length(17)));
}

#[test]
fn batches_of_acknowledgements() {
    let error = |bytes: &[u8]| AckBatch::decode(bytes).map(|it| it.count()).unwrap_err();
    let of = |version: u8, rest: &[&[u8]]| sealed(&[&[ack_batch::MAGIC, version], &rest.concat()]);
    let entry = [&b"\x02M1"[..], &STREAM, &[5]].concat();
    let good = of(1, &[&[1], &entry, &entry]);
    assert_eq!(AckBatch::decode(&good).unwrap().count(), 2);

    assert_eq!(error(&[]), BatchError::Length(0));
    assert_eq!(error(&[ack_batch::MAGIC; BATCH_LEN_MAX + 1]), BatchError::Length(BATCH_LEN_MAX + 1));
    assert_eq!(error(&[&good[..], &[0; BATCH_LEN_MAX]].concat()), BatchError::Length(good.len() + BATCH_LEN_MAX));
    assert_eq!(error(&of(1, &[&[1]])), BatchError::Length(7), "a batch of nothing");
    assert_eq!(error(b"ok"), BatchError::Magic(b'o'));
    assert_eq!(error(&Ack { stream: StreamId(1), through: 1, incarnation: 1 }.encode()), BatchError::Magic(wire::ack::MAGIC));
    assert_eq!(error(&good[..good.len() - 1]), BatchError::Checksum);
    assert_eq!(error(&of(2, &[&[1], &entry])), BatchError::UnknownVersion(2));
    assert_eq!(error(&of(1, &[])), BatchError::Truncated);
    for cut in 1..entry.len() {
        assert_eq!(error(&of(1, &[&[1], &entry, &entry[..cut]])), BatchError::Truncated, "cut at {cut}");
    }
    assert_eq!(error(&of(1, &[&[0x81, 0x00], &entry])), BatchError::NonCanonical);
    assert_eq!(error(&of(1, &[&[1], &entry[..11], &[0x85, 0x00]])), BatchError::NonCanonical);
    assert_eq!(error(&of(1, &[&[0xff; 12]])), BatchError::NonCanonical);
    let named = |name: &[u8]| of(1, &[&[1], &[name.len() as u8], name, &STREAM, &[5]]);
    assert_eq!(error(&named(b"")), BatchError::Meter(InvalidId::Empty));
    assert_eq!(error(&named(&[b'm'; 33])), BatchError::Meter(InvalidId::TooLong));
    for name in [&b"-m"[..], b"m/1", b"m+", "é".as_bytes(), b"\xff", b"a b"] {
        assert_eq!(error(&named(name)), BatchError::Meter(InvalidId::Character), "{name:?}");
    }
}
