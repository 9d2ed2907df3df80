//! A batch of acknowledgements, explained.

use serde_json::json;
use wire::AckBatch;
use wire::ack_batch::{self, BATCH_LEN_MAX, BatchError};

use super::report::Report;

const HEAD_LEN: usize = 2;
const CRC_LEN: usize = 4;

/// Explains bytes that begin like a batch.
pub fn explain(bytes: &[u8]) -> Report {
    let mut report = Report::new("batch of acknowledgements", bytes.len());
    report.field(bytes, 0, 1, "magic", json!(format!("{:#04x}", ack_batch::MAGIC)));
    report.field(bytes, 1, HEAD_LEN, "version", json!(bytes.get(1)));
    let end = bytes.len().saturating_sub(CRC_LEN);
    match AckBatch::decode(bytes) {
        Ok(mut entries) => {
            let mut start = end.saturating_sub(entries.bytes_left());
            report.field(bytes, HEAD_LEN, start, "incarnation", json!(entries.incarnation()));
            while let Some((meter, ack)) = entries.next() {
                let next = end.saturating_sub(entries.bytes_left());
                let value = json!({ "stream": ack.stream.to_string(), "through": ack.through });
                report.field(bytes, start, next, meter.to_string(), value);
                start = next;
            }
        }
        Err(error) => match error {
            BatchError::Magic(_) => report.wrong(0, 1, error),
            BatchError::UnknownVersion(_) => report.wrong(1, HEAD_LEN, error),
            BatchError::Checksum => report.wrong(end, bytes.len(), error),
            BatchError::Length(_) => report.wrong(bytes.len().min(BATCH_LEN_MAX), bytes.len(), error),
            BatchError::Meter(_) | BatchError::Truncated | BatchError::NonCanonical => report.wrong(HEAD_LEN, end, error),
        },
    }
    report.checksum(bytes);
    report
}
