//! Reading the ledger back, from its start to its end.
//!
//! The end is where a reader of committed records stands when Kafka has no more for it. That covers all that was ever committed only if
//! no transaction is still being decided, so a partition is read after its producer was opened: `init_transactions` waits until the
//! transactions of earlier producers of the same name are decided and marked in the log.

use std::collections::BTreeSet;
use std::time::Instant;

use contracts::ledger::ThroughRow;
use contracts::{LedgerKey, LedgerRecord};
use measure::UnixMillis;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;
use wire::topic::Shard;

use crate::kafka::{Clients, Context, Group};
use crate::shard::Row;

/// Why the ledger was not read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Kafka did not give it; try again.
    #[error("reading the ledger: {0}")]
    Kafka(#[from] KafkaError),
    /// Nobody wants it any longer.
    #[error("reading the ledger was called off")]
    CalledOff,
    /// A row that this version can't read. It must not be skipped: that could double records.
    #[error("ledger partition {partition} offset {offset}: {problem}; was it written by a newer version?")]
    Row {
        /// Where.
        partition: i32,
        /// Where.
        offset: i64,
        /// What is wrong.
        problem: String,
    },
    /// Rows lie where the configured number of partitions would not put them.
    #[error(
        "ledger partition {partition} holds meter {meter}, which belongs on partition {expected} of {partitions}: the number of \
         partitions was changed under a live ledger; set topics.partitions back"
    )]
    Misplaced {
        /// Where the row is.
        partition: i32,
        /// Whose row it is.
        meter: String,
        /// Where it should be.
        expected: i32,
        /// Configured number of partitions.
        partitions: u16,
    },
}

/// A row, and the time of the latest reading that went with it.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// The row.
    pub row: Row,
    /// Time of the meter's latest reading by then.
    pub latest: Option<UnixMillis>,
}

/// Reads partitions of the ledger; the reader must have been created with [`Clients::reader`].
pub fn read(
    clients: &Clients,
    partitions: u16,
    which: impl IntoIterator<Item = i32>,
    mut called_off: impl FnMut() -> bool,
    mut each: impl FnMut(Entry),
) -> Result<(), LedgerError> {
    let topic = clients.topic(&contracts::topics::LEDGER);
    let consumer: BaseConsumer<Context> = clients.reader(Group::INGEST).create_with_context(Context)?;
    let mut open: BTreeSet<i32> = which.into_iter().collect();
    let mut assignment = TopicPartitionList::new();
    for partition in &open {
        assignment.add_partition_offset(&topic, *partition, Offset::Beginning)?;
    }
    // Without knowing the leaders first, librdkafka waits half a second before it asks for them.
    consumer.fetch_metadata(Some(&topic), clients.request_timeout)?;
    consumer.assign(&assignment)?;
    let mut last_news = Instant::now();
    while !open.is_empty() {
        if called_off() {
            return Err(LedgerError::CalledOff);
        }
        match consumer.poll(Duration::from_millis(100)) {
            None if last_news.elapsed() > clients.request_timeout => {
                return Err(KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut).into());
            }
            None => continue,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => {
                let entry = decode(message.key(), message.payload()).map_err(|problem| LedgerError::Row {
                    partition: message.partition(),
                    offset: message.offset(),
                    problem,
                })?;
                check_place(&entry.row, message.partition(), partitions)?;
                each(entry);
            }
        }
        last_news = Instant::now();
    }
    Ok(())
}

fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Entry, String> {
    let key = std::str::from_utf8(key.ok_or("no key")?).map_err(|error| error.to_string())?;
    let key: LedgerKey = key.parse().map_err(|error| format!("key {key:?}: {error}"))?;
    let value = value.map(serde_json::from_slice::<LedgerRecord>).transpose().map_err(|error| format!("value: {error}"))?;
    match (key, value) {
        (LedgerKey::Stream(meter, stream), None) => Ok(Entry { row: Row::Forgotten { meter, stream }, latest: None }),
        (LedgerKey::Stream(meter, stream), Some(LedgerRecord::Through(ThroughRow { through, updated_ms, latest_ms, .. }))) => {
            Ok(Entry { row: Row::Through { meter, stream, through, time: updated_ms }, latest: latest_ms })
        }
        (LedgerKey::Incarnation, Some(LedgerRecord::Incarnation(row))) => {
            Ok(Entry { row: Row::Incarnation(row.incarnation), latest: None })
        }
        (key, value) => Err(format!("key {key} with value {value:?}")),
    }
}

fn check_place(row: &Row, partition: i32, partitions: u16) -> Result<(), LedgerError> {
    let meter = match row {
        Row::Through { meter, .. } | Row::Forgotten { meter, .. } => meter,
        Row::Incarnation(_) => return Ok(()),
    };
    let expected = Shard::of(meter).partition(partitions);
    if expected == partition {
        return Ok(());
    }
    Err(LedgerError::Misplaced { partition, meter: meter.to_string(), expected, partitions })
}

#[cfg(test)]
mod tests {
    use contracts::ledger::IncarnationRow;
    use measure::StreamId;

    use super::*;

    #[test]
    fn rows_are_read_back_and_nonsense_is_not_skipped() {
        let (meter, stream): (measure::MeterId, _) = ("M1".parse().unwrap(), StreamId(7));
        let key = LedgerKey::Stream(meter.clone(), stream).to_string();
        let time = UnixMillis(5);
        let row = ThroughRow { meter: meter.clone(), stream, through: 9, updated_ms: time, latest_ms: Some(UnixMillis(4)) };
        let value = serde_json::to_vec(&LedgerRecord::Through(row)).unwrap();
        let entry = decode(Some(key.as_bytes()), Some(&value)).unwrap();
        assert_eq!(entry, Entry { row: Row::Through { meter: meter.clone(), stream, through: 9, time }, latest: Some(UnixMillis(4)) });
        assert_eq!(decode(Some(key.as_bytes()), None).unwrap().row, Row::Forgotten { meter, stream });
        let incarnation = serde_json::to_vec(&LedgerRecord::Incarnation(IncarnationRow { incarnation: 3, updated_ms: time })).unwrap();
        assert_eq!(decode(Some(b"incarnation"), Some(&incarnation)).unwrap().row, Row::Incarnation(3));
        for (key, value) in [(None, None), (Some(&b"M1"[..]), None), (Some(b"incarnation"), None), (Some(key.as_bytes()), Some(&b"{}"[..]))]
        {
            assert!(decode(key, value).is_err(), "{key:?}");
        }
        assert!(decode(Some(key.as_bytes()), Some(&incarnation)).is_err());
    }

    #[test]
    fn a_row_on_a_wrong_partition_is_noticed() {
        let meter: measure::MeterId = "M1".parse().unwrap();
        let right = Shard::of(&meter).partition(64);
        let row = Row::Forgotten { meter, stream: StreamId(1) };
        assert!(check_place(&row, right, 64).is_ok());
        assert!(matches!(check_place(&row, (right + 1) % 64, 64), Err(LedgerError::Misplaced { .. })));
    }
}
