//! An acknowledgement's bytes, explained.

use serde_json::json;
use wire::ack::{self, ACK_LEN_MAX, Ack, AckError};

use super::report::Report;

const STREAM: std::ops::Range<usize> = 2..10;
const CRC_LEN: usize = 4;

/// Explains bytes that begin like an acknowledgement.
pub fn explain(bytes: &[u8]) -> Report {
    let mut report = Report::new("acknowledgement", bytes.len());
    report.field(bytes, 0, 1, "magic", json!(format!("{:#04x}", ack::MAGIC)));
    report.field(bytes, 1, 2, "version", json!(bytes.get(1)));
    if let Some(stream) = bytes.get(STREAM).and_then(|stream| stream.try_into().ok()) {
        let stream = measure::StreamId(u64::from_le_bytes(stream));
        report.field(bytes, STREAM.start, STREAM.end, "stream", json!(stream.to_string()));
    }
    let end = bytes.len().saturating_sub(CRC_LEN);
    match Ack::decode(bytes) {
        Ok(decoded) => {
            let through_end = STREAM.end.saturating_add(varint_len(decoded.through));
            report.field(bytes, STREAM.end, through_end, "through", json!(decoded.through));
            report.field(bytes, through_end, end, "incarnation", json!(decoded.incarnation));
        }
        Err(error) => match error {
            AckError::Magic(_) => report.wrong(0, 1, error),
            AckError::UnknownVersion(_) => report.wrong(1, 2, error),
            AckError::Checksum => report.wrong(end, bytes.len(), error),
            AckError::NonCanonical => report.wrong(STREAM.end, end, error),
            AckError::Length(_) => report.wrong(bytes.len().min(ACK_LEN_MAX), bytes.len(), error),
        },
    }
    report.checksum(bytes);
    report
}

/// Bytes of a number in its shortest form: seven bits each.
fn varint_len(number: u64) -> usize {
    let bits = u64::BITS.saturating_sub(number.leading_zeros()).max(1);
    usize::try_from(bits.div_ceil(7)).unwrap_or(usize::MAX)
}
