//! From a batch to the records of one transaction.

use std::ops::Range;

use contracts::dead_letter::DeadLetterReason;
use contracts::ledger::ThroughRow;
use contracts::readings::Place;
use contracts::{EventRecord, LedgerKey, LedgerRecord, ReadingRecord, topics};
use measure::{Reading, Record, UnixMillis};
use rdkafka::message::{Header, OwnedHeaders};
use serde::Serialize;
use wire::topic::Topic;

use crate::derive::Copied;
use crate::kafka::Clients;
use crate::live::{Live, Newest};
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

/// A Kafka record to be written.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Where.
    pub topic: &'a str,
    /// Under which key.
    pub key: &'a [u8],
    /// With which value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// With which headers.
    pub headers: Option<&'a OwnedHeaders>,
    /// On which partition, if not on the producer's own.
    pub partition: Option<i32>,
}

impl<'a> Outgoing<'a> {
    /// What is written for somebody under another key.
    pub fn of(it: &'a Copied) -> Self {
        Self { topic: &it.topic, key: it.key.as_bytes(), value: Some(&it.value), headers: None, partition: Some(it.partition) }
    }
}

/// The records of one transaction. Their bytes lie side by side in a buffer that the next transaction uses again.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    records: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    topic: Target,
    key: Range<usize>,
    value: Option<Range<usize>>,
    headers: Option<OwnedHeaders>,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Readings,
    Events,
    Ledger,
    DeadLetters,
}

impl Outbox {
    /// All records, in the order in which they are to be written.
    pub fn records<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = Outgoing<'a>> {
        let bytes = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.records.iter().map(move |entry| Outgoing {
            topic: match entry.topic {
                Target::Readings => &names.readings,
                Target::Events => &names.events,
                Target::Ledger => &names.ledger,
                Target::DeadLetters => &names.dead_letters,
            },
            key: bytes(&entry.key),
            value: entry.value.as_ref().map(bytes),
            headers: entry.headers.as_ref(),
            partition: None,
        })
    }

    /// Holds the records of `batch` from now on, instead of what it held; returns the latest reading of each channel that has one among
    /// them.
    pub fn fill(&mut self, batch: &Batch, live: &Live, now: UnixMillis) -> serde_json::Result<Newest> {
        self.bytes.clear();
        self.records.clear();
        let mut newest = Newest::default();
        let mut of_run: Vec<(&Accepted, &Reading)> = Vec::new();
        // A frame's records lie together: a meter is looked up once for all of a channel's.
        for run in batch.records.chunk_by(|one, other| one.meter == other.meter) {
            for accepted in run {
                self.record(accepted)?;
                let Record::Reading(reading) = &accepted.record else { continue };
                if !Live::is_shown(reading.channel, reading.time, accepted.received) {
                    newest.pass_over();
                    continue;
                }
                match of_run.iter_mut().find(|(_, known)| known.channel == reading.channel) {
                    None => of_run.push((accepted, reading)),
                    // Of two with the same time the second.
                    Some(known) if known.1.time <= reading.time => *known = (accepted, reading),
                    Some(_) => {}
                }
            }
            for (at, reading) in of_run.drain(..) {
                newest.offer(ReadingRecord::new(&at.meter, at.stream, at.seq, at.received, reading));
            }
        }
        for letter in &batch.dead_letters {
            let key = self.put(letter.meter.as_str().as_bytes());
            let value = Some(self.put(&letter.payload));
            self.records.push(Entry { topic: Target::DeadLetters, key, value, headers: Some(headers(letter)) });
        }
        for ((meter, stream), through) in &batch.ledger {
            let key = self.put(LedgerKey::Stream(meter.clone(), *stream).to_string().as_bytes());
            let row = through.map(|through| {
                let latest_ms = newest.latest(meter).max(live.latest(meter));
                LedgerRecord::Through(ThroughRow { meter: meter.clone(), stream: *stream, through, updated_ms: now, latest_ms })
            });
            let value = row.map(|row| self.put_json(&row)).transpose()?;
            self.records.push(Entry { topic: Target::Ledger, key, value, headers: None });
        }
        Ok(newest)
    }

    /// Appends a record.
    fn record(&mut self, accepted: &Accepted) -> serde_json::Result<()> {
        let Accepted { meter, stream, seq, received, record } = accepted;
        let key = self.put(meter.as_str().as_bytes());
        let (topic, value) = if let Record::Reading(reading) = record {
            let start = self.bytes.len();
            let place = Place { meter, stream: *stream, seq: *seq, received: *received };
            ReadingRecord::write_json_of(place, reading, &mut self.bytes);
            (Target::Readings, Some(start..self.bytes.len()))
        } else {
            let event = EventRecord::new(meter, *stream, *seq, *received, record);
            (Target::Events, event.map(|event| self.put_json(&event)).transpose()?)
        };
        self.records.push(Entry { topic, key, value, headers: None });
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn put_json(&mut self, value: &impl Serialize) -> serde_json::Result<Range<usize>> {
        let start = self.bytes.len();
        serde_json::to_writer(&mut self.bytes, value)?;
        Ok(start..self.bytes.len())
    }
}

