//! Bytes to packets.

use super::fields::Fields;
use super::{Connect, Delivery, Filters, Malformed, Names, Packet, Publish};

/// The fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    kind: u8,
    flags: u8,
    /// Bytes of the fixed header itself: 2 to 5.
    head_len: usize,
    /// Bytes that follow it.
    body_len: usize,
}

/// Reads the first packet of `bytes`: the packet and how many bytes it took, or `None` if more bytes are needed.
///
/// `len_max` bounds the remaining length. It is checked as soon as the length is known, before the packet is waited for.
pub fn next(bytes: &[u8], len_max: usize) -> Result<Option<(Packet<'_>, usize)>, Malformed> {
    let Some(header) = header(bytes, len_max)? else { return Ok(None) };
    let Some(len) = header.head_len.checked_add(header.body_len) else { return Err(Malformed::LengthEncoding) };
    let Some(body) = bytes.get(header.head_len..len) else { return Ok(None) };
    Ok(Some((packet(header, Fields::new(body))?, len)))
}

/// Reads the fixed header, or `None` if more bytes are needed.
pub fn header(bytes: &[u8], len_max: usize) -> Result<Option<Header>, Malformed> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let (kind, flags) = (first >> 4, first & 0x0f);
    check_kind(kind, flags)?;
    let mut body_len = 0_usize;
    for (index, byte) in rest.iter().enumerate().take(4) {
        let shift = u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(7);
        body_len |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            if body_len > len_max {
                return Err(Malformed::TooLarge(body_len));
            }
            return Ok(Some(Header { kind, flags, head_len: index.saturating_add(2), body_len }));
        }
    }
    if rest.len() >= 4 { Err(Malformed::LengthEncoding) } else { Ok(None) }
}

/// Only what a client may send, with the flags that the type has.
fn check_kind(kind: u8, flags: u8) -> Result<(), Malformed> {
    let expected = match kind {
        3 => return if flags & 0b0110 == 0b0110 { Err(Malformed::Qos) } else { Ok(()) },
        6 | 8 | 10 => 0b0010,
        1 | 4 | 5 | 7 | 12 | 14 => 0,
        _ => return Err(Malformed::PacketType(kind)),
    };
    if flags == expected { Ok(()) } else { Err(Malformed::Flags) }
}

fn packet(header: Header, mut body: Fields<'_>) -> Result<Packet<'_>, Malformed> {
    let packet = match header.kind {
        1 => return connect(body),
        3 => return publish(header.flags, body),
        4 => Packet::PubAck(body.pkid()?),
        8 => return subscribe(body),
        10 => return unsubscribe(body),
        12 => Packet::PingReq,
        14 => Packet::Disconnect,
        // Types 5, 6 and 7 belong to QoS 2, which nobody is granted here.
        kind => return Err(Malformed::PacketType(kind)),
    };
    body.end().map(|()| packet)
}

fn connect(mut body: Fields<'_>) -> Result<Packet<'_>, Malformed> {
    let name = body.bytes()?;
    let level = body.byte()?;
    match (name, level) {
        (b"MQTT", 4) => {}
        (b"MQTT" | b"MQIsdp", level) => return Err(Malformed::ProtocolLevel(level)),
        _ => return Err(Malformed::ProtocolName),
    }
    let flags = body.byte()?;
    let keep_alive_s = body.number()?;
    let [user, password, will_retain, will, clean_session, reserved] = [0x80, 0x40, 0x20, 0x04, 0x02, 0x01].map(|bit| flags & bit != 0);
    let will_qos = (flags >> 3) & 3;
    if reserved || (password && !user) || (!will && (will_retain || will_qos != 0)) || will_qos == 3 {
        return Err(Malformed::ConnectFlags);
    }
    let client_id = body.text()?;
    if will {
        body.text()?;
        body.bytes()?;
    }
    if user {
        body.text()?;
    }
    if password {
        body.bytes()?;
    }
    body.end()?;
    Ok(Packet::Connect(Connect { client_id, clean_session, keep_alive_s, has_will: will }))
}

fn publish(flags: u8, mut body: Fields<'_>) -> Result<Packet<'_>, Malformed> {
    let topic = topic(body.text()?)?;
    let dup = flags & 0b1000 != 0;
    let delivery = match (flags >> 1) & 3 {
        0 if dup => return Err(Malformed::Flags),
        0 => Delivery::AtMostOnce,
        1 => Delivery::AtLeastOnce(body.pkid()?),
        _ => Delivery::ExactlyOnce(body.pkid()?),
    };
    Ok(Packet::Publish(Publish { topic, payload: body.rest(), delivery, retain: flags & 1 != 0, dup }))
}

/// Narrower than MQTT: the topics of this system are ASCII, and a first character of several bytes is what kills rumqttd's router.
fn topic(text: &str) -> Result<&str, Malformed> {
    if text.is_empty() {
        return Err(Malformed::TopicEmpty);
    }
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'+' && byte != b'#';
    if text.starts_with('$') || !text.bytes().all(allowed) { Err(Malformed::TopicCharacter) } else { Ok(text) }
}

fn subscribe(mut body: Fields<'_>) -> Result<Packet<'_>, Malformed> {
    let pkid = body.pkid()?;
    let filters = body.clone();
    if body.is_empty() {
        return Err(Malformed::NoFilter);
    }
    while !body.is_empty() {
        filter(body.text()?)?;
        match body.byte()? {
            0..=2 => {}
            3 => return Err(Malformed::Qos),
            _ => return Err(Malformed::Flags),
        }
    }
    Ok(Packet::Subscribe { pkid, filters: Filters(filters) })
}

fn unsubscribe(mut body: Fields<'_>) -> Result<Packet<'_>, Malformed> {
    let pkid = body.pkid()?;
    let filters = body.clone();
    if body.is_empty() {
        return Err(Malformed::NoFilter);
    }
    while !body.is_empty() {
        filter(body.text()?)?;
    }
    Ok(Packet::Unsubscribe { pkid, filters: Names(filters) })
}

/// A filter that is not empty; whether it is allowed is the access list's business, and that refuses whatever it doesn't know.
fn filter(text: &str) -> Result<(), Malformed> {
    if text.is_empty() { Err(Malformed::TopicEmpty) } else { Ok(()) }
}
