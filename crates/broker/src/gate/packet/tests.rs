use bytes::BytesMut;
use proptest::prelude::*;
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::{Error, Protocol};

use super::*;

/// rumqttd's names for the same things.
mod theirs {
    pub(super) use rumqttd::protocol::{ConnAck, ConnectReturnCode, Packet};
}

const MAX: usize = 1 << 20;

fn one(bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    match next(bytes, MAX) {
        Ok(Some((packet, len))) => {
            assert_eq!(len, bytes.len());
            Ok(packet)
        }
        Ok(None) => panic!("needs more than {bytes:02x?}"),
        Err(error) => Err(error),
    }
}

fn of(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

fn connect(flags: u8, rest: &[u8]) -> Vec<u8> {
    of(0x10, &[b"\0\x04MQTT\x04", &[flags][..], b"\0\x3c\0\x02m1", rest].concat())
}

#[test]
fn connect_is_read() {
    let plain = Connect { client_id: "m1", clean_session: true, keep_alive_s: 60, has_will: false };
    assert_eq!(one(&connect(2, b"")), Ok(Packet::Connect(plain.clone())));
    assert_eq!(one(&connect(0, b"")), Ok(Packet::Connect(Connect { clean_session: false, ..plain.clone() })));
    assert_eq!(one(&connect(0xc2, b"\0\x01u\0\x02\0\xff")), Ok(Packet::Connect(plain.clone())));
    assert_eq!(one(&connect(0x2e, b"\0\x01t\0\0")), Ok(Packet::Connect(Connect { has_will: true, ..plain })));
}

#[test]
fn connect_is_strict() {
    let level = |name: &[u8], level: u8| of(0x10, &[name, &[level, 2, 0, 60, 0, 0]].concat());
    for other in [0, 3, 5, 6, 255] {
        assert_eq!(one(&level(b"\0\x04MQTT", other)), Err(Malformed::ProtocolLevel(other)));
    }
    assert_eq!(one(&level(b"\0\x06MQIsdp", 3)), Err(Malformed::ProtocolLevel(3)));
    assert_eq!(one(&level(b"\0\x04mqtt", 4)), Err(Malformed::ProtocolName));
    for flags in [0x03, 0x42, 0x22, 0x0a, 0x1e] {
        assert_eq!(one(&connect(flags, b"\0\0\0\0\0\0")), Err(Malformed::ConnectFlags), "{flags:02x}");
    }
    assert_eq!(one(&connect(2, b"x")), Err(Malformed::TrailingBytes));
    assert_eq!(one(&connect(0x82, b"\0\x05u")), Err(Malformed::Truncated));
    for id in [&b"\0\x02a\0"[..], b"\0\x02\xc3\x28", b"\0\x03\xed\xa0\x80"] {
        assert_eq!(one(&of(0x10, &[b"\0\x04MQTT\x04\x02\0\x3c", id].concat())), Err(Malformed::Text));
    }
}

#[test]
fn only_a_clients_packets_with_their_flags() {
    for kind in [0, 2, 9, 11, 13, 15, 5, 6, 7] {
        for flags in 0..16 {
            let bytes = [kind << 4 | flags, 2, 0, 1];
            let result = next(&bytes, MAX);
            assert!(matches!(result, Err(Malformed::PacketType(_) | Malformed::Flags)), "{kind} {flags}: {result:?}");
        }
    }
    for first in [0x11, 0x41, 0x80, 0x83, 0xa0, 0xc1, 0xe8] {
        assert_eq!(next(&[first], MAX), Err(Malformed::Flags), "{first:02x}");
    }
    assert_eq!(one(&[0xc0, 0]), Ok(Packet::PingReq));
    assert_eq!(one(&[0xe0, 0]), Ok(Packet::Disconnect));
    assert_eq!(one(&[0xe0, 1, 0]), Err(Malformed::TrailingBytes));
    assert_eq!(one(&[0x40, 2, 1, 2]), Ok(Packet::PubAck(0x102)));
    assert_eq!(one(&[0x40, 2, 0, 0]), Err(Malformed::PacketIdZero));
    assert_eq!(one(&[0x40, 3, 0, 1, 0]), Err(Malformed::TrailingBytes));
}

#[test]
fn lengths_are_known_before_anything_is_waited_for() {
    assert_eq!(next(&[0x30, 0xff, 0xff, 0xff, 0x7f], 8192), Err(Malformed::TooLarge(268_435_455)));
    assert_eq!(next(&[0x30, 0x81, 0x40], 8192), Err(Malformed::TooLarge(8193)));
    assert_eq!(next(&[0x30, 0x80, 0x40], 8192), Ok(None));
    for start in [&[0x30][..], &[0x30, 0x80], &[0x30, 0x80, 0x80], &[0x30, 0x80, 0x80, 0x80]] {
        assert_eq!(next(start, MAX), Ok(None));
    }
    assert_eq!(next(&[0x30, 0x80, 0x80, 0x80, 0x80], MAX), Err(Malformed::LengthEncoding));
    assert_eq!(next(&[0x30, 0xff, 0xff, 0xff, 0xff, 0x01], MAX), Err(Malformed::LengthEncoding));
}

#[test]
fn publish_is_read_and_strict() {
    let message = |topic, payload, delivery, retain, dup| Ok(Packet::Publish(Publish { topic, payload, delivery, retain, dup }));
    assert_eq!(one(&of(0x30, b"\0\x03a/bxy")), message("a/b", b"xy", Delivery::AtMostOnce, false, false));
    assert_eq!(one(&of(0x3b, b"\0\x01a\0\x07")), message("a", b"", Delivery::AtLeastOnce(7), true, true));
    assert_eq!(one(&of(0x34, b"\0\x01a\0\x07")), message("a", b"", Delivery::ExactlyOnce(7), false, false));
    assert_eq!(one(&of(0x36, b"\0\x01a\0\x07")), Err(Malformed::Qos));
    assert_eq!(one(&of(0x38, b"\0\x01a")), Err(Malformed::Flags));
    assert_eq!(one(&of(0x32, b"\0\x01a\0\0")), Err(Malformed::PacketIdZero));
    assert_eq!(one(&of(0x32, b"\0\x01a\0")), Err(Malformed::Truncated));
    assert_eq!(one(&of(0x30, b"\0\x05a")), Err(Malformed::Truncated));
    assert_eq!(one(&of(0x30, b"\0\0x")), Err(Malformed::TopicEmpty));
    for topic in ["a/+", "#", "$SYS/x", "é/x", "\u{feff}a", "😀", "a b", "a\n", "a\u{7f}"] {
        let body = [&u16::try_from(topic.len()).unwrap().to_be_bytes()[..], topic.as_bytes()].concat();
        assert_eq!(one(&of(0x30, &body)), Err(Malformed::TopicCharacter), "{topic:?}");
    }
    for topic in [&b"\0\x02a\0"[..], b"\0\x02\xc3\x28", b"\0\x03\xed\xa0\x80"] {
        assert_eq!(one(&of(0x30, topic)), Err(Malformed::Text));
    }
}

#[test]
fn subscribe_and_unsubscribe_are_read_and_strict() {
    let bytes = of(0x82, b"\0\x05\0\x01a\x01\0\x03b/+\x02");
    let Ok(Packet::Subscribe { pkid: 5, filters }) = one(&bytes) else { panic!() };
    assert_eq!(filters.collect::<Vec<_>>(), [("a", 1), ("b/+", 2)]);
    let bytes = of(0xa2, b"\0\x05\0\x01a\0\x01b");
    let Ok(Packet::Unsubscribe { pkid: 5, filters }) = one(&bytes) else { panic!() };
    assert_eq!(filters.collect::<Vec<_>>(), ["a", "b"]);
    for first in [0x82, 0xa2] {
        assert_eq!(one(&of(first, b"\0\x05")), Err(Malformed::NoFilter));
        assert_eq!(one(&of(first, b"\0\0\0\x01a\0")), Err(Malformed::PacketIdZero));
        assert_eq!(one(&of(first, b"\0\x05\0\0\0")), Err(Malformed::TopicEmpty));
        assert_eq!(one(&of(first, b"\0\x05\0\x09a")), Err(Malformed::Truncated));
        assert_eq!(one(&[first, 0]), Err(Malformed::Truncated));
        assert_eq!(one(&[first, 1, 0]), Err(Malformed::Truncated));
    }
    assert_eq!(one(&of(0x82, b"\0\x05\0\x01a")), Err(Malformed::Truncated));
    assert_eq!(one(&of(0x82, b"\0\x05\0\x01a\x03")), Err(Malformed::Qos));
    assert_eq!(one(&of(0x82, b"\0\x05\0\x01a\x05")), Err(Malformed::Flags));
}

/// Bytes that are nearly packets, so that many of them get past the first checks.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof!["[a-z/]{0,6}", "[+#$é ]{1,2}", Just("MQTT".to_owned())];
    let field = prop_oneof![
        3 => text.prop_map(|text| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => Just(vec![0, 1]),
        1 => Just(vec![4, 2, 0, 60]),
    ];
    let body = prop::collection::vec(field, 0..5).prop_map(|fields| fields.concat());
    let first = prop_oneof![any::<u8>(), prop::sample::select(vec![0x10, 0x30, 0x32, 0x40, 0x82, 0xa2, 0xc0, 0xe0])];
    (first, body).prop_map(|(first, body)| of(first, &body))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Any bytes are answered without a panic, and what was read did not depend on bytes behind it.
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64), max in 0_usize..300) {
        if let Ok(Some((packet, len))) = next(&bytes, max) {
            prop_assert!(len <= bytes.len());
            prop_assert_eq!(next(&bytes[..len], max), Ok(Some((packet, len))));
            prop_assert_eq!(next(bytes[..len].split_last().unwrap().1, max), Ok(None));
        }
    }

    /// What is accepted here rumqttd's codec accepts too and reads the same way.
    #[test]
    fn rumqttd_reads_the_same(bytes in nearly()) {
        let Ok(Some((ours, len))) = next(&bytes, MAX) else { return Ok(()) };
        prop_assert_eq!(len, bytes.len());
        let theirs = V4.read_mut(&mut BytesMut::from(&bytes[..]), MAX);
        match (ours, theirs) {
            (Packet::Connect(ours), Ok(theirs::Packet::Connect(connect, _, will, _, _))) => {
                prop_assert_eq!(ours.client_id, &connect.client_id);
                prop_assert_eq!(ours.keep_alive_s, connect.keep_alive);
                prop_assert_eq!((ours.clean_session, ours.has_will), (connect.clean_session, will.is_some()));
            }
            // It wants a password to be text; MQTT has bytes there.
            (Packet::Connect(_), Err(Error::PayloadNotUtf8(_))) => {}
            (Packet::Publish(ours), Ok(theirs::Packet::Publish(publish, _))) => {
                prop_assert_eq!((ours.topic.as_bytes(), ours.payload), (&publish.topic[..], &publish.payload[..]));
                let pkid = match ours.delivery { Delivery::AtMostOnce => 0, Delivery::AtLeastOnce(pkid) | Delivery::ExactlyOnce(pkid) => pkid };
                prop_assert_eq!(&publish.serialize()[1..3], &pkid.to_be_bytes());
                prop_assert_eq!(publish.serialize()[0], bytes[0]);
            }
            (Packet::PubAck(pkid), Ok(theirs::Packet::PubAck(puback, _))) => prop_assert_eq!(pkid, puback.pkid),
            (Packet::Subscribe { pkid, filters }, Ok(theirs::Packet::Subscribe(subscribe, _))) => {
                prop_assert_eq!(pkid, subscribe.pkid);
                let theirs: Vec<_> = subscribe.filters.iter().map(|filter| (filter.path.as_str(), filter.qos as u8)).collect();
                prop_assert_eq!(filters.collect::<Vec<_>>(), theirs);
            }
            (Packet::Unsubscribe { pkid, filters }, Ok(theirs::Packet::Unsubscribe(unsubscribe, _))) => {
                prop_assert_eq!(pkid, unsubscribe.pkid);
                prop_assert_eq!(filters.collect::<Vec<_>>(), unsubscribe.filters);
            }
            (Packet::PingReq, Ok(theirs::Packet::PingReq(_))) | (Packet::Disconnect, Ok(theirs::Packet::Disconnect(..))) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?} here, {theirs:?} there"),
        }
    }

    /// What is written rumqttd's codec reads back.
    #[test]
    fn rumqttd_reads_what_is_written(topic in "[a-z/]{1,40}", payload in prop::collection::vec(any::<u8>(), 0..300), pkid in 0_u16.., retain: bool, codes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 0x80]), 1..200), code in 0_u8..6) {
        let mut out = Vec::new();
        connack(&mut out, code);
        publish(&mut out, topic.as_bytes(), &payload, (pkid != 0).then_some(pkid), retain);
        puback(&mut out, pkid);
        suback(&mut out, pkid, &codes);
        unsuback(&mut out, pkid);
        pingresp(&mut out);
        let mut bytes = BytesMut::from(&out[..]);
        let mut read = || V4.read_mut(&mut bytes, MAX).unwrap();
        let theirs::Packet::ConnAck(theirs::ConnAck { session_present: false, code: accepted }, _) = read() else { panic!() };
        prop_assert_eq!(accepted == theirs::ConnectReturnCode::Success, code == 0);
        let theirs::Packet::Publish(message, _) = read() else { panic!() };
        let serial = message.serialize();
        prop_assert_eq!((&message.topic[..], &message.payload[..], message.retain), (topic.as_bytes(), &payload[..], retain));
        prop_assert_eq!((serial[0] >> 1 & 3, &serial[1..3]), (u8::from(pkid != 0), &pkid.to_be_bytes()[..]));
        let theirs::Packet::PubAck(acknowledged, _) = read() else { panic!() };
        prop_assert_eq!(acknowledged.pkid, pkid);
        let theirs::Packet::SubAck(granted, _) = read() else { panic!() };
        prop_assert_eq!((granted.pkid, granted.return_codes.len()), (pkid, codes.len()));
        let theirs::Packet::UnsubAck(ended, _) = read() else { panic!() };
        prop_assert_eq!(ended.pkid, pkid);
        prop_assert!(matches!(read(), theirs::Packet::PingResp(_)));
        prop_assert!(bytes.is_empty());
    }
}
