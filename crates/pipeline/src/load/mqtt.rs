//! The few MQTT packets that a load needs.

/// CONNECT with the longest keep-alive, so that a measurement needs no pings.
pub fn connect(name: &str) -> Vec<u8> {
    packet(0x10, &[&text("MQTT")[..], &[4, 2], &1200_u16.to_be_bytes(), &text(name)])
}

/// SUBSCRIBE with QoS 1.
pub fn subscribe(filter: &str) -> Vec<u8> {
    packet(0x82, &[&[0, 1], &text(filter)[..], &[1]])
}

/// PUBLISH of QoS 1.
pub fn publish(topic: &str, pkid: u16, payload: &[u8]) -> Vec<u8> {
    packet(0x32, &[&text(topic)[..], &pkid.to_be_bytes(), payload])
}

/// A packet that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// PUBACK.
    Taken,
    /// The payload of a PUBLISH.
    Message(&'a [u8]),
    /// Any other.
    Other,
}

/// Gives each complete packet at the front of `bytes` to `take`; how many bytes they have.
pub fn packets(bytes: &[u8], mut take: impl FnMut(Incoming<'_>)) -> usize {
    let mut rest = bytes;
    while let Some((first, body, after)) = split(rest) {
        take(match first >> 4 {
            3 => message(first, body).map_or(Incoming::Other, Incoming::Message),
            4 => Incoming::Taken,
            _ => Incoming::Other,
        });
        rest = after;
    }
    bytes.len() - rest.len()
}

fn message(first: u8, body: &[u8]) -> Option<&[u8]> {
    let (len, rest) = body.split_first_chunk::<2>()?;
    let rest = rest.get(usize::from(u16::from_be_bytes(*len))..)?;
    if first & 6 == 0 { Some(rest) } else { rest.get(2..) }
}

/// First byte, body and what follows, once the packet is complete.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let (mut len, mut shift) = (0, 0);
    loop {
        let (&byte, after) = rest.split_first()?;
        (rest, len) = (after, len | usize::from(byte & 0x7f) << shift);
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    let (body, after) = rest.split_at_checked(len)?;
    Some((first, body, after))
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut len = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(len + 4);
    out.push(first);
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart_and_an_incomplete_one_waits() {
        let payload = vec![7; 200];
        let all = [&[0x40, 2, 0, 9][..], &publish("f1/00/m/dn", 3, &payload), &[0x30, 4, 0, 1, b'x', 5], &[0xd0, 0]].concat();
        for cut in 0..=all.len() {
            let (mut taken, mut messages, mut others) = (0, Vec::new(), 0);
            let used = packets(&all[..cut], |packet| match packet {
                Incoming::Taken => taken += 1,
                Incoming::Message(payload) => messages.push(payload.to_vec()),
                Incoming::Other => others += 1,
            });
            assert!(used <= cut && (used == cut || cut < all.len()));
            if cut == all.len() {
                assert_eq!((taken, others), (1, 1));
                assert_eq!(messages, [payload.clone(), vec![5]]);
            }
        }
    }
}
