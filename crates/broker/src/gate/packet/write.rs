//! Packets to bytes.

/// CONNACK. A session is never present: the gate keeps none. `code` 0 accepts and 1 to 5 refuse; from 0x80 on they are those of MQTT 5,
/// whose packet ends with the length of its properties.
pub fn connack(out: &mut Vec<u8>, code: u8) {
    if code < 0x80 {
        out.extend_from_slice(&[0x20, 2, 0, code]);
    } else {
        out.extend_from_slice(&[0x20, 3, 0, code, 0]);
    }
}

/// PUBACK.
pub fn puback(out: &mut Vec<u8>, pkid: u16) {
    acknowledge(out, 0x40, pkid);
}

/// UNSUBACK.
pub fn unsuback(out: &mut Vec<u8>, pkid: u16) {
    acknowledge(out, 0xb0, pkid);
}

/// PINGRESP.
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd0, 0]);
}

/// SUBACK; a code for each filter: the QoS granted, or 0x80.
pub fn suback(out: &mut Vec<u8>, pkid: u16, codes: &[u8]) {
    out.push(0x90);
    length(out, codes.len().saturating_add(2));
    out.extend_from_slice(&pkid.to_be_bytes());
    out.extend_from_slice(codes);
}

/// PUBLISH, of QoS 1 if there is a packet identifier (not 0), else of QoS 0. `topic` has at most 65,535 bytes.
pub fn publish(out: &mut Vec<u8>, topic: &[u8], payload: &[u8], pkid: Option<u16>, retain: bool) {
    let qos = u8::from(pkid.is_some()) << 1;
    out.push(0x30 | qos | u8::from(retain));
    let topic_len = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    let numbers_len = if pkid.is_some() { 4 } else { 2 };
    length(out, topic.len().saturating_add(payload.len()).saturating_add(numbers_len));
    out.extend_from_slice(&topic_len.to_be_bytes());
    out.extend_from_slice(topic);
    if let Some(pkid) = pkid {
        out.extend_from_slice(&pkid.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

fn acknowledge(out: &mut Vec<u8>, first: u8, pkid: u16) {
    out.extend_from_slice(&[first, 2]);
    out.extend_from_slice(&pkid.to_be_bytes());
}

fn length(out: &mut Vec<u8>, mut len: usize) {
    loop {
        let low = u8::try_from(len & 0x7f).unwrap_or(0x7f);
        len >>= 7;
        if len == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
