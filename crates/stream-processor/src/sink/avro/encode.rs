//! A value in Confluent's wire format: a zero, the schema's id in four bytes (big-endian), and the Avro datum.

use apache_avro::Schema;
use contracts::{IntervalRecord, ReadingRecord, avro::avro_schema};
use serde::Serialize;
use serde_json::Value;

use crate::sink::log::Log;
use crate::sink::metrics::Skipped;

const MAGIC: u8 = 0;

/// Why there is no schema; a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The contract is not flat.
    #[error("{0} has no Avro schema")]
    None(&'static str),
    /// It is none.
    #[error("the Avro schema of {topic} can't be used: {source}")]
    Bad {
        /// Of which topic.
        topic: &'static str,
        /// Why.
        source: Box<apache_avro::Error>,
    },
}

/// A topic's schema, in text and read.
pub(super) struct Form {
    pub(super) log: Log,
    pub(super) text: Value,
    schema: Schema,
}

impl Form {
    pub(super) fn of(log: Log) -> Result<Self, SchemaError> {
        let topic = log.topic().name;
        let contract = contracts::all().into_iter().find(|it| it.name == topic);
        let text = contract.as_ref().and_then(avro_schema).ok_or(SchemaError::None(topic))?;
        let schema = Schema::parse(&text).map_err(|source| SchemaError::Bad { topic, source: Box::new(source) })?;
        Ok(Self { log, text, schema })
    }

    /// Appends the Avro form of a JSON value of this topic, under the id.
    pub(super) fn encode(&self, id: u32, json: &[u8], out: &mut Vec<u8>) -> Result<(), Skipped> {
        match self.log {
            Log::Readings => self.append(id, &serde_json::from_slice::<ReadingRecord>(json).map_err(|_| Skipped::Unreadable)?, out),
            Log::Intervals => self.append(id, &serde_json::from_slice::<IntervalRecord>(json).map_err(|_| Skipped::Unreadable)?, out),
        }
    }

    fn append(&self, id: u32, record: &impl Serialize, out: &mut Vec<u8>) -> Result<(), Skipped> {
        // What has no place is a number beyond 2^63.
        let value = apache_avro::to_value(record).and_then(|it| it.resolve(&self.schema)).map_err(|_| Skipped::Unstorable)?;
        let datum = apache_avro::to_avro_datum(&self.schema, value).map_err(|_| Skipped::Unstorable)?;
        out.push(MAGIC);
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&datum);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [(Log, &str); 2] = [
        (Log::Readings, include_str!("../../../../contracts/golden/meter.readings.v1.json")),
        (Log::Intervals, include_str!("../../../../contracts/golden/meter.intervals.v1.json")),
    ];

    #[test]
    fn golden_records_come_back_from_avro() {
        for (log, golden) in GOLDEN {
            let form = Form::of(log).unwrap();
            for record in serde_json::from_str::<Vec<Value>>(golden).unwrap() {
                let mut bytes = Vec::new();
                form.encode(0x0102_0304, record.to_string().as_bytes(), &mut bytes).unwrap();
                let (head, datum) = bytes.split_at(5);
                assert_eq!(head, [0, 1, 2, 3, 4]);
                let back = apache_avro::from_avro_datum(&form.schema, &mut &*datum, None).unwrap();
                assert_eq!(Value::try_from(back).unwrap(), record);
            }
        }
    }

    #[test]
    fn what_has_no_place_is_named() {
        let form = Form::of(Log::Readings).unwrap();
        assert_eq!(form.encode(1, b"{}", &mut Vec::new()), Err(Skipped::Unreadable));
        let golden: Vec<Value> = serde_json::from_str(GOLDEN[0].1).unwrap();
        let mut record = golden[0].clone();
        record["seq"] = u64::MAX.into();
        assert_eq!(form.encode(1, record.to_string().as_bytes(), &mut Vec::new()), Err(Skipped::Unstorable));
    }
}