fn headers(letter: &DeadLetter) -> OwnedHeaders {
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
    contract.headers().into_iter().fold(OwnedHeaders::new(), |headers, (key, text)| headers.insert(Header { key, value: Some(&text) }))
}

#[cfg(test)]
mod tests {
    use contracts::LatestRecord;
    use measure::{Channel, MeterId, StreamId};

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn accepted(meter: &MeterId, seq: u64, channel: Channel, time: i64) -> Accepted {
        let record = Record::Reading(Reading { channel, time: UnixMillis(time), ..Reading::default() });
        Accepted { meter: meter.clone(), stream: StreamId(1), seq, received: NOW, record }
    }

    #[test]
    fn each_channels_latest_comes_out_and_the_ledger_has_the_latest_of_all() {
        let (flats, home): (MeterId, MeterId) = ("M1".parse().unwrap(), "M2".parse().unwrap());
        let mut batch = Batch::default();
        // Two frames of the flats, one of the home in between; the last number is not the latest time.
        for (seq, channel, time) in [(1, 0, 500), (2, 5, 510), (3, 0, 490)] {
            batch.records.push(accepted(&flats, seq, channel, time));
        }
        batch.records.push(accepted(&home, 1, 0, 300));
        for (seq, channel, time) in [(4, 5, 505), (5, 0, 500), (6, Channel::MAX, 900), (7, 3, i64::MAX)] {
            batch.records.push(accepted(&flats, seq, channel, time));
        }
        batch.ledger.insert((flats.clone(), StreamId(1)), Some(7));
        batch.ledger.insert((home.clone(), StreamId(1)), Some(1));
        let mut live = Live::new(1_000);
        live.restore(&home, UnixMillis(400));

        let mut outbox = Outbox::default();
        let newest = outbox.fill(&batch, &live, NOW).unwrap();
        assert_eq!(newest.never_shown(), 2, "a channel that no meter may have, and a time to come");
        let mut latest: Vec<_> = newest.into_readings().map(|it| (LatestRecord(it.clone()).key(), it.seq)).collect();
        latest.sort_unstable();
        assert_eq!(latest, [("M1".into(), 5), ("M1.5".into(), 2), ("M2".into(), 1)]);

        let [readings, events, ledger, dead_letters] = ["r", "e", "l", "d"].map(str::to_owned);
        let names = Names { readings, events, ledger, dead_letters };
        let rows = outbox.records(&names).filter(|it| it.topic == "l").map(|it| serde_json::from_slice(it.value.unwrap()).unwrap());
        let times: Vec<_> = rows.map(|it| if let LedgerRecord::Through(row) = it { row.latest_ms } else { None }).collect();
        assert_eq!(times, [Some(UnixMillis(510)), Some(UnixMillis(400))]);
        assert_eq!(outbox.records(&names).filter(|it| it.topic == "r").count(), 8, "what is not shown is kept all the same");
    }
}
