//! From a batch to the records of one transaction.

use std::collections::HashMap;

use contracts::dead_letter::DeadLetterReason;
use contracts::ledger::ThroughRow;
use contracts::{EventRecord, LedgerKey, LedgerRecord, ReadingRecord, topics};
use measure::{MeterId, Record, UnixMillis};
use rdkafka::message::{Header, OwnedHeaders};
use wire::topic::Topic;

use crate::kafka::Clients;
use crate::live::Live;
use crate::shard::{Accepted, Batch, DeadLetter, Reason};

/// The topics of the transaction, by their names in this installation.
#[derive(Clone, Debug)]
pub struct Names {
    readings: String,
    events: String,
    ledger: String,
    dead_letters: String,
}

impl Names {
    /// As the configuration says.
    pub fn new(clients: &Clients) -> Self {
        Self {
            readings: clients.topic(&topics::READINGS),
            events: clients.topic(&topics::EVENTS),
            ledger: clients.topic(&topics::LEDGER),
            dead_letters: clients.topic(&topics::DEAD_LETTERS),
        }
    }
}

/// A Kafka record to be written to the batch's partition of a topic.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Where.
    pub topic: &'a str,
    /// Under which key.
    pub key: String,
    /// With which value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// With which headers.
    pub headers: Option<OwnedHeaders>,
}

/// All records of a batch's transaction, and the readings among them.
pub fn outgoing<'a>(
    names: &'a Names,
    batch: &Batch,
    live: &Live,
    now: UnixMillis,
) -> serde_json::Result<(Vec<Outgoing<'a>>, Vec<ReadingRecord>)> {
    let mut records = Vec::with_capacity(batch.records.len().saturating_add(batch.ledger.len()));
    let mut readings = Vec::new();
    for accepted in &batch.records {
        records.push(record(names, accepted, &mut readings)?);
    }
    records.extend(batch.dead_letters.iter().map(|letter| dead_letter(names, letter)));
    let latest = latest(&readings);
    for ((meter, stream), through) in &batch.ledger {
        let key = LedgerKey::Stream(meter.clone(), *stream).to_string();
        let row = through.map(|through| {
            let latest_ms = latest.get(meter).copied().max(live.latest(meter));
            LedgerRecord::Through(ThroughRow { meter: meter.clone(), stream: *stream, through, updated_ms: now, latest_ms })
        });
        let value = row.map(|row| serde_json::to_vec(&row)).transpose()?;
        records.push(Outgoing { topic: &names.ledger, key, value, headers: None });
    }
    Ok((records, readings))
}

fn record<'a>(names: &'a Names, accepted: &Accepted, readings: &mut Vec<ReadingRecord>) -> serde_json::Result<Outgoing<'a>> {
    let Accepted { meter, stream, seq, received, record } = accepted;
    let key = meter.to_string();
    if let Record::Reading(reading) = record {
        let reading = ReadingRecord::new(meter, *stream, *seq, *received, reading);
        let value = Some(serde_json::to_vec(&reading)?);
        readings.push(reading);
        return Ok(Outgoing { topic: &names.readings, key, value, headers: None });
    }
    let event = EventRecord::new(meter, *stream, *seq, *received, record);
    Ok(Outgoing { topic: &names.events, key, value: event.map(|event| serde_json::to_vec(&event)).transpose()?, headers: None })
}

fn dead_letter<'a>(names: &'a Names, letter: &DeadLetter) -> Outgoing<'a> {
    let mut contract = contracts::DeadLetter {
        reason: DeadLetterReason::BadFrame,
        detail: String::new(),
        topic: Topic::up(&letter.meter).to_string(),
        received_ms: letter.received,
        meter: Some(letter.meter.clone()),
        stream: None,
        from_seq: None,
        through_seq: None,
    };
    match &letter.reason {
        Reason::Frame(why) => contract.detail = why.to_string(),
        Reason::Body { stream, from, through, why } => {
            contract.reason = DeadLetterReason::BadBody;
            contract.detail = why.to_string();
            (contract.stream, contract.from_seq, contract.through_seq) = (Some(*stream), Some(*from), Some(*through));
        }
    }
    let headers =
        contract.headers().into_iter().fold(OwnedHeaders::new(), |headers, (key, text)| headers.insert(Header { key, value: Some(&text) }));
    Outgoing { topic: &names.dead_letters, key: letter.meter.to_string(), value: Some(letter.payload.clone()), headers: Some(headers) }
}

/// Time of the latest reading of each meter, the future left out as [`Live`] does.
fn latest(readings: &[ReadingRecord]) -> HashMap<&MeterId, UnixMillis> {
    let mut latest: HashMap<&MeterId, UnixMillis> = HashMap::new();
    for reading in readings.iter().filter(|reading| Live::is_shown(reading)) {
        let known = latest.entry(&reading.meter).or_insert(reading.time_ms);
        *known = (*known).max(reading.time_ms);
    }
    latest
}
