//! From Kafka's topics into the books.

use contracts::{EventRecord, LedgerKey, LedgerRecord, topics};
use measure::{MeterId, Seq, StreamId};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use serde::Deserialize;

use super::books::{Books, Finding, Topic};
use crate::kafka::{Address, Reader};
use crate::ranges::Run;

/// What readings and events have in common.
#[derive(Deserialize)]
struct Place {
    meter: MeterId,
    stream: StreamId,
    seq: Seq,
}

/// Reads everything, for `meters` only unless that is empty.
pub fn books(address: &Address, meters: &[MeterId]) -> anyhow::Result<Books> {
    let mut books = Books::default();
    let wanted = |meter: &MeterId| meters.is_empty() || meters.contains(meter);
    // The ledger first: what is committed while we read the rest is then newer, never missing.
    each(address, topics::LEDGER.name, &mut books, |books, message| ledger(books, message, &wanted))?;
    let readings = each(address, topics::READINGS.name, &mut books, |books, message| {
        let place: Place = serde_json::from_slice(message.payload().unwrap_or_default())?;
        if wanted(&place.meter) {
            books.record(Topic::Readings, place.meter, place.stream, place.seq);
        }
        Ok(())
    })?;
    let events = each(address, topics::EVENTS.name, &mut books, |books, message| event(books, message, &wanted))?;
    each(address, topics::DEAD_LETTERS.name, &mut books, |books, message| {
        dead_letter(books, message, &wanted);
        Ok(())
    })?;
    for (late, topic) in [(readings, Topic::Readings), (events, Topic::Events)] {
        if late {
            books.starts_late(topic);
        }
    }
    Ok(books)
}

/// Reads one topic to its end, noting what cannot be read; whether its beginning is gone.
fn each(
    address: &Address,
    topic: &str,
    books: &mut Books,
    take: impl Fn(&mut Books, &BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut reader = Reader::open(address, topic)?;
    let late = reader.starts_late();
    reader.drain(|message| {
        if let Err(error) = take(books, message) {
            let (partition, offset) = (message.partition(), message.offset());
            books.note(Finding::Unreadable { topic: topic.to_owned(), partition, offset, why: format!("{error:#}") });
        }
    })?;
    Ok(late)
}

fn ledger(books: &mut Books, message: &BorrowedMessage<'_>, wanted: &impl Fn(&MeterId) -> bool) -> anyhow::Result<()> {
    let key: LedgerKey = std::str::from_utf8(message.key().unwrap_or_default())?.parse()?;
    let LedgerKey::Stream(meter, stream) = key else { return Ok(()) };
    let through = match message.payload().map(serde_json::from_slice).transpose()? {
        Some(LedgerRecord::Through(row)) => Some(row.through),
        Some(LedgerRecord::Incarnation(_)) => anyhow::bail!("an incarnation under a stream's key"),
        None => None,
    };
    if wanted(&meter) {
        books.ledger(meter, stream, through);
    }
    Ok(())
}

fn event(books: &mut Books, message: &BorrowedMessage<'_>, wanted: &impl Fn(&MeterId) -> bool) -> anyhow::Result<()> {
    let record: EventRecord = serde_json::from_slice(message.payload().unwrap_or_default())?;
    let Some((meter, stream, seq)) = record.place() else { return Ok(()) };
    if !wanted(meter) {
        return Ok(());
    }
    books.record(Topic::Events, meter.clone(), stream, seq);
    if let EventRecord::Gap(gap) = &record {
        books.note(Finding::Reported {
            meter: meter.clone(),
            from_ms: gap.from_ms.0,
            to_ms: gap.to_ms.0,
            count: gap.count,
            reason: serde_json::to_value(gap.reason)?.as_str().unwrap_or_default().to_owned(),
        });
    }
    Ok(())
}

/// Most numbers that one dead letter can stand for: a frame's.
const PASSED_OVER_MAX: u64 = wire::frame::RECORDS_MAX as u64;

/// Only a dead letter that stands for numbers matters here: a damaged frame is sent again.
fn dead_letter(books: &mut Books, message: &BorrowedMessage<'_>, wanted: &impl Fn(&MeterId) -> bool) {
    let header = |name: &str| {
        let header = message.headers()?.iter().find(|header| header.key == name)?;
        std::str::from_utf8(header.value?).ok()
    };
    let run = || {
        let meter: MeterId = header("meter")?.parse().ok()?;
        let stream: StreamId = header("stream")?.parse().ok()?;
        let run = Run { first: header("from_seq")?.parse().ok()?, last: header("through_seq")?.parse().ok()? };
        (run.first <= run.last && run.len() <= PASSED_OVER_MAX && wanted(&meter)).then_some((meter, stream, run))
    };
    if let Some((meter, stream, run)) = run() {
        books.passed_over(meter, stream, run);
    }
}
