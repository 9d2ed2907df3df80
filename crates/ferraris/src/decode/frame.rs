//! A frame's bytes, explained.

use serde_json::json;
use wire::frame::{self, BodyError, FIRST_SEQ_OFFSET, FRAME_LEN_MAX, FrameError, Header, STREAM_OFFSET};

use super::report::{self, Report};

const CRC_LEN: usize = 4;

/// Explains bytes that begin like a frame.
pub fn explain(bytes: &[u8]) -> Report {
    let mut report = Report::new("frame", bytes.len());
    report.field(bytes, 0, 1, "magic", json!(format!("{:#04x}", frame::MAGIC)));
    report.field(bytes, 1, STREAM_OFFSET, "version", json!(bytes.get(1)));
    if let Some(stream) = bytes.get(STREAM_OFFSET..FIRST_SEQ_OFFSET).and_then(|stream| stream.try_into().ok()) {
        let stream = measure::StreamId(u64::from_le_bytes(stream));
        report.field(bytes, STREAM_OFFSET, FIRST_SEQ_OFFSET, "stream", json!(stream.to_string()));
    }
    match frame::decode(bytes) {
        Ok((header, body)) => {
            records(&mut report, bytes, &header, body);
            report.checksum(bytes);
        }
        Err(error) => {
            let sound = report.checksum(bytes);
            unreadable(&mut report, bytes, error, sound);
        }
    }
    report
}

/// The rest of the header, then one field a record.
fn records(report: &mut Report, bytes: &[u8], header: &Header, mut body: frame::Body<'_>) {
    let end = bytes.len().saturating_sub(CRC_LEN);
    let mut start = end.saturating_sub(body.bytes_left());
    let count_at = start.saturating_sub(1);
    report.field(bytes, FIRST_SEQ_OFFSET, count_at, "first_seq", json!(header.first_seq));
    report.field(bytes, count_at, start, "count", json!(header.count));
    let mut seq = header.first_seq;
    while let Some(next) = body.next() {
        match next {
            Ok(record) => {
                let next_start = end.saturating_sub(body.bytes_left());
                report.field(bytes, start, next_start, format!("record {seq}"), report::record(&record));
                (start, seq) = (next_start, seq.saturating_add(1));
            }
            Err(error) => match error {
                BodyError::UnknownVersion(_) => report.wrong(1, 2, error),
                BodyError::Trailing(_) => report.wrong(start, end, error),
                _ => report.wrong(start, start, format!("record {seq}, which begins here: {error}")),
            },
        }
    }
}

/// Where in the bytes the frame's error lies.
fn unreadable(report: &mut Report, bytes: &[u8], error: FrameError, sound: bool) {
    let end = bytes.len().saturating_sub(CRC_LEN);
    // The count follows the first number, whose last byte is the first one below 0x80.
    let rest = bytes.get(FIRST_SEQ_OFFSET..end).unwrap_or_default();
    let seq_len = rest.iter().position(|byte| byte & 0x80 == 0).map_or(rest.len(), |last| last.saturating_add(1));
    let count_at = FIRST_SEQ_OFFSET.saturating_add(seq_len);
    match error {
        FrameError::Magic(_) => report.wrong(0, 1, error),
        FrameError::TooShort(_) => report.wrong(bytes.len(), bytes.len(), error),
        FrameError::TooLong(_) => report.wrong(FRAME_LEN_MAX, bytes.len(), error),
        FrameError::Checksum => report.wrong(end, bytes.len(), error),
        FrameError::FirstSeq | FrameError::SeqOverflow => report.wrong(FIRST_SEQ_OFFSET, count_at, error),
        FrameError::Count(_) => report.wrong(count_at, count_at, error),
    }
    if sound && let Some(fault) = &mut report.fault {
        fault.what.push_str("; the checksum is right, so it was sent like this");
    }
}
