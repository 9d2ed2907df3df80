//! Any bytes through the packet reader, whole and byte by byte.

use broker::gate::packet::{self, Packet};

/// Packets of a meter's size and of a service's.
const SIZES: [usize; 2] = [8192, 262_144];

/// Reads the bytes as a client's stream. Panics if what the reader promises does not hold.
pub fn check(bytes: &[u8]) {
    for max in SIZES {
        let mut rest = bytes;
        loop {
            match packet::next(rest, max) {
                Ok(Some((packet, len))) => {
                    complete(rest, max, &packet, len);
                    rest = &rest[len..];
                }
                Ok(None) => break incomplete(rest, max),
                // What is refused is refused whatever comes behind it.
                Err(malformed) => break assert_eq!(packet::next(&[rest, b"more"].concat(), max), Err(malformed)),
            }
        }
    }
}

fn complete(bytes: &[u8], max: usize, packet: &Packet<'_>, len: usize) {
    assert!((2..=max + 5).contains(&len) && len <= bytes.len());
    // It depends on its own bytes only, and on all of them.
    assert_eq!(packet::next(&bytes[..len], max).unwrap().as_ref(), Some(&(packet.clone(), len)));
    assert_eq!(packet::next(&bytes[..len - 1], max), Ok(None));
    match packet {
        Packet::Publish(publish) => assert!(publish.topic.is_ascii() && !publish.topic.contains(['+', '#'])),
        Packet::Subscribe { pkid, filters } => {
            assert_ne!(*pkid, 0);
            assert!(filters.clone().all(|(filter, qos)| !filter.is_empty() && qos <= 2) && filters.clone().next().is_some());
        }
        Packet::Unsubscribe { pkid, filters } => assert!(*pkid != 0 && filters.clone().next().is_some()),
        Packet::PubAck(pkid) => assert_ne!(*pkid, 0),
        Packet::Connect(connect) => assert!(!connect.client_id.contains('\0')),
        Packet::PingReq | Packet::Disconnect => {}
    }
}

/// No more is waited for than the largest packet has.
fn incomplete(bytes: &[u8], max: usize) {
    assert!(bytes.len() < max + 5, "{} bytes and still no packet", bytes.len());
}
